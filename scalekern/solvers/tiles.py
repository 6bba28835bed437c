"""Products with a Gram matrix in tiles: each is made, used twice, and forgotten, or kept in a file.

A symmetric matrix has only half as many tiles as blocks squared. Each block of rows takes its own
and those of the blocks that follow it, around the circle, up to half way: every pair once, and the
same work for all, so that no core waits.
"""

from __future__ import annotations

import tempfile
from functools import cached_property, partial
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.engine.checkpoint import remembered
from scalekern.kernels import Kernel
from scalekern.kernels.base import Columns
from scalekern.rows import ArraySource, Block
from scalekern.rows.base import slice_rows

TILE_ROWS = 512


class GramProduct:
    """V -> K V for the Gram matrix K of some rows.

    On Dask the tiles are made by the workers, to which the rows go once and V with each product.

    Parameters
    ----------
    engine : Engine
    kernel : Kernel
        Symmetric, with its bandwidth.
    X : rows
    dtype : numpy dtype
        Of the tiles; sums over them are float64.
    keep : bool, default=False
        Whether the first product writes its tiles to a temporary file, which the others read:
        for kernels that are dearer than reading, with the same results. The file is of this
        process, which then makes the tiles too.
    """

    def __init__(
        self, engine: Engine, kernel: Kernel, X: Any, dtype: Any, *, keep: bool = False
    ) -> None:
        self._engine, self.dtype = engine.local if keep else engine, np.dtype(dtype)
        self._source = ArraySource(X)
        self.n = self._source.n_rows
        kept = _Kept(-(-self.n // TILE_ROWS), self.dtype) if keep else None
        self._tiles = _Tiles(kernel, X, self.dtype, kept)

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """Return K V, float64 of shape (n, t)."""
        return remembered(lambda: self._product(V))

    def _product(self, V: np.ndarray) -> np.ndarray:
        # By a power of two, so that no value is too large for the tiles and none is rounded.
        exponent = int(np.frexp(np.abs(V).max(initial=0.0))[1])
        scaled = np.ascontiguousarray(np.ldexp(V, -exponent), dtype=self.dtype)
        half_row = partial(_half_row, self._tiles, scaled)
        out = np.zeros(V.shape)

        def add(block: Block, part: np.ndarray) -> None:
            # Around the circle from the block's own first row.
            end = min(len(part), self.n - block.start)
            out[block.start : block.start + end] += part[:end]
            out[: len(part) - end] += part[end:]

        self._engine.map_blocks(self._source, half_row, add, "conjugate gradients", TILE_ROWS)
        return np.ldexp(out, exponent)


class _Tiles:
    """The tiles of a Gram matrix; in each process its columns are prepared when first used."""

    def __init__(self, kernel: Kernel, X: Any, dtype: np.dtype, kept: _Kept | None) -> None:
        self._kernel, self._X, self.dtype, self._kept = kernel, X, dtype, kept

    @cached_property
    def columns(self) -> list[Columns]:
        """The columns of each block of rows."""
        n = len(self._X) if isinstance(self._X, list) else self._X.shape[0]
        starts = range(0, n, TILE_ROWS)
        blocks = (slice_rows(self._X, start, start + TILE_ROWS) for start in starts)
        return [self._kernel.columns(block, self.dtype) for block in blocks]

    def tile(self, i: int, step: int, X: Any, buffer: np.ndarray) -> np.ndarray:
        """Return the tile of block i, whose rows are X, and the block `step` after it."""
        columns = self.columns[(i + step) % len(self.columns)]
        if self._kept is not None:
            return self._kept.tile(i, step, X, len(buffer), columns)
        return columns(X, buffer[:, : columns.n_columns])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "columns"}


def _half_row(tiles: _Tiles, V: np.ndarray, block: Block) -> np.ndarray:
    """Return the products of the tiles of one block of rows, from its first row onwards."""
    i, n_blocks, rows = block.start // TILE_ROWS, len(tiles.columns), len(block)
    last = (n_blocks - 1) // 2
    # Two blocks that are half the circle apart are met by one of them only.
    reach = last + 1 if n_blocks % 2 == 0 and i < n_blocks // 2 else last
    own = V[block.start : block.start + rows]
    buffer = np.empty((rows, TILE_ROWS), dtype=tiles.dtype)
    parts = [np.zeros((rows, V.shape[1]))]
    for step in range(reach + 1):
        tile = tiles.tile(i, step, block.X, buffer)
        start = (i + step) % n_blocks * TILE_ROWS
        theirs = V[start : start + tile.shape[1]]
        if step == 0:
            # Rounding must not make it unsymmetric.
            parts[0] += 0.5 * (tile @ theirs + tile.T @ own)
            continue
        parts[0] += tile @ theirs
        parts.append((tile.T @ own).astype(np.float64))
    return np.concatenate(parts)


class _Kept:
    """The tiles of half a Gram matrix in a temporary file, written when they are first made."""

    def __init__(self, n_blocks: int, dtype: np.dtype) -> None:
        shape = n_blocks, n_blocks // 2 + 1
        self._made = np.zeros(shape, dtype=bool)
        with tempfile.TemporaryFile(prefix="scalekern-gram-") as file:
            # What nothing is written to takes no room, and the map outlives the name of the file.
            self._tiles = np.memmap(file, dtype, "w+", shape=(*shape, TILE_ROWS, TILE_ROWS))

    def tile(self, i: int, step: int, X: Any, rows: int, columns: Any) -> np.ndarray:
        """Return the tile of block i and the one `step` after it, made from X the first time."""
        kept: np.ndarray = self._tiles[i, step, :rows, : columns.n_columns]
        if not self._made[i, step]:
            columns(X, kept)
            self._made[i, step] = True
        return np.asarray(kept)


def kept_bytes(n: int, dtype: Any) -> int:
    """Return the bytes of the file that the tiles of n rows are kept in."""
    blocks = -(-n // TILE_ROWS)
    return blocks * (blocks // 2 + 1) * TILE_ROWS**2 * np.dtype(dtype).itemsize
