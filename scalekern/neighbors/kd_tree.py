"""Exact search in few dimensions: SciPy's KD-tree in float64.

In up to eight columns it beats every FAISS index that is exact; beyond, its cost per query grows
towards that of a full scan and past it. `kinds` knows the border.

A tree of millions of rows is larger than the caches. So its rows lie, and its queries are answered,
in an order in which neighbours follow each other: together twice as fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from scalekern.errors import InvalidInputError
from scalekern.neighbors.base import (
    Distances,
    FloatArray,
    Indices,
    NeighborIndex,
    State,
    check_queries,
    describe_rows,
    nearest_first,
    stored,
    stored_rows,
)
from scalekern.neighbors.metrics import KD_TREE_METRICS, stored_metric

_BITS = 10
"""Each side is cut into 2^10 cells, fewer beyond six columns."""
_RUN_ROWS = 8_192
"""Rows whose cells fit in the cache."""


@final
class KDTreeIndex(NeighborIndex):
    """KD-tree over rows, for metric "euclidean", "manhattan" or "chebyshev".

    Where several rows are at the same distance as the k-th, which of them are among the k depends
    on the tree, though always in the same way for the same rows.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), float32 or float64
        Kept as they are; the tree works on them in float64.
    metric : str, default "euclidean"

    Examples
    --------
    >>> import numpy as np
    >>> index = KDTreeIndex(np.array([[0.0, 0.0], [1.0, 1.0]]), metric="manhattan")
    >>> index.search(np.array([[0.0, 0.0]]), 2)
    (array([[0., 2.]]), array([[0, 1]]))
    """

    name: ClassVar[str] = "kd_tree"
    exact: bool = True

    def __init__(self, rows: FloatArray, metric: str = "euclidean") -> None:
        self.metric = metric
        self.n_rows = rows.shape[0]
        self.rows = rows
        points = np.asarray(rows, dtype=np.float64)
        # Twenty times as fast along columns that lie in one piece.
        columns = np.ascontiguousarray(points.T)
        self._lowest = columns.min(axis=1)
        with np.errstate(over="ignore"):
            self._widest = float((columns.max(axis=1) - self._lowest).max())
        self._order = self._along(points)
        # Median splits go wrong on columns with many equal values; sliding midpoints do not.
        self._tree = cKDTree(points[self._order], balanced_tree=False)

    @property
    def description(self) -> str:
        return f"KD-tree, exact, {self.metric} distances"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        queries = np.asarray(check_queries(X, self.rows.shape[1]), dtype=np.float64)
        along, p = self._along(queries), KD_TREE_METRICS[self.metric]
        near, found = self._tree.query(queries[along], k=np.arange(1, k + 1), p=p, workers=1)
        if np.isinf(near).any():
            raise InvalidInputError(
                "rows are so far apart that their distances are no finite numbers; divide columns "
                "by their spreads"
            )
        distances, indices = np.empty_like(near), np.empty(found.shape, dtype=np.int64)
        distances[along], indices[along] = near, self._order[found]
        return nearest_first(distances, indices, k)

    def _along(self, points: NDArray[np.float64]) -> Indices:
        """Return the order of points along a curve that stays among neighbours, Morton's."""
        starts = range(0, max(1, len(points)), _RUN_ROWS)
        codes = [self._codes(points[low : low + _RUN_ROWS]) for low in starts]
        return np.argsort(np.concatenate(codes), kind="stable")

    def _codes(self, points: NDArray[np.float64]) -> Indices:
        """Return where points lie along the curve."""
        d = points.shape[1]
        bits = min(_BITS, 62 // d)
        with np.errstate(over="ignore", invalid="ignore"):
            share = (points - self._lowest) / (self._widest or 1.0)
        share = np.clip(np.nan_to_num(share.T), 0.0, 1.0)
        cells = np.minimum(share * 2**bits, 2**bits - 1).astype(np.int64)
        columns = np.ascontiguousarray(cells)
        code = np.zeros(len(points), dtype=np.int64)
        for bit in reversed(range(bits)):
            for column in columns:
                code <<= 1
                code |= column >> bit & 1
        return code

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        queries = np.asarray(check_queries(X, self.rows.shape[1]), dtype=np.float64)
        order = KD_TREE_METRICS[self.metric]
        for x, found in zip(
            queries, self._tree.query_ball_point(queries, radius, order), strict=True
        ):
            indices = self._order[np.array(found, dtype=np.int64)]
            yield np.linalg.norm(self.rows[indices] - x, order, axis=1), indices

    def state(self) -> State:
        meta = {"name": self.name, "metric": self.metric, **describe_rows(self.rows)}
        return meta, {"rows": self.rows}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> KDTreeIndex:
        metric = stored_metric(stored(meta, "metric"), KD_TREE_METRICS)
        return cls(stored_rows(meta, arrays), metric)
