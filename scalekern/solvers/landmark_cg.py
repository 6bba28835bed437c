"""Models on landmarks by conjugate gradients: a pass of kernel values for each iteration.

In whitened coordinates theta, f(x) = phi(x)'theta with phi = U'k(Z, x), the system is

    (Phi'W Phi + alpha I) theta = Phi'W y

with the weighted means taken off where there is an intercept. A pass only ever sees K_nm (U theta);
U, of the size of the landmarks alone, is applied between passes. The preconditioner is a sketch of
all rows (KRILL: Díaz, Epperly, Frangella, Tropp and Webber 2023), which is sound at every alpha, or
the landmarks' own Gram matrix (Falkon: Rudi, Carratino and Rosasco 2017), which costs no pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from scalekern.engine import Engine, memory_budget
from scalekern.engine.progress import step
from scalekern.features import NystroemMap
from scalekern.features.maps import KernelColumnsMap
from scalekern.features.whitening import largest_eigenvalue
from scalekern.rows import RowSource
from scalekern.solvers.cg import CgSettings, conjugate_gradients
from scalekern.solvers.normal import KernelNormal
from scalekern.solvers.ridge import FeatureSample, Solution
from scalekern.solvers.sketch import Sketch, sketch_size
from scalekern.solvers.smoother import Smoother, inverse_factor
from scalekern.solvers.spd import factor_spd

ROUNDING = 1e-15
Preconditioner = Literal["krill", "falkon"]


@dataclass(frozen=True)
class LandmarkProblem:
    """What there is to solve.

    Attributes
    ----------
    engine : Engine
    source : RowSource
    feature_map : NystroemMap
    y_mean : float64 array of shape (t,)
        Weighted; taken off where there is an intercept.
    alpha : float
        Above 0.
    sample : FeatureSample
        Training rows that are not landmarks, whose leave-one-out errors are watched.
    fit_intercept : bool
    seed : int
    preconditioner : {"krill", "falkon"} or None
        None is the sketch where it fits in memory.
    """

    engine: Engine
    source: RowSource
    feature_map: NystroemMap
    y_mean: np.ndarray
    alpha: float
    sample: FeatureSample
    fit_intercept: bool
    seed: int
    preconditioner: Preconditioner | None = None


@step("finding the coefficients")
def solve_landmarks(problem: LandmarkProblem, settings: CgSettings) -> Solution:
    """Return the coefficients of the whitened features.

    Returns
    -------
    Solution
        Its report has `preconditioner`, `passes`, and what `conjugate_gradients` reports, where
        the measure is the share of the objective that is still to be gained.
    """
    kind = problem.preconditioner or affordable(problem)
    first = _first_pass(problem, times=4 if kind == "krill" else 0)
    system = _System(problem, first)
    with step("factoring the sketch"):
        H = system.curvature(first)
        solve, factored = factor_spd(H)
    report: dict[str, Any] = {"preconditioner": kind, "double_products": system.double}
    if kind == "krill" and first.whole:
        report |= {"passes": 1, "iterations": 0, "stopped": "the sketch is every row, and solved"}
        theta = solve(system.right)
        smoother = system.smoother(inverse_factor(H, factored))
        return system.solution(theta, report | factored, smoother)
    found = conjugate_gradients(
        system.times,
        system.right,
        solve,
        system.excess,
        settings,
        solve(system.sketched) if kind == "krill" else None,
        system.left_out_error(solve),
    )
    return system.solution(found.x, found.report | report | {"passes": 1 + found.products})


def affordable(problem: LandmarkProblem) -> Preconditioner:
    """Return the sketch, unless memory is too short for it."""
    feature_map, t = problem.feature_map, problem.source.n_outputs
    m = len(feature_map.whitening.kept)
    size = min(sketch_size(m), problem.source.n_rows)
    partial = size * (m + t + 1) * feature_map.dtype.itemsize
    needed = (problem.engine.n_threads + 2) * partial + 2 * 8 * size * m
    return "krill" if needed < memory_budget() else "falkon"


def _first_pass(problem: LandmarkProblem, times: int) -> Sketch:
    """Return a sketch of the kernel values, which are whitened at the end, and the sums."""
    feature_map, source = problem.feature_map, problem.source
    raw = KernelColumnsMap(feature_map.kernel, feature_map.Z, feature_map.dtype)
    whole = source.n_rows <= sketch_size(raw.n_features, times)
    offset = problem.y_mean if problem.fit_intercept else np.zeros(source.n_outputs)
    # Workers are sent what makes a sum, so it may hold no rows, nor a source of them.
    dtype = np.float64 if whole else raw.dtype
    make = partial(Sketch, raw, source.n_outputs, offset, source.n_rows, problem.seed, dtype, times)

    return problem.engine.reduce(source, make, "sketching the rows")


class _System:
    """The normal equations in whitened coordinates, and the way back from them."""

    def __init__(self, problem: LandmarkProblem, first: Sketch) -> None:
        self._problem, self._W, self._s = problem, float(first.W[0]), first.s
        feature_map = problem.feature_map
        self._U = feature_map.whitening.inverse
        self._columns = feature_map.kernel.columns(feature_map.Z, feature_map.dtype)
        self.right = self._U.T @ first.c
        centred = problem.fit_intercept and self._W > 0
        self._mean = self._U.T @ first.S / (self._W if centred else np.inf)
        self.double = needs_double(feature_map, problem.alpha, problem.source.n_rows)

    def times(self, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrix times V, by one pass over the rows, and V."""
        problem = self._problem
        coef, shift, dtype = self._U @ V, self._mean @ V, problem.feature_map.dtype
        make = partial(KernelNormal, self._columns, coef, shift, dtype, double=self.double)

        stat = problem.engine.reduce(problem.source, make, "conjugate gradients")
        return self._U.T @ stat.out - np.outer(self._mean, stat.total) + problem.alpha * V, V

    def curvature(self, first: Sketch) -> np.ndarray:
        """Return what stands for the matrix: that of the sketch, or of the landmarks."""
        if len(first.B):
            A = self._sketch(first)
            self.sketched = A.T @ first.B[:, len(self._U) : -1].astype(np.float64)
        else:
            A = self._of_landmarks()
        H = A.T @ A
        H.flat[:: len(H) + 1] += self._problem.alpha
        return H

    def _sketch(self, first: Sketch) -> np.ndarray:
        B = first.B.astype(np.float64)
        return B[:, : len(self._U)] @ self._U - np.outer(B[:, -1], self._mean)

    def _of_landmarks(self) -> np.ndarray:
        feature_map = self._problem.feature_map
        K = np.asarray(feature_map.kernel.columns(feature_map.Z, np.float64)(feature_map.Z))
        return np.sqrt(self._W / len(K)) * (K @ self._U - self._mean)

    def excess(self, theta: np.ndarray, r: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the share of the objective |y - f|^2_w + alpha |f|^2 that is still to be gained.

        That is r'A^-1 r, whatever r is, and bounds the squares that predictions miss.
        """
        left = self._s - np.einsum("ij,ij->j", theta, self.right + r)
        gain = np.maximum(np.einsum("ij,ij->j", r, z), 0.0)
        return gain / np.where(gain > 0, np.maximum(left, ROUNDING * self._s), 1.0)

    def left_out_error(
        self, solve: Callable[[np.ndarray], np.ndarray]
    ) -> Callable[[np.ndarray], np.ndarray]:
        """Return the function from theta to the leave-one-out RMSE of each output.

        That of the rows of the sample; leverages are those of the preconditioner.
        """
        sample, y_mean = self._problem.sample, self._problem.y_mean
        Phi, w = sample.Phi - self._mean, sample.weight
        leverage = w * (
            np.einsum("ij,ji->i", Phi, solve(Phi.T))
            + (1.0 / self._W if self._problem.fit_intercept else 0.0)
        )
        y = sample.y - (y_mean if self._problem.fit_intercept else 0.0)
        # The sketch knows leverages to a factor; none may take all of its row's error.
        left = np.maximum(1.0 - leverage, 0.1)[:, None]

        def error(theta: np.ndarray) -> np.ndarray:
            return np.asarray(np.sqrt(w @ np.square((y - Phi @ theta) / left) / w.sum()))

        return error

    def solution(
        self, theta: np.ndarray, report: dict[str, Any], smoother: Smoother | None = None
    ) -> Solution:
        """Return the solution in the coordinates of the features."""
        problem = self._problem
        mean = problem.y_mean if problem.fit_intercept else np.zeros(theta.shape[1])
        left = np.maximum(self._s - np.einsum("ij,ij->j", self.right, theta), 0.0)
        freedom = max(self._W, problem.source.n_rows) - problem.fit_intercept
        return Solution(
            theta,
            mean - self._mean @ theta,
            problem.alpha,
            report=report,
            smoother=smoother,
            amplitude=left / (problem.alpha * max(freedom, 1.0)),
        )

    def smoother(self, factor: np.ndarray) -> Smoother:
        """Return how rows weigh in predictions, from a factor of the matrix's inverse."""
        problem = self._problem
        baseline = problem.y_mean if problem.fit_intercept else 0.0 * problem.y_mean
        share = 1.0 / self._W if problem.fit_intercept and self._W > 0 else 0.0
        return Smoother(factor, self._mean @ factor, baseline, share)


def needs_double(feature_map: NystroemMap, alpha: float, n_rows: int) -> bool:
    """Return whether products of float32 kernel values are to be taken in float64.

    A prediction from coefficients U theta is rounded by up to eps sqrt(k) |theta|, k the condition
    number of the landmarks' Gram matrix, and (Phi'Phi + alpha)^-1 Phi' of n such errors is at most
    eps sqrt(k n / alpha) / 2 of theta: a thousandth may be lost.
    """
    if feature_map.dtype == np.float64:
        return False
    white = feature_map.whitening
    K = np.asarray(feature_map.kernel.columns(feature_map.Z, np.float64)(feature_map.Z))
    smallest = 1.0 / float(np.square(white.inverse).sum())
    condition = largest_eigenvalue(K) / smallest
    eps = float(np.finfo(np.float32).eps)
    return bool(0.5 * eps * np.sqrt(condition * n_rows / alpha) > 1e-3)
