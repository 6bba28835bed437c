"""IVF: rows in lists around k-means centres; a query scans the lists of its nearest centres.

Three kinds share the centres: rows as they are, rows in codes of a byte a column, and rows in codes
of four bits for a few columns, which fit in registers and are scanned fastest. Built in blocks that
are cut by row number alone, each is the same on any machine with any number of cores.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import NDArray

from scalekern.engine import ThreadEngine
from scalekern.errors import InvalidInputError
from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import FloatArray, Indices
from scalekern.neighbors.centres import ASSIGN_ROWS, lists_of, quantizer_of, train_centres
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import (
    faiss_module,
    metric_type,
    one_openmp_thread,
    training_points,
)
from scalekern.rows import ArraySource, Block

TRAINING_ROWS_A_LIST = 64
_FEWEST_ROWS_A_LIST = 39
_CODE_TRAINING_ROWS = 16_384
_FEWEST_DIRECTIONS, _SHARE_OF_VARIANCE = 64, 0.92

Points = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Lists:
    """Rows, the centres of their lists, and what lists are made with.

    Attributes
    ----------
    embedding : Embedding
    projection : FAISS VectorTransform or None
        What points go through first.
    centres : float32 array of shape (n_lists, n_dimensions)
        Of the projected points.
    seed : int
    engine : ThreadEngine
    held : int64 array or None
        Rows that nothing is trained on.
    """

    embedding: Embedding
    projection: Any
    centres: Points
    seed: int
    engine: ThreadEngine
    held: Indices | None = None

    @classmethod
    def of(
        cls,
        rows: FloatArray,
        metric: str,
        n_lists: int,
        seed: int,
        n_jobs: int | None = None,
        multiple: int = 0,
        held: Indices | None = None,
    ) -> Lists:
        """Train `n_lists` centres on rows drawn by seed, 64 a list.

        With `multiple`, on few directions of most variance, and as many dimensions as a multiple
        of it; with 0 on the points as they are.
        """
        engine, embedding = ThreadEngine(n_jobs), Embedding.of(rows, metric)
        points = training_points(embedding, TRAINING_ROWS_A_LIST * n_lists, seed, held)
        projection = projection_of(points, multiple) if multiple else None
        points = projected(projection, points)
        centres = train_centres(points, min(n_lists, len(points)), seed, engine)
        return cls(embedding, projection, centres, seed, engine, held)

    @property
    def n_lists(self) -> int:
        """Number of lists."""
        return len(self.centres)

    @property
    def dimensions(self) -> int:
        """Number of dimensions of projected points."""
        return self.centres.shape[1]

    def code_training_points(self) -> Points:
        """Return projected points to train codes on."""
        points = training_points(self.embedding, _CODE_TRAINING_ROWS, self.seed, self.held)
        return projected(self.projection, points)

    def fill(self, index: Any) -> None:
        """Add all rows, in order, to a trained FAISS index of these lists."""
        faiss, quantizer = faiss_module(), quantizer_of(self.centres)
        embed = self.embedding.embed

        def of_block(block: Block) -> tuple[Points, Indices]:
            points = projected(self.projection, embed(block.X))
            return points, lists_of(quantizer, points)

        def add(_: Block, part: tuple[Points, Indices]) -> None:
            points, labels = part
            with one_openmp_thread():
                index.add_core(len(points), faiss.swig_ptr(points), None, faiss.swig_ptr(labels))

        rows = ArraySource(self.embedding.rows)
        self.engine.map_blocks(rows, of_block, add, "indexing", ASSIGN_ROWS)


class ListsIndex(ApproximateIndex):
    """Rows in lists; `setting` is nprobe, the lists scanned for a query."""

    #: lists are this times the square root of the rows
    density: ClassVar[float] = 2.0
    #: of columns that codes are made of; 0 where rows are not coded
    multiple: ClassVar[int] = 0

    @classmethod
    def build(
        cls,
        rows: FloatArray,
        metric: str = "euclidean",
        seed: int = 0,
        n_jobs: int | None = None,
        held: Indices | None = None,
    ) -> Self:
        """Index `rows` (n_rows, n_features), with nothing trained on those `held` out."""
        n_lists = lists_for(len(rows), cls.density)
        return cls.over(Lists.of(rows, metric, n_lists, seed, n_jobs, cls.multiple, held))

    @classmethod
    def over(cls, lists: Lists) -> Self:
        """Index the rows of `lists`."""
        quantizer = quantizer_of(lists.centres)
        index = cls.trained(quantizer, lists)
        lists.fill(index)
        return cls(lists.embedding, owning(cls._finished(index), quantizer, lists.projection))

    @classmethod
    @abstractmethod
    def trained(cls, quantizer: Any, lists: Lists) -> Any:
        """Return the empty FAISS index, ready to be filled."""

    @classmethod
    def _finished(cls, index: Any) -> Any:
        """Return the filled index as it is searched."""
        return index


@final
class IVFIndex(ListsIndex):
    """Lists of uncompressed rows.

    There are 4·√n lists, fewer where that would leave less than 39 rows a list. The seed draws the
    rows k-means is trained on (64 a list) and its first centres; the rest has no chance in it, so
    the same seed gives the same index.
    """

    name: ClassVar[str] = "ivf"
    density: ClassVar[float] = 4.0

    @classmethod
    def trained(cls, quantizer: Any, lists: Lists) -> Any:
        kind = metric_type(lists.embedding)
        return faiss_module().IndexIVFFlat(quantizer, lists.dimensions, lists.n_lists, kind)

    def _words(self) -> str:
        return f"IVF, {self.knob.largest} lists"


@final
class IVFSQIndex(ListsIndex):
    """Lists of rows in codes of a byte a column.

    Rows of many columns are coded in the directions that hold most of their variance.
    """

    name: ClassVar[str] = "ivfsq"
    compressed: ClassVar[bool] = True
    multiple: ClassVar[int] = 16  # FAISS scans other widths number by number

    @classmethod
    def trained(cls, quantizer: Any, lists: Lists) -> Any:
        faiss = faiss_module()
        index = faiss.IndexIVFScalarQuantizer(
            quantizer, lists.dimensions, lists.n_lists, faiss.ScalarQuantizer.QT_8bit
        )
        with one_openmp_thread():
            index.train(lists.code_training_points())
        return index

    def _words(self) -> str:
        return f"IVF, {self.knob.largest} lists of byte codes"


@final
class IVFPQIndex(ListsIndex):
    """Lists of rows in codes of four bits for two columns, whose scan stays in registers.

    Rows of many columns are coded in the directions that hold most of their variance.

    References
    ----------
    André, Kermarrec and Le Scouarnec, "Cache locality is not enough: high-performance nearest
    neighbor search with product quantization fast scan", 2015.
    """

    name: ClassVar[str] = "ivfpq"
    compressed: ClassVar[bool] = True
    multiple: ClassVar[int] = 2

    @classmethod
    def trained(cls, quantizer: Any, lists: Lists) -> Any:
        d, n = lists.dimensions, len(lists.embedding.rows)
        if n < 16:
            raise InvalidInputError(
                f"algorithm='ivfpq' has 16 codes and needs as many rows, not {n}; use 'brute'"
            )
        index = faiss_module().IndexIVFPQ(quantizer, d, lists.n_lists, d // 2, 4)
        # Reorders the codes for a filter that is never used here.
        index.do_polysemous_training = False
        index.pq.cp.seed = lists.seed % 2**31
        index.pq.cp.min_points_per_centroid = 1  # else FAISS prints a warning of its own
        with one_openmp_thread():
            index.train(lists.code_training_points())
        return index

    @classmethod
    def _finished(cls, index: Any) -> Any:
        # Only the slower index takes rows whose lists are known.
        return faiss_module().IndexIVFPQFastScan(index)

    def _words(self) -> str:
        return f"IVF, {self.knob.largest} lists of {self.knob.code_parts // 2}-byte codes"


LISTS: dict[str, type[ListsIndex]] = {cls.name: cls for cls in (IVFIndex, IVFSQIndex, IVFPQIndex)}


def lists_for(n_rows: int, density: float = 4.0) -> int:
    """Return the number of lists for `n_rows` rows, `density` times their square root.

    Examples
    --------
    >>> lists_for(1_000_000), lists_for(1000), lists_for(10)
    (4000, 25, 1)
    """
    return max(1, min(int(density * np.sqrt(n_rows)), n_rows // _FEWEST_ROWS_A_LIST))


def projection_of(points: Points, multiple: int) -> Any:
    """Return the FAISS transform of points to be coded, None where they are coded as they are.

    Beyond 64 dimensions the directions of most variance are kept, as many as hold 0.92 of it and a
    multiple of 16, if that is less than 3/4 of all: what is left out is made good by comparing more
    candidates with the query. Otherwise zeros are added up to the multiple.
    """
    faiss, d = faiss_module(), points.shape[1]
    if d > _FEWEST_DIRECTIONS:
        spectrum = np.linalg.eigvalsh(np.cov(points, rowvar=False, dtype=np.float64))[::-1]
        share = np.cumsum(spectrum) / max(spectrum.sum(), np.finfo(np.float64).tiny)
        needed = int(np.searchsorted(share, _SHARE_OF_VARIANCE)) + 1
        kept = max(_FEWEST_DIRECTIONS, -(-needed // 16) * 16)
        if kept < 0.75 * d:
            with one_openmp_thread():
                directions = faiss.PCAMatrix(d, kept)
                directions.train(points)
            return directions
    padded = -(-d // multiple) * multiple
    return None if padded == d else faiss.RemapDimensionsTransform(d, padded, False)


def projected(projection: Any, points: Points) -> Points:
    """Return points after the projection, on one thread."""
    if projection is None:
        return points
    with one_openmp_thread():
        return np.ascontiguousarray(projection.apply(points))


def owning(index: Any, quantizer: Any, projection: Any) -> Any:
    """Return the index, after the projection if there is one, as the owner of its parts."""
    index.own_fields = True
    quantizer.this.disown()
    if projection is None:
        return index
    whole = faiss_module().IndexPreTransform(projection, index)
    whole.own_fields = True
    projection.this.disown()
    index.this.disown()
    return whole
