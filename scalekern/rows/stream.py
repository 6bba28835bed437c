"""Columns of any type read along with a pass, to be written beside its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.rows.files import find_files
from scalekern.rows.memory import missing_columns
from scalekern.rows.parquet_files import open_parquet
from scalekern.rows.whole import read_table

BATCH_ROWS = 65_536


class ColumnStream:
    """The named columns of a path, in the order of its rows, as many at a time as asked for.

    Parameters
    ----------
    data : path, folder or glob, as for `rows`
    names : sequence of str

    Attributes
    ----------
    schema : pyarrow.Schema
        Of the columns; one for all files, which may know the types of a column more or less well.
    """

    def __init__(self, data: Any, names: Sequence[str]) -> None:
        import pyarrow as pa

        self._names = list(dict.fromkeys(names))
        self._files = find_files(data)
        schemas = [self._schema(file) for file in self._files]
        try:
            self.schema = pa.unify_schemas(schemas, promote_options="permissive")
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"the columns {self._names} differ between the files of {data} ({error})"
            ) from error
        self._present: set[str] = set()
        self._batches = self._read()
        self._held = pa.Table.from_batches([], self.schema)

    def refuse_missing(self, name: str) -> None:
        """Let `take` raise where a value of a column, which identifies rows, is missing."""
        self._present.add(name)

    def take(self, n_rows: int) -> dict[str, Any]:
        """Return the next `n_rows` values of each column."""
        import pyarrow as pa

        while self._held.num_rows < n_rows:
            self._held = pa.concat_tables([self._held, next(self._batches)])
        taken = self._held.slice(0, n_rows)
        for name in self._present:
            if taken.column(name).null_count:
                raise InvalidInputError(
                    f"column {name!r}, the key, has {taken.column(name).null_count} missing values "
                    "in a block of rows; fill them in, or keep it without saying that it is a key"
                )
        self._held = self._held.slice(n_rows)
        return {name: taken.column(name) for name in self._names}

    def _schema(self, file: Any) -> Any:
        import pyarrow as pa

        if file.suffix == ".parquet":
            with open_parquet(file) as parquet:
                schema = parquet.schema_arrow
        else:
            schema = read_table(file).schema
        missing = [name for name in self._names if name not in schema.names]
        if missing:
            raise missing_columns(file.name, missing, schema.names)
        return pa.schema([schema.field(name).remove_metadata() for name in self._names])

    def _read(self) -> Iterator[Any]:
        import pyarrow as pa

        for file in self._files:
            if file.suffix != ".parquet":
                yield read_table(file).select(self._names).cast(self.schema)
                continue
            with open_parquet(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=self._names):
                    yield pa.Table.from_batches([batch]).select(self._names).cast(self.schema)
