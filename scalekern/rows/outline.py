"""Rows of which only the outline is known: how many, of how many columns, of what type.

A plan is made from it, before anything is read; asking it for rows is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource
from scalekern.rows.column_types import common_type
from scalekern.rows.containers import is_frame, is_objects, to_arrow
from scalekern.rows.dask_pieces import is_dask
from scalekern.rows.raw import RawSource, numbers_dtype
from scalekern.rows.tables import Columns


class Outline(RowSource):
    """The shape of rows, without the rows.

    Parameters
    ----------
    n_rows, n_features : int
        0 features where the rows are objects.
    n_outputs : int
    dtype : numpy dtype
    """

    def __init__(self, n_rows: int, n_features: int, n_outputs: int, dtype: Any) -> None:
        self.n_rows, self.n_features, self.n_outputs = n_rows, n_features, n_outputs
        self.dtype = np.dtype(dtype)

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Raise: there are no rows here."""
        raise InvalidInputError("an outline has no rows to read; fit on the rows themselves")

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the outline of fewer columns."""
        return Outline(self.n_rows, len(names), self.n_outputs, self.dtype)


class RawOutline(Outline, RawSource):
    """The shape of a table whose columns may be of any type."""

    def __init__(self, n_rows: int, n_outputs: int, schema: Any, dtype: Any) -> None:
        super().__init__(n_rows, len(schema.names), n_outputs, dtype)
        self.schema, self.feature_names = schema, tuple(schema.names)

    def plain(self) -> RowSource:
        """Return the outline of the same rows as numbers."""
        return Outline(self.n_rows, self.n_features, self.n_outputs, self.dtype)


def outline_of(X: Any, y: Any = None) -> RowSource:
    """Return the outline of what a user passes to `fit`; a source as it is, unread.

    Parameters
    ----------
    X : array, sparse matrix, frame, rows or objects
    y : array of shape (n,) or (n, n_outputs), optional
        One output is assumed without it.
    """
    if isinstance(X, RowSource):
        return X
    n_outputs = np.shape(y)[1] if np.ndim(y) == 2 else 1
    if is_dask(X):
        return _of_dask(X, n_outputs)
    if is_frame(X):
        import pyarrow as pa

        found = to_arrow(X.slice(0, 0) if isinstance(X, pa.Table) else X.head(0)).schema
        plain = pa.schema([(f.name, common_type([("X", f.type)], f.name)) for f in found])
        dtype = numbers_dtype([found], Columns(tuple(found.names)))
        return RawOutline(len(X), n_outputs, plain, dtype)
    if is_objects(X):
        return Outline(len(X), 0, n_outputs, object)
    shape = X.shape if hasattr(X, "shape") else np.shape(X)
    if len(shape) != 2 or not shape[0]:
        raise InvalidInputError(f"X has shape {shape}; give at least one row and one column")
    single = getattr(X, "dtype", None) in (np.float32, np.float16)
    return Outline(shape[0], shape[1], n_outputs, np.float32 if single else np.float64)


def _of_dask(X: Any, n_outputs: int) -> RowSource:
    """Return the outline of a Dask collection, whose lengths must be known."""
    lengths = X.chunks[0] if hasattr(X, "chunks") else ()
    if not lengths or any(np.isnan(length) for length in lengths):
        raise InvalidInputError(
            "how many rows the Dask collection has is not known before it is computed; plan with "
            "an array of known chunks: X.to_dask_array(lengths=True) or X.compute_chunk_sizes()"
        )
    single = X.dtype in (np.float32, np.float16)
    found = Outline(sum(lengths), X.shape[1], n_outputs, np.float32 if single else np.float64)
    found.on_dask, found.partitions = True, len(lengths)
    return found
