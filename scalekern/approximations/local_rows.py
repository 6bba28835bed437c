"""The training rows of local models, ready to be searched, and the neighbours of queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from scalekern.neighbors import NeighborIndex, without_itself
from scalekern.solvers.local import Neighborhoods

BLOCK_BYTES = 1 << 20
SEARCH_BYTES = 8 << 20


@dataclass
class LocalRows:
    """The training rows of a local model, ready to be searched.

    Attributes
    ----------
    index : NeighborIndex
    targets : float64 array of shape (n, n_outputs)
    weight : float64 array of shape (n,) or None
    n_neighbors : int
    spread : float64 array of shape (n_outputs,)
        What multiplies variances; see `selection.local`.
    """

    index: NeighborIndex
    targets: np.ndarray
    weight: np.ndarray | None
    n_neighbors: int
    spread: np.ndarray

    @property
    def block_rows(self) -> int:
        """Queries whose matrices fit in the cache together."""
        k, d, t = self.n_neighbors + 1, self.index.rows.shape[1], self.targets.shape[1]
        return max(1, BLOCK_BYTES // (8 * k * (k + d + t)))

    def blocks(self, X: np.ndarray) -> Iterator[tuple[slice, np.ndarray, Neighborhoods]]:
        """Yield runs of queries with the numbers of their neighbours, and the neighbours."""
        k, many = self.n_neighbors, self.block_rows
        step = max(1, SEARCH_BYTES // (16 * k))
        for low in range(0, len(X), step):
            distances, indices = self.index.search(X[low : low + step], k)
            for first in range(0, len(distances), many):
                part = slice(first, first + many)
                rows = slice(low + first, low + first + len(distances[part]))
                yield rows, indices[part], self.gathered(X[rows], distances[part], indices[part])

    def others(self, X: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is nearest to training rows, whose numbers are `own`, but for themselves.

        Distances and numbers; where there are too few other rows, the last is not found.
        """
        distances, indices = self.index.search(X, self.n_neighbors + 1)
        indices, distances = without_itself(own, indices, distances)
        return distances, indices

    def gathered(self, X: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> Neighborhoods:
        """Return queries with the rows and targets of their neighbours."""
        found = indices >= 0
        all_found = bool(found.all())
        safe = indices if all_found else np.where(found, indices, 0)
        radius = (distances if all_found else np.where(found, distances, 0.0)).max(axis=1)
        radius = np.where(np.isfinite(radius) & (radius > 0), radius, 1.0)
        return Neighborhoods(
            np.asarray(X, dtype=np.float64),
            self.index.rows[safe].astype(np.float64, copy=False),
            self.targets[safe],
            radius,
            None if self.weight is None else self.weight[safe],
            None if all_found else found,
        )
