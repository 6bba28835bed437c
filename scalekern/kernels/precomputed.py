"""Similarities that the user has computed: X is the Gram matrix itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels.base import Columns, Kernel
from scalekern.storage import storable

WHAT_WORKS = (
    "kernel='precomputed' works in SimilarityRegressor with approximation='exact' (or 'auto'), on "
    "its own: X is the square matrix of similarities of the training rows in fit, and that of "
    "the rows to predict to all training rows in predict. To combine it with a kernel, add or "
    "multiply the matrices first; for other models pass the function as the kernel"
)


@storable
class Precomputed(Kernel):
    """Similarities that were computed before: X is a Gram matrix, `k(x_i, z_j) = X[i, j]`.

    Nothing is assumed of the values, so the kernel counts as indefinite: the solver is "pinv"
    unless another is asked for.

    Raises
    ------
    UnsupportedError
        Where a model needs similarities that are not in the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityRegressor
    >>> K = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> model = SimilarityRegressor("precomputed", alpha=1e-9, fit_intercept=False)
    >>> model.fit(K, [3.0, 3.0]).predict([[1.0, 1.0]]).round(6).tolist()
    [2.0]
    """

    positive_definite = False

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of X with the numbers Z.

        Parameters
        ----------
        Z : int array of shape (m,)
            Numbers of training rows; a precomputed similarity knows its rows by nothing else.
        dtype : numpy dtype
        """
        numbers = np.asarray(Z) if not sparse.issparse(Z) else Z
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
            raise UnsupportedError(WHAT_WORKS)
        return _ChosenColumns(numbers, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return the diagonal of a square X."""
        if X.shape[0] != X.shape[1]:
            raise UnsupportedError(WHAT_WORKS)
        return np.asarray(X.diagonal(), dtype=np.float64)


class _ChosenColumns(Columns):
    def __init__(self, numbers: np.ndarray, dtype: Any) -> None:
        self._numbers, self._dtype = numbers, dtype
        self.n_columns = len(numbers)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._dtype)
        part = X[:, self._numbers]
        out[...] = part.toarray() if sparse.issparse(part) else part
        return out


def training_gram(X: Any, kept: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the Gram matrix of the kept training rows, float64 and exactly symmetric.

    Parameters
    ----------
    X : array or sparse matrix of shape (kept rows, all training rows)
    kept : int array
        The numbers of its rows.
    n_rows : int
        All training rows.

    Raises
    ------
    InvalidInputError
        If there are not as many columns as rows, or the values for (i, j) and (j, i) differ by
        more than rounding.
    """
    if X.shape[1] != n_rows:
        raise InvalidInputError(
            f"the precomputed X has shape ({n_rows}, {X.shape[1]}), but must be square in fit: the "
            "similarities of all training rows to each other"
        )
    K = _ChosenColumns(kept, np.float64)(X)
    gap = np.abs(K - K.T)
    if gap.max() > 1e-5 * np.abs(K).max():
        i, j = np.unravel_index(int(gap.argmax()), gap.shape)
        raise InvalidInputError(
            f"the precomputed X is not symmetric: rows {kept[i]} and {kept[j]} have the "
            f"similarities {K[i, j]:.6g} and {K[j, i]:.6g}; pass (K + K.T) / 2 if that is meant"
        )
    return 0.5 * (K + K.T)
