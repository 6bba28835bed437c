"""`rows`: the public way from a path to a source, for Parquet, CSV and NumPy files."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.base import RowSource
from scalekern.rows.containers import is_frame, to_arrow
from scalekern.rows.memory import missing_columns
from scalekern.rows.parquet import ParquetSource, open_parquet
from scalekern.rows.tables import Columns, TableSource

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
) -> RowSource:
    """Make a source of rows, for `fit`, `predict` and `compare`.

    Parameters
    ----------
    data : path, glob or frame
        A Parquet file, a folder or a glob of them (in the order of their names), a CSV file, a
        NumPy file, or a pandas, polars or Arrow frame. Parquet is read as needed and may be larger
        than memory; the others are held in memory. The columns of a `.npy` file, and of a CSV file
        whose first line is numbers, are called "0", "1", and so on. An `.npz` file has a matrix
        `X` and one array for each other column.
    target : str or list of str, optional
        The column or columns to predict.
    features : list of str, optional
        The columns to predict from; all that are not target, weight, key or dropped by default.
    drop : list of str, default=()
        Columns to leave out of the features.
    weight : str, optional
        A column of sample weights, at least 0.
    key : str, optional
        A column that identifies each row; by default its number.
    dtype : {"float32", "float64"}, optional
        What the features become. float32 where all of them are float32, else float64.

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
    targets = () if target is None else (target,) if isinstance(target, str) else tuple(target)
    if is_frame(data):
        table = to_arrow(data)
        where = "the frame"
        parts = _columns(table.column_names, targets, features, drop, weight, key, where)
        return TableSource(table, parts, dtype, name=where)
    files = find_files(data)
    name = str(data)
    if files[0].suffix == ".parquet":
        with open_parquet(files[0]) as parquet:
            there = parquet.schema_arrow.names
        parts = _columns(there, targets, features, drop, weight, key, files[0].name)
        return ParquetSource(files, parts, dtype, name=name)
    if len(files) > 1:
        raise InvalidInputError(f"{name} matches {len(files)} files; only Parquet can be many")
    table = read_table(files[0])
    parts = _columns(table.column_names, targets, features, drop, weight, key, files[0].name)
    return TableSource(table, parts, dtype, name=files[0].name)


def read_table(file: Path) -> Any:
    """Return a CSV or NumPy file as an Arrow table."""
    return _read_csv(file) if ".csv" in file.name else _read_numpy(file)


def find_files(data: Any) -> list[Path]:
    """Return the files behind a path, folder or glob, sorted by name, or raise."""
    if not isinstance(data, (str, os.PathLike)):
        raise InvalidInputError(
            f"cannot read rows from {type(data).__name__}; give a path, a glob or a frame"
        )
    path = Path(data)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.parquet") if not _hidden(file, path))
        if not files:
            raise InvalidInputError(f"the folder {path} has no .parquet files")
        return files
    files = [path] if path.is_file() else sorted(Path(name) for name in glob.glob(str(path)))
    if not files:
        raise InvalidInputError(f"{path} does not exist; give a file, a folder or a glob")
    for file in files:
        if not file.name.endswith(KINDS):
            raise InvalidInputError(
                f"{file} is of no known kind; the endings are {', '.join(KINDS)}"
            )
    return files


def _hidden(file: Path, folder: Path) -> bool:
    return any(part[0] in "._" for part in file.relative_to(folder).parts)


def _columns(
    there: Sequence[str],
    targets: tuple[str, ...],
    features: Sequence[str] | None,
    drop: Sequence[str],
    weight: str | None,
    key: str | None,
    where: str,
) -> Columns:
    targets = tuple(_negative(name, there) for name in targets)
    asked = [*targets, *(features or ()), *drop, *(n for n in (weight, key) if n is not None)]
    missing = [name for name in asked if name not in there]
    if missing:
        raise missing_columns(where, missing, there)
    taken = {*targets, *drop, weight, key}
    chosen = [name for name in there if name not in taken] if features is None else list(features)
    both = [name for name in chosen if name in targets]
    if both:
        raise InvalidInputError(f"column {both[0]!r} is both target and feature; choose one")
    if not chosen:
        raise InvalidInputError(f"{where} has no column left for the features")
    return Columns(tuple(chosen), targets, weight, key)


def _negative(name: str, there: Sequence[str]) -> str:
    # "-1" is the last column where columns have numbers for names.
    if name not in there and there and there[0] == "0" and name.lstrip("-").isdigit():
        number = int(name)
        return there[number] if -len(there) <= number < 0 else name
    return name


def _read_csv(file: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            head = csv.open_csv(stream).schema.names
        headless = all(_is_number(name) for name in head)
        names = [str(j) for j in range(len(head))] if headless else None
        return csv.read_csv(file, read_options=csv.ReadOptions(column_names=names))
    except (pa.ArrowException, OSError) as error:
        first = str(error).strip().split("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as CSV ({first})") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_numpy(file: Path) -> Any:
    import pyarrow as pa

    try:
        loaded = np.load(file, mmap_mode="r" if file.suffix == ".npy" else None)
        arrays = {"X": loaded} if file.suffix == ".npy" else dict(loaded)
    except (ValueError, OSError) as error:
        raise InvalidInputError(
            f"{file} cannot be read as a NumPy file of plain numbers ({error})"
        ) from error
    X = arrays.pop("X", None)
    if X is None or X.ndim != 2:
        shape = "no array 'X'" if X is None else f"an X of shape {X.shape}"
        raise InvalidInputError(f"{file} has {shape}; it needs a matrix of shape (rows, columns)")
    columns = {str(j): pa.array(np.ascontiguousarray(X[:, j])) for j in range(X.shape[1])}
    for name, values in arrays.items():
        if values.shape != (len(X),):
            raise InvalidInputError(
                f"array {name!r} of {file} has shape {values.shape}; it needs ({len(X)},)"
            )
        columns[name] = pa.array(values)
    return pa.table(columns)
