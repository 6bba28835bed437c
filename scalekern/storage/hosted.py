"""Models of stores and of other machines: each host has one copy, known by its content.

The copy lies in a folder of this user under the folder of temporary files (TMPDIR), is named by the
checksum in `model.json`, and is mapped into memory by all processes of the host. So workers do not
fetch a model once each, and a copy is never of an older model.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError, ModelFormatError
from scalekern.paths import Folder, RemotePath, fetch, is_url, open_folder, place_of
from scalekern.storage.document import NAME, no_model, read_document

OURS = re.compile(r"\d+-[\w.-]+\.(npy|json|faiss)")
_CHECKSUM = re.compile(r"[0-9a-f]{64}")


def local_model(path: str | os.PathLike[str]) -> Path:
    """Return the directory of a stored model: itself, or the copy of one of a store.

    Raises
    ------
    ModelFormatError
        If there is no stored model.
    """
    place = place_of(path)
    if isinstance(place, Path):
        return place
    seal = _seal_in(open_folder(place))
    copy = copy_of(seal)
    if copy is None:
        with _new_copy(seal) as work:
            fetch(place, work)
    return copy or _models() / seal


def model_seal(path: str | os.PathLike[str]) -> str:
    """Return the checksum of a stored model, by which its content is known."""
    place = place_of(path)
    if isinstance(place, Path):
        return str(read_document(place)["sha256"])
    return _seal_in(open_folder(place))


def model_files(path: str | os.PathLike[str]) -> dict[str, bytes]:
    """Return the files of a stored model, to send them to another host."""
    folder = local_model(path)
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


def copy_of(seal: str) -> Path | None:
    """Return this host's copy of the model of a checksum; None where it has none."""
    folder = _models() / seal
    if not folder.is_dir():
        return None
    return folder if str(read_document(folder)["sha256"]) == seal else None


def keep_copy(seal: str, files: Mapping[str, bytes]) -> None:
    """Give this host a copy of a model, unless it has one."""
    if copy_of(seal) is not None:
        return
    with _new_copy(seal) as work:
        for name, data in files.items():
            if name != NAME and not OURS.fullmatch(name):
                raise ModelFormatError(f"{name!r} is not a file of a stored model")
            (work / name).write_bytes(data)


@contextmanager
def _new_copy(seal: str) -> Iterator[Path]:
    """Yield a folder to fill, which then becomes the copy; of two at once the first one stays."""
    if not _CHECKSUM.fullmatch(seal):
        raise ModelFormatError(f"{seal!r} is not the checksum of a model; it is altered")
    target = _models() / seal
    work = target.with_name(f".{seal}-{secrets.token_hex(4)}")
    work.mkdir()
    try:
        yield work
        if str(read_document(work)["sha256"]) != seal:
            raise ModelFormatError("the model changed while it was read; repeat the call")
        try:
            work.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _models() -> Path:
    """Return the folder of copies, which must be this user's alone: models are read from it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"scalekern-models-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    mine = not hasattr(os, "getuid") or (found.st_uid == user and not found.st_mode & 0o077)
    if not mine or not stat.S_ISDIR(found.st_mode):
        raise InvalidInputError(
            f"{folder} does not belong to this user alone; remove it, or set TMPDIR to another "
            "folder"
        )
    return folder


def _seal_in(folder: Folder) -> str:
    data = folder.read(NAME)
    if data is None:
        raise no_model(folder, is_there=True)
    try:
        seal = json.loads(data)["sha256"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ModelFormatError(
            f"{folder}/{NAME} is truncated or damaged; save the model again"
        ) from error
    return str(seal)


def check_remote_target(path: Any) -> RemotePath:
    """Return the place, or raise where something else than a stored model is in it."""
    assert is_url(path)
    place = place_of(path)
    assert isinstance(place, RemotePath)
    there = open_folder(place).names()
    others = [name for name in there if name != NAME and not OURS.fullmatch(name)]
    if others:
        raise InvalidInputError(
            f"{place} also holds {others[0]!r}, which is not part of a model; choose another path"
        )
    return place


def upload(model: Path, place: RemotePath) -> None:
    """Write the files of a model into a store, what makes it one of them last."""
    target = open_folder(place)
    before = target.names()
    if NAME in before:
        target.delete(NAME)
    files = sorted(file.name for file in model.iterdir() if file.name != NAME)
    system, path = place.filesystem()
    for name in files:
        system.put_file(str(model / name), f"{path}/{name}")
    for name in set(before) - {*files, NAME}:
        target.delete(name)
    target.write(NAME, (model / NAME).read_bytes())
