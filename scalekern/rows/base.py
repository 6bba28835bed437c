"""What a source of rows promises: a known length and order, and blocks that can be read again.

Everything above this floor sees rows only through `RowSource` and `Block`; each container has its
own small subclass beside this file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError

SHOWN_NAMES = 5  # of columns, in the repr of rows
Rows = Any
"""A block's X: ndarray (rows, d), CSR matrix (rows, d), or a list of objects of any kind."""


@dataclass(frozen=True)
class Block:
    """A run of consecutive rows.

    Attributes
    ----------
    X : ndarray of shape (rows, d), CSR matrix, or list of objects
    y : float64 ndarray of shape (rows, n_outputs) or None
    weight : float64 ndarray of shape (rows,) or None
    start : int
        The number of the first row in the whole source.
    ids : ndarray of shape (rows,)
        What identifies each row: its key, or its number.
    """

    X: Rows
    y: np.ndarray | None
    weight: np.ndarray | None
    start: int
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self) -> slice:
        """The numbers of the rows in the whole source."""
        return slice(self.start, self.start + len(self))


class RowSource(ABC):
    """Rows in a fixed order that can be read more than once.

    Attributes
    ----------
    n_rows : int
    n_features : int
        0 where the rows are objects and not vectors.
    dtype : numpy dtype
        float32 or float64 for vectors, object for other things.
    feature_names : tuple of str or None
    text_column : str or None
        The column that the rows are, where they are texts of a table.
    n_outputs : int
        Columns of the target; 0 without one.
    target_names : tuple of str
        Of the target where it is columns of a table.
    in_memory : bool
        Whether a block costs no reading; else the engine reads ahead.
    finds_rows : bool
        Whether `runs` reads no more than it yields, so that several readers may share the work.
    on_dask : bool
        Whether the rows are those of a Dask collection.
    partitions : int
        Of it; 0 for other rows.
    name : str
        What error messages call it.
    """

    n_rows: int
    n_features: int
    dtype: np.dtype
    feature_names: tuple[str, ...] | None = None
    text_column: str | None = None
    n_outputs: int = 0
    target_names: tuple[str, ...] = ()
    target_is_vector: bool = True
    has_weight: bool = False
    in_memory: bool = True
    finds_rows: bool = False
    on_dask: bool = False
    partitions: int = 0
    name: str = "X"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {', '.join(self._described())}>"

    def _described(self) -> list[str]:
        """Return what there is to know of the rows without reading any."""
        found = [_counted(self.n_rows, "row")]
        if self.n_features:
            found.append(_counted(self.n_features, "column") + _few(self.feature_names or ()))
        if self.n_outputs:
            names = ", ".join(self.target_names)
            found.append(f"target {names}" if names else _counted(self.n_outputs, "target"))
        return found

    @abstractmethod
    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all rows in order, `max_rows` at a time and the rest last."""

    @abstractmethod
    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""

    def take(self, numbers: np.ndarray) -> Rows:
        """Return the rows with the given numbers, in the order asked for, as one block's X."""
        if not len(numbers):
            return slice_rows(next(self.blocks(1)).X, 0, 0)
        order = np.argsort(numbers, kind="stable")
        wanted = np.asarray(numbers)[order]
        parts = []
        for block in self.blocks(65_536):
            low, high = np.searchsorted(wanted, [block.start, block.start + len(block)])
            if low < high:
                parts.append(take_rows(block.X, wanted[low:high] - block.start))
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return take_rows(stack_rows(parts), back)

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of what `blocks(length)` yields: the blocks of ascending `numbers`.

        By default every block is read and the others are dropped; a source that can find its rows
        does not read those.
        """
        wanted = set(np.asarray(numbers).tolist())
        for number, block in enumerate(self.blocks(length)):
            if number in wanted:
                yield block

    def pass_bytes(self, apart: int = 0) -> int:
        """Return the bytes that one pass reads from files; 0 for rows in memory.

        With `apart`, where blocks of so many rows are read each by itself, as on a cluster.
        """
        del apart
        return 0

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source that reads the rows, and what is made of its blocks.

        So the blocks of a source that prepares another's can be prepared where they are read.
        """
        return self, _same

    def map_blocks(
        self, function: Callable[[Block], np.ndarray], n_features: int, dtype: Any
    ) -> RowSource:
        """Return the same rows with the X of every block replaced by `function` of the block."""
        return PreparedSource(self, function, n_features, dtype)

    def map(self, function: Callable[[Rows], Rows], n_features: int) -> RowSource:
        """Return the same rows with `function` applied to the X of every block."""
        return MappedSource(self, function, n_features)


