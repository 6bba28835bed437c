"""`rows`: the public way from a path to a source, for Parquet, CSV and NumPy files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.paths import find_remote, is_url, place_of
from scalekern.rows.base import RowSource
from scalekern.rows.containers import is_frame, to_arrow
from scalekern.rows.dask_pieces import is_dask_frame
from scalekern.rows.dask_rows import dask_table
from scalekern.rows.hive import with_partitions
from scalekern.rows.matrix import MatrixSource, is_zarr, open_zarr
from scalekern.rows.memory import missing_columns
from scalekern.rows.parquet import ParquetSource
from scalekern.rows.parquet_files import column_names
from scalekern.rows.raw import RawParquetSource, raw_table
from scalekern.rows.tables import Columns, TableSource
from scalekern.rows.view import ParquetView
from scalekern.rows.whole import read_table

KINDS = (".parquet", ".csv", ".csv.gz", ".npy", ".npz")


def rows(
    data: Any,
    target: str | Sequence[str] | None = None,
    *,
    features: Sequence[str] | None = None,
    drop: Sequence[str] = (),
    weight: str | None = None,
    key: str | None = None,
    dtype: str | None = None,
    raw: bool = False,
) -> RowSource:
    """Make a source of rows, for `fit`, `predict` and `compare`.

    Parameters
    ----------
    data : path, URL, glob or frame
        A Parquet file, a folder or a glob of them (in the order of their names), a CSV file, a
        NumPy file, or a pandas, polars, Arrow or Dask frame. Parquet is read as needed and may be
        larger than memory, and Dask frames too; the others are held in memory. The columns of a
        `.npy` file, and of a CSV file whose first line is numbers, are called "0", "1", and so on,
        or "-1" from the end. An `.npz` file has a matrix `X` and one array for each other column;
        so has a Zarr group, which is read as needed, and a Zarr array is like a `.npy` file. A URL
        is any that fsspec knows: s3:// (``pip install 'scalekern[s3]'``), gs://, abfs://.
    target : str or list of str, optional
        The column or columns to predict.
    features : list of str, optional
        The columns to predict from; all that are not target, weight, key or dropped by default.
        Partitions of a folder of Parquet ("year=2001/part.parquet") are columns where they are
        named: whole numbers, or texts.
        A single column of text gives rows that are texts, for kernels and metrics that take them.
    drop : list of str, default=()
        Columns to leave out of the features.
    weight : str, optional
        A column of sample weights, at least 0.
    key : str, optional
        A column that identifies each row; by default its number.
    dtype : {"float32", "float64"}, optional
        What the features become. float32 where all of them are float32, else float64.
    raw : bool, default=False
        Whether features may be text, categories, dates and missing values, for a `RowPreparer` to
        make into numbers. In CSV files empty fields, and texts such as NA and null, are then
        missing values.

    Returns
    -------
    RowSource

    Raises
    ------
    InvalidInputError
        If nothing is there to read, a column is missing or is not a number. A missing or infinite
        value is found when its row is read, and named by column, file and row.

    Examples
    --------
    >>> import pyarrow as pa, scalekern
    >>> table = pa.table({"size": [1.0, 2.0], "price": [10.0, 19.0]})
    >>> source = scalekern.rows(table, target="price")
    >>> source.n_rows, source.feature_names
    (2, ('size',))
    """
    if dtype not in (None, "float32", "float64"):
        raise InvalidInputError(f"dtype={dtype!r}; use 'float32', 'float64' or None")
    if is_dask_frame(data):
        parts = _columns(list(data.columns), target, features, drop, weight, key, "the frame")
        return dask_table(data, parts, dtype, raw=raw)
    if is_frame(data):
        table = to_arrow(data)
        where = "the frame"
        parts = _columns(table.column_names, target, features, drop, weight, key, where)
        return _of_table(table, parts, dtype, where, raw=raw)
    if is_zarr(data):
        matrices = open_zarr(data)
        names, where = matrices.column_names, matrices.name
        parts = _columns(names, target, features, drop, weight, key, where)
        return MatrixSource(matrices, parts, dtype, missing_ok=raw)
    files = find_files(data)
    name = str(data)
    if len(files) > 1 and any(file.suffix != ".parquet" for file in files):
        raise InvalidInputError(f"{name} matches {len(files)} files; only Parquet can be many")
    if files[0].suffix == ".parquet":
        asked = [n for names in (target, features, weight, key) for n in _listed(names)]
        files = with_partitions(files, asked)
        parts = _columns(column_names(files), target, features, drop, weight, key, name)
        parquet = RawParquetSource if raw else ParquetSource
        return parquet(files, parts, dtype, name=name)
    table = read_table(files[0], missing_text=raw)
    parts = _columns(table.column_names, target, features, drop, weight, key, files[0].name)
    return _of_table(table, parts, dtype, files[0].name, raw=raw)


def _of_table(table: Any, parts: Columns, dtype: Any, name: str, *, raw: bool) -> RowSource:
    if raw:
        return raw_table(table, parts, dtype, name=name)
    return TableSource(table, parts, dtype, name=name)


def find_files(data: Any) -> list[Any]:
    """Return the files behind a path, URL, folder or glob, sorted by name, or raise.

    Each is a `Path`, a `RemotePath`, or the `ParquetView` that was given.
    """
    if isinstance(data, ParquetView):
        return [data]
    if not isinstance(data, (str, os.PathLike)):
        raise InvalidInputError(
            f"cannot read rows from {type(data).__name__}; give a path, a glob or a frame"
        )
    files: list[Any] = find_remote(os.fspath(data)) if is_url(data) else _find_here(data)
    for file in files:
        if not file.name.endswith(KINDS):
            raise InvalidInputError(
                f"{file} is of no known kind; the endings are {', '.join(KINDS)}"
            )
    return files


def _find_here(data: Any) -> list[Path]:
    path = place_of(data)
    assert isinstance(path, Path)
    path = path.absolute()  # workers of a cluster are in other folders
    if path.is_dir():
        return _files_in(path)
    found = [path] if path.is_file() else sorted(Path(name) for name in glob.glob(str(path)))
    if not found:
        raise InvalidInputError(f"{data} does not exist; give a file, a folder or a glob")
    return [file for each in found for file in (_files_in(each) if each.is_dir() else [each])]


def _files_in(folder: Path) -> list[Path]:
    inside = sorted(folder.rglob("*.parquet"))
    files = [file for file in inside if file.is_file() and not _hidden(file, folder)]
    if not files:
        raise InvalidInputError(f"the folder {folder} has no .parquet files")
    return files


def _hidden(file: Path, folder: Path) -> bool:
    return any(part[0] in "._" for part in file.relative_to(folder).parts)


def _columns(
    there: Sequence[str],
    target: Any,
    features: Any,
    drop: Any,
    weight: Any,
    key: Any,
    where: str,
) -> Columns:
    targets, dropped = _named(target, there), _named(drop, there)
    asked, extra = _named(features, there), (*_named(weight, there), *_named(key, there))
    missing = [name for name in (*targets, *asked, *dropped, *extra) if name not in there]
    if missing:
        raise missing_columns(where, missing, there)
    chosen = asked if features is not None else tuple(
        name for name in there if name not in {*targets, *dropped, *extra}
    )  # fmt: skip
    for names, others, roles in (
        (chosen, targets, "feature and target"),
        (chosen, dropped, "feature and dropped"),
        (extra, targets, "target and weight or key"),
    ):
        both = [name for name in names if name in others]
        if both:
            raise InvalidInputError(f"column {both[0]!r} is both {roles}; choose one")
    if not chosen:
        raise InvalidInputError(f"{where} has no column left for the features")
    return Columns(chosen, targets, _one(weight, there), _one(key, there))


def _named(names: Any, there: Sequence[str]) -> tuple[str, ...]:
    """Return one name, several or None as a tuple without repetitions."""
    return tuple(dict.fromkeys(_counted(name, there) for name in _listed(names)))


def _listed(names: Any) -> list[str]:
    if names is None:
        return []
    several = (names,) if isinstance(names, (str, int)) else names
    return [str(name) for name in several]


def _one(name: Any, there: Sequence[str]) -> str | None:
    return None if name is None else _counted(str(name), there)


def _counted(name: str, there: Sequence[str]) -> str:
    # "-1" is the last column where columns have numbers for names.
    if name not in there and there and there[0] == "0" and name.lstrip("-").isdigit():
        numbered = [column for column in there if column.isdigit()]
        number = int(name)
        return numbered[number] if -len(numbered) <= number < 0 else name
    return name
