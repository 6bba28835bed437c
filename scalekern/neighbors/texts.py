"""Exact search among texts by edit distance.

It is apart from the scan for functions because rapidfuzz takes whole blocks, on every core, and
because a named metric is stored and loaded without a function. Long texts are not all compared to
the end: a few promising rows say how far the k-th neighbour is at most, and what cannot be nearer
by its q-grams, or shows not to be before its end, is left aside. The answers are those of a scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import ModelFormatError
from scalekern.kernels.levenshtein import check_texts, levenshtein, levenshtein_pairs
from scalekern.neighbors.base import Distances, Indices, NeighborIndex, State, stored
from scalekern.neighbors.brute import k_smallest, packed, unpacked
from scalekern.neighbors.metrics import TEXT_METRICS, stored_metric
from scalekern.neighbors.text_bounds import Profiles, lower_bounds

_TILE_ENTRIES = 1 << 21
_BLOCK_QUERIES, _GROUP, _PROMISING = 256, 4, 64
_WORD = 64
"""Texts of up to so many characters are compared in one machine word, and nothing is faster."""
_MOST = 2**62


@final
class TextIndex(NeighborIndex):
    """All pairs of texts, by Levenshtein's distance.

    Parameters
    ----------
    rows : sequence of str

    Examples
    --------
    >>> TextIndex(["GATTACA", "CCCC"]).search(["GATTA"], 2)
    (array([[2., 5.]]), array([[0, 1]]))
    """

    name: ClassVar[str] = "texts"
    exact: bool = True

    def __init__(self, rows: Sequence[str]) -> None:
        check_texts(rows)
        self.rows = list(rows)
        levenshtein(self.rows[:1], self.rows[:1])  # a missing package is better found in fit
        self.n_rows = len(self.rows)
        mean_length = sum(map(len, self.rows)) / max(1, self.n_rows)
        self._profiles = Profiles.of(self.rows) if mean_length > _WORD else None

    @property
    def description(self) -> str:
        return "all pairs, exact, levenshtein distances"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        distances = np.empty((len(X), k))
        indices = np.empty((len(X), k), dtype=np.int64)
        for q, row in enumerate(self._distances(X, k, None)):
            distances[q], indices[q] = k_smallest(row, k)
        return distances, indices

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        for row in self._distances(X, None, int(min(radius, _MOST))):
            near = np.flatnonzero(row <= radius)
            yield row[near], near

    def _distances(self, X: Any, k: int | None, most: int | None) -> Iterator[Distances]:
        """Yield the distances of each query to all rows; too large ones may be infinite.

        Those of the k nearest and all up to `most` are exact.
        """
        queries = list(X)
        check_texts(queries)
        step = max(1, min(_BLOCK_QUERIES, _TILE_ENTRIES // self.n_rows))
        for start in range(0, len(queries), step):
            some = queries[start : start + step]
            if self._profiles is None:
                yield from levenshtein(some, self.rows, most)
                continue
            bounds = lower_bounds(Profiles.of(some), self._profiles)
            limits = np.full(len(some), most) if k is None else self._limits(some, bounds, k)
            yield from self._up_to(some, bounds, limits)

    def _limits(self, queries: list[str], bounds: Distances, k: int) -> NDArray[Any]:
        """Return distances within which each query has k rows: those of promising ones."""
        n = min(max(_PROMISING, 4 * k), self.n_rows)
        rows = np.argpartition(bounds, n - 1, axis=1)[:, :n]
        pairs = levenshtein_pairs(
            [query for query in queries for _ in range(n)], [self.rows[i] for i in rows.ravel()]
        )
        return np.partition(pairs.reshape(rows.shape), k - 1, axis=1)[:, k - 1]

    def _up_to(self, queries: list[str], bounds: Distances, limits: NDArray[Any]) -> Distances:
        """Return the distances up to the limit of each query, infinite where they are above it."""
        found = np.full(bounds.shape, np.inf)
        # One call takes one limit, so queries of similar limits go together.
        order = np.argsort(limits, kind="stable")
        for start in range(0, len(order), _GROUP):
            group = order[start : start + _GROUP]
            rows = np.flatnonzero((bounds[group] <= limits[group, None]).any(axis=0))
            texts = [self.rows[i] for i in rows]
            most = int(limits[group].max())
            near = levenshtein([queries[q] for q in group], texts, most)
            found[np.ix_(group, rows)] = np.where(near <= most, near, np.inf)
        return found

    def state(self) -> State:
        return {"name": self.name, "metric": "levenshtein", "n": self.n_rows}, packed(self.rows)

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> TextIndex:
        stored_metric(stored(meta, "metric"), TEXT_METRICS)
        index = cls(unpacked(arrays))
        if index.n_rows != stored(meta, "n"):
            raise ModelFormatError(
                f"the stored neighbour index says {meta['n']} texts but holds {index.n_rows}; "
                "the model was altered or truncated"
            )
        return index
