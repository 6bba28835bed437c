"""Curves of single columns, for those whose few huge values leave the others side by side.

A linear map, learned or not, cannot part values that lie together because of a few that lie far
away. The normal deviates of ranks can, and change nothing for who only compares values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

HEAVY = 6.0
"""Excess kurtosis of an exponential distribution; columns beyond it are given a curve."""
KNOTS, OUTERMOST = 129, 4.0
"""Knots lie at quantiles that are evenly spaced for normal deviates up to the second number."""
FEWEST_KNOTS = 3
"""Two values that a column takes lie on a line already."""


@dataclass(frozen=True)
class Curves:
    """Monotone, piecewise linear curves of some columns.

    Attributes
    ----------
    columns : int64 array of shape (c,)
    knots : float64 array of shape (c, 2, k)
        Values and what becomes of them, values ascending, NaN behind the last of a column. Outside
        of them rows get the nearest knot's.
    """

    columns: np.ndarray
    knots: np.ndarray

    def __call__(self, X: np.ndarray) -> np.ndarray:
        """Return a copy of the rows with the columns replaced, of the same dtype."""
        out = np.array(X)
        for j, (values, found) in zip(self.columns, self.knots, strict=True):
            known = ~np.isnan(values)
            out[:, j] = np.interp(X[:, j], values[known], found[known])
        return out


def most_bytes(n_columns: int) -> int:
    """Return the bytes of curves of so many columns."""
    return 8 * n_columns * (1 + 2 * KNOTS)


def normal_scores(X: Any) -> Curves | None:
    """Return curves of the columns with heavy tails: to the normal deviates of their ranks.

    Equal values share the middle of their ranks, and what comes out has the standard deviation of
    the column as it was, so that units keep what they mean.

    Parameters
    ----------
    X : array of shape (n, d), or rows of another kind, which have none

    References
    ----------
    van der Waerden (1952), Order tests for the two-sample problem and their power.

    Examples
    --------
    >>> import numpy as np
    >>> z = np.random.default_rng(0).standard_normal((2_000, 1))
    >>> curves = normal_scores(np.exp(3 * z))
    >>> out = curves(np.exp(3 * z))
    >>> float(np.corrcoef(out[:, 0], z[:, 0])[0, 1].round(2))
    1.0
    """
    if not isinstance(X, np.ndarray) or not len(X):
        return None
    columns, knots = [], []
    for j in range(X.shape[1]):
        x = X[:, j].astype(np.float64)
        found = _knots(x) if _is_heavy_tailed(x) else np.zeros((2, 0))
        if found.shape[1] >= FEWEST_KNOTS:
            padded = np.full((2, KNOTS), np.nan)
            padded[:, : found.shape[1]] = found
            columns.append(j)
            knots.append(padded)
    return Curves(np.array(columns, dtype=np.int64), np.array(knots)) if columns else None


def _is_heavy_tailed(x: np.ndarray) -> bool:
    """Return whether the excess kurtosis is above `HEAVY`."""
    with np.errstate(over="ignore", invalid="ignore"):  # of values too large for their squares
        centred = x - x.mean()
        squares = np.square(centred / (np.abs(centred).max() or 1.0))
    return bool(np.square(squares).mean() > (HEAVY + 3) * squares.mean() ** 2)


def _knots(x: np.ndarray) -> np.ndarray:
    """Return distinct values of a column and their scores, of shape (2, k)."""
    ordered, n = np.sort(x), len(x)
    places = np.rint((n - 1) * ndtr(np.linspace(-OUTERMOST, OUTERMOST, KNOTS))).astype(np.int64)
    values = np.unique(ordered[places])
    before, through = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    size = np.abs(values).max() or 1.0
    spread = size * (x / size).std()  # whose squares may be too large for a float
    return np.array([values, spread * ndtri((before + through) / (2 * n))])
