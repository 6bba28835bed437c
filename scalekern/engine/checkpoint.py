"""Partial sums on disk, so that a fit that was killed goes on from there to the same model.

What is held of a pass is its tree of merges; with that and the number of blocks in it, the rest is
added as if nothing had happened. Engines ask `current_checkpoint`; estimators open one.
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
from scalekern.engine.plan import chunk_rows
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.rows import RowSource

EVERY_BLOCKS = 64
IDENTITY = "checkpoint.json"


class Checkpoint:
    """The passes of one fit, numbered in order, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._passes = folder, 0

    def next_pass(self) -> PassFile:
        """Return the file of the pass that begins."""
        self._passes += 1
        return PassFile(self._folder / f"pass-{self._passes}.sums")


class PassFile:
    """The tree of one pass: a checksum, then arrays without pickles."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fill(self, tree: MergeTree[Any], make: Callable[[], Any]) -> int:
        """Put what was saved into an empty tree, and return how many blocks that is of."""
        if not self._path.exists():
            return 0
        data = self._path.read_bytes()
        if hashlib.sha256(data[32:]).digest() != data[:32]:
            raise InvalidInputError(f"{self._path} is altered; remove the folder and fit again")
        with np.load(io.BytesIO(data[32:]), allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        levels: list[tuple[int, Any] | None] = []
        for level, count in enumerate(arrays["counts"].tolist()):
            start = f"{level}/"
            own = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
            part = make() if count else None
            if part is not None:
                part.restore(own)
            levels.append((count, part) if count else None)
        tree.levels = levels
        return int(arrays["blocks"])

    def save(self, tree: MergeTree[Any], blocks: int) -> None:
        """Write the tree, whole or not at all."""
        counts = [0 if held is None else held[0] for held in tree.levels]
        arrays: dict[str, Any] = {"blocks": np.array(blocks), "counts": np.array(counts)}
        for level, held in enumerate(tree.levels):
            for name, value in {} if held is None else held[1].arrays().items():
                arrays[f"{level}/{name}"] = np.asarray(value)
        if any(value.dtype.kind == "O" for value in arrays.values()):
            raise UnsupportedError("a checkpoint holds numbers, but rows or keys here are objects")
        stream = io.BytesIO()
        np.savez(stream, **arrays)
        data = stream.getvalue()
        write_whole(self._path, hashlib.sha256(data).digest() + data)


_current: ContextVar[Checkpoint | None] = ContextVar("scalekern_checkpoint", default=None)


def current_checkpoint() -> Checkpoint | None:
    """Return the checkpoint of the fit that runs."""
    return _current.get()


@contextmanager
def checkpointed(
    folder: str | os.PathLike[str] | None, parameters: dict[str, Any], source: RowSource
) -> Iterator[None]:
    """Save the sums of the passes inside the block; the folder is removed when it ends well.

    Raises
    ------
    InvalidInputError
        If the folder is that of a fit of other rows or parameters, or is something else.
    """
    if folder is None:
        yield
        return
    path = Path(folder)
    _claim(path, {"parameters": repr(sorted(parameters.items())), "rows": fingerprint(source)})
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
    found = json.loads(record.read_text(encoding="utf-8"))
    other = [name for name, value in identity.items() if found.get(name) != value]
    if other:
        raise InvalidInputError(
            f"the checkpoint {path} is of a fit with other {' and '.join(other)}; repeat that fit, "
            "or remove the folder"
        )


def fingerprint(source: RowSource) -> str:
    """Return a digest of all rows, targets and weights, from one reading of them."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((source.n_rows, source.n_features, source.feature_names)).encode())
    # In the blocks of the passes: for some preparations the numbers depend on nothing else.
    for block in source.blocks(chunk_rows(source.n_rows, max(1, source.n_features) * 8)):
        X = block.X
        parts = (X.data, X.indices, X.indptr) if hasattr(X, "tocsr") else (X,)
        for part in (*parts, block.y, block.weight):
            if part is not None:
                digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, then rename it."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
