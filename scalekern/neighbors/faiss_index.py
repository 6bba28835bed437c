"""What the FAISS indices share: one OpenMP thread, candidates from FAISS, distances from the rows.

FAISS is imported inside functions only, since loading it takes longer than all of scalekern.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import ModelFormatError, UnsupportedError
from scalekern.neighbors.base import (
    Distances,
    FloatArray,
    Indices,
    NeighborIndex,
    State,
    check_queries,
    describe_rows,
    stored,
    stored_rows,
)
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.metrics import FAISS_METRICS, WALKED_METRICS, stored_metric

# Beyond any squared distance of embedded points, yet a float32.
_REACH = 2.0**126
MATRIX_PRODUCT = 2_048
"""Numbers in the queries from which FAISS compares them with all rows in a matrix product.

FAISS 1.15 has 128,000, below which every query reads all rows by itself: for 256 queries, a block,
that takes 1.5 to 8 times as long, and from 16 queries on it is slower in 4 to 784 dimensions.
"""


class FaissIndex(NeighborIndex):
    """A FAISS index over embedded rows, beside the rows themselves."""

    def __init__(self, embedding: Embedding, index: Any) -> None:
        self.n_rows = len(embedding.rows)
        self.rows = embedding.rows
        self.metric = embedding.metric
        self._embedding = embedding
        self._index = index

    @classmethod
    @abstractmethod
    def _restore(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> FaissIndex:
        """Build the object around a deserialised FAISS index."""

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        """Scan all rows, block by block: no graph and no list can promise to miss none."""
        queries = check_queries(X, self.rows.shape[1])
        embedding, empty = self._embedding, np.zeros(0, np.int64)
        near = [[empty] for _ in queries]
        if self.metric not in FAISS_METRICS or self.metric == "inner_product":
            raise UnsupportedError(
                f"no radius can be searched with metric={self.metric!r} in this index; use "
                "metric='euclidean' or 'cosine', or algorithm='brute'"
            )
        points = embedding.embed_queries(queries)
        reach = reach_of(embedding, queries, points, np.full(len(queries), radius))
        with one_openmp_thread():
            start = 0
            for block in embedding.embedded_blocks():
                scan = faiss_module().IndexFlatL2(block.shape[1])
                scan.add(block)
                for q in range(len(queries)):
                    _, _, rows = scan.range_search(points[q : q + 1], float32_above(reach[q]))
                    near[q].append(rows.astype(np.int64) + start)
                start += len(block)
        for q, parts in enumerate(near):
            rows = np.concatenate(parts)
            distances = embedding.distances(queries[q : q + 1], rows[None, :])[0]
            yield distances[distances <= radius], rows[distances <= radius]

    def state(self) -> State:
        embedding = self._embedding
        meta = {
            "name": self.name,
            "metric": self.metric,
            **describe_rows(embedding.rows),
            "scale": embedding.scale,
            **({"norm": embedding.norm} if embedding.norm else {}),
        }
        arrays = {
            "rows": embedding.rows,
            "center": embedding.center,
            "index.faiss": faiss_module().serialize_index(self._index),
        }
        return meta, arrays

    @classmethod
    def from_state(cls, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FaissIndex:
        metric = stored_metric(stored(meta, "metric"), WALKED_METRICS)
        center = np.asarray(stored(arrays, "center"))
        scale, norm = float(stored(meta, "scale")), float(meta.get("norm", 0.0))
        embedding = Embedding(stored_rows(meta, arrays), metric, center, scale, norm)
        index = _deserialize(stored(arrays, "index.faiss"))
        flags = len(center) - stored(meta, "d")
        possible = flags in {"cosine": (0, 1), "inner_product": (1,)}.get(metric, (0,))
        possible &= center.ndim == 1 and center.dtype == np.float64
        if not possible or (index.ntotal, index.d) != (meta["n"], len(center)):
            raise ModelFormatError(
                f"index.faiss holds {index.ntotal} points of {index.d} dimensions, but the model "
                f"says {meta['n']} of {meta['d']}; the model was altered or truncated"
            )
        return cls._restore(meta, embedding, index)

    def __getstate__(self) -> State:
        return self.state()

    def __setstate__(self, state: State) -> None:
        self.__dict__.update(type(self).from_state(*state).__dict__)


@contextmanager
def openmp_threads(n_threads: int) -> Iterator[None]:
    """Hold FAISS to some threads, in the calling thread only: OpenMP's limit is per thread."""
    faiss = faiss_module()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def one_openmp_thread() -> AbstractContextManager[None]:
    """Hold FAISS to one thread, in the calling thread only."""
    return openmp_threads(1)


