"""The record of an output: what it was made with, and whether and of what parts it is complete.

It says "complete": false from the first moment in which that is so, and true when the last part is
there: whoever reads the folder looks here first. What is done is read from the footers of the parts
themselves, so a run that was killed at any moment leaves nothing that contradicts another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.paths import Folder
from scalekern.scoring.job import FOOTER, Job, footer
from scalekern.scoring.parts import Part

FORMAT = 1
NAME = "_scalekern/manifest.json"
READERS = 16
Done = tuple[int, int, str]
"""Rows, bytes, and the fingerprint of the input."""
Found = dict[str, Done]


def read_manifest(folder: Folder) -> dict[str, Any] | None:
    """Return the manifest of a folder; None where there is none.

    Raises
    ------
    InvalidInputError
        If it is none of ours.
    """
    data = folder.read(NAME)
    if data is None:
        return None
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"{folder}/{NAME} is incomplete or damaged ({error}); choose another "
            "folder, or remove this one"
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InvalidInputError(
            f"{folder}/{NAME} was written by another version of scalekern; choose another folder"
        )
    return document


def write_manifest(folder: Folder, document: dict[str, Any]) -> None:
    """Replace the manifest, whole or not at all."""
    folder.write(NAME, (json.dumps({"format": FORMAT} | document, indent=1) + "\n").encode())


def finished(job: Job, parts: Sequence[Part], there: Sequence[str]) -> Found:
    """Return the rows and bytes of the parts that are done, of those that are there.

    A part of an input that has changed since is not done; nor is one that is not whole, which
    happens where a file system lost what it had said was written.

    Raises
    ------
    InvalidInputError
        If a part was made with another model or other options, or by something else.
    """
    names = set(there)
    present = [part for part in parts if part.name in names]
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda part: _done(job, part), present)
        return {part.name: done for part, done in zip(present, found, strict=True) if done}


def strangers(parts: Sequence[Part], there: Sequence[str]) -> list[str]:
    """Return what is there and is no part of this job."""
    ours = {part.name for part in parts}
    return [name for name in there if name not in ours and not _internal(name)]


def leftovers(there: Sequence[str]) -> Iterator[str]:
    """Yield the halves of files that a killed process left."""
    for name in there:
        last = name.rpartition("/")[2]
        if last.startswith(".") and last.endswith(".part"):
            yield name


def _internal(name: str) -> bool:
    return any(piece.startswith((".", "_")) for piece in name.split("/"))


def _done(job: Job, part: Part) -> Done | None:
    text, n_rows, size = _footer(job.output, part.name)
    if text is None:
        return None
    try:
        made = dict(json.loads(text))
    except (ValueError, TypeError, RecursionError):
        made = {}
    for key, value, what in (
        ("model", job.model.seal, "another model"),
        ("options", job.options, "other options"),
    ):
        if made.get(key) != value:
            raise InvalidInputError(
                f"{job.output.at(part.name)} was made with {what}; choose another folder, or "
                "remove that file"
            )
    fingerprint = part.fingerprint()
    same = text == footer(job, fingerprint, n_rows)[FOOTER]
    return (n_rows, size, fingerprint) if same else None


def _footer(folder: Folder, name: str) -> tuple[str | None, int, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    place = folder.at(name)
    try:
        with place.open("rb") if isinstance(place, Path) else place.open() as stream:
            found = pq.ParquetFile(stream).metadata
            size = stream.seek(0, 2)
    except (pa.ArrowException, OSError):
        return None, 0, 0
    text = (found.metadata or {}).get(FOOTER.encode())
    if text is None:
        raise InvalidInputError(
            f"{place} already exists and was not made by scalekern predict; choose another folder"
        )
    return text.decode(errors="replace"), found.num_rows, size
