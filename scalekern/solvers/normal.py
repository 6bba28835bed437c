"""The statistic of one iteration of conjugate gradients: K'W(KV), kernel values never kept.

Apart from the sums of ridge regression because its cost is that of the kernel values alone: for
each landmark a row costs a handful of operations and not one for each pair of landmarks.
"""

from __future__ import annotations

import numpy as np

from scalekern.engine import Sums
from scalekern.kernels.base import Columns
from scalekern.kernels.distances import SUBTILE_BYTES
from scalekern.rows import Block
from scalekern.rows.base import slice_rows


class KernelNormal(Sums):
    """The sum of k(x) w (k(x)'V - shift) over rows, k(x) the kernel values against the landmarks.

    Parameters
    ----------
    columns : Columns
        Of the landmarks.
    V : float64 array of shape (m, t)
    shift : float64 array of shape (t,)
        Taken off the predictions: the mean, where there is an intercept.
    dtype : numpy dtype
        Of the kernel values.
    double : bool
        Whether products of float32 kernel values are taken in float64.

    Attributes
    ----------
    out : float64 array of shape (m, t)
    total : float64 array of shape (t,)
        The sum of w (k(x)'V - shift).
    """

    names = ("out", "total")

    def __init__(
        self, columns: Columns, V: np.ndarray, shift: np.ndarray, dtype: np.dtype, *, double: bool
    ) -> None:
        self._columns, self._shift, self._dtype = columns, shift, np.dtype(dtype)
        self._product_dtype = np.dtype(np.float64) if double else self._dtype
        self._V = np.ascontiguousarray(V, dtype=self._product_dtype)
        self.out, self.total = np.zeros(V.shape), np.zeros(V.shape[1])

    def update(self, block: Block) -> None:
        """Add one block of rows, a tile that stays in the cache at a time."""
        m = len(self._V)
        step = max(16, SUBTILE_BYTES // (m * self._dtype.itemsize))
        buffer = np.empty((min(step, len(block)), m), dtype=self._dtype)
        for low in range(0, len(block), step):
            high = min(low + step, len(block))
            K = self._columns(slice_rows(block.X, low, high), buffer[: high - low])
            K = K.astype(self._product_dtype, copy=False)
            u = K @ self._V - self._shift
            if block.weight is not None:
                u *= block.weight[low:high, None]
            self.total += u.sum(axis=0)
            self.out += K.T @ u.astype(self._product_dtype, copy=False)
