"""A Gram matrix in a file, written block by block, so that a killed run goes on where it stopped.

Beside the file is a record: what the blocks were computed of, and which of them are done.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scalekern.engine import ThreadEngine
from scalekern.errors import InvalidInputError, missing_extra
from scalekern.kernels import Kernel
from scalekern.rows import ArraySource, Block, RowSource

TILE_ROWS = 512


def write_gram(
    source: RowSource,
    kernel: Kernel,
    dtype: np.dtype,
    out: str | os.PathLike[str],
    block_rows: int,
    n_jobs: int | None,
) -> Any:
    """Write the matrix of `source` to `out`, or what is missing of it, and return it read-only.

    Parameters and errors are those of `scalekern.gram`.
    """
    path, n = Path(out), source.n_rows
    if path.suffix not in (".npy", ".zarr"):
        raise InvalidInputError(f"out={str(path)!r}; its name must end in .npy or .zarr")
    if isinstance(block_rows, bool) or not isinstance(block_rows, int) or block_rows < 1:
        raise InvalidInputError(f"block_rows={block_rows!r}; give a whole number of at least 1")
    engine = ThreadEngine(n_jobs)
    record = _Record(path, _identity(source, kernel, dtype, block_rows))
    record.check()
    if record.new:
        _create(path, n, dtype, block_rows)
        record.save()
    K = _opened(path, "r+")
    todo = [pair for pair in _upper(-(-n // block_rows)) if pair not in record.done]
    held: tuple[int, Any] = (-1, None)
    for i, j in todo:
        if held[0] != i:
            held = i, _block(source, i, block_rows)
        other = held[1] if i == j else _block(source, j, block_rows)
        tile = _tile(engine, kernel, held[1], other, dtype)
        _put(K, i * block_rows, j * block_rows, tile)
        record.add((i, j))
    return _opened(path, "r")


def _upper(n_blocks: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(n_blocks) for j in range(i, n_blocks))


def _block(source: RowSource, number: int, length: int) -> Any:
    return next(iter(source.runs(np.array([number]), length))).X


def _tile(engine: ThreadEngine, kernel: Kernel, X: Any, Z: Any, dtype: np.dtype) -> np.ndarray:
    columns = kernel.columns(Z, dtype)
    rows = ArraySource(X)
    tile = np.empty((rows.n_rows, columns.n_columns), dtype)

    def write(block: Block) -> None:
        columns(block.X, tile[block.rows])

    engine.map_blocks(rows, write, lambda *_: None, "the Gram matrix", max_rows=TILE_ROWS)
    if X is Z:
        # Rounding may differ on the two sides of the diagonal.
        tile[...] = 0.5 * (tile + tile.T)
    return tile


def _put(K: Any, row: int, column: int, tile: np.ndarray) -> None:
    """Write a tile and its mirror, to the disk before the record says so."""
    K[row : row + len(tile), column : column + tile.shape[1]] = tile
    if row != column:
        K[column : column + tile.shape[1], row : row + len(tile)] = tile.T
    if isinstance(K, np.memmap):
        K.flush()


def _create(path: Path, n: int, dtype: np.dtype, block_rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(n, n))
        return
    chunk = min(block_rows, n)
    _zarr().create_array(str(path), shape=(n, n), chunks=(chunk, chunk), dtype=dtype)


def _opened(path: Path, mode: Literal["r", "r+"]) -> Any:
    if path.suffix == ".npy":
        return np.load(path, mmap_mode=mode)
    return _zarr().open_array(str(path), mode=mode)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise missing_extra("zarr", "zarr") from error
    return zarr


class _Record:
    """What the file is of, and its finished blocks: one JSON value a line, added to at the end."""

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self._matrix, self._file = path, path.with_name(path.name + ".blocks")
        self._identity = identity
        self.done: set[tuple[int, int]] = set()
        self.new = not path.exists() and not self._file.exists()

    def check(self) -> None:
        """Read what is done; raise where the file is of something else."""
        if self.new:
            return
        if not self._file.exists():
            raise InvalidInputError(
                f"{self._matrix} exists, but not {self._file.name}, which says what it was made "
                "of; remove it, or choose another name"
            )
        first, *rest = self._file.read_text(encoding="utf-8").split("\n")
        found = json.loads(first)
        other = [name for name, value in self._identity.items() if found.get(name) != value]
        if other:
            raise InvalidInputError(
                f"{self._matrix} was begun by a call with another {' and '.join(other)}; remove it "
                f"and {self._file.name} to start anew, or choose another name"
            )
        if not self._matrix.exists():
            self.new = True
            return
        # A line that a kill cut short has no end of line, and counts as not written.
        self.done = {tuple(json.loads(line)) for line in rest[:-1]}
        self._file.write_text("\n".join([first, *rest[:-1], ""]), encoding="utf-8")

    def save(self) -> None:
        """Begin anew."""
        self.done = set()
        self._file.write_text(json.dumps(self._identity) + "\n", encoding="utf-8")

    def add(self, pair: tuple[int, int]) -> None:
        """Note a block as done."""
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(pair) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def _identity(
    source: RowSource, kernel: Kernel, dtype: np.dtype, block_rows: int
) -> dict[str, Any]:
    digest = hashlib.sha256()
    for block in source.blocks(65_536):
        digest.update(content(block.X))
    return {
        "rows": [source.n_rows, digest.hexdigest()],
        "kernel": f"{kernel!r}",
        "dtype": str(dtype),
        "block_rows": block_rows,
    }


def content(X: Any) -> bytes:
    """Return the bytes of a block's rows, the same for equal rows only."""
    if isinstance(X, list):
        return json.dumps(X, default=repr).encode()
    if hasattr(X, "tocsr"):
        parts = (X.data, X.indices, np.asarray(X.indptr))
        return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return np.ascontiguousarray(X).tobytes()
