"""The settings of least work at which an approximate index does what was asked, and what it does.

Measured on fitted rows drawn by seed, each left out of its own answers, against exact answers; no
list was trained on them, and no graph contains them, for an index does better by its own rows than
by new ones. What counts is the share of the true neighbours found, or how much worse predictions
become. Only counted work is compared, never seconds, so every machine settles on the same settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekern.engine import ThreadEngine
from scalekern.neighbors.approximate import MOST_CANDIDATES, ApproximateIndex
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
_FIRST_CANDIDATES = 8
_MOST_LOST = 1e-3

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
            block = exact_scan(some, metric)
            distances, indices = _searched(block, queries, min(k + 1, len(some)), n_jobs)
            both = np.hstack([best[0], distances]), np.hstack([best[1], own[indices]])
            best = nearest_first(*both, k + 1)
            del block
        forget_pages(rows)
    return Sample(drawn, queries, *others(*best, drawn, k), k, apart)


def exact_scan(rows: FloatArray, metric: str) -> NeighborIndex:
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


def others(
    distances: Distances, indices: Indices, itself: Indices, k: int
) -> tuple[Distances, Indices]:
    """Return the k nearest that are not the query itself."""
    own = indices == itself[:, None]
    return nearest_first(np.where(own, np.inf, distances), np.where(own, -1, indices), k)


@dataclass(frozen=True, eq=False)
class Tuned:
    """An index at the settings chosen, what it does there, and all settings tried."""

    index: ApproximateIndex
    sample: Sample
    trial: Trial
    reached: bool
    work: float
    table: list[dict[str, Any]]
    line: dict[str, Any]

    def meets(self, goal: Goal) -> bool:
        """Return whether it does what it must, but for the luck of the draw."""
        if self.trial.excess is not None:
            return self.reached
        return self.trial.recall.mean >= goal.recall


def tuned(index: ApproximateIndex, sample: Sample, goal: Goal) -> Tuned:
    """Return `index` at the settings of least work found to reach the goal.

    Where none does, the one of highest recall is taken. Each line of the table is a dict: "index",
    the knob's name ("nprobe", "efSearch" or "setting") with its value, "candidates" for each
    neighbour where it has codes, "recall", "excess_error" where that is asked for, and "work" of
    one query, as `work` counts it.
    """
    search = _Search(index, sample, goal)
    search.run()
    chosen = search.best
    reached = chosen is not None
    if chosen is None:
        chosen = max(search.trials, key=lambda s: (search.trials[s].recall.mean, -search.work(s)))
    at = index.at(*chosen)
    return Tuned(
        at,
        sample,
        search.trials[chosen],
        reached,
        search.work(chosen),
        search.table(),
        search.line(chosen),
    )


def measured(index: ApproximateIndex, sample: Sample, goal: Goal) -> Tuned:
    """Return `index` at the settings it has, and what it does there."""
    search = _Search(index, sample, goal)
    settings = index.setting, index.more
    reached = search.reaches(settings)
    work, line = search.work(settings), search.line(settings)
    return Tuned(index, sample, search.trials[settings], reached, work, search.table(), line)


def completed(found: Tuned, goal: Goal, n_threads: int = 1, *, fixed: bool = False) -> Tuned:
    """Return a tuned index with the rows that were held out of it, and what it does now.

    The rows that come into a graph last may cut the few links to a cluster far from the others.
    So those are counted that find none of their neighbours any more: a larger setting finds them,
    unless the setting is `fixed`, and the recall is less by those that stay lost.
    """
    index, sample, recall = found.index, found.sample, found.trial.recall
    if index.is_whole:
        return found
    before = sample.lost(index)
    whole = index.completed(n_threads)

    def lost(setting: int) -> float:
        return max(0.0, sample.lost(whole.at(setting)) - before)

    most = _MOST_LOST if goal.error is not None else max(_MOST_LOST, recall.mean - goal.recall)
    setting: int | None = None
    if not fixed:
        setting = smallest_reaching(lambda s: lost(s) <= most, index.setting, whole.knob.largest)
    whole = whole.at(setting or index.setting)
    trial = replace(found.trial, recall=replace(recall, mean=recall.mean - lost(whole.setting)))
    work = whole.work(sample.k)
    knob = whole.knob.name or "setting"
    line = {**found.line, knob: whole.setting, "recall": trial.recall.mean, "work": round(work)}
    old = [{"index": index.name, knob: s}.items() for s in (index.setting, whole.setting)]
    table = [t for t in found.table if not any(one <= t.items() for one in old)] + [line]
    reached = found.reached and (fixed or setting is not None)
    return Tuned(whole, sample, trial, reached, work, sorted(table, key=lambda t: t["work"]), line)


class _Search:
    """The trials of one index; more candidates need fewer probes, and the other way round."""

    def __init__(self, index: ApproximateIndex, sample: Sample, goal: Goal) -> None:
        self._index, self._sample, self._goal = index, sample, goal
        self.trials: dict[tuple[int, int], Trial] = {}
        self.best: tuple[int, int] | None = None

    def work(self, settings: tuple[int, int]) -> float:
        return self._index.at(*settings).work(self._sample.k)

    def table(self) -> list[dict[str, Any]]:
        return [self.line(settings) for settings in sorted(self.trials)]

    def line(self, settings: tuple[int, int]) -> dict[str, Any]:
        trial, index = self.trials[settings], self._index
        return {
            "index": index.name,
            index.knob.name or "setting": settings[0],
            **({"candidates": settings[1]} if index.compressed else {}),
            "recall": trial.recall.mean,
            **({} if trial.excess is None else {"excess_error": trial.excess}),
            "work": round(self.work(settings)),
        }

    def run(self) -> None:
        if not self._index.compressed:
            self._try(1)
            return
        more = _FIRST_CANDIDATES
        self._try(more)
        while self.best is not None and more > 1 and self.best[1] == more:
            more //= 2
            self._try(more)
        more = _FIRST_CANDIDATES
        while more < MOST_CANDIDATES and (self.best is None or self.best[1] == more):
            more *= 2
            self._try(more)

    def _try(self, more: int) -> None:
        knob = self._index.knob
        largest = max(knob.smallest, self._dearest(more))
        if self.best is not None and self.work((knob.smallest, more)) >= self.work(self.best):
            return
        found = smallest_reaching(lambda s: self.reaches((s, more)), knob.smallest, largest)
        if found is not None and (
            self.best is None or self.work((found, more)) < self.work(self.best)
        ):
            self.best = (found, more)

    def _dearest(self, more: int) -> int:
        """Return the largest setting that costs no more than the best so far."""
        low, high = self._index.knob.smallest, self._index.knob.largest
        if self.best is None:
            return high
        limit = self.work(self.best)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.work((middle, more)) <= limit else (low, middle - 1)
        return low

    def reaches(self, settings: tuple[int, int]) -> bool:
        if settings not in self.trials:
            self.trials[settings] = self._sample.trial(self._index.at(*settings), self._goal)
        return self.trials[settings].reaches(self._goal)


def smallest_reaching(reaches: Callable[[int], bool], smallest: int, largest: int) -> int | None:
    """Double from `smallest` until it reaches, then bisect to within a sixteenth; None if never.

    Examples
    --------
    >>> smallest_reaching(lambda s: s >= 11, 1, 100), smallest_reaching(lambda s: False, 1, 9)
    (11, None)
    """
    low, high = smallest - 1, smallest
    while not reaches(high):
        if high >= largest:
            return None
        low, high = high, min(2 * high, largest)
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        if middle < smallest:
            break
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
