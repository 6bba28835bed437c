"""Rows of Parquet files, read a batch at a time and cut into the same blocks as rows in memory.

Blocks do not depend on how rows are spread over files and row groups, so a fit from files adds up
the same sums as a fit from an array.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource, empty_error, slice_rows, stack_rows
from scalekern.rows.tables import Columns, Place, check_schema, to_block


class ParquetSource(RowSource):
    """Rows of one or more Parquet files with the same columns, in the order of `files`.

    Parameters
    ----------
    files : sequence of Path
    columns : Columns
    dtype : numpy dtype, optional
        float32 where every feature is float32 in every file, else float64.
    """

    in_memory = False

    def __init__(
        self, files: Sequence[Path], columns: Columns, dtype: Any = None, *, name: str
    ) -> None:
        self._files, self._columns, self.name = list(files), columns, name
        self._lengths = []
        found = []
        for file in self._files:
            with open_parquet(file) as parquet:
                self._lengths.append(parquet.metadata.num_rows)
                found.append(check_schema(parquet.schema_arrow, columns, file.name))
        self.dtype = np.result_type(*found) if dtype is None else np.dtype(dtype)
        self.n_rows = sum(self._lengths)
        if not self.n_rows:
            raise empty_error(name)
        self.n_features = len(columns.features)
        self.feature_names = columns.features
        self.n_outputs = len(columns.targets)
        self.target_is_vector = self.n_outputs == 1
        self.has_weight = columns.weight is not None

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the rows in order, `max_rows` at a time across the borders of files."""
        held: list[Block] = []
        for batch in self._batches(max_rows):
            held.append(batch)
            while sum(map(len, held)) >= max_rows:
                whole = _join(held)
                yield _cut(whole, 0, max_rows)
                held = [_cut(whole, max_rows, len(whole))] if len(whole) > max_rows else []
        if held:
            yield _join(held)

    def _batches(self, max_rows: int) -> Iterator[Block]:
        start = 0
        for file in self._files:
            first = start
            with open_parquet(file) as parquet:
                for part in _read(parquet, file, max_rows, self._columns.all()):
                    place = Place(file.name, start - first)
                    yield to_block(part, self._columns, self.dtype, start, place)
                    start += part.num_rows

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        columns = replace(self._columns, features=tuple(names))
        return ParquetSource(self._files, columns, name=self.name)


def open_parquet(file: Path) -> Any:
    """Open a Parquet file, or raise an error that names it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"{file} cannot be read as Parquet ({_first_line(error)}); write it again"
        ) from error


def _read(parquet: Any, file: Path, max_rows: int, names: list[str]) -> Iterator[Any]:
    import pyarrow as pa

    try:
        for part in parquet.iter_batches(batch_size=max_rows, columns=names, use_threads=False):
            if part.num_rows:
                yield part
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(
            f"{file} is damaged ({_first_line(error)}); write it again or leave it out"
        ) from error


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
