"""What a query costs in each kind of index, by counting its steps: no clock is read here.

A step is a distance computed or a code read; what one costs was measured once, on one machine, by
`python -m benchmarks.calibrate_neighbors`, and is written down below. So a choice that compares
two indices comes out the same everywhere, although the machines differ.
"""

from __future__ import annotations

STEPS = {
    "centre": (4.65, 0.0149),
    "row": (3.72, 0.173),
    "visit": (45.2, 0.274),
    "code": (0.0, 0.0555),
    "table": (498.0, 4.28),
    "tables": (4510.0, 0.0),
    "candidate": (34.5, 0.51),
}
"""Nanoseconds a step, and more for each dimension of the points.

Processor time of one thread of an AMD EPYC (Zen 4, AVX-512) with FAISS 1.15.

centre: of a list, compared in a matrix product with all others.
row: uncompressed, read in the order of its list.
visit: of a row anywhere in memory, on a walk through a graph.
code: of a row, read in the order of its list; the second number is for each half byte.
table: of the distances from a query to the values of a code, made for each list probed.
tables: what making them costs before the first.
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
