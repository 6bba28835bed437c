"""A folder that results are written into, on this machine or in a store, by few and sure steps.

Objects appear whole or not at all; one can be created only if it is not there, which is what locks
are made of. Nothing is renamed in a store.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.paths.remote import RemotePath, place_of, reached
from scalekern.paths.whole import whole_file


@dataclass(frozen=True)
class Folder:
    """A folder and what is in it, by names with "/" between their parts.

    Attributes
    ----------
    place : Path or RemotePath
    """

    place: Path | RemotePath

    def __str__(self) -> str:
        return str(self.place)

    def at(self, name: str) -> Path | RemotePath:
        """Return the place of a name."""
        if isinstance(self.place, Path):
            return self.place / name
        return RemotePath(f"{self.place.url}/{name}")

    def names(self) -> list[str]:
        """Return the names of all files, sorted; none where the folder is not there.

        Raises
        ------
        InvalidInputError
            If it is something else, or cannot be reached.
        """
        if isinstance(self.place, Path):
            if self.place.exists() and not self.place.is_dir():
                raise InvalidInputError(f"{self.place} is a file; give a folder")
            files = (file for file in self.place.rglob("*") if file.is_file())
            return sorted(file.relative_to(self.place).as_posix() for file in files)
        system, path = self.place.filesystem()
        with reached(self):
            system.invalidate_cache()
            found = system.find(path)
        return sorted(file[len(path) :].lstrip("/") for file in found if file != path)

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None where it is not there."""
        place = self.at(name)
        try:
            if isinstance(place, Path):
                return place.read_bytes()
            system, path = place.filesystem()
            with reached(place):
                data: bytes = system.cat_file(path)
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        place = self.at(name)
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(place) as part, part.open("wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            return
        system, path = place.filesystem()
        with reached(place):
            system.pipe_file(path, data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless it is there, and return whether it was not; two cannot both win.

        In a store this is a conditional write, where the store knows it.
        """
        place = self.at(name)
        if isinstance(place, Path):
            place.parent.mkdir(parents=True, exist_ok=True)
            return _create_here(place, data)
        system, path = place.filesystem()
        with reached(place):
            return _create_there(system, path, data)

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        place = self.at(name)
        if isinstance(place, Path):
            place.unlink(missing_ok=True)
            return
        system, path = place.filesystem()
        with reached(place):
            if system.exists(path):
                system.rm_file(path)


def _create_there(system: Any, path: str, data: bytes) -> bool:
    try:
        system.pipe_file(path, data, mode="create")
    except FileExistsError:
        return False
    except (NotImplementedError, TypeError):
        # A store without conditional writes: two that look at the same moment both win.
        if system.exists(path):
            return False
        system.pipe_file(path, data)
    return True


def _create_here(place: Path, data: bytes) -> bool:
    try:
        with place.open("xb") as stream:
            stream.write(data)
    except FileExistsError:
        return False
    return True


def open_folder(path: Any) -> Folder:
    """Return the folder behind a path or URL; nothing is made yet."""
    return Folder(place_of(path))


def fetch(place: RemotePath, target: Path) -> None:
    """Copy the files of a folder of a store into one of this machine; not those of its folders."""
    system, path = place.filesystem()
    with reached(place):
        for file in system.find(path, maxdepth=1):
            system.get_file(file, str(target / file.rpartition("/")[2]))
