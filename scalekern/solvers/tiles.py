"""Products with a Gram matrix in tiles: each is made, used twice, and forgotten, or kept in a file.

A symmetric matrix has only half as many tiles as blocks squared. Each block of rows takes its own
and those of the blocks that follow it, around the circle, up to half way: every pair once, and the
same work for all, so that no core waits.
"""

from __future__ import annotations

import tempfile
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.engine.checkpoint import remembered
from scalekern.kernels import Kernel
from scalekern.rows import ArraySource, Block
from scalekern.rows.base import slice_rows

TILE_ROWS = 512


class GramProduct:
    """V -> K V for the Gram matrix K of some rows.

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
        for kernels that are dearer than reading, with the same results.
    """

    def __init__(
        self, engine: Engine, kernel: Kernel, X: Any, dtype: Any, *, keep: bool = False
    ) -> None:
        self._engine, self._source, self.dtype = engine, ArraySource(X), np.dtype(dtype)
        self.n = self._source.n_rows
        self._starts = list(range(0, self.n, TILE_ROWS))
        self._columns = [
            kernel.columns(slice_rows(X, s, s + TILE_ROWS), self.dtype) for s in self._starts
        ]
        self._kept = _Kept(len(self._starts), self.dtype) if keep else None

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """Return K V, float64 of shape (n, t)."""
        return remembered(lambda: self._product(V))

    def _product(self, V: np.ndarray) -> np.ndarray:
        narrow = np.ascontiguousarray(V, dtype=self.dtype)
        out = np.zeros(V.shape)

        def of_block(block: Block) -> np.ndarray:
            return self._half_row(block, narrow)

        def add(block: Block, part: np.ndarray) -> None:
            # Around the circle from the block's own first row.
            end = min(len(part), self.n - block.start)
            out[block.start : block.start + end] += part[:end]
            out[: len(part) - end] += part[end:]

        self._engine.map_blocks(self._source, of_block, add, "conjugate gradients", TILE_ROWS)
        return out

    def _half_row(self, block: Block, V: np.ndarray) -> np.ndarray:
        """Return the products of the tiles of one block of rows, from its first row onwards."""
        i, n_blocks, rows = block.start // TILE_ROWS, len(self._starts), len(block)
        last = (n_blocks - 1) // 2
        # Two blocks that are half the circle apart are met by one of them only.
        reach = last + 1 if n_blocks % 2 == 0 and i < n_blocks // 2 else last
        own = V[block.start : block.start + rows]
        buffer = np.empty((rows, TILE_ROWS), dtype=self.dtype)
        parts = [np.zeros((rows, V.shape[1]))]
        for step in range(reach + 1):
            j = (i + step) % n_blocks
            columns = self._columns[j]
            if self._kept is None:
                tile = columns(block.X, buffer[:, : columns.n_columns])
            else:
                tile = self._kept.tile(i, step, block.X, rows, columns)
            start = self._starts[j]
            theirs = V[start : start + columns.n_columns]
            if j == i:
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
