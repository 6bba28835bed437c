"""Rows with named columns held in Arrow memory: what pandas, polars and Arrow frames become.

The conversion of Arrow columns into a numeric matrix lives here too, since files need the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, FoundRows, RowSource, empty_error
from scalekern.rows.conversion import numpy_of
from scalekern.rows.finite import TOO_LARGE, usable
from scalekern.rows.memory import checked_weight, missing_columns
from scalekern.rows.texts import is_text_feature, texts_of

MEND = "fill them in or drop those rows"
FILL = f"{MEND}, or let a RowPreparer fill them in (missing='mean', --missing mean)"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table play which part."""

    features: tuple[str, ...]
    targets: tuple[str, ...] = ()
    weight: str | None = None
    key: str | None = None

    def all(self) -> list[str]:
        """Return every column to read, once each."""
        extra = [name for name in (self.weight, self.key) if name is not None]
        return list(dict.fromkeys([*self.features, *self.targets, *extra]))


class TableSource(FoundRows):
    """Rows of an Arrow table.

    Parameters
    ----------
    table : pyarrow.Table
    columns : Columns
    dtype : numpy dtype, optional
        float32 where every feature is float32 or smaller, else float64.
    """

    def __init__(
        self, table: Any, columns: Columns, dtype: Any = None, *, name: str = "the table"
    ) -> None:
        self._table, self._columns, self._dtype, self.name = table, columns, dtype, name
        self.n_rows = table.num_rows
        if not self.n_rows:
            raise empty_error(name)
        found = check_schema(table.schema, columns, name, table)
        self.dtype = found if dtype is None or found.hasobject else np.dtype(dtype)
        vectors = not self.dtype.hasobject
        self.n_features = len(columns.features) if vectors else 0
        self.feature_names = columns.features if vectors else None
        self.text_column = None if vectors else columns.features[0]
        self.name = name if vectors else f"column {columns.features[0]!r} of {name}"
        self.n_outputs, self.target_names = len(columns.targets), columns.targets
        self.target_is_vector = self.n_outputs == 1
        self.has_weight = columns.weight is not None

    @property
    def table(self) -> Any:
        """The table."""
        return self._table

    @property
    def columns(self) -> Columns:
        """The parts that columns play."""
        return self._columns

    def _block(self, start: int, stop: int) -> Block:
        part = self._table.slice(start, stop - start)
        place = Place(self.name, start, part.num_rows == self.n_rows)
        return to_block(part, self._columns, self.dtype, start, place)

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        there = self._table.column_names
        missing = [name for name in names if name not in there]
        if missing:
            raise missing_columns(self.name, missing, there)
        columns = Columns(
            tuple(names), self._columns.targets, self._columns.weight, self._columns.key
        )
        return TableSource(self._table, columns, self._dtype, name=self.name)


@dataclass(frozen=True)
class Place:
    """Where a batch of rows comes from, for messages.

    Attributes
    ----------
    name : str
    first_row : int
        The number of its first row within the file.
    is_whole : bool
        Whether the batch is all of the file.
    """

    name: str
    first_row: int
    is_whole: bool


def check_names(schema: Any, columns: Columns, where: str) -> None:
    """Raise where a column is not there, or there twice."""
    repeated = [n for n in columns.all() if len(schema.get_all_field_indices(n)) > 1]
    if repeated:
        raise InvalidInputError(f"{where} has more than one column {repeated[0]!r}; rename one")
    missing = [name for name in columns.all() if schema.get_field_index(name) < 0]
    if missing:
        raise missing_columns(where, missing, schema.names)


def check_schema(schema: Any, columns: Columns, where: str, table: Any = None) -> np.dtype:
    """Return the dtype that the features share, or raise for a column that is not a number.

    A single column of text is the dtype object. Of a `table` the error names the first word.
    """
    import pyarrow.types as pt

    check_names(schema, columns, where)
    texts = is_text_feature(schema, columns.features)
    single = True
    weights = () if columns.weight is None else (columns.weight,)
    for name in columns.features + columns.targets + weights:
        if texts and name in columns.features:
            continue
        kind = schema.field(name).type
        if pt.is_null(kind):
            raise InvalidInputError(
                f"column {name!r} of {where} has no values, all are missing; "
                "fill them in, or leave it out (drop=[...], --drop)"
            )
        if not (pt.is_integer(kind) or pt.is_floating(kind) or pt.is_boolean(kind)):
            raise InvalidInputError(
                f"column {name!r} of {where} is {kind}, not a number"
                f"{first_word(table, name)}; {_cure(name, columns)}"
            )
        if name in columns.features:
            single &= pt.is_float32(kind) or pt.is_float16(kind)
    if texts:
        return np.dtype(object)
    return np.dtype(np.float32 if single else np.float64)


