"""Kernels of the Euclidean distance r/length: RBF and Matérn differ by one profile function."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from scalekern.kernels.base import Columns, StationaryKernel, median_distance
from scalekern.kernels.distances import HalfSquares, subtiles
from scalekern.kernels.sampling import Sampling, normal_points


class RadialKernel(StationaryKernel):
    """A kernel f(|x - z| / length)."""

    @property
    @abstractmethod
    def length(self) -> float:
        """The length scale, in the units of X."""

    @property
    def has_cusp(self) -> bool:
        """Whether it falls off linearly at distance 0, which rounded squares would blur."""
        return False

    @abstractmethod
    def profile(self, t: np.ndarray) -> None:
        """Turn t = -|x - z|^2 / (2 length^2) into kernel values in place."""

    @abstractmethod
    def slope(self, t: np.ndarray) -> np.ndarray:
        """Return the derivative of the profile by t, which gradients are made of.

        With t as for `profile`, the gradient of f(|x - z| / length) by x is
        -slope(t) (x - z) / length^2. Of the cusp of Matérn 1/2 it is a large number.
        """

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _RadialColumns(self, Z, dtype)

    def median_gamma(self, X: np.ndarray, weight: np.ndarray | None = None) -> float:
        """Return 1 / (2 median^2) of the distances between distinct rows of X."""
        return 1.0 / (2.0 * median_distance(X, "euclidean", weight) ** 2)

    @abstractmethod
    def spectral_scales(self, u: np.ndarray) -> np.ndarray:
        """Return what multiplies standard normal frequencies, as quantiles at u from (0, 1)."""

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw normal frequencies, and scale them."""
        normal, u = normal_points(n, d, rng, sampling)
        return (normal * self.spectral_scales(u)[:, None]).T


class _RadialColumns(Columns):
    def __init__(self, kernel: RadialKernel, Z: Any, dtype: Any) -> None:
        self._half_squares = HalfSquares(Z, kernel.length, dtype, cusp=kernel.has_cusp)
        self._profile = kernel.profile
        self.n_columns = self._half_squares.n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._half_squares.dtype)
        for rows in subtiles(X.shape[0], self.n_columns * out.itemsize):
            self._profile(self._half_squares(X[rows], out[rows]))
        return out
