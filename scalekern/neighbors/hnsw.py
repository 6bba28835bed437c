"""HNSW: a graph of near neighbours, walked greedily towards the query.

Built on one thread the graph is the same from run to run; FAISS does not promise that of a graph
built on several, which takes less time. So a seed asks for the former, and no seed for the latter.
"""

from __future__ import annotations

from typing import ClassVar, final

from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import FloatArray, Indices
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import faiss_module, metric_type
from scalekern.neighbors.graphs import filled_but_for

LINKS = 32
CANDIDATES = 100
"""Rows that are looked at to link one (efConstruction). With FAISS's 40 rows that come last may cut
the few links between clusters far apart, and the recall that was measured before they came."""


@final
class HNSWIndex(ApproximateIndex):
    """Graph with 32 links a row (64 on the ground level); `setting` is efSearch.

    FAISS draws the levels from a constant seed, so on one thread the same rows in the same order
    give the same graph.

    References
    ----------
    Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
    hierarchical navigable small world graphs", 2018, algorithms 1 to 5.
    """

    name: ClassVar[str] = "hnsw"

    @classmethod
    def build(
        cls,
        rows: FloatArray,
        metric: str = "euclidean",
        n_threads: int = 1,
        held: Indices | None = None,
    ) -> HNSWIndex:
        """Index `rows` (n_rows, n_features), but for those `held` out until it is `completed`."""
        faiss = faiss_module()
        embedding = Embedding.of(rows, metric)
        graph = faiss.IndexHNSWFlat(embedding.dimensions, LINKS, metric_type(embedding))
        graph.hnsw.efConstruction = CANDIDATES
        return cls(embedding, filled_but_for(graph, embedding, held, n_threads)).holding(held)

    def _words(self) -> str:
        return f"HNSW graph, {LINKS} links a row"
