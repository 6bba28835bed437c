"""Exact search in few dimensions: SciPy's KD-tree in float64.

In up to eight columns it beats every FAISS index that is exact; beyond, its cost per query grows
towards that of a full scan and past it. `choose` knows the border.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

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
    exact: ClassVar[bool] = True

    def __init__(self, rows: FloatArray, metric: str = "euclidean") -> None:
        self.metric = metric
        self.n_rows = rows.shape[0]
        self.rows = rows
        # Median splits go wrong on columns with many equal values; sliding midpoints do not.
        self._tree = cKDTree(np.asarray(rows, dtype=np.float64), balanced_tree=False)

    @property
    def description(self) -> str:
        return f"KD-tree, exact, {self.metric} distances"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        queries = np.asarray(check_queries(X, self.rows.shape[1]), dtype=np.float64)
        order = KD_TREE_METRICS[self.metric]
        distances, indices = self._tree.query(queries, k=np.arange(1, k + 1), p=order, workers=1)
        return nearest_first(distances, indices.astype(np.int64), k)

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        queries = np.asarray(check_queries(X, self.rows.shape[1]), dtype=np.float64)
        order = KD_TREE_METRICS[self.metric]
        for x, found in zip(
            queries, self._tree.query_ball_point(queries, radius, order), strict=True
        ):
            indices = np.array(found, dtype=np.int64)
            yield np.linalg.norm(self.rows[indices] - x, order, axis=1), indices

    def state(self) -> State:
        meta = {"name": self.name, "metric": self.metric, **describe_rows(self.rows)}
        return meta, {"rows": self.rows}

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> KDTreeIndex:
        metric = stored_metric(stored(meta, "metric"), KD_TREE_METRICS)
        return cls(stored_rows(meta, arrays), metric)