class FoundRows(RowSource):
    """Rows of which any run can be made a block without those before it."""

    finds_rows = True

    @abstractmethod
    def _block(self, start: int, stop: int) -> Block:
        """Return the rows from start to stop, which are there."""

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all rows in order, a block at a time."""
        for start in range(0, self.n_rows, max_rows):
            yield self._block(start, min(start + max_rows, self.n_rows))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks, and read only those."""
        for number in numbers:
            start = int(number) * length
            yield self._block(start, min(start + length, self.n_rows))


class MappedSource(RowSource):
    """The rows of another source with a function of its vectors, applied block by block.

    Its features have no names, as those of an array that comes out of a step of a pipeline: so an
    estimator after the step is the same whether it sees rows or arrays.
    """

    def __init__(
        self, source: RowSource, function: Callable[[Rows], Rows], n_features: int
    ) -> None:
        self._source = source
        self._function = function
        self.n_rows = source.n_rows
        self.n_features = n_features
        self.dtype = source.dtype
        self.n_outputs = source.n_outputs
        self.target_is_vector = source.target_is_vector
        self.has_weight = source.has_weight
        self.in_memory = source.in_memory
        self.name = source.name

    def pass_bytes(self, apart: int = 0) -> int:
        """Return the bytes that one pass over the source reads."""
        return self._source.pass_bytes(apart)

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the blocks of the source with the function applied."""
        for block in self._source.blocks(max_rows):
            yield replace(block, X=self._function(block.X))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks, with the function applied."""
        for block in self._source.runs(numbers, length):
            yield replace(block, X=self._function(block.X))

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source below, and what is made of its blocks."""
        function = self._function
        return then(self._source, lambda block: replace(block, X=function(block.X)))

    def select(self, names: Sequence[str]) -> RowSource:
        """Raise: there are no names to select by."""
        raise InvalidInputError(
            f"prepared rows have no names, so {list(names)} cannot be chosen from them; "
            "select before the rows are prepared"
        )


class PreparedSource(MappedSource):
    """The rows of another source, whose numbers also depend on which rows they are."""

    def __init__(
        self,
        source: RowSource,
        function: Callable[[Block], np.ndarray],
        n_features: int,
        dtype: Any,
    ) -> None:
        super().__init__(source, _same, n_features)
        self._of_block = function
        self.dtype = np.dtype(dtype)

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the blocks of the source with their X replaced."""
        for block in self._source.blocks(max_rows):
            yield replace(block, X=self._of_block(block))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks, with their X replaced."""
        for block in self._source.runs(numbers, length):
            yield replace(block, X=self._of_block(block))

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source below, and what is made of its blocks."""
        function = self._of_block
        return then(self._source, lambda block: replace(block, X=function(block)))


def then(
    source: RowSource, function: Callable[[Block], Block]
) -> tuple[RowSource, Callable[[Block], Block]]:
    """Return the split of a source whose blocks `function` makes of those of `source`."""
    bottom, before = source.split()
    return bottom, lambda block: function(before(block))


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _few(names: Sequence[str]) -> str:
    """Return the first names in parentheses."""
    shown = ", ".join([*names[:SHOWN_NAMES], *(["…"] if len(names) > SHOWN_NAMES else [])])
    return f" ({shown})" if names else ""


def _same(X: Any) -> Any:
    return X


def into(out: np.ndarray) -> Callable[[Block, np.ndarray], None]:
    """Return the sink that puts what is made of a block into its rows of `out`."""

    def write(block: Block, part: np.ndarray) -> None:
        out[block.rows] = part

    return write


def take_rows(X: Rows, numbers: np.ndarray) -> Rows:
    """Return the given rows of a block's X."""
    if isinstance(X, list):
        return [X[i] for i in numbers]
    return X[numbers]


def dense_rows(X: Rows, dtype: Any = None) -> Any:
    """Return a block's X, which may be sparse, as an array; objects stay a list."""
    if hasattr(X, "toarray"):
        X = X.toarray()
    return X if dtype is None or isinstance(X, list) else np.asarray(X, dtype=dtype)


def slice_rows(X: Rows, start: int, stop: int) -> Rows:
    """Return rows start to stop of a block's X; a view where X is an array."""
    return X[start:stop]


def stack_rows(parts: list[Rows]) -> Rows:
    """Put the X of several blocks together."""
    if isinstance(parts[0], list):
        return [item for part in parts for item in part]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    if hasattr(parts[0], "joined"):
        return parts[0].joined(parts[1:])
    from scipy import sparse

    return sparse.vstack(parts, format="csr")


def empty_error(name: str) -> InvalidInputError:
    """Return the error for a source without rows."""
    return InvalidInputError(f"{name} has no rows (0 rows); give at least one row")
