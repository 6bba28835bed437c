"""Kernels from the user's own functions: of two objects, or of two blocks of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.kernels.base import Columns, Kernel
from scalekern.storage import storable


@storable
class PairwiseKernel(Kernel):
    """A kernel of your own, `k(x, z) = function(x, z)`, for objects of any kind.

    The function is called for one pair at a time, which is slow; see `BlockKernel`.

    Parameters
    ----------
    function : callable
        `f(x, z) -> float`, symmetric and finite.

    Raises
    ------
    InvalidInputError
        If the function returns something that is not a finite number.

    Notes
    -----
    Nothing is assumed of the function, so the kernel counts as indefinite.

    Examples
    --------
    >>> kernel = PairwiseKernel(lambda x, z: float(x == z))
    >>> kernel.block(["a", "b"], ["a"]).tolist()
    [[1.0], [0.0]]
    """

    positive_definite = False
    takes_vectors = False

    def __init__(self, function: Callable[[Any, Any], float]) -> None:
        self.function = function

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _PairwiseColumns(self.function, Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return f(x, x) for each object."""
        return np.array([self.function(x, x) for x in X], dtype=np.float64)


@storable
class BlockKernel(Kernel):
    """A kernel of your own that computes many similarities in one call, `function(X, Z)`.

    Parameters
    ----------
    function : callable
        `f(X, Z) -> array of shape (len(X), len(Z))` for blocks of rows.
    is_positive_definite : bool, default=False
        Whether all Gram matrices of the function are positive semidefinite. If so, solvers that
        need that (Cholesky without clipping, conjugate gradients) may be used.

    Raises
    ------
    InvalidInputError
        If the function returns another shape, or something that is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> kernel = BlockKernel(lambda X, Z: X @ Z.T, is_positive_definite=True)
    >>> kernel.block(np.eye(2), np.eye(2)).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    takes_vectors = False

    def __init__(
        self, function: Callable[[Any, Any], np.ndarray], is_positive_definite: bool = False
    ) -> None:
        self.function = function
        self.is_positive_definite = is_positive_definite

    @property
    def positive_definite(self) -> bool:  # type: ignore[override]
        """What the user says of the function."""
        return self.is_positive_definite

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _BlockColumns(self.function, Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return the diagonal, from one call for each row."""
        return np.array(
            [float(np.asarray(self.function(X[i : i + 1], X[i : i + 1]))[0, 0])
             for i in range(len(X))]
        )  # fmt: skip


class _PairwiseColumns(Columns):
    def __init__(self, function: Callable[[Any, Any], float], Z: Any, dtype: Any) -> None:
        self._function, self._Z, self._dtype = function, Z, dtype
        self.n_columns = len(Z)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((len(X), self.n_columns), dtype=self._dtype)
        for i, x in enumerate(X):
            for j, z in enumerate(self._Z):
                out[i, j] = self._function(x, z)
        return _finite(out, "the kernel function")


class _BlockColumns(Columns):
    def __init__(self, function: Callable[[Any, Any], np.ndarray], Z: Any, dtype: Any) -> None:
        self._function, self._Z, self._dtype = function, Z, dtype
        self.n_columns = len(Z)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        tile = np.asarray(self._function(X, self._Z), dtype=self._dtype)
        if tile.shape != (len(X), self.n_columns):
            raise InvalidInputError(
                f"the block kernel returned shape {tile.shape} for {len(X)} rows against "
                f"{self.n_columns}; it must return ({len(X)}, {self.n_columns}). "
                "For a function of two objects pass it as it is, without BlockKernel"
            )
        _finite(tile, "the block kernel")
        if out is None:
            return tile
        out[...] = tile
        return out


def _finite(tile: np.ndarray, who: str) -> np.ndarray:
    finite = np.isfinite(tile)
    if not finite.all():
        i, j = np.argwhere(~finite)[0]
        raise InvalidInputError(
            f"{who} returned {tile[i, j]} for row {i} of a block against row {j}; "
            "it must return finite numbers"
        )
    return tile
