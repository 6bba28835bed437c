"""The contract of a kernel, and what stationary ones share: a bandwidth and a distance.

`Kernel.columns(Z)` prepares the columns of the Gram matrix that belong to Z once; the object that
it returns writes a tile of them for any rows. That split is what lets one pass over millions of
rows spend its time on multiplication and `exp` only.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.base import BaseEstimator

from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels.sampling import Sampling
from scalekern.storage.registry import class_named

SMALLEST = 1e-150
"""Of bandwidths, which reach up to its inverse: times the square of any row they are numbers."""
LARGEST_VALUE = 1e140
"""Of a kernel that is no function of a distance: the square of a Gram matrix is of numbers too."""


class Columns(ABC):
    """The Gram matrix's columns for fixed Z, ready to be evaluated for any rows."""

    n_columns: int

    @abstractmethod
    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return k(X, Z), shape (rows, n_columns), written into `out` where one is given."""


class Kernel(BaseEstimator, ABC):
    """A similarity of two objects; see the subclasses.

    Attributes
    ----------
    positive_definite : bool
        No weighted sum of its values over pairs is negative.
    stationary : bool
        It depends on x - z only, so that Fourier features exist.
    takes_vectors : bool
        Its rows are vectors of numbers; else any objects.

    Examples
    --------
    What all kernels can, by one of them:

    >>> import numpy as np
    >>> from scalekern.kernels import RBF
    >>> X = np.array([[0.0], [1.0], [3.0]])
    >>> kernel = RBF()
    >>> kernel.needs_gamma, kernel.median_gamma(X)  # the median distance is 2
    (True, 0.125)
    >>> kernel.with_gamma(0.5), kernel.with_median_gamma(X, factor=2.0)
    (RBF(gamma=0.5), RBF(gamma=0.25))
    >>> kernel = kernel.with_gamma(0.5)
    >>> kernel.block(X, X[:2]).round(3).tolist()
    [[1.0, 0.607], [0.607, 1.0], [0.011, 0.135]]
    >>> similarity_to_first = kernel.columns(X[:1])
    >>> similarity_to_first(X).round(3).ravel().tolist(), kernel.diagonal(X).tolist()
    ([1.0, 0.607, 0.011], [1.0, 1.0, 1.0])
    >>> kernel.rank(X) is None, kernel.frequencies(4, 1, np.random.default_rng(0)).shape
    (True, (1, 4))
    """

    positive_definite: ClassVar[bool] = True
    stationary: ClassVar[bool] = False
    takes_vectors: ClassVar[bool] = True
    # NumPy would take a kernel for an element, and 2.0 * kernel for an array of objects.
    __array_ufunc__ = None

    @abstractmethod
    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated for any rows.

        Parameters
        ----------
        Z : array of shape (m, d), or a list of objects
        dtype : float32 or float64, default=float64
            Of the tiles.

        Returns
        -------
        Columns
        """

    @abstractmethod
    def diagonal(self, X: Any) -> np.ndarray:
        """Return the similarity of each row and itself.

        Parameters
        ----------
        X : array of shape (rows, d), or a list of objects

        Returns
        -------
        float64 array of shape (rows,)
        """

    def block(self, X: Any, Z: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return a tile of the Gram matrix.

        Parameters
        ----------
        X : array of shape (rows, d)
        Z : array of shape (m, d)
        out : array of shape (rows, m), optional
            Where the tile is written.

        Returns
        -------
        array of shape (rows, m)
            float32 if X is float32 and no `out` says otherwise, else float64.
        """
        dtype = tile_dtype(X) if out is None else out.dtype
        return self.columns(Z, dtype)(X, out)

    def rank(self, X: Any) -> int | None:
        """Return the most that the rank of the rows' Gram matrix can be; None where it can be all.

        Parameters
        ----------
        X : array of shape (rows, d), or a list of objects

        Returns
        -------
        int or None
        """
        del X
        return None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return this kernel with its bandwidth set where it was left open (None).

        Parameters
        ----------
        gamma : float
            Above 0.

        Returns
        -------
        Kernel
        """
        del gamma
        return self

    @property
    def needs_gamma(self) -> bool:
        """Whether the bandwidth was left open, to be chosen from data."""
        return False

    def median_gamma(self, X: Any, weight: np.ndarray | None = None) -> float:
        """Return the gamma at which the median pair of distinct rows has a middling similarity.

        Parameters
        ----------
        X : float64 array of shape (rows, d), or a list of objects
        weight : array of shape (rows,), optional
            A row of weight 2 counts as two rows.

        Returns
        -------
        float

        Raises
        ------
        UnsupportedError
            If the kernel has no bandwidth.
        """
        raise UnsupportedError(
            f"{self!r} has no bandwidth to choose; leave gamma out, or use a kernel that has one"
        )

    def with_median_gamma(
        self, X: Any, weight: np.ndarray | None = None, factor: float = 1.0
    ) -> Kernel:
        """Return this kernel with `factor` times `median_gamma` where its bandwidth was left open.

        Parameters
        ----------
        X : float64 array of shape (rows, d), or a list of objects
        weight : array of shape (rows,), optional
        factor : float, default=1.0

        Returns
        -------
        Kernel
        """
        return self.with_gamma(factor * self.median_gamma(X, weight)) if self.needs_gamma else self

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw from the spectral density of a stationary kernel.

        Parameters
        ----------
        n, d, rng, sampling : as in `StationaryKernel`

        Returns
        -------
        float64 array of shape (d, n)

        Raises
        ------
        UnsupportedError
            If the kernel is not stationary.
        """
        raise UnsupportedError(
            f"{self!r} is not stationary, so it has no spectral density to draw frequencies from; "
            "use approximation='nystroem', or a stationary kernel such as 'rbf'"
        )

    def __add__(self, other: Any) -> Any:
        return _combined("Sum", self, other)

    def __radd__(self, other: Any) -> Any:
        return _combined("Sum", other, self)

    def __mul__(self, other: Any) -> Any:
        return _combined("Product", self, other)

    def __rmul__(self, other: Any) -> Any:
        return _combined("Product", other, self)


class StationaryKernel(Kernel):
    """A kernel of x - z: it has a bandwidth and a spectral density."""

    stationary = True

    def diagonal(self, X: Any) -> np.ndarray:
        """Return ones: each row is wholly similar to itself.

        Parameters
        ----------
        X : array of shape (rows, d)

        Returns
        -------
        float64 array of shape (rows,)
        """
        return np.ones(X.shape[0])

    @abstractmethod
    def median_gamma(self, X: np.ndarray, weight: np.ndarray | None = None) -> float:
        """Return the gamma at which the median pair of distinct rows has a middling similarity.

        Parameters
        ----------
        X : float64 array of shape (rows, d)
        weight : array of shape (rows,), optional
            A row of weight 2 counts as two rows.

        Returns
        -------
        float
        """

    @abstractmethod
    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw from the spectral density.

        By Bochner's theorem the kernel is the mean of cos(w @ (x - z)) over it (Rahimi and Recht
        2007).

        Parameters
        ----------
        n : int
            How many frequencies.
        d : int
            Features of a row.
        rng : numpy Generator
        sampling : {"orthogonal", "qmc", "random"}, default="orthogonal"
            Orthogonal to each other, d at a time (Yu et al. 2016); from a scrambled Sobol sequence
            (quasi-Monte Carlo, Yang et al. 2014); or independent. The first two make the
            approximation of the kernel better at no cost.

        Returns
        -------
        float64 array of shape (d, n)
        """


def _combined(name: str, first: Any, second: Any) -> Any:
    """Return the sum or product; a number becomes a constant kernel."""
    parts = []
    for part in (first, second):
        number = isinstance(part, numbers.Real) and not isinstance(part, bool)
        if not number and not isinstance(part, Kernel):
            return NotImplemented
        # By name: combinations are built on this module, so it cannot import them.
        parts.append(class_named("Constant")(float(part)) if number else part)
    return class_named(name)(*parts)


def median_distance(X: np.ndarray, metric: str, weight: np.ndarray | None) -> float:
    """Return the median distance between distinct rows; a row of weight 2 counts as two rows.

    1 where all rows are equal.
    """
    distances = pdist(X, metric)
    if weight is None:
        distinct = distances[distances > 0]
        middle = (len(distinct) - 1) // 2
        return float(np.partition(distinct, middle)[middle]) if len(distinct) else 1.0
    i, j = np.triu_indices(len(X), 1)
    pairs = np.where(distances > 0, weight[i] * weight[j], 0.0)
    order = np.argsort(distances, kind="stable")
    below = np.cumsum(pairs[order])
    if not len(below) or below[-1] <= 0:
        return 1.0
    return float(distances[order[np.searchsorted(below, 0.5 * below[-1])]])


def tile_dtype(X: Any) -> np.dtype:
    """Return float32 for float32 and float16 rows, else float64."""
    dtype = getattr(X, "dtype", np.dtype(np.float64))
    return np.dtype(np.float32 if dtype in (np.float32, np.float16) else np.float64)


def check_values(kernel: Kernel, values: np.ndarray) -> None:
    """Raise where a kernel's values, or the squares of its features, are too large for their dtype.

    Those of float32 must leave room for the sum of a tile of rows.
    """
    most = min(LARGEST_VALUE, float(np.finfo(values.dtype).max) ** 0.9)
    # NaN, which is the sum of infinite values, is not in between either.
    if not (-most <= values.min(initial=0.0) and values.max(initial=0.0) <= most):
        raise InvalidInputError(
            f"{kernel!r} has values too large for {values.dtype} on these rows; scale them first, "
            "or use a smaller gamma or degree"
        )


def check_positive(name: str, value: Any) -> float:
    """Return `value` as a float, or raise naming the parameter where it is not in its range."""
    if isinstance(value, bool) or not np.isscalar(value) or isinstance(value, str):
        raise InvalidInputError(f"{name}={value!r}; it must be a number above 0")
    if not (np.isfinite(value) and value > 0):  # type: ignore[operator]
        raise InvalidInputError(f"{name}={value!r}; it must be finite and above 0")
    if not SMALLEST <= value <= 1 / SMALLEST:  # type: ignore[operator]
        raise InvalidInputError(
            f"{name}={value!r}; it must be from {SMALLEST:g} to {1 / SMALLEST:g}: multiply the "
            "columns by a constant that brings it nearer to 1"
        )
    return float(value)  # type: ignore[arg-type]
