"""The folder of an index that is built on disk: a note of how far it is, and files that grow.

Apart from the building, which needs only to know what is safe: files whose checksums are noted, and
so many rows of arrays that are still written.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from scalekern.engine.checkpoint import write_whole
from scalekern.errors import InvalidInputError, ModelFormatError
from scalekern.storage.arrays import checksum
from scalekern.storage.document import seal

NOTE = "build.json"


class BuildFolder:
    """A folder with a note, which is sealed, of what was built in it.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    note : dict
        As JSON: what the index is of, how many rows are "done", whether it is "finished", and the
        checksums of "files".
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note: dict[str, Any] = {}

    def open(self, mine: dict[str, Any]) -> None:
        """Read the note of an earlier build of what `mine` says, or begin one."""
        is_new = not self.path.exists() or not any(self.path.iterdir())
        self.path.mkdir(parents=True, exist_ok=True)
        if is_new:
            self.note = mine | {"done": 0}
            self.save()
            return
        path = self.path / NOTE
        try:
            self.note = json.loads(path.read_text(encoding="utf-8"))
            whole = self.note["sha256"] == seal(self.note)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            whole = False
        if not whole:
            raise InvalidInputError(
                f"{self.path} is not empty and holds no index, or its {NOTE} was altered; give "
                "a new folder as index_path"
            )
        differs = [name for name, value in mine.items() if self.note.get(name) != value]
        if differs:
            raise InvalidInputError(
                f"{self.path} holds an index of other rows or settings (its {differs[0]} is "
                f"{self.note.get(differs[0])!r}, not {mine[differs[0]]!r}); remove it, or give "
                "another index_path"
            )

    def save(self) -> None:
        """Write the note, whole or not at all."""
        self.note["sha256"] = seal(self.note)
        write_whole(self.path / NOTE, json.dumps(self.note).encode())

    def note_files(self, *names: str) -> None:
        """Note the checksums of files that are whole."""
        sums = {name: checksum(self.path / name) for name in names}
        self.note["files"] = self.note.get("files", {}) | sums
        self.save()

    def unaltered(self, name: str) -> Path:
        """Return the path of a file whose checksum is the one noted."""
        path = self.path / name
        if not path.is_file() or checksum(path) != self.note["files"][name]:
            raise ModelFormatError(f"{path} is altered or truncated; remove {self.path}")
        return path


class Column:
    """A plain array on disk that rows are appended to, with its header written first."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...], first: int) -> None:
        self._dtype, self.rows = dtype, first
        header = io.BytesIO()
        about = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(header, about)
        row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        start = header.tell() + first * row_bytes
        if first and (not path.is_file() or path.stat().st_size < start):
            raise ModelFormatError(f"{path} lacks rows that were written; remove {path.parent}")
        self._file: BinaryIO = path.open("r+b" if first else "w+b")
        self._file.write(header.getvalue())
        self._file.seek(start)

    def append(self, part: NDArray[Any]) -> None:
        """Write the next rows."""
        self._file.write(np.ascontiguousarray(part, dtype=self._dtype).data)
        self.rows += len(part)

    def sync(self) -> None:
        """Return when all rows so far are safe on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
