"""Which kind each column of a table is, by its type; the only place that knows all kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.features.category_column import OneHotColumn
from scalekern.features.column_base import Column, no_values
from scalekern.features.date_column import DateColumn
from scalekern.features.number_column import NumberColumn
from scalekern.features.target_column import TargetColumn
from scalekern.rows import RowSource
from scalekern.rows.raw import RawSource
from scalekern.storage.agreement import check_values

KINDS = {cls.__name__: cls for cls in (NumberColumn, DateColumn, OneHotColumn, TargetColumn)}


def columns_of(
    source: RowSource,
    missing: str,
    categories: str,
    max_categories: int,
    categorical: Sequence[Any],
) -> list[Column]:
    """Return the columns of a source, nothing learned yet.

    Raises
    ------
    InvalidInputError
        For a column without values, one of `categorical` that is not there, and a category where
        `categories` is "error".
    """
    import pyarrow as pa

    names = source.feature_names or tuple(f"x{j}" for j in range(source.n_features))
    asked = _places(categorical, names, source)
    columns: list[Column] = []
    for j, name in enumerate(names):
        kind = source.schema.field(j).type if isinstance(source, RawSource) else pa.float64()
        if kind == pa.null():
            raise no_values(name)
        if kind == pa.string() or j in asked:
            if categories == "error":
                raise _no_number(name, source)
            columns.append(
                OneHotColumn(name, j, missing, max_categories)
                if categories == "onehot"
                else TargetColumn(name, j, missing)
            )
        elif kind in (pa.int64(), pa.float64()):
            columns.append(NumberColumn(name, j, missing))
        else:
            form = "date" if kind == pa.date32() else "timestamp"
            form = "time" if kind == pa.time64("us") else form
            columns.append(DateColumn(name, j, missing, form))
    return columns


def _no_number(name: str, source: RowSource) -> InvalidInputError:
    first = source.first_word(name) if isinstance(source, RawSource) else ""
    return InvalidInputError(
        f"column {name!r} of {source.name} holds text, not numbers{first}; if these are "
        "categories, encode them with categories='onehot' or 'target' (--categories); otherwise "
        f"correct the values, or leave the column out with drop=[{name!r}] (--drop)"
    )


def _places(categorical: Sequence[Any], names: Sequence[str], source: RowSource) -> set[int]:
    if isinstance(categorical, str):
        categorical = [categorical]
    places = set()
    for item in categorical:
        if isinstance(item, str) and item in names:
            places.add(list(names).index(item))
        elif isinstance(item, (int, np.integer)) and 0 <= item < len(names):
            places.add(int(item))
        else:
            raise InvalidInputError(
                f"categorical={list(categorical)!r}: {source.name} has no column {item!r}; "
                f"it has {', '.join(map(repr, names[:20]))}"
            )
    return places


def put_down(columns: Sequence[Column]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return what the columns learned: values for JSON, and arrays."""
    described: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for column in columns:
        values, own = column.state()
        described.append(
            {
                "class": type(column).__name__,
                "name": column.name,
                "missing": column.missing,
                "learned": values,
                "arrays": list(own),
            }
        )
        arrays |= {f"{key}-{column.place}": value for key, value in own.items()}
    return described, arrays


def take_up(described: Sequence[dict[str, Any]], arrays: dict[str, Any]) -> list[Column]:
    """Return the columns behind what `put_down` gave."""
    columns = []
    for place, entry in enumerate(described):
        check_values(entry, {"name": str, "missing": str})
        column: Column = KINDS[entry["class"]](entry["name"], place, entry["missing"])
        own = {key: arrays[f"{key}-{place}"] for key in entry["arrays"]}
        column.restore(entry["learned"], own)
        columns.append(column)
    return columns


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names, those that were there before with an underscore more.

    Examples
    --------
    >>> unique_names(["a_other", "a_b", "a_other"])
    ['a_other', 'a_b', 'a_other_']
    """
    taken: set[str] = set()
    found = []
    for name in names:
        while name in taken:
            name += "_"  # noqa: PLW2901
        taken.add(name)
        found.append(name)
    return found
