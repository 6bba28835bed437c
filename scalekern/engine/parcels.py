"""What many tasks share, so that it reaches each host once: small pickles that refer to files.

Large arrays are left out of the pickle and lie in files, known by their content. An array that is
mapped from a file already, as those of a loaded model, stays there; others go to a temporary folder
of this process. Workers map the same files; a host that cannot read them is sent a copy, once. So
nothing large is in a graph, and the processes of a host share the pages of one copy.
"""

from __future__ import annotations

import atexit
import getpass
import hashlib
import io
import mmap
import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from scalekern.errors import ClusterError

LEAST_BYTES = 1 << 20
"""Smaller arrays are pickled."""


@dataclass(frozen=True)
class Part:
    """An array in a file.

    Attributes
    ----------
    digest : str
        Of its bytes.
    home : str
        The temporary folder that a copy goes to, below that of each host.
    file : str
        Where the sender has it.
    offset : int
        Of its first byte in that file; copies have nothing else in them.
    dtype : str
    shape : tuple of int
    """

    digest: str
    home: str
    file: str
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of the array."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    @property
    def copy(self) -> Path:
        """Where a host that was sent the array has it."""
        return folder_of(self.home) / self.digest

    def found(self) -> tuple[Path, int] | None:
        """Return the file on this host and the offset in it; None where there is none."""
        for path, offset in ((self.copy, 0), (Path(self.file or os.devnull), self.offset)):
            try:
                if path.stat().st_size >= offset + self.nbytes:
                    return path, offset
            except OSError:
                continue
        return None

    def mapped(self) -> np.ndarray:
        """Return the array, read-only.

        Raises
        ------
        ClusterError
            If this host has no copy of it.
        """
        place = self.found()
        if place is None:
            raise ClusterError(
                f"this host cannot read {self.file}, a part of the model, and was not sent it, as "
                "it joined later; repeat the call, or load the model from a folder that all see"
            )
        path, offset = place
        return np.memmap(path, np.dtype(self.dtype), "r", offset, self.shape)


class Parcel:
    """A value as what is sent of it.

    Parameters
    ----------
    value : object
        `value` is it here, and made again of the files where the parcel arrives.

    Attributes
    ----------
    parts : tuple of Part
    """

    def __init__(self, value: Any) -> None:
        self._value, self._opened = value, True
        self._data: bytes | None = None
        self.parts: tuple[Part, ...] = ()

    def packed(self) -> Parcel:
        """Put large arrays into files, and return the parcel."""
        if self._data is None:
            self._data, self.parts = _packed(self._value)
        return self

    @property
    def value(self) -> Any:
        """The value."""
        if not self._opened:
            import pickle

            assert self._data is not None
            self._value, self._opened = pickle.loads(self._data), True  # noqa: S301
        return self._value

    @property
    def digest(self) -> str:
        """What the content is known by."""
        self.packed()
        return hashlib.blake2b(self._data or b"", digest_size=16).hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        self.packed()
        return {"_value": None, "_opened": False, "_data": self._data, "parts": self.parts}


def deliver(client: Any, parcel: Parcel) -> None:
    """Send what the hosts of a client's workers cannot read, to one worker of each.

    Parameters
    ----------
    client : distributed.Client
    parcel : Parcel
    """
    if not parcel.packed().parts:
        return
    for address in one_of_each_host(client):
        lacking = client.run(missing, parcel.parts, workers=[address])[address]
        for part in lacking:
            client.run(write_copy, part, _bytes(part), workers=[address])


def one_of_each_host(client: Any) -> list[str]:
    """Return the address of one worker of each host of a client's cluster."""
    hosts: dict[str, str] = {}
    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items():
        hosts.setdefault(str(worker.get("host") or address), address)
    return list(hosts.values())


def missing(parts: tuple[Part, ...]) -> list[Part]:
    """Return the parts that this host does not have with the same content."""
    return [part for part in parts if not _is_here(part)]


def _is_here(part: Part) -> bool:
    place = part.found()
    # A copy was written whole; another file of the same name may be of something else.
    return place is not None and (place[0] == part.copy or _digest(part.mapped()) == part.digest)


def write_copy(part: Part, data: bytes | memoryview) -> None:
    """Write a part to the temporary folder of this host, whole or not at all."""
    path = part.copy
    temporary = path.with_name(f"{path.name}-{secrets.token_hex(4)}")
    temporary.write_bytes(data)
    temporary.replace(path)


@cache
def folder_of(home: str) -> Path:
    """Return a private folder for temporary files, which is removed when this process ends."""
    base = Path(tempfile.gettempdir()) / f"scalekern-{getpass.getuser()}"
    base.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and base.stat().st_uid != os.getuid():
        raise ClusterError(f"{base} belongs to another user; remove it, or set TMPDIR")
    path = base / home
    if not path.exists():
        path.mkdir(mode=0o700, exist_ok=True)
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def _home(pid: int) -> str:
    return f"{pid}-{secrets.token_hex(4)}"


def _packed(value: Any) -> tuple[bytes, tuple[Part, ...]]:
    stream, parts = io.BytesIO(), {}

    def put(array: np.ndarray) -> Part:
        part = _part_of(array)
        parts[part.digest] = part
        return part

    _pickler(stream, put).dump(value)
    return stream.getvalue(), tuple(parts.values())


def _pickler(stream: Any, put: Any) -> Any:
    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        """Leaves large arrays out."""

        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, np.ndarray) and _is_large(obj):
                return Part.mapped, (put(obj),)
            return super().reducer_override(obj)

    return Pickler(stream, protocol=5)


def _is_large(array: np.ndarray) -> bool:
    plain = array.dtype.kind in "biufSU" and type(array) in (np.ndarray, np.memmap)
    return plain and array.nbytes >= LEAST_BYTES


def _part_of(array: np.ndarray) -> Part:
    home, kind = _home(os.getpid()), (array.dtype.str, array.shape)
    if _is_whole_map(array):
        file, offset = Path(str(array.filename)).absolute(), int(array.offset)
        digest = _digest_of_file(str(file), offset, *kind, file.stat().st_mtime_ns)
        return Part(digest, home, str(file), offset, *kind)
    part = Part(_digest(array), home, "", 0, *kind)
    if not part.copy.exists():
        write_copy(part, np.ascontiguousarray(array).data)
    return part


def _is_whole_map(array: np.ndarray) -> TypeGuard[np.memmap]:
    """Return whether the array is a map of a file; of parts of maps the place is not known."""
    if not (isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap)):
        return False
    return array.filename is not None and array.flags.c_contiguous


@lru_cache(1_024)
def _digest_of_file(
    file: str, offset: int, dtype: str, shape: tuple[int, ...], changed: int
) -> str:
    del changed
    return _digest(np.memmap(file, np.dtype(dtype), "r", offset, shape))


def _digest(array: np.ndarray) -> str:
    data = np.ascontiguousarray(array)
    digest = hashlib.blake2b(f"{data.dtype.str}{data.shape}".encode(), digest_size=16)
    digest.update(data.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _bytes(part: Part) -> bytes:
    return part.mapped().tobytes()
