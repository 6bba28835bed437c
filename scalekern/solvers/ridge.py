"""From ridge sums to coefficients, for one alpha or a whole path, with no second look at the rows.

G = V L V' once; then every alpha costs m operations, generalised cross-validation included (Golub,
Heath and Wahba 1979), and k-fold cross-validation needs only one more decomposition for each fold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekern.engine.progress import step
from scalekern.solvers.path import AlphaRule, best
from scalekern.solvers.smoother import Smoother, inverse_factor
from scalekern.solvers.spd import solve_spd
from scalekern.solvers.sums import RidgeStatistic

NOISE = 1e-6
"""Below this share of y'Wy a residual sum from float32 sums is rounding."""


@dataclass
class Solution:
    """Coefficients of a linear model on features, and how they came about.

    Attributes
    ----------
    coef : float64 array of shape (m, t)
    intercept : float64 array of shape (t,)
    alpha : float
    alphas, scores : float64 arrays or None
        The path and its mean squared errors by the rule, where alpha was chosen.
    report : dict
    smoother : Smoother or None
        How the rows weigh in predictions, where the solution comes from sums.
    amplitude : float64 array of shape (t,) or None
        The likeliest variance of the Gaussian process whose mean the model is, where its kernel is
        `amplitude * k` and its noise `amplitude * alpha`: (|y - f|^2_w / alpha + |f|^2) / n.
    left_out : float64 array of shape (rows, t) or None
        Scores of rows by the model without them, where these were asked for.
    """

    coef: np.ndarray
    intercept: np.ndarray
    alpha: float
    alphas: np.ndarray | None = None
    scores: np.ndarray | None = None
    report: dict[str, Any] = field(default_factory=dict)
    smoother: Smoother | None = None
    amplitude: np.ndarray | None = None
    left_out: np.ndarray | None = None


@dataclass(frozen=True)
class FeatureSample:
    """Some of the training rows.

    Attributes
    ----------
    Phi : float64 array of shape (rows, m)
    y : float64 array of shape (rows, t)
    weight : float64 array of shape (rows,)
    """

    Phi: np.ndarray
    y: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class _Sums:
    """Sums of one set of rows, with the means taken off where there is an intercept."""

    G: np.ndarray
    c: np.ndarray
    s: np.ndarray
    phi_mean: np.ndarray
    y_mean: np.ndarray
    W: float
    count: float
    fit_intercept: bool

    def intercept(self, theta: np.ndarray) -> np.ndarray:
        return self.y_mean - self.phi_mean @ theta

    def amplitude(self, theta: np.ndarray, alpha: float) -> np.ndarray | None:
        """Return that of `Solution`; the objective at its minimum is s - c'theta."""
        left = np.maximum(self.s - np.einsum("ij,ij->j", self.c, theta), 0.0)
        freedom = max(self.W, self.count) - self.fit_intercept
        return left / (alpha * max(freedom, 1.0)) if alpha > 0 else None

    def smoother(self, factor: np.ndarray) -> Smoother:
        share = 1.0 / self.W if self.fit_intercept and self.W > 0 else 0.0
        return Smoother(factor, self.phi_mean @ factor, self.y_mean, share)


def _sums(stat: RidgeStatistic, folds: list[int], fit_intercept: bool) -> _Sums:
    G, S = stat.G[folds].sum(0), stat.S[folds].sum(0)
    W, count = float(stat.W[folds].sum()), float(stat.count[folds].sum())
    parts = [_raw(stat, fold, fit_intercept) for fold in folds]
    c, s, Y = (np.sum([part[i] for part in parts], axis=0) for i in range(3))
    if not fit_intercept:
        return _Sums(G, c, s, np.zeros_like(S), np.zeros_like(Y), W, count, False)
    safe = W if W > 0 else 1.0
    m, y_mean = S / safe, Y / safe
    G = G - safe * np.outer(m, m)
    c = c - safe * np.outer(m, y_mean)
    if np.trace(G) <= 4 * np.finfo(stat.dtype).eps * safe * (m @ m):
        # The features are all equal, and what is left is rounding.
        G, c = np.zeros_like(G), np.zeros_like(c)
    s = np.maximum(s - safe * y_mean**2, 0)
    return _Sums(G, c, s, m, y_mean + stat.y_offset, W, count, True)


