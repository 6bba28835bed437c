"""The statistic of ridge regression: all that any alpha and any fold needs, from one pass."""

from __future__ import annotations

import numpy as np

from scalekern.engine import Statistic, Sums, hash_ids
from scalekern.engine.plan import TILE_ROWS
from scalekern.engine.sample import shifted
from scalekern.features import FeatureMap
from scalekern.rows import Block
from scalekern.rows.base import slice_rows, take_rows

FOLD_SEED = 0x5F01D


class RidgeStatistic(Sums):
    """Weighted sums of products of features and targets, one set for each fold.

    Parameters
    ----------
    feature_map : FeatureMap
    n_outputs : int
    y_offset : float64 array of shape (n_outputs,)
        Taken off the targets first, since tiles may be float32: a rough mean.
    n_folds : int, default=1
        Rows are dealt to folds by a hash of their ids.
    first_row : int, default=0
        Added to integer ids, where the rows of a source continue those of earlier ones.

    Attributes
    ----------
    G : (n_folds, m, m), sum of w phi phi'
    c : (n_folds, m, t), sum of w phi y'
    s : (n_folds, t), sum of w y^2
    S : (n_folds, m), sum of w phi
    Y : (n_folds, t), sum of w y
    W : (n_folds,), sum of w
    count : (n_folds,), rows of positive weight
    """

    names = ("G", "c", "s", "S", "Y", "W", "count")

    def __init__(
        self,
        feature_map: FeatureMap,
        n_outputs: int,
        y_offset: np.ndarray,
        n_folds: int = 1,
        first_row: int = 0,
    ) -> None:
        self._map, self.y_offset, self.n_folds = feature_map, y_offset, n_folds
        self._first_row = first_row
        m = feature_map.n_features
        self.G = np.zeros((n_folds, m, m))
        self.c = np.zeros((n_folds, m, n_outputs))
        self.s = np.zeros((n_folds, n_outputs))
        self.S = np.zeros((n_folds, m))
        self.Y = np.zeros((n_folds, n_outputs))
        self.W = np.zeros(n_folds)
        self.count = np.zeros(n_folds)

    @property
    def dtype(self) -> np.dtype:
        """Of the tiles that are summed."""
        return self._map.dtype

    def update(self, block: Block) -> None:
        """Add one block of rows, a tile at a time."""
        assert block.y is not None
        dtype, m = self._map.dtype, self._map.n_features
        Phi = np.empty((min(TILE_ROWS, len(block)), m), dtype=dtype)
        product = np.empty((m, m), dtype=dtype)
        weight = np.ones(len(block)) if block.weight is None else block.weight
        for low in range(0, len(block), TILE_ROWS):
            high = min(low + TILE_ROWS, len(block))
            tile = self._map(slice_rows(block.X, low, high), Phi[: high - low])
            y, w = block.y[low:high] - self.y_offset, weight[low:high]
            for fold, rows in self._folds(block.ids[low:high]):
                part = tile if rows is None else take_rows(tile, rows)
                chosen = slice(None) if rows is None else rows
                self._add(fold, part, y[chosen], w[chosen], block.weight is not None, product)

    def _folds(self, ids: np.ndarray) -> list[tuple[int, np.ndarray | None]]:
        if self.n_folds == 1:
            return [(0, None)]
        folds = hash_ids(shifted(ids, self._first_row), FOLD_SEED) % np.uint64(self.n_folds)
        return [(f, np.flatnonzero(folds == f)) for f in range(self.n_folds)]

    def _add(
        self,
        fold: int,
        Phi: np.ndarray,
        y: np.ndarray,
        w: np.ndarray,
        weighted: bool,
        product: np.ndarray,
    ) -> None:
        root = np.sqrt(w).astype(Phi.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # which solvers refuse
            if weighted:
                Phi *= root[:, None]
            self.G[fold] += np.matmul(Phi.T, Phi, out=product)
            self.c[fold] += Phi.T @ (root[:, None] * y).astype(Phi.dtype)
        self.s[fold] += w @ y**2
        self.S[fold] += Phi.T @ root
        self.Y[fold] += w @ y
        self.W[fold] += w.sum()
        self.count[fold] += np.count_nonzero(w)

    def transform(self, U: np.ndarray, feature_map: FeatureMap) -> None:
        """Turn the sums for features k into those for `feature_map`, whose features are U'k."""
        self._map = feature_map
        self.G = U.T @ self.G @ U
        self.c = U.T @ self.c
        self.S = self.S @ U


class ResidualStatistic(Statistic):
    """Sums of squared errors of several solutions at once, where sums alone would only be rounding.

    Parameters
    ----------
    feature_map : FeatureMap
    coefs : float64 array of shape (n_solutions, m, t)
    intercepts : float64 array of shape (n_solutions, t)
    """

    def __init__(self, feature_map: FeatureMap, coefs: np.ndarray, intercepts: np.ndarray) -> None:
        self._map, self._coefs, self._intercepts = feature_map, coefs, intercepts
        self.sse = np.zeros(len(coefs))

    def update(self, block: Block) -> None:
        """Add the weighted squared errors on one block of rows."""
        assert block.y is not None
        for low in range(0, len(block), TILE_ROWS):
            rows = slice(low, min(low + TILE_ROWS, len(block)))
            Phi = self._map(block.X[rows]).astype(np.float64)
            w = 1.0 if block.weight is None else block.weight[rows, None]
            for a, coef in enumerate(self._coefs):
                error = block.y[rows] - Phi @ coef - self._intercepts[a]
                self.sse[a] += np.sum(w * error**2)

    def merge(self, other: ResidualStatistic) -> None:
        """Add the errors of other rows."""
        self.sse += other.sse

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays."""
        return {"sse": self.sse}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave."""
        self.sse = arrays["sse"]
