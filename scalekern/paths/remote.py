"""A file behind a URL, with as much of a path's ways as those who read files need.

Keys and endpoints are those of the environment, as each store's own tools take them; nothing of
them is kept here, and a `RemotePath` that goes to another machine is only its URL.
"""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from scalekern.errors import InvalidInputError, MissingExtraError, ScalekernError, missing_extra

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://(.*)", re.DOTALL)
PACKAGES = {"gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "abfss": "adlfs", "az": "adlfs"}


@dataclass(frozen=True)
class RemotePath:
    """A file or folder of a store.

    Attributes
    ----------
    url : str
        With its protocol, as in "s3://bucket/flights/part-0.parquet".
    """

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.url).name

    @property
    def suffix(self) -> str:
        """The ending, with its dot."""
        return PurePosixPath(self.url).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder."""
        return RemotePath(self.url.rpartition("/")[0])

    def filesystem(self) -> tuple[Any, str]:
        """Return the file system of fsspec, and the path in it.

        Raises
        ------
        MissingExtraError, InvalidInputError
            If the package of the store is not installed, or there is no such kind of URL.
        """
        fsspec = _fsspec()
        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise _missing_store(self.url) from error
        except ValueError as error:
            raise InvalidInputError(f"{self.url} cannot be opened: {error}") from error
        return system, path

    def fingerprint(self) -> str:
        """Return what changes when the file does: its size, and the store's tag or time of it."""
        system, path = self.filesystem()
        with reached(self):
            system.invalidate_cache(path.rpartition("/")[0])
            info = system.info(path)
        tags = (info.get(key) for key in ("ETag", "etag", "md5Hash", "LastModified", "created"))
        return f"{info.get('size')}-{next((str(tag) for tag in tags if tag), '')}"

    def open(self) -> Any:
        """Open the file for reading at any place."""
        system, path = self.filesystem()
        with reached(self):
            return system.open(path, "rb")


def _fsspec() -> Any:
    try:
        import fsspec
    except ImportError as error:
        raise missing_extra("fsspec", "s3") from error
    return fsspec


def _missing_store(url: str) -> MissingExtraError:
    protocol = url.partition("://")[0].lower()
    if protocol in ("s3", "s3a"):
        return missing_extra("s3fs", "s3")
    package = PACKAGES.get(protocol, f"of fsspec for {protocol}://")
    return MissingExtraError(
        f"{url} needs the package '{package}', which is not installed; pip install {package}"
    )


def is_url(path: Any) -> bool:
    """Return whether a path is a URL of a store; file:// is a path of this machine.

    Examples
    --------
    >>> is_url("s3://bucket/key"), is_url("C:/data"), is_url("file:///data")
    (True, False, False)
    """
    found = _URL.match(os.fspath(path)) if isinstance(path, (str, os.PathLike)) else None
    return isinstance(path, RemotePath) or (found is not None and found[1].lower() != "file")


def place_of(path: Any) -> Path | RemotePath:
    """Return what a user gives as a path: a URL as a `RemotePath`, others as a `Path`."""
    if isinstance(path, RemotePath):
        return path
    text = os.fspath(path)
    if is_url(text):
        return RemotePath(text.rstrip("/"))
    return Path(text.removeprefix("file://"))


def find_remote(url: str) -> list[RemotePath]:
    """Return the files behind a URL: itself, those that match it as a glob, or those of a folder.

    Of a folder and of folders that a glob matches, the `.parquet` files; hidden ones (whose name,
    or that of a folder on the way, begins with "." or "_") are left out.

    Raises
    ------
    InvalidInputError
        If there is none, or the store says no.
    """
    system, path = RemotePath(url).filesystem()
    files: list[str] = []
    with suppress(FileNotFoundError), reached(url):
        found = sorted(system.glob(path)) if glob.has_magic(path) else [path]
        files = [file for each in found for file in _expanded(system, each)]
    if not files:
        raise InvalidInputError(f"{url} does not exist; give a file, a folder or a glob")
    return [RemotePath(system.unstrip_protocol(file)) for file in files]


def _expanded(system: Any, path: str) -> list[str]:
    if system.isfile(path):
        return [path]
    inside = sorted(system.find(path))
    return [
        file
        for file in inside
        if file.endswith(".parquet")
        and not any(part[:1] in (".", "_") for part in file[len(path) :].split("/"))
    ]


def fingerprint_of(file: Path | RemotePath) -> str:
    """Return what changes when a file does: its size, and the time or tag of its last change."""
    if isinstance(file, RemotePath):
        return file.fingerprint()
    found = file.stat()
    return f"{found.st_size}-{found.st_mtime_ns}"


@contextmanager
def reached(place: Any) -> Iterator[None]:
    """Turn what a store raises into one error of ours, but for a file that is not there."""
    try:
        yield
    except (ScalekernError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:  # each store has exceptions of its own
        text = " ".join(str(error).split()) or type(error).__name__
        raise InvalidInputError(
            f"{place} cannot be reached ({text}); look at its name, and at the keys and the "
            "endpoint in the environment"
        ) from error


@contextmanager
def local_file(file: Path | RemotePath) -> Iterator[Path]:
    """Yield a file of this machine with the content of `file`: itself, or a copy for a while.

    Raises
    ------
    InvalidInputError
        If it cannot be fetched; and what is raised inside about the copy is said of `file`.
    """
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="scalekern-") as folder:
        copy = Path(folder) / file.name
        system, path = file.filesystem()
        with reached(file):
            system.get_file(path, str(copy))
        try:
            yield copy
        except InvalidInputError as error:
            raise InvalidInputError(str(error).replace(str(copy), str(file))) from error
