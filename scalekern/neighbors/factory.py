"""Any index that FAISS can name: "IVF256,SQfp16", "OPQ8,IVF1024,PQ8", "HNSW16", ….

For users who know FAISS. The string is FAISS's own language; this module only makes its refusals
readable, seeds what can be seeded, and keeps the two strings away that would end the process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self, final

from scalekern.errors import InvalidInputError
from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import FloatArray, Indices, State, stored
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import faiss_module, one_openmp_thread, training_points
from scalekern.neighbors.graphs import filled_but_for, is_graph

# FAISS aborts the process, or fails at every search, on graphs and lists of these sizes.
_DEADLY = re.compile(r"(HNSW|NSG)0*[01](?!\d)|IVF0+(?!\d)")
_TRAINING_ROWS = 65536


@final
class FactoryIndex(ApproximateIndex):
    """Index built from a FAISS factory string; `setting` is nprobe or efSearch where it has one.

    Distances are computed from the kept rows even where FAISS keeps compressed codes only, so
    four times the neighbours asked for are fetched and put in order.
    """

    name: ClassVar[str] = "factory"
    compressed: ClassVar[bool] = True

    def __init__(
        self, embedding: Embedding, index: Any, setting: int = 1, *, factory: str = ""
    ) -> None:
        super().__init__(embedding, index, setting)
        self.factory = factory

    @classmethod
    def build(
        cls,
        rows: FloatArray,
        factory: str,
        metric: str = "euclidean",
        seed: int = 0,
        held: Indices | None = None,
    ) -> FactoryIndex:
        """Index `rows` (n_rows, n_features), a graph but for those `held` out.

        Nothing is trained on these.

        Raises
        ------
        InvalidInputError
            If FAISS refuses the string, or cannot train it on these rows.
        """
        embedding = Embedding.of(rows, metric)
        index = new_index(embedding.dimensions, factory)
        lists = _seed_everything(index, seed % 2**31)
        try:
            with one_openmp_thread():
                n = max(_TRAINING_ROWS, 64 * lists)
                index.train(training_points(embedding, n, seed, held))
            index = filled_but_for(index, embedding, held)
        except RuntimeError as error:
            raise InvalidInputError(
                f"FAISS cannot build the factory string {factory!r} on {rows.shape[0]} rows of "
                f"{rows.shape[1]} columns: {_reason(error)}"
            ) from error
        built = cls(embedding, index, factory=factory)
        return built.holding(held) if is_graph(index) else built

    def _words(self) -> str:
        return f"FAISS {self.factory}"

    def state(self) -> State:
        meta, arrays = super().state()
        return {**meta, "factory": self.factory}, arrays

    @classmethod
    def _around(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> Self:
        return cls(embedding, index, factory=str(stored(meta, "factory")))


def new_index(dimensions: int, factory: str) -> Any:
    """Return the empty FAISS index of a factory string, InvalidInputError if there is none."""
    faiss = faiss_module()
    if _DEADLY.search(factory):
        raise InvalidInputError(f"the FAISS factory string {factory!r} has a part of size 0 or 1")
    try:
        return faiss.index_factory(dimensions, factory)
    except RuntimeError as error:
        raise InvalidInputError(
            f"FAISS refuses the factory string {factory!r} for points of {dimensions} dimensions: "
            f"{_reason(error)}"
        ) from error


def _seed_everything(index: Any, seed: int) -> int:
    """Seed every k-means inside the index, keep it from printing, and return its most lists."""
    faiss = faiss_module()
    if isinstance(index, faiss.IndexPreTransform):
        for i in range(index.chain.size()):
            _seed_rotation(faiss.downcast_VectorTransform(index.chain.at(i)), seed)
        return _seed_everything(faiss.downcast_index(index.index), seed)
    if isinstance(index, faiss.IndexRefine):
        return _seed_everything(faiss.downcast_index(index.base_index), seed)
    if isinstance(index, (faiss.IndexPQ, faiss.IndexIVFPQ)):
        # Reorders the codes for a filter that is never used here, at most of the training time.
        index.do_polysemous_training = False
    if isinstance(index, _product_quantized()):
        _seed_clustering(index.pq.cp, seed)
    if not isinstance(index, faiss.IndexIVF):
        return 0
    _seed_clustering(index.cp, seed)
    return int(index.nlist)


def _product_quantized() -> Any:
    faiss = faiss_module()
    return (faiss.IndexPQ, faiss.IndexIVFPQ, faiss.IndexPQFastScan, faiss.IndexIVFPQFastScan)


def _seed_rotation(transform: Any, seed: int) -> None:
    faiss = faiss_module()
    if isinstance(transform, faiss.OPQMatrix):
        quantizer = faiss.ProductQuantizer(transform.d_out, transform.M, 8)
        _seed_clustering(quantizer.cp, seed)
        transform.pq = quantizer
        quantizer.this.disown()  # the rotation outlives this function and does not free it


def _seed_clustering(parameters: Any, seed: int) -> None:
    parameters.seed = seed
    parameters.min_points_per_centroid = 1


def _reason(error: RuntimeError) -> str:
    return str(error).rsplit(".cpp:", 1)[-1].split(": ", 1)[-1].strip()
