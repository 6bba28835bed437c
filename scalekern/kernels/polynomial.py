"""The polynomial kernel: all products of up to `degree` features."""

from __future__ import annotations

import numbers
from math import comb
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.kernels.base import Columns, Kernel, check_positive, check_values
from scalekern.kernels.linear import Linear
from scalekern.storage import storable


@storable
class Polynomial(Kernel):
    """The polynomial kernel, `k(x, z) = (gamma x @ z + coef0)^degree`.

    The same as `sklearn.metrics.pairwise.polynomial_kernel`.

    Parameters
    ----------
    degree : int, default=3
        The degree of the polynomial, at least 1.
    gamma : float or None, default=None
        Above 0. None leaves it to the estimator, whose "median" means 1 / number of features here,
        since no distance is involved; on its own the kernel takes that value too.
    coef0 : float, default=1.0
        The weight of the lower degrees; below 0 the kernel counts as indefinite.

    Raises
    ------
    InvalidInputError
        If a parameter is not such a number, when the kernel is evaluated; or if its values
        overflow.

    Examples
    --------
    >>> import numpy as np
    >>> kernel = Polynomial(degree=2, gamma=1.0)
    >>> float(kernel.block(np.array([[1.0, 2.0]]), np.array([[3.0, 1.0]]))[0, 0])
    36.0
    """

    def __init__(self, degree: int = 3, gamma: float | None = None, coef0: float = 1.0) -> None:
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0

    @property
    def positive_definite(self) -> bool:  # type: ignore[override]
        """Whether no power of x @ z has a negative weight."""
        return self.coef0 >= 0

    @property
    def needs_gamma(self) -> bool:
        """Whether gamma was left open."""
        return self.gamma is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with `gamma` where it was left open."""
        return Polynomial(self.degree, gamma, self.coef0) if self.gamma is None else self

    def median_gamma(self, X: Any, weight: np.ndarray | None = None) -> float:
        """Return 1 / number of features, scikit-learn's default."""
        del weight
        return 1.0 / X.shape[1]

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _PolynomialColumns(self, Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return `(gamma |x|^2 + coef0)^degree`."""
        values = Linear().diagonal(X)
        self.profile(values, X.shape[1])
        return values

    def rank(self, X: Any) -> int:
        """Return how many products of up to `degree` features of X there are."""
        return comb(Linear().rank(X) + int(self.degree), int(self.degree))

    def profile(self, t: np.ndarray, d: int) -> None:
        """Turn t = x @ z into the kernel in place; `d` is the number of features."""
        degree, coef0 = self.degree, self.coef0
        if isinstance(degree, bool) or not isinstance(degree, numbers.Integral) or degree < 1:
            raise InvalidInputError(f"degree={degree!r}; it must be a whole number of at least 1")
        if not isinstance(coef0, numbers.Real) or not np.isfinite(coef0):
            raise InvalidInputError(f"coef0={coef0!r}; it must be a finite number")
        gamma = 1.0 / d if self.gamma is None else check_positive("gamma", self.gamma)
        with np.errstate(over="ignore"):
            t *= t.dtype.type(gamma)
            t += t.dtype.type(coef0)
            np.power(t, int(degree), out=t)
        check_values(self, t)


class _PolynomialColumns(Columns):
    def __init__(self, kernel: Polynomial, Z: Any, dtype: Any) -> None:
        self._products, self._kernel, self._d = Linear().columns(Z, dtype), kernel, Z.shape[1]
        self._dtype = dtype
        self.n_columns = self._products.n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._dtype)
        self._products(X, out)
        self._kernel.profile(out, self._d)
        return out
