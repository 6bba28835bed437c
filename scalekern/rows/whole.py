"""Files that are read whole into an Arrow table: CSV, `.npy` and `.npz`.

They stand apart from `rows` because only Parquet is read as needed.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.paths import RemotePath, local_file
from scalekern.rows.tables import is_number

_BROKEN = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def read_table(file: Path | RemotePath, *, missing_text: bool = False) -> Any:
    """Return a CSV or NumPy file as an Arrow table.

    With `missing_text`, the empty fields of text columns are missing, as those of numbers are.
    """
    with local_file(file) as here:
        if here.suffix in (".npy", ".npz"):
            return _read_numpy(here)
        return _read_csv(here, missing_text=missing_text)


def _read_csv(file: Path, *, missing_text: bool) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    try:
        with pa.input_stream(str(file), compression="detect") as stream:
            head = csv.open_csv(stream).schema.names
        if len(head) == 1 and any(mark in head[0] for mark in ";\t|"):
            raise InvalidInputError(
                f"{file} has one column, {head[0]!r}; columns must be separated by commas"
            )
        names = [str(j) for j in range(len(head))] if _is_headless(head) else None
        return csv.read_csv(
            file,
            read_options=csv.ReadOptions(column_names=names),
            convert_options=csv.ConvertOptions(strings_can_be_null=missing_text),
        )
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if not file.stat().st_size:
            raise InvalidInputError(
                f"{file} is empty; give a file with a line of column names and rows below"
            ) from error
        first = str(error).strip().split("\n")[0]
        raise InvalidInputError(f"{file} cannot be read as CSV ({first})") from error


def _is_headless(head: list[str]) -> bool:
    return any(head) and all(is_number(name) for name in head if name)


def _read_numpy(file: Path) -> Any:
    import pyarrow as pa

    arrays = _load(file)
    X = arrays.pop("X", None)
    if X is None or X.ndim != 2:
        shape = "no array 'X'" if X is None else f"an X of shape {X.shape}"
        raise InvalidInputError(f"{file} has {shape}; it needs a matrix of shape (rows, columns)")
    columns = {str(j): _column(X[:, j], file, f"column {j}") for j in range(X.shape[1])}
    for name, values in arrays.items():
        if name in columns:
            raise InvalidInputError(f"array {name!r} of {file} has the name of a column of X")
        if values.shape != (len(X),):
            raise InvalidInputError(
                f"array {name!r} of {file} has shape {values.shape}; it needs ({len(X)},)"
            )
        columns[name] = _column(values, file, f"array {name!r}")
    return pa.table(columns)


def _load(file: Path) -> dict[str, np.ndarray]:
    # A stream of our own is closed even where NumPy finds no archive in it.
    try:
        with file.open("rb") as stream:
            zipped = file.suffix == ".npz"
            loaded = np.load(stream) if zipped else np.load(file, mmap_mode="r")
            if isinstance(loaded, np.ndarray):
                return {"X": loaded}
            with loaded:
                return dict(loaded)
    except _BROKEN as error:
        raise InvalidInputError(
            f"{file} cannot be read as a NumPy file of plain numbers ({error})"
        ) from error


def _column(values: np.ndarray, file: Path, name: str) -> Any:
    import pyarrow as pa

    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    try:
        return pa.array(native)
    except pa.ArrowException as error:
        raise InvalidInputError(
            f"{name} of {file} is {values.dtype}, which is not a plain number; "
            "store it as float64, float32, integers or booleans"
        ) from error
