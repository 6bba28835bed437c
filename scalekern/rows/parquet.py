"""Rows of Parquet files, read a batch at a time and cut into the same blocks as rows in memory.

Blocks do not depend on how rows are spread over files and row groups, so a fit from files adds up
the same sums as a fit from an array.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, RowSource, empty_error
from scalekern.rows.cutting import joined_runs, recut, runs_of_rows
from scalekern.rows.parquet_files import (
    labels_of,
    open_parquet,
    read_batches,
    row_groups,
    stored_bytes,
)
from scalekern.rows.tables import Columns, Place, check_schema, to_block


class ParquetRows(RowSource):
    """Rows of one or more Parquet files, in the order of `files`; what a block holds is open.

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
        self._labels = labels_of(self._all)
        self._files: list[tuple[Any, int, int]] = []
        self.n_rows = 0
        schemas = []
        for number, file in enumerate(self._all):
            with open_parquet(file) as parquet:
                n_rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
            if n_rows:  # a file without rows may not know the types of its columns
                schemas.append((self._labels[number], schema))
                self._files.append((file, number, n_rows))
                self.n_rows += n_rows
        if not self.n_rows:
            raise empty_error(name)
        self._take(schemas)
        self.n_outputs, self.target_names = len(columns.targets), columns.targets
        self.target_is_vector = self.n_outputs == 1
        self.has_weight = columns.weight is not None

    @abstractmethod
    def _take(self, schemas: list[tuple[str, Any]]) -> None:
        """Set dtype and features from the schemas of files with rows, or raise."""

    @abstractmethod
    def _block(self, part: Any, start: int, file: int, row: int, *, is_whole: bool) -> Block:
        """Return a batch as a block from row `start` on, which in the file is `row`."""

    def _described(self) -> list[str]:
        n = len(self._all)
        return [*super()._described(), f"{n:,} file{'' if n == 1 else 's'}"]

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
        for part, number, start, row in row_groups(self._files, wanted, self._columns.all()):
            yield self._block(part, start, number, row, is_whole=False)

    def _batches(self, max_rows: int) -> Iterator[Block]:
        start = 0
        for file, number, n_rows in self._files:
            first = start
            with open_parquet(file) as parquet:
                for part in read_batches(parquet, file, max_rows, self._columns.all()):
                    whole = part.num_rows == n_rows
                    yield self._block(part, start, number, start - first, is_whole=whole)
                    start += part.num_rows

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        columns = replace(self._columns, features=tuple(names))
        return type(self)(self._all, columns, self._dtype, name=self.name)


class ParquetSource(ParquetRows):
    """Rows of Parquet files that have the same columns, of numbers or one of text."""

    def _take(self, schemas: list[tuple[str, Any]]) -> None:
        columns = self._columns
        found = [check_schema(schema, columns, label) for label, schema in schemas]
        if len({kind.hasobject for kind in found}) > 1:
            raise InvalidInputError(
                f"column {columns.features[0]!r} of {self.name} is text in some files and numbers "
                "in others; write it as one type"
            )
        shared = np.result_type(*found)
        self.dtype = shared if self._dtype is None or shared.hasobject else np.dtype(self._dtype)
        vectors = not self.dtype.hasobject
        self.n_features = len(columns.features) if vectors else 0
        self.feature_names = columns.features if vectors else None
        self.text_column = None if vectors else columns.features[0]
        if not vectors:
            self.name = f"column {columns.features[0]!r} of {self.name}"

    def _block(self, part: Any, start: int, file: int, row: int, *, is_whole: bool) -> Block:
        place = Place(self._labels[file], row, is_whole)
        return to_block(part, self._columns, self.dtype, start, place)