def filled(index: Any, embedding: Embedding, n_threads: int = 1) -> Any:
    """Add every fitted row to a (trained) FAISS index, in order, and return it."""
    with openmp_threads(n_threads):
        for block in embedding.embedded_blocks():
            index.add(block)
    return index


def training_points(
    embedding: Embedding, n: int, seed: int, held: Indices | None = None
) -> NDArray[np.float32]:
    """Return n embedded rows drawn by `seed`, in the order of the rows; all if there are fewer.

    Those `held` out are not among them.
    """
    rows: FloatArray = embedding.rows
    usable = all_but(held, len(rows))
    if n < len(usable):
        drawn = np.random.default_rng(seed).choice(len(usable), n, replace=False)
        usable = usable[np.sort(drawn)]
    return embedding.embed(rows if len(usable) == len(rows) else rows[usable])


def all_but(held: Indices | None, n: int) -> Indices:
    """Return the numbers from 0 to n, without those `held` out."""
    there = np.ones(n, dtype=np.bool_)
    if held is not None:
        there[held] = False
    return np.flatnonzero(there)


def reach_of(
    embedding: Embedding, X: FloatArray, points: NDArray[np.float32], distances: Distances
) -> Distances:
    """Return, of each query, FAISS's squared distance within which no row so near is missed.

    FAISS's float32 value of ‖x − z‖² is off by at most δ = c·u·(‖x‖ + ‖z‖)², with u = 2⁻²⁴ and c of
    the order of the dimensions, and ‖z‖ ≤ ‖x‖ + d.
    """
    lengths = np.linalg.norm(points.astype(np.float64), axis=1)
    unit = (points.shape[1] + 16) * 2.0**-23
    with np.errstate(over="ignore"):  # what is far beyond all rows has no reach that misses one
        d = np.sqrt(np.maximum(embedding.to_squared(distances, X), 0.0))
        return d**2 + unit * (2 * lengths + d) ** 2


def float32_above(value: float) -> float:
    """Return a float32 above `value`, and no infinity."""
    return float(np.nextafter(np.float32(min(value, _REACH)), np.float32(np.inf)))


def metric_type(embedding: Embedding) -> Any:
    """Return FAISS's number of the metric among points."""
    faiss = faiss_module()
    types = {"manhattan": faiss.METRIC_L1, "chebyshev": faiss.METRIC_Linf}
    return types.get(embedding.metric, faiss.METRIC_L2)


@cache
def faiss_module() -> Any:
    """Import FAISS on first use; untyped, because its stubs lack much of what it has.

    Of its settings one is lowered, for the whole process: see `MATRIX_PRODUCT`.
    """
    import faiss

    faiss.cvar.distance_compute_blas_threshold = min(
        faiss.cvar.distance_compute_blas_threshold, MATRIX_PRODUCT
    )
    return faiss


def _deserialize(data: NDArray[Any]) -> Any:
    """Return the index over the bytes as they are: of a mapped file what is searched is read."""
    faiss = faiss_module()
    held = np.ascontiguousarray(data, dtype=np.uint8)
    try:
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(held), len(held))
        index = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise ModelFormatError(
            f"index.faiss cannot be read by FAISS {faiss.__version__}: the model was altered, "
            f"truncated, or written by a newer version ({_first_line(error)})"
        ) from error
    index.referenced_objects = [held]  # the bytes must live as long
    return index


def _first_line(error: RuntimeError) -> str:
    return str(error).rsplit(": ", 1)[-1].splitlines()[0]
