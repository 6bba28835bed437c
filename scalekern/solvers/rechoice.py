"""A better alpha for a solver that goes over the rows, once it has been over them.

The alpha that a sample of rows asks for is too large for all rows wherever the model's own bias is
what the penalty guards against: of more rows, finer structure can be told from noise. The minimiser
for one alpha tells those for others, (G + a)^-1 (G + alpha) theta, and a sketch of G is near enough
for that where `a` is near alpha. Their leave-one-out errors on the sample then choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekern.solvers.path import best
from scalekern.solvers.ridge import loo_score

REACH = 32.0
"""So many times smaller or larger may the next alpha be: further off a sketch knows too little."""
SHRINKING_STEPS = 4
LEAST_KEPT = 0.1
"""Of a row's residual: a leave-one-out residual is at most ten times that of the fit."""


@dataclass(frozen=True)
class Rechoice:
    """An alpha near the one before, and the minimiser for it.

    Attributes
    ----------
    alpha : float
    theta : float64 array of shape (m, t)
    alphas, scores : float64 arrays
        The candidates within reach and their leave-one-out errors.
    """

    alpha: float
    theta: np.ndarray
    alphas: np.ndarray
    scores: np.ndarray


def rechosen(
    G: np.ndarray,
    theta: np.ndarray,
    alpha: float,
    candidates: np.ndarray,
    Phi: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    share: float,
    n_sketch: int,
) -> Rechoice:
    """Return the alpha with the smallest leave-one-out error among those near the present one.

    Parameters
    ----------
    G : float64 array of shape (m, m)
        About the weighted sum of phi phi' over all rows.
    theta : float64 array of shape (m, t)
        The minimiser for `alpha`, or nearly.
    alpha : float
    candidates : float64 array
    Phi : float64 array of shape (rows, m)
        Features of some of the rows, centred where there is an intercept.
    y : float64 array of shape (rows, t)
        Targets, with the intercept taken off.
    weight : float64 array of shape (rows,)
    share : float
        What the intercept adds to each row's leverage, over its weight.
    n_sketch : int
        Rows of the sketch that G is made of.

    References
    ----------
    Dereziński, Liang, Liao and Mahoney (2020), Precise expressions for random projections, for the
    inverse of a sketch.
    """
    near = candidates[(candidates >= alpha / REACH) & (candidates <= alpha * REACH)]
    alphas = np.union1d(near, alpha)
    d, V = np.linalg.eigh(G)
    d = np.maximum(d, 0.0)
    pull = (d + alpha)[:, None] * (V.T @ theta)
    Z = Phi @ V
    squares = Z**2
    scores, floor = [], len(d) * np.finfo(np.float64).eps * max(d.max(initial=0.0), 1e-300)
    inverses = 1.0 / np.maximum(d + alphas[:, None], floor)
    for a, inverse in zip(alphas, inverses, strict=True):
        kept = _shrinkage(d, a, n_sketch)
        leverage = weight * (kept * (squares @ (1.0 / np.maximum(d + kept * a, floor))) + share)
        left = np.maximum(1.0 - leverage, LEAST_KEPT)
        scores.append(loo_score(y - Z @ (inverse[:, None] * pull), left, weight))
    chosen = best(np.array(scores))
    theta = V @ (inverses[chosen][:, None] * pull)
    return Rechoice(float(alphas[chosen]), theta, alphas, np.array(scores))


def _shrinkage(d: np.ndarray, a: float, n_sketch: int) -> float:
    """Return by what the inverse of a sketch is too large: g (G + g a)^-1 is without bias.

    g is 1 less the freedom (of G with the penalty g a) over the rows of the sketch.
    """
    g = 1.0
    for _ in range(SHRINKING_STEPS):
        freedom = (d / np.maximum(d + g * a, np.finfo(np.float64).tiny)).sum()
        g = max(1.0 - freedom / n_sketch, 0.5)
    return g
