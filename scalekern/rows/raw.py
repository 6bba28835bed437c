"""Rows as they are: columns of any type, for a `RowPreparer` to make into numbers.

They stand apart because nothing else reads them: kernels and indices see numbers only. A block
remembers the file and row that each of its rows came from, so that errors can name them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource, empty_error
from scalekern.rows.column_types import as_plain, common_type
from scalekern.rows.conversion import arrow_of
from scalekern.rows.matrix import MatrixSource
from scalekern.rows.memory import ArraySource, missing_columns
from scalekern.rows.parquet import ParquetRows, ParquetSource
from scalekern.rows.tables import (
    Columns,
    Place,
    TableSource,
    check_names,
    check_schema,
    first_word,
    to_block,
)


@dataclass(frozen=True)
class RawRows:
    """The X of a block of raw rows; slices and arrays of row numbers select from it.

    Attributes
    ----------
    table : pyarrow.Table
        Its columns are of the types of `column_types.plain_type`.
    labels : tuple of str
        What messages call the files.
    file, row : integer arrays of shape (rows,)
        The place of each row: an index into `labels`, and its number in that file.
    """

    table: Any
    labels: tuple[str, ...]
    file: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self), self.table.num_columns

    def __getitem__(self, rows: Any) -> RawRows:
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            table = self.table.slice(start, max(0, stop - start))
        else:
            table = self.table.take(arrow_of(np.asarray(rows)))
        return replace(self, table=table, file=self.file[rows], row=self.row[rows])

    def joined(self, others: Sequence[RawRows]) -> RawRows:
        """Return these rows and those of other blocks of the same source."""
        import pyarrow as pa

        parts = [self, *others]
        return replace(
            self,
            table=pa.concat_tables([part.table for part in parts]),
            file=np.concatenate([part.file for part in parts]),
            row=np.concatenate([part.row for part in parts]),
        )

    def where(self, number: int) -> tuple[str, int]:
        """Return the name of the file and the row within it of one of the rows."""
        return self.labels[self.file[number]], int(self.row[number])


class RawSource(RowSource):
    """Rows whose columns may be text, dates and missing values.

    Attributes
    ----------
    schema : pyarrow.Schema
        The plain types of the features.
    """

    schema: Any

    @abstractmethod
    def plain(self) -> RowSource:
        """Return the same rows as numbers, or raise naming the column that is none."""

    def first_word(self, name: str) -> str:
        """Return where a column of text first has no number, for messages, if that is known."""
        return ""


class RawTableSource(RawSource):
    """Raw rows in memory.

    Parameters
    ----------
    X : RawRows
    y : array of shape (n,) or (n, n_outputs), optional
    weight, ids : arrays of shape (n,), optional
    dtype : numpy dtype, optional
        Of the numbers to be made of them.
    """

    def __init__(
        self,
        X: RawRows,
        y: Any = None,
        weight: Any = None,
        *,
        ids: np.ndarray | None = None,
        dtype: Any = np.float64,
        name: str = "X",
    ) -> None:
        if not len(X):
            raise empty_error(name)
        names = X.table.column_names
        # An array source of no columns cuts and checks targets, weights and ids.
        self._rest = ArraySource(np.empty((len(X), 0)), y, weight, ids=ids, name=name)
        self._X, self._ids, self.name, self.dtype = X, ids, name, np.dtype(dtype)
        self.schema, self.feature_names = X.table.schema, tuple(names)
        self.n_rows, self.n_features = X.shape
        _take_description(self, self._rest)

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the rows in order."""
        for block in self._rest.blocks(max_rows):
            yield replace(block, X=self._X[block.rows])

    def select(self, names: Sequence[str]) -> RawTableSource:
        """Return the same rows with the features `names`, in that order."""
        there = self.schema.names
        missing = [name for name in names if name not in there]
        if missing:
            raise missing_columns(self.name, missing, there)
        X = replace(self._X, table=self._X.table.select(list(names)))
        return self.with_rows(X)

    def with_rows(self, X: RawRows) -> RawTableSource:
        """Return a source of other columns of the same rows."""
        (rest,) = self._rest.blocks(self.n_rows)
        y = rest.y[:, 0] if rest.y is not None and self.target_is_vector else rest.y
        found = RawTableSource(X, y, rest.weight, ids=self._ids, dtype=self.dtype, name=self.name)
        found.target_names = self.target_names
        return found

    def first_word(self, name: str) -> str:
        """Return where a column of text first has no number, for messages."""
        return first_word(self._X.table, name)

    def plain(self) -> RowSource:
        """Return the same rows as numbers."""
        names = tuple(self.feature_names or ())
        source = TableSource(self._X.table, Columns(names), self.dtype, name=self.name)
        (block,) = source.blocks(self.n_rows)
        (rest,) = self._rest.blocks(self.n_rows)
        y = rest.y[:, 0] if rest.y is not None and self.target_is_vector else rest.y
        found = ArraySource(block.X, y, rest.weight, names, ids=self._ids, name=self.name)
        found.target_names = self.target_names
        return found


