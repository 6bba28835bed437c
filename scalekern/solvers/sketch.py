"""A sparse-sign sketch of the features: few rows that stand for all, as a statistic.

Of a sketch B of 4m rows, B'B is near enough to the whole Gram matrix to precondition any solver
that goes over the rows again, at the cost of adding each tile twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.engine import Need, Sums
from scalekern.engine.plan import TILE_ROWS
from scalekern.features import FeatureMap
from scalekern.rows import Block
from scalekern.rows.base import slice_rows

LEAST_SIZE = 256
TILE_BYTES = 2 << 20


def sketch_size(m: int, times: int = 4) -> int:
    """Return the rows of a sketch of m features.

    4m rows bound the condition number of what it preconditions by 9, 2m rows by 34.
    """
    return max(LEAST_SIZE, times * m) if times else 0


def sketch_need(n_threads: int, m: int, t: int) -> Need:
    """Return what the sketch of m features and t outputs needs: one a chunk in flight."""
    size = (n_threads + 4) * 8 * sketch_size(m) * (m + t + 1)
    return Need(size, f"a sketch of {m} components", "use fewer n_components")


class Sketch(Sums):
    """S sqrt(W) [Phi, y, 1] with S sparse and random, and the weighted sums of Phi, y and both.

    Every row is added, with two signs of its own, at two places of the sketch; the rows of a tile
    lie side by side at each. Signs and places depend on the number of the tile's first row and the
    seed only. Where the sketch has as many rows as the data, it is the data.

    Parameters
    ----------
    feature_map : FeatureMap
    n_outputs : int
    y_offset : float64 array of shape (n_outputs,)
        Taken off the targets first.
    n_rows : int
        Of the whole source.
    seed : int
    dtype : numpy dtype, default=float64
        Of the sketch itself; the sums are float64.
    times : int, default=4
        Rows of the sketch for each feature; 0 only adds up the sums.

    Attributes
    ----------
    B : array of shape (size, m + n_outputs + 1)
    S : float64 array of shape (m,), sum of w phi
    c : float64 array of shape (m, n_outputs), sum of w phi y'
    s : float64 array of shape (n_outputs,), sum of w y^2
    W : float64 array of shape (1,), sum of w
    whole : bool
        Whether the sketch holds every row as it is.

    References
    ----------
    Nelson and Nguyen (2013), OSNAP: faster numerical linear algebra algorithms via sparser subspace
    embeddings.
    """

    names = ("B", "S", "c", "s", "W")

    def __init__(
        self,
        feature_map: FeatureMap,
        n_outputs: int,
        y_offset: np.ndarray,
        n_rows: int,
        seed: int,
        dtype: Any = np.float64,
        times: int = 4,
    ) -> None:
        self._map, self._y_offset, self._seed = feature_map, y_offset, seed
        m = feature_map.n_features
        size = sketch_size(m, times)
        self.whole = n_rows <= size
        size = min(size, n_rows)
        self.B = np.zeros((size, m + n_outputs + 1), dtype=dtype)
        self.S = np.zeros(m)
        self.c = np.zeros((m, n_outputs))
        self.s = np.zeros(n_outputs)
        self.W = np.zeros(1)

    def update(self, block: Block) -> None:
        """Add one block of rows, a tile at a time."""
        assert block.y is not None
        m, step = self._map.n_features, self._tile_rows()
        tile = np.empty((min(step, len(block)), self.B.shape[1]), dtype=self.B.dtype)
        for low in range(0, len(block), step):
            high = min(low + step, len(block))
            A = tile[: high - low]
            self._map(slice_rows(block.X, low, high), A[:, :m])
            A[:, m:-1] = block.y[low:high] - self._y_offset
            A[:, -1] = 1.0
            if block.weight is not None:
                A *= np.sqrt(block.weight[low:high]).astype(A.dtype)[:, None]
            sums = A[:, :m].T @ A[:, m:]
            self.c += sums[:, :-1]
            self.S += sums[:, -1]
            self.s += np.square(A[:, m:-1]).sum(axis=0)
            self.W += high - low if block.weight is None else block.weight[low:high].sum()
            self._add(A, block.start + low)

    def _tile_rows(self) -> int:
        if self.whole:
            return TILE_ROWS
        row_bytes = self.B.shape[1] * self.B.itemsize
        rows = min(TILE_ROWS, max(64, TILE_BYTES // row_bytes))
        return min(rows, len(self.B) // 4) if len(self.B) else rows

    def _add(self, A: np.ndarray, start: int) -> None:
        if self.whole:
            self.B[start : start + len(A)] += A
            return
        if not len(self.B):
            return
        size, rng = len(self.B), np.random.default_rng([self._seed & 0xFFFFFFFF, start])
        # Two ranges that do not meet, so that no row is ever cancelled by its neighbour's copy.
        first = int(rng.integers(size))
        second = first + len(A) + int(rng.integers(size - 2 * len(A) + 1))
        for place in (first, second):
            signs = (rng.choice([-1.0, 1.0], len(A)) * np.sqrt(0.5)).astype(A.dtype)
            self._wrap(signs[:, None] * A, place % size)

    def _wrap(self, A: np.ndarray, place: int) -> None:
        fitting = min(len(A), len(self.B) - place)
        self.B[place : place + fitting] += A[:fitting]
        self.B[: len(A) - fitting] += A[fitting:]
