"""The few types that columns of any type become before they are made into numbers.

Arrow has dozens of types, and the parts of one table may disagree: integers here, floats there, a
column of dictionary codes, one without any value. Here each becomes one of seven, and parts that
cannot agree are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError


def plain_type(kind: Any) -> Any:
    """Return the type that a column of an Arrow type becomes; None where there is none.

    Numbers become int64 or float64 (durations are seconds, booleans 0 and 1), texts and categories
    string, and points in time date32, timestamp("us") or time64("us"). A column that has no values
    keeps the type null.
    """
    import pyarrow as pa
    import pyarrow.types as pt

    if pt.is_dictionary(kind):
        return pa.string()
    for tests, plain in (
        ((pt.is_null,), pa.null()),
        ((pt.is_boolean, _fits_int64), pa.int64()),
        ((pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_duration), pa.float64()),
        ((pt.is_string, pt.is_large_string, _is_string_view), pa.string()),
        ((pt.is_date,), pa.date32()),
        ((pt.is_timestamp,), pa.timestamp("us")),
        ((pt.is_time,), pa.time64("us")),
    ):
        if any(test(kind) for test in tests):
            return plain
    return None


def common_type(kinds: Sequence[tuple[str, Any]], column: str) -> Any:
    """Return the plain type of a column that has the given Arrow types in the files of a table.

    Parameters
    ----------
    kinds : sequence of (file, Arrow type)
    column : str

    Raises
    ------
    InvalidInputError
        If a type is none that can be made into numbers, or two do not go together.
    """
    import pyarrow as pa

    found: Any = pa.null()
    first = kinds[0]
    for label, kind in kinds:
        plain = plain_type(kind)
        if plain is None:
            raise InvalidInputError(
                f"column {column!r} of {label} is {kind}, which cannot be made into numbers; "
                "leave it out (drop=[...], --drop)"
            )
        joined = _joined(found, plain)
        if joined is None:
            raise InvalidInputError(
                f"column {column!r} is {first[1]} in {first[0]} but {kind} in {label}; "
                "write the files with one type, or leave it out (drop=[...], --drop)"
            )
        if found == pa.null():
            first = (label, kind)
        found = joined
    return found


def as_plain(column: Any, plain: Any) -> Any:
    """Return an Arrow column as one array of a plain type; missing values stay missing."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if not isinstance(column, pa.Array):
        column = column.combine_chunks()
        if not isinstance(column, pa.Array):  # as older versions of pyarrow return it
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([])
    kind = column.type
    if kind == plain:
        return column
    if pt.is_dictionary(kind):
        return as_plain(column.dictionary, plain).take(column.indices)
    if pt.is_timestamp(kind) and kind.tz is not None:
        column = pc.local_timestamp(column)
    if pt.is_duration(kind):
        seconds = column.cast(pa.duration("us"), safe=False).cast(pa.int64())
        return pc.divide(seconds.cast(pa.float64()), 1e6)
    if plain == pa.string():
        return _as_text(column)
    if pt.is_float16(kind):
        column = pa.array(column.to_numpy(zero_copy_only=False).astype(np.float32))
    # Nanoseconds may be cut off, but seconds must not overflow.
    return column.cast(plain, safe=pt.is_timestamp(kind) and kind.unit in ("s", "ms"))


def _as_text(column: Any) -> Any:
    """Return values as text; 7.0 is written as 7, since missing values make floats of integers."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as pt

    if not pt.is_floating(column.type):
        return column.cast(pa.string())
    column = column.cast(pa.float64())
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 2.0**53))
    integers = pc.if_else(whole, column, 0.0).cast(pa.int64(), safe=False).cast(pa.string())
    return pc.if_else(whole, integers, column.cast(pa.string()))


def _joined(a: Any, b: Any) -> Any:
    import pyarrow as pa

    if a == b or b == pa.null():
        return a
    if a == pa.null():
        return b
    for pair, both in (
        ({pa.int64(), pa.float64()}, pa.float64()),
        ({pa.date32(), pa.timestamp("us")}, pa.timestamp("us")),
    ):
        if {a, b} == pair:
            return both
    return None


def _fits_int64(kind: Any) -> bool:
    import pyarrow as pa
    import pyarrow.types as pt

    return pt.is_integer(kind) and kind != pa.uint64()


def _is_string_view(kind: Any) -> bool:
    return str(kind) == "string_view"