class RawParquetSource(ParquetRows, RawSource):
    """Raw rows of Parquet files, read as needed; the files may differ in the types of columns."""

    def _take(self, schemas: list[tuple[str, Any]]) -> None:
        import pyarrow as pa

        columns, dtype = self._columns, self._dtype
        for label, schema in schemas:
            check_roles(schema, columns, label)
        self._roles = replace(columns, features=())
        self.schema = pa.schema([(name, _type_in(schemas, name)) for name in columns.features])
        dtype = numbers_dtype([s for _, s in schemas], columns) if dtype is None else dtype
        self.dtype = np.dtype(dtype)
        self.n_features, self.feature_names = len(columns.features), columns.features

    def _block(self, part: Any, start: int, file: int, row: int, *, is_whole: bool) -> Block:
        place = Place(self._labels[file], row, is_whole)
        block = to_block(part, self._roles, np.dtype(float), start, place)
        return replace(block, X=raw_rows(part, self.schema, self._labels, file, row))

    def plain(self) -> RowSource:
        """Return the same rows as numbers."""
        return ParquetSource(self._all, self._columns, self._dtype, name=self.name)


def raw_rows(
    table: Any, schema: Any, labels: tuple[str, ...], file: int = 0, first_row: int = 0
) -> RawRows:
    """Return the columns of `schema` of a table or batch, in its types."""
    import pyarrow as pa

    n = table.num_rows
    columns = []
    for name in schema.names:
        try:
            columns.append(as_plain(table.column(name), schema.field(name).type))
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"column {name!r} of {labels[file]} cannot be read as {schema.field(name).type} "
                f"({str(error).splitlines()[0]}); mend it, or leave it out (drop=[...], --drop)"
            ) from error
    return RawRows(
        pa.table(columns, schema=schema),
        labels,
        np.full(n, file, dtype=np.int32),
        np.arange(first_row, first_row + n),
    )


def raw_table(
    table: Any, columns: Columns, dtype: Any = None, *, y: Any = None, weight: Any = None, name: str
) -> RawTableSource:
    """Return a raw source of an Arrow table; `y` and `weight` where they are no columns of it."""
    import pyarrow as pa

    if not table.num_rows:
        raise empty_error(name)
    check_roles(table.schema, columns, name)
    pairs = [(column, _type_in([(name, table.schema)], column)) for column in columns.features]
    X = raw_rows(table, pa.schema(pairs), (name,))
    rest = to_block(
        table, replace(columns, features=()), np.dtype(float), 0, Place(name, 0, is_whole=True)
    )
    if columns.targets:
        assert rest.y is not None
        y = rest.y[:, 0] if len(columns.targets) == 1 else rest.y
    ids = rest.ids if columns.key is not None else None
    weight = rest.weight if columns.weight is not None else weight
    dtype = numbers_dtype([table.schema], columns) if dtype is None else dtype
    found = RawTableSource(X, y, weight, ids=ids, dtype=dtype, name=name)
    found.target_names = columns.targets
    return found


def source_of_rows(X: Any, y: Any, weight: Any, like: RowSource) -> RowSource:
    """Return a source of rows that were read from the source `like`, or of a selection of them."""
    found: RowSource
    if isinstance(X, RawRows):
        found = RawTableSource(X, y, weight, dtype=like.dtype, name=like.name)
    else:
        found = ArraySource(X, y, weight, like.feature_names, name=like.name)
        found.text_column = like.text_column
    found.target_names = like.target_names
    return found


def plain_of(source: RowSource) -> RowSource:
    """Return a raw source as numbers, or raise naming the column that is none; others as is."""
    if isinstance(source, MatrixSource):
        return source.checked(missing_ok=False)
    return source.plain() if isinstance(source, RawSource) else source


def plain_where_numbers(source: RowSource) -> RowSource:
    """Return a raw source whose columns are all numbers as a plain one; others as they are."""
    import pyarrow as pa

    if not isinstance(source, RawSource):
        return source
    numbers = all(kind in (pa.int64(), pa.float64()) for kind in source.schema.types)
    return source.plain() if numbers else source


def raw_of(source: RowSource) -> RowSource:
    """Return a source of a table or of files as a raw one; arrays as they are."""
    if isinstance(source, TableSource):
        return raw_table(source.table, source.columns, source.dtype, name=source.name)
    if isinstance(source, ParquetSource):
        return RawParquetSource(source.files, source.columns, source.dtype, name=source.name)
    if isinstance(source, MatrixSource):
        return source.checked(missing_ok=True)
    return source


def check_roles(schema: Any, columns: Columns, where: str) -> None:
    """Raise where a column is not there or twice, or a target or weight is not a number."""
    check_names(schema, columns, where)
    check_schema(schema, replace(columns, features=()), where)


def numbers_dtype(schemas: Sequence[Any], columns: Columns) -> np.dtype:
    """Return float32 where every feature is float32 in every file, else float64."""
    import pyarrow.types as pt

    kinds = [schema.field(name).type for schema in schemas for name in columns.features]
    single = all(pt.is_float32(kind) or pt.is_float16(kind) for kind in kinds)
    return np.dtype(np.float32 if single else np.float64)


def _type_in(schemas: Sequence[tuple[str, Any]], column: str) -> Any:
    return common_type([(label, schema.field(column).type) for label, schema in schemas], column)


def _take_description(source: RowSource, other: RowSource) -> None:
    source.n_outputs = other.n_outputs
    source.target_is_vector = other.target_is_vector
    source.has_weight = other.has_weight