@step("solving")
def solve_ridge(
    stat: RidgeStatistic,
    rule: AlphaRule,
    *,
    fit_intercept: bool,
    dtype: Any,
    second_pass: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    sample: FeatureSample | None = None,
) -> Solution:
    """Return the ridge solution of the sums.

    Parameters
    ----------
    stat : RidgeStatistic
    rule : AlphaRule
    fit_intercept : bool
    dtype : numpy dtype
        Of the tiles that were summed; bounds how small alpha can sensibly be.
    second_pass : callable, optional
        `f(coefs, intercepts) -> sums of squared errors` over the rows once more, used where the
        residual from the sums is rounding.
    sample : FeatureSample, optional
        Training rows that leave-one-out errors are averaged over, where the rule is "loo".
    """
    sums = _sums(stat, list(range(stat.n_folds)), fit_intercept)
    if rule.rule == "fixed":
        alpha = rule.smallest
        if alpha == 0:
            eigen = _Eigen(sums)
            coef, smoother = eigen.coef(0.0), sums.smoother(eigen.factor(0.0))
            zero: dict[str, Any] = {"factorization": "eigenvalues"}
            return _solution(sums, coef, 0.0, report=zero, smoother=smoother)
        A = _plus(sums.G, alpha)
        coef, report = solve_spd(A, sums.c)
        smoother = sums.smoother(inverse_factor(A, report))
        return _solution(sums, coef, alpha, report=report, smoother=smoother)
    eigen = _Eigen(sums)
    alphas = rule.path(float(eigen.L.max(initial=0.0)), dtype)
    if rule.rule == "loo":
        assert sample is not None
        scores = eigen.leave_one_out(alphas, sample, fit_intercept)
    elif rule.rule == "gcv":
        scores = eigen.gcv(alphas, fit_intercept, dtype, second_pass)
    else:
        scores = _k_fold(stat, alphas, fit_intercept)
    chosen = best(scores)
    coef, smoother = eigen.coef(alphas[chosen]), sums.smoother(eigen.factor(alphas[chosen]))
    report = {
        "factorization": "eigenvalues",
        "alpha_rule": rule.rule,
        "effective_degrees_of_freedom": float(eigen.freedom(alphas)[chosen]),
    }
    alpha = float(alphas[chosen])
    more: dict[str, Any] = {"alphas": alphas, "scores": scores, "report": report}
    return _solution(sums, coef, alpha, smoother=smoother, **more)


def _solution(sums: _Sums, coef: np.ndarray, alpha: float, **more: Any) -> Solution:
    amplitude = sums.amplitude(coef, alpha)
    return Solution(coef, sums.intercept(coef), alpha, amplitude=amplitude, **more)


class _Eigen:
    """The decomposition of one set of sums."""

    def __init__(self, sums: _Sums) -> None:
        self.sums = sums
        L, self.V = np.linalg.eigh(sums.G)
        self.L = np.maximum(L, 0.0)
        self.c = self.V.T @ sums.c

    def coef(self, alpha: float) -> np.ndarray:
        return self.V @ (self._inverse(np.array([alpha]))[0][:, None] * self.c)

    def factor(self, alpha: float) -> np.ndarray:
        return self.V * np.sqrt(self._inverse(np.array([alpha]))[0])

    def coefs(self, alphas: np.ndarray) -> np.ndarray:
        return np.array([self.coef(alpha) for alpha in alphas])

    def freedom(self, alphas: np.ndarray) -> np.ndarray:
        return (self.L * self._inverse(alphas)).sum(axis=1)

    def rss(self, alphas: np.ndarray) -> np.ndarray:
        inverse, squares = self._inverse(alphas), np.square(self.c).sum(axis=1)
        s = self.sums.s.sum()
        return s - 2 * inverse @ squares + (inverse**2) @ (squares * self.L)

    def _inverse(self, alphas: np.ndarray) -> np.ndarray:
        alphas = np.asarray(alphas)[:, None]
        denominator = self.L + alphas
        # Without a penalty the directions that rounding made are left out.
        floor = np.where(alphas > 0, 1e-15, len(self.L) * np.finfo(np.float64).eps)
        kept = denominator > floor * max(self.L.max(initial=0.0), 1e-300)
        return np.divide(1.0, denominator, out=np.zeros_like(denominator), where=kept)

    def leave_one_out(
        self, alphas: np.ndarray, sample: FeatureSample, fit_intercept: bool
    ) -> np.ndarray:
        sums, w = self.sums, sample.weight
        Z = (sample.Phi - sums.phi_mean) @ self.V
        # Features from float32 tiles are not quite those that were summed; leverages stay below 1.
        squares, y = Z**2, sample.y - sums.y_mean
        scores = []
        for inverse in self._inverse(alphas):
            leverage = w * (squares @ inverse + (1.0 / sums.W if fit_intercept else 0.0))
            error = y - Z @ (inverse[:, None] * self.c)
            scores.append(loo_score(error, 1.0 - leverage, w))
        return np.array(scores)

    def gcv(
        self,
        alphas: np.ndarray,
        fit_intercept: bool,
        dtype: Any,
        second_pass: Callable[[np.ndarray, np.ndarray], np.ndarray] | None,
    ) -> np.ndarray:
        rss, s = self.rss(alphas), float(self.sums.s.sum())
        noise = NOISE if dtype == np.float32 else 1e-12
        doubtful = rss < noise * s
        if doubtful.any() and second_pass is not None and s > 0:
            coefs = self.coefs(alphas[doubtful])
            intercepts = np.array([self.sums.intercept(theta) for theta in coefs])
            rss[doubtful] = second_pass(coefs, intercepts)
        freedom = self.freedom(alphas) + fit_intercept
        return gcv_score(np.maximum(rss, 0), freedom, max(self.sums.W, self.sums.count))


