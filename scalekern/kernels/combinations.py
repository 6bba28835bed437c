"""Sums and products of kernels, written `RBF() + Linear()`, `RBF() * Matern()`, `2.0 * RBF()`.

Their parameters are nested, `k1__gamma`, as in `sklearn.gaussian_process.kernels`. What is true of
a combination (definite, stationary, whether a bandwidth is open) follows from its parts.
"""

from __future__ import annotations

import numbers
from abc import abstractmethod
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels.base import Columns, Kernel
from scalekern.kernels.sampling import Sampling
from scalekern.storage import storable


@storable
class Constant(Kernel):
    """k(x, z) = value, for rows of any kind: what a number in a formula of kernels becomes.

    Parameters
    ----------
    value : float, default=1.0
        Finite; below 0 the kernel counts as indefinite.

    Examples
    --------
    >>> Constant(2.0).block(["a", "b"], ["c"]).tolist()
    [[2.0], [2.0]]
    """

    takes_vectors = False

    def __init__(self, value: float = 1.0) -> None:
        self.value = value

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return repr(self.value)

    @property
    def positive_definite(self) -> bool:  # type: ignore[override]
        """Whether the value is not negative."""
        return self.value >= 0

    @property
    def stationary(self) -> bool:  # type: ignore[override]
        """Whether the value is not negative: all its spectrum is then at frequency 0."""
        return self.value >= 0

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not np.isfinite(value):
            raise InvalidInputError(
                f"value={value!r} of a constant kernel; it must be a finite number"
            )
        return _ConstantColumns(float(value), _count(Z), dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return the value for each row."""
        return np.full(_count(X), float(self.value))

    def rank(self, X: Any) -> int:
        """Return 1."""
        del X
        return 1

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Return zeros, shape (d, n)."""
        del rng, sampling
        return np.zeros((d, n))


class Combination(Kernel):
    """Two kernels of the same rows, taken together.

    Parameters
    ----------
    k1, k2 : Kernel
    """

    def __init__(self, k1: Kernel, k2: Kernel) -> None:
        self.k1 = k1
        self.k2 = k2

    @abstractmethod
    def combine(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the values of both taken together, written into `first`."""

    @property
    def positive_definite(self) -> bool:  # type: ignore[override]
        """Whether both are; then so are their sum and, by Schur, their product."""
        return self.k1.positive_definite and self.k2.positive_definite

    @property
    def stationary(self) -> bool:  # type: ignore[override]
        """Whether both are."""
        return self.k1.stationary and self.k2.stationary

    @property
    def takes_vectors(self) -> bool:  # type: ignore[override]
        """Whether one of them takes nothing but vectors."""
        return self.k1.takes_vectors or self.k2.takes_vectors

    @property
    def needs_gamma(self) -> bool:
        """Whether a bandwidth of one of them was left open."""
        return self.k1.needs_gamma or self.k2.needs_gamma

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the combination with `gamma` wherever a bandwidth was left open."""
        return type(self)(self.k1.with_gamma(gamma), self.k2.with_gamma(gamma))

    def with_median_gamma(
        self, X: Any, weight: np.ndarray | None = None, factor: float = 1.0
    ) -> Kernel:
        """Return the combination with each open bandwidth by its own distances' median."""
        first, second = (k.with_median_gamma(X, weight, factor) for k in (self.k1, self.k2))
        return type(self)(first, second)

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _CombinedColumns(self, Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return both diagonals taken together."""
        return self.combine(self.k1.diagonal(X), self.k2.diagonal(X))


@storable
class Sum(Combination):
    """k(x, z) = k1(x, z) + k2(x, z).

    Parameters
    ----------
    k1, k2 : Kernel

    Examples
    --------
    >>> from scalekern.kernels import RBF, Linear
    >>> RBF(gamma=0.5) + 2.0 * Linear()
    RBF(gamma=0.5) + 2.0 * Linear()
    """

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"{self.k1!r} + {self.k2!r}"

    def combine(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return first + second, in `first`."""
        first += second
        return first

    def rank(self, X: Any) -> int | None:
        """Return the sum of both ranks."""
        first, second = self.k1.rank(X), self.k2.rank(X)
        return None if first is None or second is None else first + second

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw from the mixture of both spectral densities, by their values at distance 0."""
        first, second = (float(k.diagonal(np.zeros((1, d)))[0]) for k in (self.k1, self.k2))
        share = first / (first + second) if first + second > 0 else 0.5
        # As many as expected but for one, which makes the expectation exact.
        n_first = int(n * share + rng.random())
        W = [
            k.frequencies(m, d, rng, sampling=sampling)
            for k, m in ((self.k1, n_first), (self.k2, n - n_first))
            if m
        ]
        return np.concatenate(W, axis=1)


@storable
class Product(Combination):
    """k(x, z) = k1(x, z) k2(x, z).

    Parameters
    ----------
    k1, k2 : Kernel

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.kernels import RBF
    >>> float((3.0 * RBF(gamma=0.5)).block(np.array([[1.0]]), np.array([[1.0]]))[0, 0])
    3.0
    """

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        parts = (f"({k!r})" if isinstance(k, Sum) else repr(k) for k in (self.k1, self.k2))
        return " * ".join(parts)

    def combine(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return first * second, in `first`."""
        first *= second
        return first

    def rank(self, X: Any) -> int | None:
        """Return the product of both ranks, which bounds that of the elementwise product."""
        first, second = self.k1.rank(X), self.k2.rank(X)
        return None if first is None or second is None else first * second

    def frequencies(
        self, n: int, d: int, rng: np.random.Generator, *, sampling: Sampling = "orthogonal"
    ) -> np.ndarray:
        """Draw sums of frequencies of both: a product has the convolution of the densities."""
        first, second = (k.frequencies(n, d, rng, sampling=sampling) for k in (self.k1, self.k2))
        # Two Sobol sequences are not independent in the order they come in.
        return first + second[:, rng.permutation(n)]


class _ConstantColumns(Columns):
    def __init__(self, value: float, n_columns: int, dtype: Any) -> None:
        self._value, self._dtype, self.n_columns = value, dtype, n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((_count(X), self.n_columns), dtype=self._dtype)
        out.fill(self._value)
        return out


class _CombinedColumns(Columns):
    def __init__(self, kernel: Combination, Z: Any, dtype: Any) -> None:
        for part in (kernel.k1, kernel.k2):
            if isinstance(Z, list) and part.takes_vectors:
                raise UnsupportedError(
                    f"{part!r} takes rows of numbers, but the rows are {type(Z[0]).__name__} "
                    "objects; combine kernels that take such objects"
                )
        self._first, self._second = (k.columns(Z, dtype) for k in (kernel.k1, kernel.k2))
        self._combine = kernel.combine
        self.n_columns = self._first.n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        return self._combine(self._first(X, out), self._second(X))


def _count(X: Any) -> int:
    return len(X) if isinstance(X, list) else int(X.shape[0])
