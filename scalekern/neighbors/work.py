"""What a query costs in each kind of index, by counting its steps: no clock is read here.

A step is a distance computed or a code read; what one costs was measured once, on one machine, by
`python -m benchmarks.calibrate_neighbors`, and is written down below. So a choice that compares
two indices comes out the same everywhere, although the machines differ.
"""

from __future__ import annotations

#: Nanoseconds a step, and more for each dimension of the points: AMD EPYC (Zen 4, AVX-512), one
#: thread, FAISS 1.15, processor time.
STEPS = {
    "centre": (1.6, 0.026),
    "row": (2.5, 0.09),
    "visit": (14.0, 0.33),
    "code": (0.35, 0.035),
    "table": (150.0, 12.0),
    "candidate": (22.0, 0.33),
}
"""
centre: of a list, compared in a matrix product with all others.
row: uncompressed, read in the order of its list.
visit: of a row anywhere in memory, on a walk through a graph.
code: of four bits for each two dimensions or more, read in the order of its list; the second
number is for each part of the code.
table: of the distances from a query to the values of a code, made for each list probed.
candidate: compared exactly with the query, anywhere in memory.
"""


def work_of(step: str, count: float, dimensions: float) -> float:
    """Return the nanoseconds, on the machine of the table, of `count` steps.

    Examples
    --------
    >>> work_of("row", 1000, 100) > work_of("code", 1000, 50)
    True
    """
    each, more = STEPS[step]
    return count * (each + more * dimensions)
