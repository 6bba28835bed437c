"""The edit-distance kernel: how alike two texts are, by the edits that turn one into the other."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.kernels.base import Columns, Kernel, check_positive
from scalekern.kernels.levenshtein import levenshtein
from scalekern.storage import storable


@storable
class EditDistance(Kernel):
    """A kernel of texts, `k(x, z) = exp(-gamma * distance)`, of their edit distance.

    The distance is the least number of characters to insert, delete or replace.
    The kernel is indefinite: exact models keep its signed spectrum (solver "pinv") or clip it
    ("cholesky"), Nyström models clip it, and the report has the share clipped.

    Parameters
    ----------
    gamma : float or None, default=None
        Above 0, in 1 / edits; None leaves it to the estimator, whose "median" is 1 / the median
        distance of distinct texts.

    Raises
    ------
    MissingExtraError
        Without the package rapidfuzz.
    InvalidInputError
        If a row is not a text.

    References
    ----------
    Levenshtein (1966), Binary codes capable of correcting deletions, insertions and reversals.

    Examples
    --------
    >>> kernel = EditDistance(gamma=0.5)
    >>> kernel.block(["GATTACA"], ["GATTACA", "CATTAGA"]).round(4).tolist()
    [[1.0, 0.3679]]
    """

    positive_definite = False
    takes_vectors = False

    def __init__(self, gamma: float | None = None) -> None:
        self.gamma = gamma

    @property
    def needs_gamma(self) -> bool:
        """Whether gamma was left open."""
        return self.gamma is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with `gamma` where it was left open."""
        return EditDistance(gamma) if self.gamma is None else self

    def median_gamma(self, X: Any, weight: np.ndarray | None = None) -> float:
        """Return 1 / median of the distances between distinct texts; weights count texts."""
        distances = levenshtein(X, X)
        pairs = np.triu(np.ones_like(distances) if weight is None else np.outer(weight, weight), 1)
        distances, pairs = distances[pairs > 0], pairs[pairs > 0]
        pairs[distances == 0] = 0.0
        order = np.argsort(distances, kind="stable")
        below = np.cumsum(pairs[order])
        if not len(below) or below[-1] <= 0:
            return 1.0
        return float(1.0 / distances[order[np.searchsorted(below, 0.5 * below[-1])]])

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _EditColumns(check_positive("gamma", self.gamma), Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return ones: a text is no edits from itself."""
        return np.ones(len(X))


class _EditColumns(Columns):
    def __init__(self, gamma: float, Z: Any, dtype: Any) -> None:
        self._gamma, self._Z, self._dtype = gamma, Z, np.dtype(dtype)
        self.n_columns = len(Z)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        distances = levenshtein(X, self._Z)
        distances *= -self._gamma
        if out is None:
            out = np.empty(distances.shape, dtype=self._dtype)
        return np.exp(distances, out=out, casting="same_kind")
