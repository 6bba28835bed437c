"""Columns that only the paths of files tell: "month=1/flights-0.parquet" has a column month.

Apart from the sources that read Parquet, which see such a column as any other (`ParquetView`). It
is one only where it is asked for by name: a model of all columns of a folder must not depend on how
the folder is cut.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from scalekern.errors import InvalidInputError
from scalekern.rows.parquet_files import column_names
from scalekern.rows.view import ParquetView

NULL = "__HIVE_DEFAULT_PARTITION__"
"""What stands in paths for a missing value."""
_FOLDER = re.compile(r"([^=/]+)=([^/]*)")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def with_partitions(files: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return the files with those of the named columns that they lack and their paths tell.

    Values are whole numbers where all of them are, else texts, as in `pyarrow.dataset` with
    ``partitioning="hive"``.

    Parameters
    ----------
    files : sequence of Path, RemotePath or ParquetView
        Of Parquet.
    names : sequence of str

    Raises
    ------
    InvalidInputError
        If some paths tell a column and others do not.
    """
    told = [told_by(file) for file in files]
    wanted = [name for name in names if any(name in of_file for of_file in told)]
    there = _columns_of_first(files) if wanted else set()
    columns = {
        name: _typed(name, [of_file.get(name) for of_file in told], files)
        for name in wanted
        if name not in there
    }
    if not columns:
        return list(files)
    views = [file if isinstance(file, ParquetView) else ParquetView(file) for file in files]
    return [
        replace(view, values=tuple((name, values[i]) for name, values in columns.items()))
        for i, view in enumerate(views)
    ]


def told_by(file: Any) -> dict[str, str]:
    """Return the columns that the path of a file tells, and their texts.

    Examples
    --------
    >>> told_by("flights/year=2001/month=1/part-0.parquet")
    {'year': '2001', 'month': '1'}
    """
    path = file.file if isinstance(file, ParquetView) else file
    path = path.absolute() if isinstance(path, Path) else path
    folders = str(path).replace("\\", "/").split("/")[:-1]
    found = (_FOLDER.fullmatch(folder) for folder in folders)
    return {match[1]: unquote(match[2]) for match in found if match}


def _columns_of_first(files: Sequence[Any]) -> set[str]:
    """Return the columns of the first file that can be read; others say so with their rows."""
    for file in files[:-1]:
        with suppress(InvalidInputError):
            return set(column_names([file]))
    return set(column_names(files[-1:]))


def _typed(name: str, texts: list[str | None], files: Sequence[Any]) -> list[Any]:
    if None in texts:
        raise InvalidInputError(
            f"column {name!r} is told by the paths of some files ({name}=...), but not by that of "
            f"{files[texts.index(None)]}; give the folder above, or leave the column out"
        )
    values = [None if text == NULL else text for text in texts]
    if all(value is None or _WHOLE.fullmatch(value) for value in values):
        return [None if value is None else int(value) for value in values]
    return values
