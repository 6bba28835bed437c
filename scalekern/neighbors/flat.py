"""Exact search by a scan of all rows, at FAISS's speed and with float64's answers.

FAISS scans in float32. Its distances come with a bound on their error; a query whose k-th
neighbour the bound cannot prove is answered again by a range search that cannot miss it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import ModelFormatError
from scalekern.neighbors.base import Distances, FloatArray, Indices, check_queries, nearest_first
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import (
    FaissIndex,
    faiss_module,
    filled,
    float32_above,
    one_openmp_thread,
    reach_of,
)

_SPARE = 8


@final
class FlatIndex(FaissIndex):
    """Every row is compared with every query; exact for "euclidean", "cosine" and "inner_product".

    For a query x, FAISS's float32 value of ‖x − z‖² is off by at most δ = c·u·(‖x‖ + ‖z‖)², with
    u = 2⁻²⁴ and c of the order of the dimensions (rounding of the inputs, of both squared norms
    and of the inner product). Let t be the largest FAISS value among the
    candidates and d_k the exact distance of the k-th. A row outside them that is nearer than d_k
    has ‖z‖ ≤ ‖x‖ + d_k, so d_k² + δ < t rules it out. Otherwise all rows within d_k² + δ are asked
    for. So equal distances, too, go to the rows that come first.
    """

    name: ClassVar[str] = "flat"
    exact: bool = True

    @classmethod
    def build(cls, rows: FloatArray, metric: str = "euclidean") -> FlatIndex:
        """Index `rows` (n_rows, n_features) for metric "euclidean" or "cosine"."""
        faiss = faiss_module()
        embedding = Embedding.of(rows, metric)
        return cls(embedding, filled(faiss.IndexFlatL2(embedding.dimensions), embedding))

    @property
    def description(self) -> str:
        return f"flat scan of all rows, exact, {self.metric} distances"

    def _scan(self, points: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], Indices]:
        squared, candidates = self._index.search(points, min(k + _SPARE, self.n_rows))
        return squared, candidates

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        queries = check_queries(X, self.rows.shape[1])
        points = self._embedding.embed_queries(queries)
        with one_openmp_thread():
            squared, candidates = self._scan(points, k)
            exact = self._embedding.distances(queries, candidates)
            distances, indices = nearest_first(exact, candidates, k)
            if candidates.shape[1] < self.n_rows:
                reach = reach_of(self._embedding, queries, points, distances[:, -1])
                for q in np.flatnonzero(~(reach < squared[:, -1])):
                    row = slice(q, q + 1)
                    distances[row], indices[row] = self._all_within(
                        queries[row], points[row], float(reach[q]), k
                    )
        return distances, indices

    def _all_within(
        self, query: FloatArray, point: NDArray[np.float32], reach: float, k: int
    ) -> tuple[Distances, Indices]:
        _, _, labels = self._index.range_search(point, float32_above(reach))
        candidates = labels.astype(np.int64)[None, :]
        return nearest_first(self._embedding.distances(query, candidates), candidates, k)

    @classmethod
    def _restore(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> FlatIndex:
        faiss = faiss_module()
        if not isinstance(index, faiss.IndexFlat):
            raise ModelFormatError(
                f"index.faiss is a {type(index).__name__}, not the flat index the model names"
            )
        return cls(embedding, index)
