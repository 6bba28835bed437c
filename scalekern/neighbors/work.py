"""What a query costs in each kind of index, by counting its steps: no clock is read here.

A step is a distance computed or a code read; what one costs was measured once, on one machine, by
`python -m benchmarks.calibrate_neighbors`, and is written down below. So a choice that compares
two indices comes out the same everywhere, although the machines differ.
"""

from __future__ import annotations

STEPS = {
    "centre": (7.13, 0.00788),
    "rows": (2620.0, 0.0),
    "row": (3.34, 0.139),
    "visit": (30.2, 0.398),
    "code": (0.0, 0.0514),
    "table": (704.0, 2.29),
    "candidate": (61.7 + 44.1, 0.505),
}
"""Nanoseconds a step, and more for each dimension of the points.

Processor time of one thread of an AMD EPYC (Zen 4, AVX-512) with FAISS 1.15.

centre: of a list, compared in a matrix product with all others.
rows: what reading uncompressed rows costs before the first.
row: uncompressed, read in the order of its list.
visit: of a row anywhere in memory, on a walk through a graph.
code: of a row, read in the order of its list; the second number is for each half byte.
table: of the distances from a query to the values of a code, made for each list probed.
candidate: kept among the best by its code, and compared exactly with the query, anywhere in memory.
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
