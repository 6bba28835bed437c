"""From pieces of partitions to a block: what runs on the workers, so nothing here knows of Dask.

A piece is a partition, its number, and the rows of it that are wanted. Errors name the partition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, stack_rows
from scalekern.rows.containers import to_arrow
from scalekern.rows.finite import not_finite
from scalekern.rows.memory import checked_weight
from scalekern.rows.raw import raw_rows
from scalekern.rows.tables import Columns, Place, check_schema, to_block

Cuts = Sequence[tuple[int, int, int]]
"""The number, first row and last row of each piece."""


class BlockReader(ABC):
    """Makes a block of the pieces of X, y and weight that belong to it."""

    n_features: int
    dtype: np.dtype
    feature_names: tuple[str, ...] | None
    has_weight: bool
    name: str

    @abstractmethod
    def block(self, start: int, parts: Sequence[Any], cuts: Cuts) -> Block:
        """Return the block of the pieces of X."""

    @abstractmethod
    def select(self, names: Sequence[str]) -> BlockReader:
        """Return the reader of the features `names`."""


@dataclass(frozen=True)
class Reading:
    """How the block that begins at row `start` is made of pieces: an object of ours.

    Dask looks into lists and tuples among the arguments of a task for other tasks, which takes ten
    times as long as to make the task.
    """

    reader: BlockReader
    start: int
    cuts: tuple[Cuts | None, Cuts | None, Cuts | None]

    def block(self, parts: Sequence[Any]) -> Block:
        """Return the block of the parts of X, y and the weight; the latter replace those of X."""
        start, (of_X, of_y, of_weight) = self.start, self.cuts
        assert of_X is not None
        n, m = len(of_X), len(of_X) + len(of_y or ())
        block = self.reader.block(start, parts[:n], of_X)
        if of_y is not None:
            block = replace(block, y=target_of(parts[n:m], of_y, start))
        if of_weight is not None:
            values = _numbers(parts[m:], of_weight, "sample_weight", start)[:, 0]
            block = replace(
                block, weight=checked_weight(values, len(values), "sample_weight", start)
            )
        return block


def read(reading: Reading, *parts: Any) -> Block:
    """Return a block, of the partitions that it lies in."""
    return reading.block(parts)


@dataclass(frozen=True)
class ArrayReader(BlockReader):
    """Blocks of arrays, dense or sparse, and of frames whose columns have numbers for names.

    Attributes
    ----------
    missing_ok : bool
        Whether values may be missing, for a `RowPreparer`.
    """

    n_features: int
    dtype: np.dtype
    feature_names: None = None
    has_weight: bool = False
    name: str = "X"
    missing_ok: bool = False

    def block(self, start: int, parts: Sequence[Any], cuts: Cuts) -> Block:
        """Return the block of the pieces of X."""
        X = stack_rows([
            self._rows(part, cut) for part, cut in zip(parts, cuts, strict=True)
        ])  # fmt: skip
        message = not_finite(self.name, X, start, missing_ok=self.missing_ok)
        if message is not None:
            raise InvalidInputError(message)
        return Block(X, None, None, start, np.arange(start, start + X.shape[0]))

    def _rows(self, part: Any, cut: tuple[int, int, int]) -> Any:
        number, low, high = cut
        rows = part.tocsr() if sparse.issparse(part) else np.asarray(part)
        if rows.shape[1:] != (self.n_features,):
            raise InvalidInputError(
                f"partition {number} of {self.name} has shape {rows.shape}; "
                f"it needs {self.n_features} columns"
            )
        return rows[low:high].astype(self.dtype, copy=False)

    def select(self, names: Sequence[str]) -> BlockReader:
        """Return this reader: arrays have no names."""
        return self


@dataclass(frozen=True)
class FrameReader(BlockReader):
    """Blocks of frames, by the names of columns.

    Attributes
    ----------
    schema : pyarrow.Schema or None
        The types of raw rows; None where rows are numbers, or a column of text.
    """

    columns: Columns
    dtype: np.dtype
    schema: Any = None
    name: str = "X"

    @property
    def _vectors(self) -> bool:
        return not self.dtype.hasobject

    @property
    def n_features(self) -> int:  # type: ignore[override]
        """0 where rows are texts."""
        return len(self.columns.features) if self._vectors else 0

    @property
    def feature_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """The names of the features."""
        return self.columns.features if self._vectors else None

    @property
    def has_weight(self) -> bool:  # type: ignore[override]
        """Whether a column is the weight."""
        return self.columns.weight is not None

    def block(self, start: int, parts: Sequence[Any], cuts: Cuts) -> Block:
        """Return the block of the pieces of X."""
        blocks, row = [], start
        for part, (number, low, high) in zip(parts, cuts, strict=True):
            blocks.append(self._piece(part, number, low, high, row))
            row += high - low
        first = blocks[0]
        return Block(
            stack_rows([block.X for block in blocks]),
            None if first.y is None else np.concatenate([b.y for b in blocks if b.y is not None]),
            None
            if first.weight is None
            else np.concatenate([b.weight for b in blocks if b.weight is not None]),
            start,
            np.concatenate([block.ids for block in blocks]),
        )

    def _piece(self, part: Any, number: int, low: int, high: int, row: int) -> Block:
        place = Place(f"partition {number} of {self.name}", low, high - low == len(part))
        table = to_arrow(part.iloc[low:high])
        if self.schema is None:
            check_schema(table.schema, self.columns, place.name)
            return to_block(table, self.columns, self.dtype, row, place)
        roles = replace(self.columns, features=())
        block = to_block(table, roles, np.dtype(float), row, place)
        return replace(block, X=raw_rows(table, self.schema, (place.name,), 0, low))

    def select(self, names: Sequence[str]) -> BlockReader:
        """Return the reader of the features `names`."""
        columns = replace(self.columns, features=tuple(names))
        if self.schema is None:
            return replace(self, columns=columns)
        import pyarrow as pa

        return replace(
            self, columns=columns, schema=pa.schema([self.schema.field(n) for n in names])
        )


def labelled(values: np.ndarray, index: Any, columns: Sequence[Any] | None) -> Any:
    """Return results as a frame with the index of its rows; a Series without `columns`."""
    import pandas as pd

    if columns is None:
        return pd.Series(values, index=index, name="prediction")
    return pd.DataFrame(values, index=index, columns=list(columns))


def target_of(parts: Sequence[Any], cuts: Cuts, start: int) -> np.ndarray:
    """Return the pieces of a target, float64 of shape (rows, n_outputs)."""
    return _numbers(parts, cuts, "y", start)


def prepared(function: Callable[[Block], Block], block: Block) -> Any:
    """Return the X that a function makes of a block."""
    return function(block).X


def framed_like(part: Any, values: Any, empty: Any) -> Any:
    """Return rows with the index of the partition that they were made of; None is no rows."""
    return empty if values is None else labelled(values, part.index, empty.columns)


def row_count(part: Any) -> int:
    """Return the rows of a partition."""
    return int(part.shape[0])


def distinct(part: Any) -> np.ndarray:
    """Return the distinct labels of a partition of y.

    Raises
    ------
    InvalidInputError
        Where one is missing.
    """
    import pandas as pd

    labels = np.asarray(part).ravel()
    missing = np.flatnonzero(pd.isna(labels))
    if len(missing):
        raise InvalidInputError(
            f"y has a missing label at row {missing[0]} of a partition; drop the row"
        )
    return np.unique(labels)


def _numbers(parts: Sequence[Any], cuts: Cuts, name: str, start: int) -> np.ndarray:
    pieces = []
    for part, (number, low, high) in zip(parts, cuts, strict=True):
        piece = part.iloc[low:high] if hasattr(part, "iloc") else part[low:high]
        try:
            pieces.append(np.asarray(piece, dtype=np.float64).reshape(high - low, -1))
        except (TypeError, ValueError) as error:
            raise InvalidInputError(
                f"partition {number} of {name} is not all numbers ({error})"
            ) from error
    values = np.concatenate(pieces)
    message = not_finite(name, values, start)
    if message is not None:
        raise InvalidInputError(message)
    return values
