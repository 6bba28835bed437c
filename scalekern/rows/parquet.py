"""Rows of Parquet files, read a batch at a time and cut into the same blocks as rows in memory.

Blocks do not depend on how rows are spread over files and row groups, so a fit from files adds up
the same sums as a fit from an array.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource, empty_error, slice_rows, stack_rows
from scalekern.rows.tables import Columns, Place, check_schema, to_block
from scalekern.rows.view import ParquetView

GROUP_ROWS = 16_384
"""Rows that are unpacked at a time where only some of a row group are wanted."""


class ParquetSource(RowSource):
    """Rows of one or more Parquet files with the same columns, in the order of `files`.

    Parameters
    ----------
    files : sequence of Path, RemotePath or ParquetView
    columns : Columns
    dtype : numpy dtype, optional
        float32 where every feature is float32 in every file, else float64.
    """

    in_memory = False
    finds_rows = True

    def __init__(
        self, files: Sequence[Any], columns: Columns, dtype: Any = None, *, name: str
    ) -> None:
        self._all, self._columns, self._dtype, self.name = list(files), columns, dtype, name
        self._files: list[tuple[Any, str, int]] = []
        self.n_rows = 0
        found = []
        for file, label in zip(self._all, labels_of(self._all), strict=True):
            with open_parquet(file) as parquet:
                n_rows = parquet.metadata.num_rows
                if not n_rows:
                    continue  # a file without rows may not know the types of its columns
                found.append(check_schema(parquet.schema_arrow, columns, label))
            self._files.append((file, label, n_rows))
            self.n_rows += n_rows
        if not self.n_rows:
            raise empty_error(name)
        if len({kind.hasobject for kind in found}) > 1:
            raise InvalidInputError(
                f"column {columns.features[0]!r} of {name} is text in some files and numbers in "
                "others; write it as one type"
            )
        shared = np.result_type(*found)
        self.dtype = shared if dtype is None or shared.hasobject else np.dtype(dtype)
        vectors = not self.dtype.hasobject
        self.n_features = len(columns.features) if vectors else 0
        self.feature_names = columns.features if vectors else None
        self.text_column = None if vectors else columns.features[0]
        self.name = name if vectors else f"column {columns.features[0]!r} of {name}"
        self.n_outputs = len(columns.targets)
        self.target_is_vector = self.n_outputs == 1
        self.has_weight = columns.weight is not None

    @property
    def files(self) -> list[Any]:
        """The files."""
        return self._all

    @property
    def columns(self) -> Columns:
        """The parts that columns play."""
        return self._columns

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the rows in order, `max_rows` at a time across the borders of files."""
        return recut(self._batches(max_rows), max_rows)

    def pass_bytes(self, apart: int = 0) -> int:
        """Return the compressed bytes of the columns, as the footers say."""
        return stored_bytes(self._all, self._columns.all(), apart)

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks; only the row groups that they lie in are read."""
        wanted = runs_of_rows(numbers, length, self.n_rows)
        return joined_runs(self._row_groups(wanted), wanted)

    def _row_groups(self, wanted: list[range]) -> Iterator[Block]:
        for part, label, start, row in row_groups(self._files, wanted, self._columns.all()):
            yield to_block(part, self._columns, self.dtype, start, Place(label, row, False))

    def _batches(self, max_rows: int) -> Iterator[Block]:
        start = 0
        for file, label, _ in self._files:
            first = start
            with open_parquet(file) as parquet:
                n_rows = parquet.metadata.num_rows
                for part in read_batches(parquet, file, max_rows, self._columns.all()):
                    place = Place(label, start - first, part.num_rows == n_rows)
                    yield to_block(part, self._columns, self.dtype, start, place)
                    start += part.num_rows

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        columns = replace(self._columns, features=tuple(names))
        return ParquetSource(self._all, columns, self._dtype, name=self.name)


def runs_of_rows(numbers: np.ndarray, length: int, n_rows: int) -> list[range]:
    """Return the rows of the blocks of the given numbers."""
    return [range(int(i) * length, min((int(i) + 1) * length, n_rows)) for i in numbers]


def row_groups(
    files: Sequence[tuple[Any, Any, int]], wanted: list[range], names: list[str]
) -> Iterator[tuple[Any, Any, int, int]]:
    """Yield the batches of the row groups that rows lie in; no other file is opened.

    Parameters
    ----------
    files : sequence of (file, anything, number of rows)
    wanted : list of ascending ranges of rows
    names : list of columns

    Yields
    ------
    batch, what came with its file, number of its first row, and the same within its file
    """
    first, runs = 0, list(wanted)
    for file, tag, n_rows in files:
        start = first
        if runs and runs[0].start < first + n_rows:
            with open_parquet(file) as parquet:
                for group in range(parquet.num_row_groups):
                    stop = start + parquet.metadata.row_group(group).num_rows
                    while runs and runs[0].stop <= start:
                        runs.pop(0)
                    own = [run for run in runs if run.start < stop]
                    if own:
                        for part, row in _within(parquet, file, names, group, start, own):
                            yield part, tag, row, row - first
                    start = stop
        first += n_rows


def _within(
    parquet: Any, file: Any, names: list[str], group: int, row: int, runs: list[range]
) -> Iterator[tuple[Any, int]]:
    """Yield what the batches of a row group have from the first wanted row to the last.

    `row` is the number of its first row; with each part comes that of its own.
    """
    for part in read_batches(parquet, file, GROUP_ROWS, names, [group]):
        low, high = max(row, runs[0].start), min(row + part.num_rows, runs[-1].stop)
        if low < high:
            yield part.slice(low - row, high - low), low
        row += part.num_rows
        if row >= runs[-1].stop:
            return


def joined_runs(pieces: Iterator[Block], wanted: list[range]) -> Iterator[Block]:
    """Yield the blocks of the wanted rows, put together from pieces that hold them in order."""
    held: list[Block] = []
    runs = list(wanted)
    for piece in pieces:
        held.append(piece)
        while runs and runs[0].stop <= piece.start + len(piece):
            whole = _join([part for part in held if part.start + len(part) > runs[0].start])
            run = runs.pop(0)
            yield _cut(whole, run.start - whole.start, run.stop - whole.start)
        if not runs:
            return
        held = [part for part in held if part.start + len(part) > runs[0].start]


def recut(batches: Iterator[Block], max_rows: int) -> Iterator[Block]:
    """Yield the rows of consecutive blocks, `max_rows` at a time and the rest last."""
    held: list[Block] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) >= max_rows:
            whole = _join(held)
            yield _cut(whole, 0, max_rows)
            held = [_cut(whole, max_rows, len(whole))] if len(whole) > max_rows else []
    if held:
        yield _join(held)


def column_names(files: Sequence[Any]) -> list[str]:
    """Return the columns of the first of the files that has rows."""
    for file in files:
        with open_parquet(file) as parquet:
            names = list(parquet.schema_arrow.names)
            if parquet.metadata.num_rows:
                break
    return names


def stored_bytes(files: Sequence[Any], names: Sequence[str], apart: int = 0) -> int:
    """Return the bytes that the named columns take in the files, from the footers alone.

    Where blocks of `apart` rows are read each by itself, a block unpacks the row groups that it
    lies in from their beginnings.
    """
    wanted, total, start = set(names), 0, 0
    for file in files:
        with open_parquet(file) as parquet:
            for group in range(parquet.metadata.num_row_groups):
                row_group = parquet.metadata.row_group(group)
                columns = map(row_group.column, range(row_group.num_columns))
                stored = sum(
                    column.total_compressed_size
                    for column in columns
                    if column.path_in_schema.partition(".")[0] in wanted
                )
                total += round(stored * _times_unpacked(start, row_group.num_rows, apart))
                start += row_group.num_rows
    return total


def _times_unpacked(start: int, n_rows: int, apart: int) -> float:
    """Return how many times over a row group is unpacked for the blocks that it has rows of."""
    if not apart or not n_rows:
        return 1.0
    last = start + n_rows
    ends = np.minimum(np.arange(start // apart + 1, -(-last // apart) + 1) * apart, last) - start
    return float(np.minimum(-(-ends // GROUP_ROWS) * GROUP_ROWS, n_rows).sum() / n_rows)


def open_parquet(file: Any) -> Any:
    """Open a Parquet file (Path, RemotePath or ParquetView), or raise an error that names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if isinstance(file, ParquetView):
        return file.of(open_parquet(file.file))
    try:
        return pq.ParquetFile(file if isinstance(file, Path) else file.open())
    except FileNotFoundError as error:
        raise InvalidInputError(
            f"{file} is not there; the workers of a cluster must see the same files, in a folder "
            "that all share or in a store"
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"{file} cannot be read as Parquet ({_first_line(error)}); write it again"
        ) from error


