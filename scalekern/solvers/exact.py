"""The exact model: coefficients for every row from the whole Gram matrix.

Minimises |y - K a - b|^2_w + alpha a'Ka. With sqrt(w) taken into the matrix and the weighted mean
projected out where there is an intercept, that is one symmetric system, whose spectrum serves any
alpha, the pseudo-inverse of the article, and indefinite similarities.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from scalekern.engine import hash_ids
from scalekern.engine.progress import step
from scalekern.solvers.path import AlphaRule, best
from scalekern.solvers.ridge import Solution, gcv_score, loo_score
from scalekern.solvers.spd import check_system, pseudo_inverse, solve_spd
from scalekern.solvers.sums import FOLD_SEED

GAP = 1e3
BLOCK_ROWS = 64
SAFE_ALPHA = 1e-6
"""From this share of the trace on, rounding where K has no eigenvalues does no harm."""
EQUAL = 4.0
"""Times rounding, what taking the mean out leaves of the trace where rows are all equal: half of
the root of n was measured."""


@step("solving the exact model")
def solve_exact(
    K: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    rule: AlphaRule,
    *,
    solver: Literal["pinv", "cholesky"],
    fit_intercept: bool,
    positive_definite: bool,
    rank: int | None = None,
) -> Solution:
    """Return the coefficients of the rows.

    Parameters
    ----------
    K : float64 array of shape (n, n), symmetric
    y : float64 array of shape (n, t)
    weight : float64 array of shape (n,), above 0
    rule : AlphaRule
    solver : {"pinv", "cholesky"}
        "pinv" keeps negative eigenvalues of an indefinite K, as `numpy.linalg.pinv` does;
        "cholesky" clips them, and reports their share.
    fit_intercept : bool
    positive_definite : bool
        What the kernel says of itself.
    rank : int, optional
        The most that K can have, where that is known; further eigenvalues are rounding, and as
        large as alpha they would decide the coefficients.
    """
    rank = len(K) if rank is None else min(rank, len(K))
    problem = _Problem(K, y, weight, fit_intercept)
    full = rank == len(K) or rule.smallest > SAFE_ALPHA * float(np.abs(np.diag(K)).sum())
    regular = positive_definite and rule.smallest > 0 and full
    if rule.rule == "fixed" and solver == "cholesky" and regular:
        beta, how = solve_spd(problem.penalized(rule.smallest), problem.y)
        return problem.solution(beta, rule.smallest, report=how)
    spectrum = _Spectrum(problem, clip=solver == "cholesky" or positive_definite, rank=rank)
    report = {
        "factorization": "eigenvalues",
        "clipped_share": spectrum.clipped,
        "rank": rank,
    }
    if rule.rule == "fixed":
        return problem.solution(spectrum.solve(rule.smallest), rule.smallest, report=report)
    alphas = rule.path(float(np.abs(spectrum.L).max(initial=0.0)), np.float64)
    if rule.rule == "cv":
        scores = _k_fold(
            K, y, weight, alphas, rule.n_folds, solver, fit_intercept, positive_definite, rank
        )
    else:
        scores = spectrum.leave_one_out(alphas) if rule.rule == "loo" else spectrum.gcv(alphas)
    chosen = best(scores)
    report |= {
        "alpha_rule": rule.rule,
        "effective_degrees_of_freedom": float(spectrum.freedom(alphas)[chosen]),
    }
    alpha = float(alphas[chosen])
    return problem.solution(
        spectrum.solve(alpha), alpha, alphas=alphas, scores=scores, report=report
    )


class _Problem:
    """The weighted, and where asked for centred, system."""

    def __init__(
        self, K: np.ndarray, y: np.ndarray, weight: np.ndarray, fit_intercept: bool
    ) -> None:
        self._K, self._y, self._w = K, y, weight
        self.fit_intercept = fit_intercept
        self.root = np.sqrt(weight)
        unweighted = bool((weight == 1).all())
        self.A = K if unweighted else self.root[:, None] * K * self.root
        self.y = y if unweighted else self.root[:, None] * y
        check_system(self.A, self.y)
        if fit_intercept:
            q = self.root / np.linalg.norm(self.root)
            self.y = self.y - np.outer(q, q @ self.y)

    def penalized(self, alpha: float) -> np.ndarray:
        """Return A + alpha·I; with an intercept A without what is along sqrt(w)."""
        A = self.A.copy()
        if self.fit_intercept:
            q = self.root / np.linalg.norm(self.root)
            Aq = self.A @ q
            side = Aq - 0.5 * (q @ Aq) * q
            for low in range(0, len(A), BLOCK_ROWS):  # whole matrices would be new memory
                some = slice(low, low + BLOCK_ROWS)
                A[some] -= np.outer(q[some], side)
                A[some] -= np.outer(side[some], q)
        A.flat[:: len(A) + 1] += alpha
        return A

    @property
    def rows(self) -> int:
        return len(self._K)

    @property
    def n(self) -> float:
        return max(float(self._w.sum()), float(len(self._w)))

    def solution(self, beta: np.ndarray, alpha: float, **more: Any) -> Solution:
        coef = self.root[:, None] * beta
        intercept = np.zeros(coef.shape[1])
        if self.fit_intercept:
            share = self._w / self._w.sum()
            # The part of beta along sqrt(w) is rounding; the model has sum(coef) = 0.
            coef = coef - share[:, None] * coef.sum(axis=0)
            intercept = share @ (self._y - self._K @ coef)
        freedom = max(self.n - self.fit_intercept, 1.0)
        amplitude = np.maximum(np.einsum("ij,ij->j", self.y, beta), 0.0) / freedom
        return Solution(coef, intercept, alpha, amplitude=amplitude, **more)


class _Spectrum:
    """The eigenvalues of a problem; with `clip` the negative ones are left out.

    With an intercept they are those orthogonal to sqrt(w): its own would be 0 but for rounding,
    which decides the leverages where alpha is as small.
    """

    def __init__(self, problem: _Problem, *, clip: bool, rank: int) -> None:
        if problem.fit_intercept:
            u = problem.root / np.linalg.norm(problem.root)
            u[0] += 1.0
            L, V = np.linalg.eigh(_reflected(_reflected(problem.A, u).T, u)[1:, 1:])
            self.V = _reflected(np.vstack([np.zeros(len(L)), V]), u)
        else:
            L, self.V = np.linalg.eigh(problem.A)
        none = _beyond(L, rank) if rank < problem.rows else np.zeros(len(L), dtype=bool)
        rounding = EQUAL * np.finfo(np.float64).eps * np.sqrt(problem.rows)
        if np.abs(L).sum() <= rounding * np.abs(np.diag(problem.A)).sum():
            none[:] = True  # rows are all equal
        L = np.where(none, 0.0, L)
        size = float(np.abs(L).sum())
        self.clipped = float(-L[L < 0].sum() / size) if clip and size > 0 else 0.0
        self.L = np.maximum(L, 0.0) if clip else L
        self._clip, self._none = clip, none
        self.y = self.V.T @ problem.y
        self._problem = problem

    def inverse(self, alpha: float) -> np.ndarray:
        inverse = np.where(self._none, 0.0, pseudo_inverse(self.L + alpha))
        if self._clip and alpha == 0:
            # Without a penalty the directions that rounding made would decide the answer.
            rounding = len(self.L) * np.finfo(np.float64).eps * self.L.max(initial=0.0)
            return np.where(self.L > rounding, inverse, 0.0)
        return np.where(self.L > 0, inverse, 0.0) if self._clip and self.clipped > 1e-8 else inverse

    def solve(self, alpha: float) -> np.ndarray:
        return self.V @ (self.inverse(alpha)[:, None] * self.y)

    def left(self, alpha: float) -> np.ndarray:
        """Return 1 - L/(L + alpha), what the fit leaves of each eigenvector, to all digits."""
        inverse = self.inverse(alpha)
        return np.where(inverse == 0, 1.0, alpha * inverse)

    def freedom(self, alphas: np.ndarray) -> np.ndarray:
        return np.array([(self.L * self.inverse(alpha)).sum() for alpha in alphas])

    def leave_one_out(self, alphas: np.ndarray) -> np.ndarray:
        """Return the mean squared errors with each row left out, in closed form."""
        V2, root = self.V**2, self._problem.root
        scores = []
        for left in map(self.left, alphas):
            error = self.V @ (left[:, None] * self.y) / root[:, None]
            scores.append(loo_score(error, V2 @ left, root**2))
        return np.array(scores)

    def gcv(self, alphas: np.ndarray) -> np.ndarray:
        squares = np.square(self.y).sum(axis=1)
        rss = np.array([squares @ self.left(alpha) ** 2 for alpha in alphas])
        return gcv_score(rss, self.freedom(alphas) + self._problem.fit_intercept, self._problem.n)


def _beyond(L: np.ndarray, rank: int) -> np.ndarray:
    """Return which eigenvalues are beyond the rank: rounding, by which y would be divided.

    Taking out the mean lowers the rank by one where constants are in the kernel's span, as they
    are of equal rows. And the rank is a bound only: where a wide gap parts all that is rounding
    from the rest, it is lower.
    """
    size = np.abs(L)
    order = np.argsort(-size)
    rounding = len(L) * np.finfo(np.float64).eps * size.max(initial=0.0)
    real = int(np.count_nonzero(size > rounding))
    if real < rank and (real == rank - 1 or (real and size[order[real - 1]] > GAP * rounding)):
        rank = real
    none = np.zeros(len(L), dtype=bool)
    none[order[rank:]] = True
    return none


def _k_fold(
    K: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    alphas: np.ndarray,
    n_folds: int,
    solver: Literal["pinv", "cholesky"],
    fit_intercept: bool,
    positive_definite: bool,
    rank: int,
) -> np.ndarray:
    folds = hash_ids(np.arange(len(K)), FOLD_SEED) % np.uint64(n_folds)
    total = np.zeros(len(alphas))
    for fold in range(n_folds):
        out, kept = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if not len(out) or not len(kept):
            continue
        problem = _Problem(K[np.ix_(kept, kept)], y[kept], weight[kept], fit_intercept)
        clip = solver == "cholesky" or positive_definite
        spectrum = _Spectrum(problem, clip=clip, rank=min(rank, len(kept)))
        K_out = K[np.ix_(out, kept)]
        for a, alpha in enumerate(alphas):
            part = problem.solution(spectrum.solve(alpha), alpha)
            error = y[out] - K_out @ part.coef - part.intercept
            total[a] += np.sum(weight[out, None] * error**2)
    return total / weight.sum()


def _reflected(A: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Return A reflected so that q = u - e_1 becomes -e_1 (Householder 1958); q has length 1."""
    return A - np.outer(u / u[0], u @ A)
