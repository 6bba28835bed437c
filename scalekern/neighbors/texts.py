"""Exact search among texts by edit distance.

It is apart from the scan for functions because rapidfuzz takes whole blocks, on every core, and
because a named metric is stored and loaded without a function.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import ModelFormatError
from scalekern.kernels.levenshtein import check_texts, levenshtein
from scalekern.neighbors.base import Distances, Indices, NeighborIndex, State, stored
from scalekern.neighbors.brute import k_smallest, packed, unpacked
from scalekern.neighbors.metrics import TEXT_METRICS, stored_metric

_TILE_ENTRIES = 1 << 21


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
    exact: ClassVar[bool] = True

    def __init__(self, rows: Sequence[str]) -> None:
        check_texts(rows)
        self.rows = list(rows)
        levenshtein(self.rows[:1], self.rows[:1])  # a missing package is better found in fit
        self.n_rows = len(self.rows)

    @property
    def description(self) -> str:
        return "all pairs, exact, levenshtein distances"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        distances = np.empty((len(X), k))
        indices = np.empty((len(X), k), dtype=np.int64)
        for q, row in enumerate(self._all_distances(X)):
            distances[q], indices[q] = k_smallest(row, k)
        return distances, indices

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        for row in self._all_distances(X):
            near = np.flatnonzero(row <= radius)
            yield row[near], near

    def _all_distances(self, X: Any) -> Iterator[Distances]:
        """Yield the distances of each query to all rows."""
        queries = list(X)
        step = max(1, _TILE_ENTRIES // self.n_rows)
        for start in range(0, len(queries), step):
            yield from levenshtein(queries[start : start + step], self.rows)

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
