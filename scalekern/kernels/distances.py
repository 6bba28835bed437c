"""Squared Euclidean distances of many rows to fixed ones, by one matrix product.

Rows are centred on the mean of Z first: in the expansion |x|^2 - 2xz + |z|^2 large common offsets
would otherwise cancel every digit of the difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

SUBTILE_BYTES = 1 << 19
"""Half of a usual L2 cache: what a tile's elementwise steps should stay within."""


class HalfSquares:
    """Minus half the squared distances to Z, in units of `length`, for any rows.

    `-|x - z|^2 / (2 length^2) = x'z' - |z'|^2/2 - |x'|^2/2` with x' = (x - mean)/length is a single
    product of [x', -|x'|^2/2, 1] with [z', 1, -|z'|^2/2].

    Parameters
    ----------
    Z : array or sparse matrix of shape (m, d)
    length : float
    dtype : numpy dtype
        Of the tiles.
    near : bool, default=False
        Take values near 0 from differences. The expansion leaves them the rounding of |x'|^2, whose
        root is what a kernel with a cusp at 0 would see.
    """

    def __init__(self, Z: Any, length: float, dtype: Any, *, near: bool = False) -> None:
        self._sparse = sparse.issparse(Z)
        Z = np.asarray(Z.toarray() if self._sparse else Z, dtype=np.float64)
        self._mean = np.zeros(Z.shape[1]) if self._sparse else Z.mean(axis=0)
        self._length, self.dtype = length, np.dtype(dtype)
        Zs = (Z - self._mean) / length
        half = 0.5 * np.einsum("ij,ij->i", Zs, Zs)
        self._right = np.ascontiguousarray(
            np.vstack([Zs.T, np.ones(len(Z)), -half]), dtype=self.dtype
        )
        self.n_columns = len(Z)
        self._floor = -half.max(initial=0.0) * np.finfo(self.dtype).eps ** 0.5 if near else None

    def __call__(self, X: Any, out: np.ndarray) -> np.ndarray:
        """Write the values for the rows of X into `out`; none is above 0 but for rounding."""
        if sparse.issparse(X):
            return self._of_sparse(X, out)
        d = X.shape[1]
        left = np.empty((X.shape[0], d + 2), dtype=self.dtype)
        scaled = left[:, :d]
        # In float64, whatever X is: a rounded mean would not be the one that Z is centred on.
        np.subtract(X, self._mean, out=scaled, casting="same_kind")
        scaled /= self.dtype.type(self._length)
        np.einsum("ij,ij->i", scaled, scaled, out=left[:, d])
        left[:, d] *= -0.5
        left[:, d + 1] = 1
        return self._mended(scaled, np.matmul(left, self._right, out=out))

    def _of_sparse(self, X: Any, out: np.ndarray) -> np.ndarray:
        # Centring would fill a sparse row; such data has no common offset to lose digits to.
        Xs = (X - self._mean if self._mean.any() else X) / self._length
        if not sparse.issparse(Xs):
            Xs = np.asarray(Xs)
            half = 0.5 * np.einsum("ij,ij->i", Xs, Xs)
        else:
            half = 0.5 * np.asarray(Xs.multiply(Xs).sum(axis=1)).ravel()
        out[...] = Xs @ self._right[:-2]
        out += self._right[-1]
        out -= half[:, None].astype(self.dtype)
        return self._mended(Xs, out)

    def _mended(self, Xs: Any, out: np.ndarray) -> np.ndarray:
        if self._floor is None:
            return out
        rows, columns = np.nonzero(out >= self._floor)
        step = max(1, SUBTILE_BYTES // (8 * max(1, len(self._right))))
        for low in range(0, len(rows), step):
            i, j = rows[low : low + step], columns[low : low + step]
            x = Xs[i].toarray() if sparse.issparse(Xs) else Xs[i]
            difference = x - self._right[:-2, j].T
            out[i, j] = -0.5 * np.einsum("ij,ij->i", difference, difference)
        return out


def subtiles(n_rows: int, row_bytes: int) -> list[slice]:
    """Cut `n_rows` so that each run of rows takes about `SUBTILE_BYTES`."""
    step = max(16, SUBTILE_BYTES // max(1, row_bytes))
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]