def loo_score(error: np.ndarray, left: np.ndarray, weight: np.ndarray) -> float:
    """Return the mean squared error when each row is left out of its own prediction.

    Parameters
    ----------
    error : float64 array of shape (rows, t)
        With the row left in.
    left : float64 array of shape (rows,)
        1 - the row's leverage.
    weight : float64 array of shape (rows,)
    """
    # Where a row decides its own prediction but for rounding, nothing can be said of it.
    if not (left > 1e-11).all():
        return float("inf")
    return float(weight @ np.square(error / left[:, None]).sum(axis=1) / weight.sum())


def gcv_score(rss: np.ndarray, freedom: np.ndarray, n: float) -> np.ndarray:
    """Return (rss/n) / (1 - freedom/n)^2, infinite where no freedom is left."""
    left = 1.0 - freedom / n
    # Rounding alone decides below this share of the freedom.
    usable = left > 1e-9
    return np.where(usable, rss / n / np.where(usable, left, 1.0) ** 2, np.inf)


def _k_fold(stat: RidgeStatistic, alphas: np.ndarray, fit_intercept: bool) -> np.ndarray:
    total = np.zeros(len(alphas))
    for fold in range(stat.n_folds):
        if stat.W[fold] == 0 or stat.W.sum() == stat.W[fold]:
            continue
        others = [f for f in range(stat.n_folds) if f != fold]
        eigen = _Eigen(_sums(stat, others, fit_intercept))
        G, S, W = stat.G[fold], stat.S[fold], stat.W[fold]
        c, s, Y, offset = _raw(stat, fold, fit_intercept)
        for a, alpha in enumerate(alphas):
            theta = eigen.coef(alpha)
            b = eigen.sums.intercept(theta) - offset
            error = s - 2 * np.sum(theta * c, axis=0) + np.sum(theta * (G @ theta), axis=0)
            error += -2 * b * Y + 2 * b * (S @ theta) + b**2 * W
            total[a] += error.sum()
    return total / max(stat.W.sum(), np.finfo(np.float64).tiny)


def _raw(stat: RidgeStatistic, fold: int, fit_intercept: bool) -> tuple[Any, Any, Any, Any]:
    """Return c, s and Y of one fold, and the offset of y that they are free of.

    The offset is for rounding only; without an intercept it has to come back.
    """
    c, s, Y = stat.c[fold], stat.s[fold], stat.Y[fold]
    if fit_intercept:
        return c, s, Y, stat.y_offset
    y0, W = stat.y_offset, stat.W[fold]
    return c + np.outer(stat.S[fold], y0), s + 2 * y0 * Y + W * y0**2, Y + W * y0, 0.0


def _plus(G: np.ndarray, alpha: float) -> np.ndarray:
    A = G.copy()
    A.flat[:: len(A) + 1] += alpha
    return A
