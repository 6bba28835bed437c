"""A Parquet file seen otherwise: only some row groups of it, columns under other names and types.

Batch scoring maps the columns of each part to those that a model knows; the sources that read
Parquet need not know of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

from scalekern.errors import InvalidInputError


@dataclass(frozen=True)
class ParquetView:
    """What is to be seen of a file.

    Attributes
    ----------
    file : Path or RemotePath
    groups : tuple of int or None
        The row groups; None is all.
    names : tuple of (str, str)
        Columns that are called otherwise: name here, name in the file.
    types : tuple of (str, str)
        Columns that become another type: name here, and the type as Arrow calls it ("float64").
    values : tuple of (str, int or str or None)
        Columns that the file does not have, of one value each; see `rows.hive`.
    """

    file: Any
    groups: tuple[int, ...] | None = None
    names: tuple[tuple[str, str], ...] = ()
    types: tuple[tuple[str, str], ...] = ()
    values: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        if self.groups is None:
            return str(self.file)
        return f"{self.file}#{','.join(map(str, self.groups))}"

    @property
    def name(self) -> str:
        """The name of the file."""
        return str(self.file.name)

    @property
    def suffix(self) -> str:
        """The ending of the file."""
        return str(self.file.suffix)

    def of(self, parquet: Any) -> OpenView:
        """Return the view of the file that was opened.

        Raises
        ------
        InvalidInputError
            If a column to rename is not there, or its new name is that of another column.
        """
        groups = range(parquet.num_row_groups) if self.groups is None else self.groups
        schema, old = parquet.schema_arrow, dict(self.names)
        for new, name in old.items():
            if name not in schema.names:
                continue  # the column may be missing in this part, which is then said of `new`
            if new in schema.names and new not in old.values():
                raise InvalidInputError(
                    f"{self}: column {name!r} cannot be read as {new!r}, which is there too; "
                    "leave one of them out"
                )
        back = {name: new for new, name in old.items()}
        fields = [f.with_name(back.get(f.name, f.name)) for f in schema]
        fields += _fields_of(self.values)
        types = dict(self.types)
        fields = [f.with_type(_type(types[f.name])) if f.name in types else f for f in fields]
        return OpenView(self, parquet, list(groups), _schema(fields), old)


def _fields_of(values: Sequence[tuple[str, Any]]) -> list[Any]:
    import pyarrow as pa

    return [pa.field(n, pa.int64() if isinstance(v, int) else pa.string()) for n, v in values]


def _schema(fields: Sequence[Any]) -> Any:
    import pyarrow as pa

    return pa.schema([field.remove_metadata() for field in fields])


def _type(name: str) -> Any:
    import pyarrow as pa

    try:
        return pa.type_for_alias(name)
    except ValueError as error:
        raise InvalidInputError(
            f"{name!r} is no type of a column; give one such as float64, int64, string, bool, "
            "date32 or timestamp[us]"
        ) from error


@dataclass(frozen=True)
class OpenView:
    """An open Parquet file behind a view, with those methods of `ParquetFile` that are used."""

    view: ParquetView
    parquet: Any
    groups: list[int]
    schema_arrow: Any
    old: dict[str, str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.parquet.close()

    @property
    def _values(self) -> dict[str, Any]:
        return dict(self.view.values)

    @property
    def num_row_groups(self) -> int:
        """How many row groups are seen."""
        return len(self.groups)

    @property
    def metadata(self) -> Any:
        """What the footer says of the groups that are seen."""
        footer, groups = self.parquet.metadata, self.groups
        return SimpleNamespace(
            num_rows=sum(footer.row_group(group).num_rows for group in groups),
            num_row_groups=len(groups),
            row_group=lambda number: footer.row_group(groups[number]),
        )

    def iter_batches(
        self,
        batch_size: int,
        row_groups: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        use_threads: bool = False,
    ) -> Iterator[Any]:
        """Yield the named columns, batch by batch, under their names and types here."""
        names = self.schema_arrow.names if columns is None else list(columns)
        chosen = range(len(self.groups)) if row_groups is None else row_groups
        for batch in self.parquet.iter_batches(
            batch_size=batch_size,
            row_groups=[self.groups[number] for number in chosen],
            columns=[self.old.get(name, name) for name in names if name not in self._values],
            use_threads=use_threads,
        ):
            yield self._seen(batch, names)

    def _seen(self, batch: Any, names: Sequence[str]) -> Any:
        import pyarrow as pa

        arrays = []
        for name in names:
            kind = self.schema_arrow.field(name).type
            if name in self._values:
                array = pa.repeat(pa.scalar(self._values[name]), batch.num_rows)
            else:
                array = batch.column(self.old.get(name, name))
            if array.type != kind:
                try:
                    array = array.cast(kind)
                except pa.ArrowException as error:
                    raise InvalidInputError(
                        f"column {name!r} of {self.view} cannot be read as {kind} "
                        f"({str(error).splitlines()[0]})"
                    ) from error
            arrays.append(array)
        return pa.RecordBatch.from_arrays(arrays, list(names))