def first_word(table: Any, name: str) -> str:
    """Return where a column of text first has no number: " (first 'x' at row 3)", or nothing."""
    import pyarrow.types as pt

    column = None if table is None else table.column(name)
    if column is None or not (pt.is_string(column.type) or pt.is_large_string(column.type)):
        return ""
    for row, value in enumerate(column):
        text = value.as_py()
        if text is not None and not is_number(text):
            return f" (first {text[:40]!r} at row {row})"
    return ""


def is_number(text: str) -> bool:
    """Say whether a text is that of a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def to_block(part: Any, columns: Columns, dtype: np.dtype, start: int, place: Place) -> Block:
    """Turn an Arrow table or record batch into a block, or raise naming column and row."""
    n_rows = part.num_rows
    X = _features(part, columns, dtype, place)
    y = np.empty((n_rows, len(columns.targets))) if columns.targets else None
    for j, name in enumerate(columns.targets):
        y[:, j] = _numbers(part, name, place)  # type: ignore[index]
    weight = None
    if columns.weight is not None:
        values = np.asarray(_numbers(part, columns.weight, place), dtype=np.float64)
        where = f"column {columns.weight!r} of {place.name}"
        weight = checked_weight(values, n_rows, where, place.first_row)
    ids = np.arange(start, start + n_rows)
    if columns.key is not None:
        ids = _values(part, columns.key, place)
    return Block(X, y, weight, start, ids)


def _features(part: Any, columns: Columns, dtype: np.dtype, place: Place) -> Any:
    if dtype.hasobject:
        return texts_of(_without_nulls(part, columns.features[0], place))
    X = np.empty((part.num_rows, len(columns.features)), dtype=dtype)
    for j, name in enumerate(columns.features):
        X[:, j] = _numbers(part, name, place, FILL)
    return X


def _numbers(part: Any, name: str, place: Place, cure: str = MEND) -> np.ndarray:
    values = _values(part, name, place, cure)
    good = usable(values)
    if not good.all():
        missing, infinite = np.isnan(values), np.isinf(values)
        if missing.any():
            raise _bad_values(name, place, "missing (NaN)", np.flatnonzero(missing), cure)
        if infinite.any():
            raise _bad_values(name, place, "infinite", np.flatnonzero(infinite))
        raise _bad_values(name, place, "too large", np.flatnonzero(~good), TOO_LARGE)
    return values


def _values(part: Any, name: str, place: Place, cure: str = MEND) -> np.ndarray:
    return numpy_of(_without_nulls(part, name, place, cure))


def _without_nulls(part: Any, name: str, place: Place, cure: str = MEND) -> Any:
    column = part.column(name)
    if column.null_count:
        empty = np.asarray(column.is_null())
        raise _bad_values(name, place, "missing", np.flatnonzero(empty), cure)
    return column


def _bad_values(
    name: str, place: Place, kind: str, bad: np.ndarray, cure: str = MEND
) -> InvalidInputError:
    least = "" if place.is_whole else "at least "
    count = f"{least}{len(bad)} {kind} value{'s' if len(bad) > 1 else ''}"
    first = place.first_row + bad[0]
    return InvalidInputError(
        f"column {name!r} of {place.name} has {count} (first at row {first}); {cure}"
    )


def _cure(name: str, columns: Columns) -> str:
    if name in columns.targets:
        return (
            "a target to predict as a number must be one; for classes use --model knn, or "
            "SimilarityClassifier or KNeighborsClassifier in Python"
        )
    if name not in columns.features:
        return "make it numbers; a target of class labels needs scalekern fit --model knn"
    return (
        "turn it into numbers first, put a RowPreparer in front (in scalekern.rows, give "
        "raw=True), or leave it out (drop=[...], --drop)"
    )
