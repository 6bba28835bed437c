"""The one place that knows the containers: turn what a user passes as X into a source.

pandas, polars and Arrow frames come in through Arrow's own exchange protocol; arrays and sparse
matrices as they are; lists, Series and Arrow columns of strings or other things as objects.
"""

from __future__ import annotations

import math
from collections import Counter
from numbers import Number
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import RowSource, empty_error
from scalekern.rows.memory import ArraySource
from scalekern.rows.tables import Columns, TableSource


def is_frame(X: Any) -> bool:
    """Return whether X has columns with text names and can be exchanged as an Arrow stream.

    A pandas frame with numbers for names counts as an array, as it does in scikit-learn.
    """
    if not hasattr(X, "__arrow_c_stream__"):
        return False
    # A Series has the protocol and a shape as well, but no columns.
    names = getattr(X, "column_names", getattr(X, "columns", None))
    return names is not None and all(isinstance(name, str) for name in names)


def source_of(X: Any, y: Any = None, weight: Any = None) -> RowSource:
    """Return a source for a frame, an array, a sparse matrix or objects; a source as it is."""
    if isinstance(X, RowSource):
        if y is not None or weight is not None:
            raise InvalidInputError(
                "rows from scalekern.rows carry their own target and weights; "
                "name them there (target=..., weight=...) and leave y and sample_weight out"
            )
        return X
    if is_frame(X):
        return frame_source(X, y, weight)
    return ArraySource(X, y, weight)


def frame_source(X: Any, y: Any = None, weight: Any = None, *, name: str = "X") -> RowSource:
    """Return a source for a frame whose columns are all numbers, or one column of text.

    The columns are checked and put into one matrix here, since they are in memory anyway and
    several passes follow.
    """
    table = to_arrow(X)
    if not table.num_columns:
        raise InvalidInputError(f"{name} has no columns; give at least one feature")
    if not table.num_rows:
        raise empty_error(name)
    source = TableSource(table, Columns(tuple(table.column_names)), name=name)
    (block,) = source.blocks(source.n_rows)
    found = ArraySource(block.X, y, weight, source.feature_names, name=name)
    found.text_column = source.text_column
    return found


def to_arrow(frame: Any) -> Any:
    """Return a frame as a pyarrow.Table with text column names and without a row index."""
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    repeated = [name for name, count in Counter(frame.columns).items() if count > 1]
    if repeated:
        raise InvalidInputError(f"the frame has more than one column {repeated[0]!r}; rename one")
    try:
        if hasattr(frame, "index"):
            return pa.Table.from_pandas(frame, preserve_index=False)
        return pa.table(frame)
    except (pa.ArrowException, TypeError) as error:
        reason = ": ".join(map(str, error.args))
        raise InvalidInputError(
            f"a column of the frame is not of one type that Arrow knows ({reason}); "
            "turn it into numbers first, or leave it out"
        ) from error


def objects_of(X: Any) -> list[Any]:
    """Return the items of a list, Series, Arrow column or object array as a list.

    Raises
    ------
    InvalidInputError
        If there are none, one is missing, or X is a single text.
    """
    if isinstance(X, (str, bytes)):
        raise InvalidInputError(f"X is one text, {X[:40]!r}; give a list of objects")
    if hasattr(X, "to_pylist"):
        items = list(X.to_pylist())
    elif hasattr(X, "to_list"):
        items = list(X.to_list())
    else:
        items = list(X)
    if not items:
        raise InvalidInputError("X has no rows (0 rows); give at least one object")
    for row, item in enumerate(items):
        if item is None or (isinstance(item, float) and math.isnan(item)):
            raise InvalidInputError(f"X has a missing value at row {row}; fill it in or drop it")
    return items


def is_objects(X: Any) -> bool:
    """Return whether X is one-dimensional or not numeric: things, not vectors."""
    if isinstance(X, RowSource):
        return X.n_features == 0
    if is_frame(X) or hasattr(X, "tocsr"):
        return False
    if isinstance(X, np.ndarray):
        return X.ndim == 1 or X.dtype.kind in "OSU"
    if isinstance(X, (list, tuple)):
        ragged = len({len(row) for row in X if hasattr(row, "__len__")}) > 1
        return ragged or not X or not _is_vector(X[0])
    series = hasattr(X, "to_list") and not hasattr(X, "columns")
    return series or hasattr(X, "to_pylist") or isinstance(X, (str, bytes))


def _is_vector(row: Any) -> bool:
    sequence = isinstance(row, (list, tuple, np.ndarray))
    return sequence and all(isinstance(value, (Number, np.bool_)) for value in row)