def read_batches(
    parquet: Any, file: Any, max_rows: int, names: list[str], groups: list[int] | None = None
) -> Iterator[Any]:
    """Yield the named columns of an open file as record batches, or raise where it is damaged."""
    import pyarrow as pa

    found = 0
    try:
        for part in parquet.iter_batches(
            batch_size=max_rows, row_groups=groups, columns=names, use_threads=False
        ):
            if part.num_rows:
                found += part.num_rows
                yield part
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, _first_line(error)) from error
    if groups is None and found != parquet.metadata.num_rows:
        raise _damaged(file, f"it says {parquet.metadata.num_rows} rows and has {found}")


def _damaged(file: Any, why: str) -> InvalidInputError:
    return InvalidInputError(f"{file} is damaged ({why}); write it again or leave it out")


def labels_of(files: Sequence[Any]) -> tuple[str, ...]:
    """Return what messages call each file: its path within the folder that holds all of them."""
    names = [str(file) for file in files]
    folder = os.path.commonpath([os.path.dirname(name) for name in names])  # noqa: PTH120 - a URL
    return tuple(os.path.relpath(name, folder) for name in names)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    return Block(
        X=stack_rows([block.X for block in blocks]),
        y=_concatenated([block.y for block in blocks]),
        weight=_concatenated([block.weight for block in blocks]),
        start=first.start,
        ids=np.concatenate([block.ids for block in blocks]),
    )


def _concatenated(parts: list[Any]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate(parts)


def _cut(block: Block, start: int, stop: int) -> Block:
    return Block(
        X=slice_rows(block.X, start, stop),
        y=None if block.y is None else block.y[start:stop],
        weight=None if block.weight is None else block.weight[start:stop],
        start=block.start + start,
        ids=block.ids[start:stop],
    )
