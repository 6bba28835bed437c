"""A sparse-sign sketch of the features: few rows that stand for all, as a statistic.

Of a sketch B of 4m rows, B'B is near enough to the whole Gram matrix to precondition any solver
that goes over the rows again, at the cost of adding each tile twice.
"""

from __future__ import annotations

import numpy as np

from scalekern.engine import Statistic
from scalekern.engine.plan import TILE_ROWS
from scalekern.features import FeatureMap
from scalekern.rows import Block
from scalekern.rows.base import slice_rows

LEAST_SIZE = 256


def sketch_size(m: int) -> int:
    """Return the rows of a sketch of m features: 4m, which bounds the condition number by 9."""
    return max(LEAST_SIZE, 4 * m)


class Sketch(Statistic):
    """S sqrt(W) [Phi, y, 1] with S sparse and random, and the weighted sums of Phi and y.

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

    Attributes
    ----------
    B : float64 array of shape (size, m + n_outputs + 1)
    S : float64 array of shape (m,), sum of w phi
    W : float64 array of shape (1,), sum of w
    whole : bool
        Whether the sketch holds every row as it is.

    References
    ----------
    Nelson and Nguyen (2013), OSNAP: faster numerical linear algebra algorithms via sparser subspace
    embeddings.
    """

    names = ("B", "S", "W")

    def __init__(
        self,
        feature_map: FeatureMap,
        n_outputs: int,
        y_offset: np.ndarray,
        n_rows: int,
        seed: int,
    ) -> None:
        self._map, self._y_offset, self._seed = feature_map, y_offset, seed
        m = feature_map.n_features
        size = sketch_size(m)
        self.whole = n_rows <= size
        size = min(size, n_rows)
        self.B = np.zeros((size, m + n_outputs + 1))
        self.S = np.zeros(m)
        self.W = np.zeros(1)

    def update(self, block: Block) -> None:
        """Add one block of rows, a tile at a time."""
        assert block.y is not None
        size, m = len(self.B), self._map.n_features
        step = TILE_ROWS if self.whole else min(TILE_ROWS, size // 4)
        tile = np.empty((min(step, len(block)), self.B.shape[1]))
        for low in range(0, len(block), step):
            high = min(low + step, len(block))
            A = tile[: high - low]
            A[:, :m] = self._map(slice_rows(block.X, low, high))
            A[:, m:-1] = block.y[low:high] - self._y_offset
            A[:, -1] = 1.0
            if block.weight is not None:
                A *= np.sqrt(block.weight[low:high])[:, None]
            self.S += A[:, -1] @ A[:, :m]
            self.W += A[:, -1] @ A[:, -1]
            self._add(A, block.start + low)

    def _add(self, A: np.ndarray, start: int) -> None:
        if self.whole:
            self.B[start : start + len(A)] += A
            return
        size, rng = len(self.B), np.random.default_rng([self._seed & 0xFFFFFFFF, start])
        # Two ranges that do not meet, so that no row is ever cancelled by its neighbour's copy.
        first = int(rng.integers(size))
        second = first + len(A) + int(rng.integers(size - 2 * len(A) + 1))
        for place in (first, second):
            signs = rng.choice([-1.0, 1.0], len(A)) * np.sqrt(0.5)
            self._wrap(signs[:, None] * A, place % size)

    def _wrap(self, A: np.ndarray, place: int) -> None:
        fitting = min(len(A), len(self.B) - place)
        self.B[place : place + fitting] += A[:fitting]
        self.B[: len(A) - fitting] += A[fitting:]

    def merge(self, other: Sketch) -> None:
        """Add the sketch of other rows."""
        for name in self.names:
            getattr(self, name).__iadd__(getattr(other, name))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sketch as plain arrays."""
        return {name: getattr(self, name) for name in self.names}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sketch that `arrays` gave."""
        for name in self.names:
            setattr(self, name, arrays[name])
