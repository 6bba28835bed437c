"""Partial results on disk, so that a fit that was killed goes on from there to the same model.

Passes are numbered as they begin. Of a sum its tree of merges is kept; with that and the number of
blocks in it, the rest is added as if nothing had happened. Of a walk over batches its state is kept
with their number. What comes between passes is computed again, from results that are the same.
Engines ask `current_checkpoint`; estimators open one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.engine.merging import MergeTree
from scalekern.engine.statistic import under
from scalekern.errors import InvalidInputError, UnsupportedError

EVERY_BLOCKS = 64
EVERY_BATCHES = 1_024
Arrays = dict[str, np.ndarray]
IDENTITY = "checkpoint.json"


class Checkpoint:
    """The passes of one fit, numbered in order, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._passes = folder, 0

    def next_pass(self) -> PassFile:
        """Return the file of the pass that begins."""
        self._passes += 1
        return PassFile(self._folder / f"pass-{self._passes}.npz")


class PassFile:
    """What is kept of one pass: a checksum, then arrays without pickles."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Arrays | None:
        """Return what was saved; None where nothing was."""
        if not self._path.exists():
            return None
        data = self._path.read_bytes()
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            raise InvalidInputError(f"{self._path} is altered; remove the folder and fit again")
        with np.load(io.BytesIO(data[32:]), allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}

    def save(self, arrays: Arrays) -> None:
        """Write arrays, all or none of them."""
        if any(np.asarray(value).dtype.kind == "O" for value in arrays.values()):
            raise UnsupportedError("a checkpoint holds numbers, but rows or keys here are objects")
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        data = stream.getvalue()
        write_whole(self._path, hashlib.sha256(data).digest() + data)

    def fill(self, tree: MergeTree[Any], make: Callable[[], Any]) -> int:
        """Put what was saved into an empty tree, and return how many blocks that is of."""
        arrays = self.load()
        if arrays is None:
            return 0
        levels: list[tuple[int, Any] | None] = []
        for level, count in enumerate(arrays["counts"].tolist()):
            part = make() if count else None
            if part is not None:
                part.restore(under(f"{level}/", arrays))
            levels.append((count, part) if count else None)
        tree.levels = levels
        return int(arrays["blocks"])

    def save_tree(self, tree: MergeTree[Any], blocks: int) -> None:
        """Write the tree of so many blocks."""
        counts = [0 if held is None else held[0] for held in tree.levels]
        arrays: Arrays = {"blocks": np.array(blocks), "counts": np.array(counts)}
        for level, held in enumerate(tree.levels):
            for name, value in {} if held is None else held[1].arrays().items():
                arrays[f"{level}/{name}"] = np.asarray(value)
        self.save(arrays)


_current: ContextVar[Checkpoint | None] = ContextVar("scalekern_checkpoint", default=None)


def current_checkpoint() -> Checkpoint | None:
    """Return the checkpoint of the fit that runs."""
    return _current.get()


def remembered(compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what `compute` gives, which a fit that goes on takes from its checkpoint."""
    checkpoint = current_checkpoint()
    if checkpoint is None:
        return compute()
    file = checkpoint.next_pass()
    arrays = file.load()
    if arrays is None:
        arrays = {"result": compute()}
        file.save(arrays)
    return arrays["result"]


@contextmanager
def checkpointed(
    folder: str | os.PathLike[str] | None, identity: Callable[[], dict[str, Any]]
) -> Iterator[None]:
    """Save what passes inside the block come to; the folder is removed when it ends well.

    Parameters
    ----------
    folder : path or None
        Nothing is saved without one.
    identity : callable
        Returns what tells the fit from others, as JSON: its "parameters" and its "rows".

    Raises
    ------
    InvalidInputError
        If the folder is that of a fit of other rows or parameters, or is something else.
    """
    if folder is None:
        yield
        return
    path = Path(folder)
    _claim(path, identity())
    token = _current.set(Checkpoint(path))
    try:
        yield
    finally:
        _current.reset(token)
    shutil.rmtree(path)


def _claim(path: Path, identity: dict[str, Any]) -> None:
    record = path / IDENTITY
    if not record.exists():
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InvalidInputError(f"{path} is there and is no checkpoint; give a new folder")
        path.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(identity).encode())
        return
    try:
        found = dict(json.loads(record.read_bytes()))
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(
            f"{record} is not whole ({error}); remove the folder and fit again"
        ) from error
    other = [name for name, value in identity.items() if found.get(name) != value]
    if other:
        raise InvalidInputError(
            f"the checkpoint {path} is of a fit with other {' and '.join(other)}; repeat that fit, "
            "or remove the folder"
        )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, then rename it."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
