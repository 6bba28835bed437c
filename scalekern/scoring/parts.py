"""The parts of a job: what each reads, and what its output is called, whatever else is scored.

A name depends on nothing but the input's own place, so a later run finds what an earlier one made.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.paths import Folder, fingerprint_of
from scalekern.rows.files import find_files
from scalekern.rows.hive import told_by, with_partitions
from scalekern.rows.parquet_files import column_names, open_parquet
from scalekern.rows.view import ParquetView

_HIVE = re.compile(r"[^=/]+=[^/]*")


@dataclass(frozen=True)
class Part:
    """One part of a job.

    Attributes
    ----------
    name : str
        Of its output in the output folder, such as "month=1/flights-0.parquet".
    view : ParquetView
        What it reads.
    """

    name: str
    view: ParquetView

    def fingerprint(self) -> str:
        """Return what changes when the input does."""
        found = f"{fingerprint_of(self.view.file)} {self.view.groups}"
        return hashlib.sha256(found.encode()).hexdigest()[:16]


def parts_of(
    data: Any,
    output: Folder,
    *,
    by_row_group: bool,
    names: Sequence[tuple[str, str]],
    types: Sequence[tuple[str, str]],
) -> list[Part]:
    """Return the parts of the files behind a path, folder, glob or URL, in their order.

    Raises
    ------
    InvalidInputError
        If there are none, one is not Parquet, or the output lies among them.
    """
    files = find_files(data)
    for file in files:
        if file.suffix != ".parquet":
            raise InvalidInputError(
                f"{file} is not Parquet, and a folder of predictions is made of Parquet files "
                "only; write one file instead: -o OUT.parquet or -o OUT.csv"
            )
    root = _root(str(data), files)
    _check_apart(output, root, files)
    parts: list[Part] = []
    for file in files:
        view = ParquetView(file, None, tuple(names), tuple(types))
        part = Part(os.path.relpath(str(file), root).replace(os.sep, "/"), view)
        parts += _by_group(part) if by_row_group else [part]
    return parts


def with_columns_of_paths(
    parts: Sequence[Part], features: Sequence[str], kept: Sequence[str]
) -> list[Part]:
    """Return the parts with the features that their paths tell ("month=1") and no file has.

    Raises
    ------
    InvalidInputError
        If such a column is to be kept: the paths of the output tell it already.
    """
    twice = [name for name in kept if name in told_by(parts[0].view)]
    if twice and twice[0] not in column_names([parts[0].view]):
        raise InvalidInputError(
            f"the column {twice[0]!r} comes from the names of the folders, and the output has the "
            "same folders; leave it out of --keep"
        )
    views = with_partitions([part.view for part in parts], features)
    return [replace(part, view=view) for part, view in zip(parts, views, strict=True)]


def _root(data: str, files: Sequence[Any]) -> str:
    """Return the folder above all files that does not depend on which of them there are.

    Partitions ("year=2001") stay in the names, also where the data is one of them.
    """
    if glob.has_magic(data):
        data = data[: re.search(r"[*?\[]", data).start()]  # type: ignore[union-attr]
        data = data.rpartition("/")[0]
    elif len(files) == 1 and _same(data, files[0]):
        data = data.rpartition("/")[0] if "/" in data else ""
    kept = []
    for piece in data.split("/"):
        if _HIVE.fullmatch(piece):
            break
        kept.append(piece)
    return "/".join(kept) or ("/" if data.startswith("/") else ".")


def _same(data: str, file: Any) -> bool:
    return data.rstrip("/").endswith(str(file.name)) and not (
        isinstance(file, Path) and Path(data.removeprefix("file://")).is_dir()
    )


def _check_apart(output: Folder, root: str, files: Sequence[Any]) -> None:
    target = _absolute(output)
    inside = [file for file in files if _absolute(file).startswith(f"{target}/")]
    if inside or target == _absolute(root):
        raise InvalidInputError(
            f"the output folder {output} overlaps with the data ({inside[0] if inside else root}); "
            "choose a folder outside them"
        )


def _absolute(place: Any) -> str:
    text = str(place)
    return text.rstrip("/") if "://" in text else os.path.realpath(text)


def _by_group(part: Part) -> list[Part]:
    with open_parquet(part.view) as parquet:
        count = parquet.num_row_groups
    stem = part.name.removesuffix(".parquet")
    return [
        Part(f"{stem}.group-{group:05d}.parquet", replace(part.view, groups=(group,)))
        for group in range(count)
    ]
