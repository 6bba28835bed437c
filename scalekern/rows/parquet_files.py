"""Parquet files as they lie: their columns and sizes, and batches of rows out of them.

Apart from the sources, because predictions of files and streams open them, too. Each error names
the file and says what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.view import ParquetView

GROUP_ROWS = 16_384
"""Rows that are unpacked at a time where only some of a row group are wanted."""


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


def labels_of(files: Sequence[Any]) -> tuple[str, ...]:
    """Return what messages call each file: its path within the folder that holds all of them."""
    names = [str(file) for file in files]
    folder = os.path.commonpath([os.path.dirname(name) for name in names])  # noqa: PTH120 - a URL
    return tuple(os.path.relpath(name, folder) for name in names)


def _damaged(file: Any, why: str) -> InvalidInputError:
    return InvalidInputError(f"{file} is damaged ({why}); write it again or leave it out")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
