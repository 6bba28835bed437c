"""Columns of any type read along with a pass, to be written beside its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scalekern.rows.files import find_files, read_table
from scalekern.rows.memory import missing_columns
from scalekern.rows.parquet import open_parquet

BATCH_ROWS = 65_536


class ColumnStream:
    """The named columns of a path, in the order of its rows, as many at a time as asked for.

    Parameters
    ----------
    data : path, folder or glob, as for `rows`
    names : sequence of str
    """

    def __init__(self, data: Any, names: Sequence[str]) -> None:
        self._names = list(dict.fromkeys(names))
        self._files = find_files(data)
        for file in self._files:
            there = _column_names(file)
            missing = [name for name in self._names if name not in there]
            if missing:
                raise missing_columns(file.name, missing, there)
        self._batches = self._read()
        self._held: Any = None

    def take(self, n_rows: int) -> dict[str, Any]:
        """Return the next `n_rows` values of each column."""
        import pyarrow as pa

        held = self._held
        while held is None or held.num_rows < n_rows:
            batch = next(self._batches)
            held = (
                batch
                if held is None
                else pa.concat_tables([held, batch], promote_options="permissive")
            )
        self._held = held.slice(n_rows)
        taken = held.slice(0, n_rows)
        return {name: taken.column(name) for name in self._names}

    def _read(self) -> Iterator[Any]:
        import pyarrow as pa

        for file in self._files:
            if file.suffix != ".parquet":
                yield read_table(file).select(self._names)
                continue
            with open_parquet(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=self._names):
                    yield pa.Table.from_batches([batch])


def _column_names(file: Any) -> list[str]:
    if file.suffix != ".parquet":
        return list(read_table(file).column_names)
    with open_parquet(file) as parquet:
        return list(parquet.schema_arrow.names)
