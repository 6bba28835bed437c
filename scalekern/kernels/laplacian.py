"""The Laplacian kernel, of the L1 distance as in scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial.distance import cdist

from scalekern.kernels.base import (
    Columns,
    Kernel,
    StationaryKernel,
    check_positive,
    median_distance,
)
from scalekern.kernels.distances import subtiles
from scalekern.kernels.sampling import Sampling, uniform_points
from scalekern.storage import storable


@storable
class Laplacian(StationaryKernel):
    """The Laplacian kernel of the L1 distance, `k(x, z) = exp(-gamma |x - z|_1)`.

    Parameters
    ----------
    gamma : float or None, default=None
        Bandwidth, above 0, in 1 / units of X: the larger, the narrower the kernel. None leaves it
        to the estimator.

    Raises
    ------
    InvalidInputError
        If `gamma` is not a number above 0, when the kernel is evaluated.

    References
    ----------
    Rahimi and Recht (2007), Random features for large-scale kernel machines, figure 1.

    Examples
    --------
    >>> import numpy as np
    >>> float(Laplacian(1.0).block(np.array([[0.0, 0.0]]), np.array([[1.0, 1.0]]))[0, 0].round(4))
    0.1353
    """

    def __init__(self, gamma: float | None = None) -> None:
        self.gamma = gamma

    @property
    def needs_gamma(self) -> bool:
        """Whether gamma was left open."""
        return self.gamma is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with `gamma` where it was left open."""
        return Laplacian(gamma) if self.gamma is None else self

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _LaplacianColumns(check_positive("gamma", self.gamma), Z, dtype)

    def median_gamma(self, X: np.ndarray, weight: np.ndarray | None = None) -> float:
        """Return 1 / median of the L1 distances between distinct rows of X."""
        return 1.0 / median_distance(X, "cityblock", weight)

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw frequencies whose coordinates are independent Cauchy variables, never orthogonal."""
        u = uniform_points(n, d, rng, sampling)
        return check_positive("gamma", self.gamma) * np.tan(np.pi * (u - 0.5)).T


class _LaplacianColumns(Columns):
    def __init__(self, gamma: float, Z: Any, dtype: Any) -> None:
        self._gamma, self._dtype = gamma, np.dtype(dtype)
        self._Z = _dense(Z)
        self.n_columns = len(self._Z)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._dtype)
        for rows in subtiles(X.shape[0], self.n_columns * 8):
            distances = cdist(_dense(X[rows]), self._Z, "cityblock")
            distances *= -self._gamma
            out[rows] = np.exp(distances, out=distances)
        return out


def _dense(X: Any) -> np.ndarray:
    return np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)
