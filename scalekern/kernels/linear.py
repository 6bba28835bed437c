"""The linear kernel: similarity regression with it is ridge regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scalekern.kernels.base import Columns, Kernel, check_values
from scalekern.storage import storable


@storable
class Linear(Kernel):
    """The linear kernel, `k(x, z) = x @ z`: models of it are straight lines.

    Examples
    --------
    >>> import numpy as np
    >>> float(Linear().block(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))[0, 0])
    11.0
    """

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _LinearColumns(Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return the squared norms of the rows."""
        if sparse.issparse(X):
            return np.asarray(X.multiply(X).sum(axis=1), dtype=np.float64).ravel()
        X = np.asarray(X, dtype=np.float64)
        return np.einsum("ij,ij->i", X, X)

    def rank(self, X: Any) -> int:
        """Return the rank of X; of a sparse X its shorter side, which bounds it."""
        if sparse.issparse(X):
            return int(min(X.shape))
        return int(np.linalg.matrix_rank(np.asarray(X, dtype=np.float64)))


class _LinearColumns(Columns):
    def __init__(self, Z: Any, dtype: Any) -> None:
        Z = Z.toarray() if sparse.issparse(Z) else np.asarray(Z)
        self._Zt = np.ascontiguousarray(Z.T, dtype=dtype)
        self.n_columns = len(Z)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._Zt.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            if sparse.issparse(X):
                out[...] = X @ self._Zt
            else:
                np.matmul(np.asarray(X, dtype=self._Zt.dtype), self._Zt, out=out)
        check_values(Linear(), out)
        return out
