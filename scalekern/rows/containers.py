"""The one place that knows the containers: turn what a user passes as X into a source.

pandas, polars and Arrow frames come in through Arrow's own exchange protocol; arrays and sparse
matrices as they are; lists, Series and Arrow columns of strings or other things as objects.
"""

from __future__ import annotations

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
    names = X.column_names if hasattr(X, "column_names") else getattr(X, "columns", ())
    return all(isinstance(name, str) for name in names) and hasattr(X, "shape")


def source_of(X: Any, y: Any = None, weight: Any = None, *, name: str = "X") -> RowSource:
    """Return a source for a frame, an array, a sparse matrix or objects; a source as it is."""
    if isinstance(X, RowSource):
        if y is not None or weight is not None:
            raise InvalidInputError(
                "rows from scalekern.rows carry their own target and weights; "
                "name them there (target=..., weight=...) and leave y and sample_weight out"
            )
        return X
    if is_frame(X):
        return frame_source(X, y, weight, name=name)
    return ArraySource(X, y, weight, name=name)


def frame_source(X: Any, y: Any = None, weight: Any = None, *, name: str = "X") -> RowSource:
    """Return a source for a frame whose columns are all numbers.

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
    return ArraySource(block.X, y, weight, source.feature_names, name=name)


def to_arrow(frame: Any) -> Any:
    """Return a frame as a pyarrow.Table with text column names and without a row index."""
    import pyarrow as pa

    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    if hasattr(frame, "index"):
        return pa.Table.from_pandas(frame, preserve_index=False)
    return pa.table(frame)


def objects_of(X: Any) -> list[Any]:
    """Return the items of a list, Series, Arrow column or object array as a list."""
    if hasattr(X, "to_pylist"):
        return list(X.to_pylist())
    if hasattr(X, "to_list"):
        return list(X.to_list())
    return list(X)


def is_objects(X: Any) -> bool:
    """Return whether X is one-dimensional or not numeric: things, not vectors."""
    if isinstance(X, RowSource):
        return X.n_features == 0
    if is_frame(X) or hasattr(X, "tocsr"):
        return False
    if hasattr(X, "to_pylist") or (hasattr(X, "to_list") and not hasattr(X, "columns")):
        return True
    if isinstance(X, np.ndarray):
        return X.ndim == 1 or X.dtype.kind in "OSU"
    if not isinstance(X, (list, tuple)) or not X:
        return False
    return isinstance(X[0], (str, bytes)) or not hasattr(X[0], "__len__")
