"""Rows of Dask collections, cut into the same blocks as rows in memory.

Blocks do not depend on partitions: each is a task on the pieces of partitions that it needs, which
the engine sends to the workers. X, y and weights may be cut differently; their rows are matched by
position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource, empty_error
from scalekern.rows.containers import to_arrow
from scalekern.rows.dask_blocks import ArrayReader, BlockReader, FrameReader, Reading, read
from scalekern.rows.dask_pieces import Pieces, as_dask, is_dask_array, pieces_of
from scalekern.rows.raw import RawSource, raw_table
from scalekern.rows.tables import Columns, check_schema

WINDOW_BYTES = 64 << 20


class DaskSource(RowSource):
    """Rows of a Dask array or DataFrame.

    Parameters
    ----------
    X : Pieces
    reader : BlockReader
        Makes blocks of the pieces, on the workers.
    y, weight : Pieces, optional
        Where they are no columns of X.
    """

    in_memory = False
    finds_rows = True
    on_dask = True

    def __init__(
        self,
        X: Pieces,
        reader: BlockReader,
        y: Pieces | None = None,
        weight: Pieces | None = None,
        *,
        n_outputs: int = 0,
        target_is_vector: bool = True,
    ) -> None:
        self._X, self._reader, self._y, self._weight = X, reader, y, weight
        self.n_rows, self.n_features, self.name = X.n_rows, reader.n_features, reader.name
        self.dtype, self.feature_names = reader.dtype, reader.feature_names
        self.partitions = len(X.parts)
        self.n_outputs, self.target_is_vector = n_outputs, target_is_vector
        self.has_weight = weight is not None or reader.has_weight

    def __reduce__(self) -> Any:
        raise TypeError(
            "rows of a Dask collection cannot be sent to workers; only their blocks can"
        )  # a closure that holds them would send the whole graph along

    def delayed_block(self, start: int, stop: int) -> Any:
        """Return the task that makes the block of the rows from start to stop."""
        from dask import delayed

        of_X, of_y, of_weight = (
            ([], None) if p is None else p.within(start, stop)
            for p in (self._X, self._y, self._weight)
        )
        reading = Reading(self._reader, start, (of_X[1], of_y[1], of_weight[1]))
        return delayed(read)(reading, *of_X[0], *of_y[0], *of_weight[0])

    @property
    def borders(self) -> np.ndarray:
        """The number of the first row of each partition, and that of all rows."""
        return self._X.offsets

    def delayed_blocks(self, max_rows: int) -> list[Any]:
        """Return the tasks of all blocks, in order."""
        return [self.delayed_block(*rows) for rows in self._ranges(max_rows)]

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all rows in order, some blocks computed at a time."""
        yield from self._computed(self._ranges(max_rows))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks; only their partitions are computed."""
        ranges = [(int(i) * length, min((int(i) + 1) * length, self.n_rows)) for i in numbers]
        yield from self._computed(ranges)

    def _ranges(self, max_rows: int) -> list[tuple[int, int]]:
        borders = [*range(0, self.n_rows, max(1, max_rows)), self.n_rows]
        return list(pairwise(borders))

    def _computed(self, ranges: list[tuple[int, int]]) -> Iterator[Block]:
        import dask

        if not ranges:
            return
        row_bytes = 8 * (self.n_features + self.n_outputs + 2)
        longest = max(stop - start for start, stop in ranges)
        together = max(1, WINDOW_BYTES // (longest * row_bytes))
        for window in _batched(ranges, together):
            yield from dask.compute(*(self.delayed_block(*rows) for rows in window))

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        return DaskSource(
            self._X,
            self._reader.select(names),
            self._y,
            self._weight,
            n_outputs=self.n_outputs,
            target_is_vector=self.target_is_vector,
        )


def _batched(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for low in range(0, len(items), size):
        yield items[low : low + size]


class RawDaskSource(DaskSource, RawSource):
    """Raw rows of a Dask DataFrame, for a `RowPreparer`."""

    _reader: FrameReader

    @property
    def schema(self) -> Any:
        """The plain types of the features."""
        return self._reader.schema

    def plain(self) -> RowSource:
        """Return the same rows as numbers; reading raises naming the column that is none."""
        return DaskSource(
            self._X,
            replace(self._reader, schema=None),
            self._y,
            self._weight,
            n_outputs=self.n_outputs,
            target_is_vector=self.target_is_vector,
        )


def dask_source(X: Any, y: Any = None, weight: Any = None, *, raw: bool = False) -> RowSource:
    """Return the rows of a Dask array or DataFrame, with the target and weights.

    Rows are counted where their number is not known, by one pass over the partitions.

    Parameters
    ----------
    X : Dask array of shape (n, d), or Dask DataFrame
    y : Dask array, Series, DataFrame or array of shape (n,) or (n, n_outputs), optional
    weight : Dask array, Series or array of shape (n,), optional
    raw : bool, default=False
        Whether columns may be other things than numbers.

    Raises
    ------
    InvalidInputError
        If there are no rows, or numbers of rows do not agree.
    """
    reader = _reader_of(X, raw)
    given = [as_dask(X), None if y is None else as_dask(y)]
    given.append(None if weight is None else as_dask(weight))
    pieces = pieces_of(given)
    of_X, of_y, of_weight = pieces
    assert of_X is not None
    if not of_X.n_rows:
        raise empty_error("X")
    for name, other in (("y", of_y), ("sample_weight", of_weight)):
        if other is not None and other.n_rows != of_X.n_rows:
            raise InvalidInputError(
                f"X has {of_X.n_rows} rows but {name} has {other.n_rows}; they must match"
            )
    vector = y is None or getattr(y, "ndim", 1) == 1
    outputs = 0 if y is None else 1 if vector else int(y.shape[1])
    kind = RawDaskSource if raw and isinstance(reader, FrameReader) else DaskSource
    return kind(of_X, reader, of_y, of_weight, n_outputs=outputs, target_is_vector=vector)


def dask_table(frame: Any, columns: Columns, dtype: Any = None, *, raw: bool = False) -> RowSource:
    """Return the rows of a Dask DataFrame whose columns play the parts `columns`."""
    frame = frame[columns.all()]
    reader = frame_reader(frame, columns, dtype, raw=raw)
    (pieces,) = pieces_of([frame])
    assert pieces is not None
    if not pieces.n_rows:
        raise empty_error("the frame")
    kind, outputs = (RawDaskSource if raw else DaskSource), len(columns.targets)
    found = kind(pieces, reader, n_outputs=outputs, target_is_vector=outputs == 1)
    found.target_names = columns.targets
    return found


def _reader_of(X: Any, raw: bool) -> BlockReader:
    if is_dask_array(X):
        if X.ndim != 2:
            raise InvalidInputError(
                f"X is a Dask array of {X.ndim} dimension(s); give one of shape (rows, columns)"
            )
        if X.dtype.kind not in "fiub":
            raise InvalidInputError(f"X is a Dask array of {X.dtype}, which is no number")
        single = X.dtype in (np.float32, np.float16)
        dtype = np.dtype(np.float32 if single else np.float64)
        return ArrayReader(int(X.shape[1]), dtype, missing_ok=raw)
    if not hasattr(X, "_meta_nonempty") or not hasattr(X, "columns"):
        raise InvalidInputError(
            f"X is a Dask {type(X).__name__}; give a Dask array or a Dask DataFrame"
        )
    if not any(isinstance(name, str) for name in X.columns):
        kinds = [np.dtype(kind) for kind in X.dtypes]
        dtype = np.dtype(np.float32 if set(kinds) == {np.dtype(np.float32)} else np.float64)
        return ArrayReader(len(kinds), dtype, missing_ok=raw)
    return frame_reader(X, Columns(tuple(X.columns)), raw=raw)


def frame_reader(frame: Any, columns: Columns, dtype: Any = None, *, raw: bool = False) -> Any:
    """Return the reader of a Dask DataFrame whose columns play the parts `columns`."""
    if any(not isinstance(name, str) for name in frame.columns):
        raise InvalidInputError("columns have texts and numbers for names; rename some")
    example = to_arrow(frame._meta_nonempty)  # noqa: SLF001
    if raw:
        source = raw_table(example, columns, dtype, name="X")
        return FrameReader(columns, source.dtype, source.schema)
    found = check_schema(example.schema, columns, "X")
    kept = found if dtype is None or found.hasobject else np.dtype(dtype)
    return FrameReader(columns, kept)
