"""The smallest setting of an approximate index that reaches the recall asked for, and that recall.

Measured on fitted rows drawn by seed, each left out of its own answers, against exact answers.
Only counted work is compared, never seconds, so every machine settles on the same setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import Distances, FloatArray, Indices, nearest_first
from scalekern.neighbors.flat import FlatIndex

_QUERIES = 400
_EXACT_BLOCK_ROWS = 1 << 18


@dataclass(frozen=True)
class Recall:
    """Mean share of the true neighbours found, and the standard error of that mean."""

    mean: float
    error: float

    def reaches(self, target: float) -> bool:
        """Say whether the recall is at least `target` beyond the luck of the draw."""
        return self.mean - self.error >= target


@dataclass(frozen=True, eq=False)
class Sample:
    """Fitted rows used as queries, with the exact distance of the k-th other row of each."""

    rows: Indices
    queries: FloatArray
    kth: Distances
    k: int

    def recall(self, index: ApproximateIndex) -> Recall:
        """Measure the recall of `index`; a row as near as the k-th counts as well as the k-th."""
        found = others(*index.search(self.queries, self.k + 1), self.rows, self.k)[0]
        shares = (found <= self.kth[:, None] * (1 + 1e-9)).mean(axis=1)
        error = shares.std() / np.sqrt(len(shares))
        return Recall(float(shares.mean()), float(error))


def draw_sample(rows: FloatArray, metric: str, k: int, seed: int) -> Sample:
    """Draw queries from the fitted rows and find their exact neighbours by a scan of all rows."""
    n = len(rows)
    k = min(k, n - 1)
    drawn = np.sort(np.random.default_rng(seed).choice(n, min(_QUERIES, n), replace=False))
    queries = rows[drawn]
    best: tuple[Distances, Indices] = (np.empty((len(drawn), 0)), np.empty((len(drawn), 0), int))
    for start in range(0, n, _EXACT_BLOCK_ROWS):
        block = FlatIndex.build(rows[start : start + _EXACT_BLOCK_ROWS], metric)
        distances, indices = block.search(queries, min(k + 1, block.n_rows))
        both = np.hstack([best[0], distances]), np.hstack([best[1], indices + start])
        best = nearest_first(*both, k + 1)
    return Sample(drawn, queries, others(*best, drawn, k)[0][:, -1], k)


def others(
    distances: Distances, indices: Indices, itself: Indices, k: int
) -> tuple[Distances, Indices]:
    """Return the k nearest that are not the query itself."""
    own = indices == itself[:, None]
    return nearest_first(np.where(own, np.inf, distances), np.where(own, -1, indices), k)


def tuned(
    index: ApproximateIndex, sample: Sample, target: float
) -> tuple[ApproximateIndex, float, list[dict[str, Any]]]:
    """Return `index` at the smallest setting found to reach `target`, its recall, all trials.

    Each trial is a dict: the knob's name ("nprobe", "efSearch" or "setting") with its value,
    "recall", and "distances_per_query", the counted work.
    """
    trials: dict[int, Recall] = {}

    def reaches(setting: int) -> bool:
        trials[setting] = sample.recall(index.at(setting))
        return trials[setting].reaches(target)

    best = smallest_reaching(reaches, index.knob.smallest, index.knob.largest)
    best = best if best is not None else max(trials, key=lambda s: (trials[s].mean, -s))
    table = [
        {
            index.knob.name or "setting": setting,
            "recall": trials[setting].mean,
            "distances_per_query": index.at(setting).work(),
        }
        for setting in sorted(trials)
    ]
    return index.at(best), trials[best].mean, table


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
