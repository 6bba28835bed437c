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
UNPACKED, LEAST_COLUMNS, FEW_FEATURES = 900_000, 256, 32
VISIBLE = 700.0
"""Half a squared distance at which every kernel of such distances is below 1e-16."""


class HalfSquares:
    """Minus half the squared distances to Z, in units of `length`, for any rows.

    `-|x - z|^2 / (2 length^2) = x'z' - |z'|^2/2 - |x'|^2/2` with x' = (x - mean)/length is a single
    product of [x', -|x'|^2/2, 1] with [z', 1, -|z'|^2/2].

    The expansion leaves the rounding of |z'|^2. Where that would be seen, in columns of rows many
    lengths from the mean, values near 0 are taken from differences.

    Parameters
    ----------
    Z : array or sparse matrix of shape (m, d)
    length : float
    dtype : numpy dtype
        Of the tiles.
    cusp : bool, default=False
        Whether the kernel falls off linearly at 0, and so sees the root of the rounding.
    """

    def __init__(self, Z: Any, length: float, dtype: Any, *, cusp: bool = False) -> None:
        self._sparse = sparse.issparse(Z)
        Z = np.asarray(Z.toarray() if self._sparse else Z, dtype=np.float64)
        self._mean = np.zeros(Z.shape[1]) if self._sparse else Z.mean(axis=0)
        self.dtype = np.dtype(dtype)
        with np.errstate(over="ignore"):
            self._length = max(self.dtype.type(length), np.finfo(self.dtype).tiny)
        # Rows out of all bounds are as far as a square that is still finite can be.
        self._farthest = float(np.finfo(self.dtype).max) ** 0.4
        with np.errstate(over="ignore"):
            Zs = np.clip((Z - self._mean) / length, -self._farthest, self._farthest)
        half = 0.5 * np.einsum("ij,ij->i", Zs, Zs)
        self._right = np.ascontiguousarray(
            np.vstack([Zs.T, np.ones(len(Z)), -half]), dtype=self.dtype
        )
        self.n_columns = len(Z)
        self._near, self._floor = _near_columns(half, self.dtype, cusp=cusp)

    def __call__(self, X: Any, out: np.ndarray) -> np.ndarray:
        """Write the values for the rows of X into `out`; none is above 0 but for rounding."""
        if sparse.issparse(X):
            return self._of_sparse(X, out)
        d = X.shape[1]
        left = np.empty((X.shape[0], d + 2), dtype=self.dtype)
        scaled = left[:, :d]
        # In float64, whatever X is: a rounded mean would not be the one that Z is centred on.
        with np.errstate(over="ignore"):
            np.subtract(X, self._mean, out=scaled, casting="same_kind")
            if np.isfinite(self._length):
                scaled /= self._length
            else:  # a unit so large that all rows are equal
                scaled.fill(0)
        np.clip(scaled, -self._farthest, self._farthest, out=scaled)
        np.einsum("ij,ij->i", scaled, scaled, out=left[:, d])
        left[:, d] *= -0.5
        left[:, d + 1] = 1
        return self._mended(scaled, _product(left, self._right, out))

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
        if not len(self._near):
            return out
        # Few columns have a row so near; the largest values tell which, at a third of the cost.
        some = np.flatnonzero(out.max(axis=0, initial=-np.inf)[self._near] >= self._floor)
        if not len(some):
            return out
        rows, near = np.nonzero(out[:, self._near[some]] >= self._floor[some])
        columns = self._near[some[near]]
        step = max(1, SUBTILE_BYTES // (8 * len(self._right)))
        for low in range(0, len(rows), step):
            i, j = rows[low : low + step], columns[low : low + step]
            x = Xs[i].toarray() if sparse.issparse(Xs) else Xs[i]
            difference = x - self._right[:-2, j].T
            out[i, j] = -0.5 * np.einsum("ij,ij->i", difference, difference)
        return out


def _product(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write left @ right into `out`, by columns so few at a time that BLAS does not pack them.

    For rows of a few features packing costs more than multiplying: 0.3 against 0.7 ns for each
    float32 value at d = 8 (OpenBLAS; `python -m benchmarks.cg passes`).
    """
    rows, d = left.shape
    step = max(UNPACKED // max(1, rows * d), LEAST_COLUMNS) if d <= FEW_FEATURES else out.shape[1]
    for low in range(0, out.shape[1], max(1, step)):
        np.matmul(left, right[:, low : low + step], out=out[:, low : low + step])
    return out


def _near_columns(half: np.ndarray, dtype: np.dtype, *, cusp: bool) -> tuple[Any, np.ndarray]:
    """Return the columns whose values near 0 are wrong, and above what they are so.

    `half` is half the squared length of each row of Z.
    """
    eps = float(np.finfo(dtype).eps)
    floor = np.where(eps**0.5 * half > 1, -(VISIBLE + 16 * eps * half), np.inf)
    if cusp:
        floor = np.minimum(floor, -(eps**0.5) * half)
    near = np.flatnonzero(np.isfinite(floor))
    return near, floor[near].astype(dtype)


def subtiles(n_rows: int, row_bytes: int) -> list[slice]:
    """Cut `n_rows` so that each run of rows takes about `SUBTILE_BYTES`."""
    step = max(16, SUBTILE_BYTES // max(1, row_bytes))
    return [slice(i, min(i + step, n_rows)) for i in range(0, n_rows, step)]
