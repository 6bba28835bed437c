"""Approximate FAISS indices: a setting (efSearch or nprobe) trades recall for work.

The setting is passed with each query, never written into the FAISS index: several threads search
the same one. Indices that keep codes in place of the rows fetch several candidates for each
neighbour and compare these with the query itself; how many is a second setting.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scalekern.engine.limits import available_cores, memory_budget
from scalekern.errors import ModelFormatError
from scalekern.neighbors.base import (
    Distances,
    FloatArray,
    Indices,
    State,
    check_queries,
    forget_pages,
    nearest_first,
    stored,
    without_itself,
)
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import FaissIndex, faiss_module, one_openmp_thread
from scalekern.neighbors.graphs import complete
from scalekern.neighbors.knobs import find_knob, search_parameters
from scalekern.neighbors.work import times_kept, work_of

Points = NDArray[np.float32]
MOST_CANDIDATES = 64
FAULT_BYTES = 1 << 16
"""Of a file that is mapped, what reading one number may bring in."""
TABLE_BYTES, CANDIDATE_BYTES = 1 << 24, 1 << 22
"""What FAISS's tables, and the rows of candidates, of some queries take: larger tables would be new
pages of memory every time, and rows are read twice, the second time from a cache."""
FEWEST_AT_ONCE, MOST_AT_ONCE = 16, 4_096
HEAPED = range(16, 21)
"""Numbers of candidates that FAISS's scan of codes keeps in a heap, though its buffer for more of
them would be faster: of 20 a search takes 6% longer than of 21."""


class ApproximateIndex(FaissIndex):
    """A FAISS index searched at one setting of its `knob`.

    Attributes
    ----------
    setting : int
        efSearch or nprobe.
    more : int
        Candidates fetched for each neighbour asked for.
    """

    exact: bool = False
    #: whether FAISS keeps codes, by which neighbours come in rough order only
    compressed: ClassVar[bool] = False

    def __init__(self, embedding: Embedding, index: Any, setting: int = 1) -> None:
        super().__init__(embedding, index)
        self.setting = setting
        self.more = 4 if self.compressed else 1
        self.knob = find_knob(index)
        self._points = _points_of(embedding) if self.compressed else None
        self._held: Indices | None = None
        self._most_mapped = _most_mapped(embedding.rows)

    def at(self, setting: int, more: int | None = None) -> Self:
        """Return the same index, searched at other settings; the FAISS index is shared."""
        other = object.__new__(type(self))
        changed = {"setting": setting, "more": self.more if more is None else more}
        other.__dict__.update({**self.__dict__, **changed})
        return other

    def holding(self, held: Indices | None) -> Self:
        """Note which rows were held out of a graph, and return it."""
        self._held = held
        return self

    @property
    def is_whole(self) -> bool:
        """Whether no rows are held out of the index."""
        return self._held is None or not len(self._held)

    def completed(self, n_threads: int = 1) -> Self:
        """Put the rows into the index that were held out of it while it was tuned; return it."""
        if self._held is not None and len(self._held):
            complete(self._index, self._embedding, self._held, n_threads)
            self._held, self.knob = None, find_knob(self._index)
        return self

    def work(self, k: int = 1) -> float:
        """Return the counted work of one query for k neighbours, on average; see `work`."""
        knob, n, d = self.knob, self.n_rows, self.knob.dimensions
        refined = k * self.more if self.compressed else 0
        return (
            work_of("centre", knob.centres, d)
            + work_of("probe", times_kept(self.setting, knob.centres), d)
            + work_of("table", self.setting if knob.code_parts else 0, d)
            + work_of("rows", knob.step == "row", d)
            + work_of("candidate", min(refined, n), self._embedding.dimensions)
            + work_of(
                knob.step,
                min(knob.fixed + self.setting * knob.each, 2.0 * n),
                knob.code_parts or d,
            )
        )

    @property
    def description(self) -> str:
        at = f", {self.knob.name} {self.setting}" if self.knob.name else ""
        more = f", {self.more} candidates a neighbour" if self.compressed else ""
        return f"{self._words()}{at}{more}, {self.metric} distances"

    @abstractmethod
    def _words(self) -> str:
        """Name the index and what it was built with."""

    def search_others(self, X: Any, itself: Indices, k: int) -> tuple[Distances, Indices]:
        """Return what `search` would find for rows of the index, if they were not in it.

        Parameters
        ----------
        X : array of shape (n_queries, n_features)
        itself : int64 array of shape (n_queries,)
            The number of each query.
        k : int
        """
        return self._with_distances(check_queries(X, self.rows.shape[1]), k, itself)

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        return self._with_distances(check_queries(X, self.rows.shape[1]), k)

    def _with_distances(
        self, queries: FloatArray, k: int, itself: Indices | None = None
    ) -> tuple[Distances, Indices]:
        distances = np.empty((len(queries), k))
        indices = np.empty((len(queries), k), np.int64)
        for some, found in self._found(queries, k, itself):
            exact = self._embedding.distances(queries[some], found)
            distances[some], indices[some] = nearest_first(exact, found, k)
        return distances, indices

    def _nearest(self, X: Any, k: int) -> Indices:
        """Return the k nearest by float32 distances: those of an uncompressed index, or refined."""
        queries = check_queries(X, self.rows.shape[1])
        indices = np.empty((len(queries), k), np.int64)
        for some, found in self._found(queries, k):
            indices[some] = found
        return indices

    def _found(
        self, queries: FloatArray, k: int, itself: Indices | None = None
    ) -> Iterator[tuple[slice, Indices]]:
        """Yield queries and the k nearest rows of each, a few queries at a time.

        They are as few as let FAISS's tables, and then the rows of the candidates, stay in caches.
        """
        for some in runs(len(queries), table_queries(self.setting, self.knob.code_parts)):
            points = self._embedding.embed_queries(queries[some])
            with one_openmp_thread():
                candidates = self._candidates(points, self._fetched(k) + (itself is not None))
            if itself is not None:
                (candidates,) = without_itself(itself[some], candidates)
            for few in runs(len(points), self._refined_queries(candidates.shape[1], k)):
                part = slice(some.start + few.start, some.start + few.stop)
                yield part, self._refined(queries[part], points[few], candidates[few], k)
                if self._most_mapped:
                    forget_pages(self.rows)

    def _fetched(self, k: int) -> int:
        """Return how many candidates are fetched for k neighbours."""
        wanted = k * self.more
        return HEAPED.stop if self.more > 1 and wanted in HEAPED else wanted

    def _refined_queries(self, n_candidates: int, k: int) -> int:
        """Return of how many queries at once the candidates are compared with them."""
        if n_candidates == k:
            return MOST_AT_ONCE
        few = CANDIDATE_BYTES // (self.rows.itemsize * self.rows.shape[1] * n_candidates)
        if self._most_mapped:
            # Pages that were read stay with this process, until there are too many of them; every
            # thread brings in its own.
            few = self._most_mapped // (FAULT_BYTES * n_candidates * available_cores())
        return max(1, few)

    def _refined(self, queries: FloatArray, points: Points, candidates: Indices, k: int) -> Indices:
        """Return the nearest k of the candidates, by the rows."""
        if candidates.shape[1] == k:
            return candidates
        if self._points is None:
            exact = self._embedding.distances(queries, candidates)
            return nearest_first(exact, candidates, k)[1]
        if self._points is self.rows:
            points = np.ascontiguousarray(queries, dtype=np.float32)
        with one_openmp_thread():
            return refined(points, self._points, candidates, k)

    def _candidates(self, points: Points, wanted: int) -> Indices:
        """Return candidates of each embedded query, -1 where FAISS found fewer than are wanted."""
        wanted = min(wanted, self.n_rows)
        parameters = search_parameters(self._index, self.setting)
        _, labels = self._index.search(points, wanted, params=parameters)
        return labels.astype(np.int64, copy=False)

    def state(self) -> State:
        meta, arrays = super().state()
        own = {"setting": self.setting, "more": self.more, "class": type(self._index).__name__}
        return {**meta, **own}, arrays

    @classmethod
    def _restore(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> Self:
        if type(index).__name__ != stored(meta, "class"):
            raise ModelFormatError(
                f"index.faiss is a {type(index).__name__}, but the model says {meta['class']}; "
                "the model was altered"
            )
        restored = cls._around(meta, embedding, index)
        more = meta.get("more", restored.more)
        largest = {"setting": max(restored.knob.largest, 1), "more": MOST_CANDIDATES}
        for name, value in (("setting", stored(meta, "setting")), ("more", more)):
            if not isinstance(value, int) or not 1 <= value <= largest[name]:
                raise ModelFormatError(f"the stored {name} {value!r} is out of range")
        return restored.at(meta["setting"], more)

    @classmethod
    def _around(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> Self:
        return cls(embedding, index)


def table_queries(n_probes: int, code_parts: int) -> int:
    """Return how many queries at once FAISS makes tables of distances to codes for."""
    table = 4 * 16 * n_probes * max(1, code_parts)
    return int(np.clip(TABLE_BYTES // table, FEWEST_AT_ONCE, MOST_AT_ONCE))


def runs(n: int, length: int) -> Iterator[slice]:
    """Yield slices of at most `length` that cover n rows."""
    for start in range(0, n, length):
        yield slice(start, min(start + length, n))


def _most_mapped(rows: FloatArray) -> int:
    """Return how many bytes of rows on disk may be in memory, and 0 where all may be."""
    most = memory_budget() // 3
    return most if isinstance(rows, np.memmap) and rows.nbytes > most else 0


def _points_of(embedding: Embedding) -> Points | None:
    """Return float32 points to refine with: the rows themselves, or a copy where there is room."""
    rows = embedding.rows
    plain = embedding.metric == "euclidean" and rows.dtype == np.float32
    if plain and rows.flags.c_contiguous and 2.0**-50 < embedding.scale < 2.0**50:
        return rows
    if isinstance(rows, np.memmap):
        return None
    if 4 * len(rows) * embedding.dimensions > memory_budget():
        return None
    return np.concatenate([*embedding.embedded_blocks()])


def refined(points: Points, rows: Points, candidates: Indices, k: int) -> Indices:
    """Return the k of the candidates whose rows are nearest to the points, in float32."""
    faiss = faiss_module()
    q, n = candidates.shape
    candidates = np.ascontiguousarray(candidates)
    near, found = np.empty((q, k), np.float32), np.empty((q, k), np.int64)
    x, y, ids, distances, numbers = map(faiss.swig_ptr, (points, rows, candidates, near, found))
    n_rows, d = rows.shape
    faiss.knn_L2sqr_by_idx(x, y, ids, d, q, n_rows, n, k, distances, numbers, n)
    return found
