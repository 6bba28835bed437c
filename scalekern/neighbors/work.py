"""What a query costs in each kind of index, by counting its steps: no clock is read here.

A step is a distance computed or a code read; what one costs was measured once, on one machine, by
`python -m benchmarks.calibrate_neighbors`, and is written down below. So a choice that compares
two indices comes out the same everywhere, although the machines differ.
"""

from __future__ import annotations

import numpy as np

STEPS = {
    "centre": (0.0, 0.021),
    "probe": (42.5, 0.0),
    "rows": (1600.0, 0.0),
    "row": (2.74, 0.13),
    "visit": (29.4, 0.303),
    "code": (0.0, 0.032),
    "table": (577.0, 7.22),
    "candidate": (62.1 + 59.2, 0.376),
}
"""Nanoseconds a step, and more for each dimension of the points.

Processor time of one thread of an AMD EPYC (Zen 4, AVX-512) with FAISS 1.15.

centre: of a list, compared in a matrix product with all others.
probe: a centre kept among the best so far; see `times_kept`.
rows: what reading uncompressed rows costs before the first.
row: uncompressed, read in the order of its list.
visit: of a row anywhere in memory, on a walk through a graph.
code: of a row, read in the order of its list; the second number is for each half byte.
table: of the distances from a query to the values of a code, made for each list probed.
candidate: kept among the best by its code, and compared exactly with the query, anywhere in memory.
"""


def times_kept(best: float, among: float) -> float:
    """Return how often one of `among`, in random order, is one of the `best` so far.

    Of the i-th the chance is best/i.

    Examples
    --------
    >>> times_kept(1, 1), round(times_kept(10, 1000))
    (1.0, 56)
    """
    if best < 1 or among < 1:
        return 0.0
    best = min(best, among)
    return float(best * (1 + np.log(among / best)))


def work_of(step: str, count: float, dimensions: float) -> float:
    """Return the nanoseconds, on the machine of the table, of `count` steps.

    Examples
    --------
    >>> work_of("row", 1000, 100) > work_of("code", 1000, 50)
    True
    """
    each, more = STEPS[step]
    return count * (each + more * dimensions)
