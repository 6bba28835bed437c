"""Numbers between Arrow and NumPy, read and written in place.

Arrow's own conversions are for everything else, because they import pandas first where that is
installed, which takes longer than all that a small command has to do.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def numpy_of(column: Any) -> np.ndarray:
    """Return the values of an Arrow array or chunked array; missing numbers are NaN."""
    import pyarrow as pa
    import pyarrow.types as pt

    chunks = [column] if isinstance(column, pa.Array) else column.chunks
    kind = column.type
    if column.null_count or not chunks or not (pt.is_integer(kind) or pt.is_floating(kind)):
        return np.asarray(pa.chunked_array(chunks, kind).to_numpy())
    parts = [np.from_dlpack(chunk) for chunk in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def arrow_of(values: np.ndarray) -> Any:
    """Return a vector as an Arrow array; objects are texts."""
    import pyarrow as pa

    if values.dtype.kind not in "iuf" or not values.dtype.isnative:
        return pa.array(values, pa.string() if values.dtype == "O" else None)
    values = np.ascontiguousarray(values)
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
