"""What an approximate index does at a setting: its recall, or how much worse predictions become.

Measured on fitted rows drawn by seed, each left out of its own answers, against exact answers; no
list was trained on them, and no graph contains them, for an index does better by its own rows than
by new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalekern.engine import ThreadEngine
from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import (
    Distances,
    FloatArray,
    Indices,
    NeighborIndex,
    forget_pages,
    nearest_first,
)
from scalekern.neighbors.brute import BruteIndex
from scalekern.neighbors.faiss_index import all_but
from scalekern.neighbors.flat import FlatIndex
from scalekern.neighbors.metrics import FAISS_METRICS
from scalekern.rows import ArraySource

FEWEST_QUERIES, MOST_QUERIES = 400, 2_000
_SCANNED_NUMBERS = 4e10
_MOST_HELD = 0.2
_EXACT_BLOCK_ROWS = 1 << 18
_QUERY_ROWS = 128

Losses = Callable[[Indices, Distances, Indices], NDArray[np.float64]]
"""From row numbers, and the distances and numbers of their neighbours, to the errors of the rows'
predictions."""


@dataclass(frozen=True)
class Recall:
    """Mean share of the true neighbours found, and the standard error of that mean."""

    mean: float
    error: float

    def reaches(self, target: float) -> bool:
        """Say whether the recall is at least `target` beyond the luck of the draw."""
        return self.mean - self.error >= target

    @classmethod
    def of(cls, found: NDArray[np.bool_]) -> Recall:
        """Return the recall of (queries, k) neighbours found or not."""
        shares = found.mean(axis=1)
        return cls(float(shares.mean()), float(shares.std() / np.sqrt(len(shares))))


@dataclass(frozen=True)
class Goal:
    """What an index must do.

    Attributes
    ----------
    recall : float
        The share of the true neighbours to find; not looked at where there is an `error`.
    error : float or None
        By what share the mean loss of predictions may exceed that with the true neighbours.
    losses : callable or None
        Gives the losses.
    """

    recall: float
    error: float | None = None
    losses: Losses | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"recall {self.recall:g}"
        return f"an error {self.error:.3g} above that of exact neighbours"


@dataclass(frozen=True)
class Trial:
    """What an index does at one setting: its recall, and how far it exceeds the exact error.

    `noise` is the standard error of the excess: on some hundred queries, an index that loses half
    of the neighbours may by luck predict as well as one that finds them all.
    """

    recall: Recall
    excess: float | None
    noise: float = 0.0

    def reaches(self, goal: Goal) -> bool:
        """Say whether it does what it must."""
        if goal.error is None or self.excess is None:
            return self.recall.reaches(goal.recall)
        return self.excess + self.noise <= goal.error


@dataclass(frozen=True, eq=False)
class Sample:
    """Fitted rows used as queries, with the exact nearest k other rows of each."""

    rows: Indices
    queries: FloatArray
    distances: Distances
    indices: Indices
    k: int
    apart: bool = False

    @property
    def kth(self) -> Distances:
        """The distance of the k-th other row of each."""
        return self.distances[:, -1]

    def recall(self, index: ApproximateIndex) -> Recall:
        """Measure the recall of `index`; a row as near as the k-th counts as well as the k-th."""
        return self._recall(self._found(index)[0])

    def trial(self, index: ApproximateIndex, goal: Goal) -> Trial:
        """Measure what `index` does at its setting."""
        distances, indices = self._found(index)
        if goal.losses is None:
            return Trial(self._recall(distances), None)
        exact = goal.losses(self.rows, self.distances, self.indices)
        more = goal.losses(self.rows, distances, indices) - exact
        size = float(exact.mean())
        if size == 0:
            return Trial(self._recall(distances), float(more.any()))
        noise = float(more.std()) / np.sqrt(len(more)) / size
        return Trial(self._recall(distances), float(more.mean()) / size, noise)

    def lost(self, index: ApproximateIndex) -> float:
        """Return the share of the queries that find none of their neighbours."""
        return float(1 - self._near(self._found(index)[0]).any(axis=1).mean())

    def _found(self, index: ApproximateIndex) -> tuple[Distances, Indices]:
        if self.apart and not index.is_whole:
            return index.search(self.queries, self.k)
        return index.search_others(self.queries, self.rows, self.k)

    def _near(self, distances: Distances) -> NDArray[np.bool_]:
        kth = self.kth[:, None]
        return distances <= kth + 1e-9 * np.abs(kth)

    def _recall(self, distances: Distances) -> Recall:
        return Recall.of(self._near(distances))


def held_rows(n: int, d: int, seed: int) -> Indices:
    """Draw the rows to tune by from n rows of d columns; return their numbers, ascending.

    As many as a fixed amount of work allows, within bounds, and a fifth of all at most.
    """
    size = int(np.clip(_SCANNED_NUMBERS / (n * d), FEWEST_QUERIES, MOST_QUERIES))
    size = min(size, max(1, int(_MOST_HELD * n)))
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def draw_sample(
    rows: FloatArray,
    metric: str,
    k: int,
    seed: int,
    n_jobs: int | None = None,
    *,
    apart: bool = False,
) -> Sample:
    """Draw queries from two fitted rows or more, and find their exact neighbours by a scan.

    Their neighbours are all other rows; those only that are no queries if the queries are `apart`
    from what is searched, as in a graph that they were held out of.
    """
    n = len(rows)
    drawn = held_rows(n, rows.shape[1], seed)
    there = all_but(drawn if apart else None, n)
    k = min(k, len(there) - (not apart))
    queries = np.ascontiguousarray(rows[drawn])
    best: tuple[Distances, Indices] = (np.empty((len(drawn), 0)), np.empty((len(drawn), 0), int))
    for start in range(0, n, _EXACT_BLOCK_ROWS):
        own = there[slice(*np.searchsorted(there, [start, start + _EXACT_BLOCK_ROWS]))]
        some = rows[own] if apart else rows[start : start + _EXACT_BLOCK_ROWS]
        if len(some):
            block = _exact_scan(some, metric)
            distances, indices = _searched(block, queries, min(k + 1, len(some)), n_jobs)
            both = np.hstack([best[0], distances]), np.hstack([best[1], own[indices]])
            best = nearest_first(*both, k + 1)
            del block
        forget_pages(rows)
    return Sample(drawn, queries, *_others(*best, drawn, k), k, apart)


def _exact_scan(rows: FloatArray, metric: str) -> NeighborIndex:
    """Return the index that compares queries with all rows."""
    return FlatIndex.build(rows, metric) if metric in FAISS_METRICS else BruteIndex(rows, metric)


def _searched(
    index: NeighborIndex, queries: FloatArray, k: int, n_jobs: int | None
) -> tuple[Distances, Indices]:
    parts: list[tuple[Distances, Indices]] = []
    ThreadEngine(n_jobs).map_blocks(
        ArraySource(queries),
        lambda block: index.search(block.X, k),
        lambda _, part: parts.append(part),
        "exact neighbours",
        _QUERY_ROWS,
    )
    return np.concatenate([d for d, _ in parts]), np.concatenate([i for _, i in parts])


def _others(
    distances: Distances, indices: Indices, itself: Indices, k: int
) -> tuple[Distances, Indices]:
    """Return the k nearest that are not the query itself."""
    own = indices == itself[:, None]
    return nearest_first(np.where(own, np.inf, distances), np.where(own, -1, indices), k)
