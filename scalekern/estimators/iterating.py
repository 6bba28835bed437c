"""How solver="cg" fits a model: alpha on a sample of rows, then iterations, each a pass.

Also where "auto" takes it: by counted multiplications, which are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekern.engine import HashSample, memory_budget
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.approximation import Job
from scalekern.estimators.counting import Tile, keeps_tiles
from scalekern.estimators.descent import choose_alpha, most_passes
from scalekern.estimators.fitting import (
    GRAM_MATRICES,
    GatheredRows,
    features_of,
    gather,
    gram_matrix,
)
from scalekern.estimators.weighing import MOST_COMPONENTS
from scalekern.features import NystroemMap
from scalekern.features.parameters import tile_dtype_of
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.kernels import Kernel
from scalekern.solvers import (
    AlphaRule,
    CgSettings,
    LandmarkProblem,
    Solution,
    sketch_size,
    solve_exact,
    solve_exact_by_cg,
    solve_landmarks,
)
from scalekern.solvers.exact_cg import cg_need, preconditioner_rank
from scalekern.solvers.path import quickest

CG_ITERATIONS = 200
ALPHA_ROWS = 3_000
"""An exact model by cg takes the alpha of the exact model of so many rows."""
INDIFFERENT = 0.01
"""Errors of the sample that differ by less do not tell alphas apart; the largest is the quickest to
solve for, where targets without noise would have it vanish."""
WATCHED_ROWS = 1_024
LEFT_OUT_SHARE = 5
"""Errors of rows left out are watched on so many; of an exact model on a fifth of all at most."""
KERNEL_VALUE = 60
"""Multiplications in a matrix product that cost as much as one kernel value beyond its products,
which are long and thin, and its share of the passes' own work; as measured."""
EIGENVALUES = 10
"""Multiplications of a matrix product that all eigenvalues and vectors cost, as shares of n^3."""
EXACT_PASSES = 40
"""Products with the Gram matrix that an exact model usually takes."""
FIRST_PASSES, PASSES_BY_ROOT = 4, 2.5
"""Products with it, and those for each root of the condition number; 2.1 to 3.5 were measured."""
DOUBLE = 3
"""What float64 tiles cost, in float32 ones."""
MOST_EXACT_WORK = 5e12
"""Multiplications of an exact model that chooses alpha itself: none so small that iterations would
take more, unless they are the first `LEAST_PASSES`."""
LEAST_PASSES = 20
TINY_ALPHA = 1e-9
"""As a share of n: from here on cg would take hundreds of products."""
USUAL_PASSES = 12
"""Passes of kernel values that a fit by cg takes, the sketch counted four times."""


def landmarks_by_cg(job: Job, feature_map: NystroemMap, rows: HashSample) -> Solution:
    """Return the coefficients of a Nyström model.

    Parameters
    ----------
    job : Job
    feature_map : NystroemMap
    rows : HashSample
        Random rows that are not landmarks: alpha is chosen, and leave-one-out errors are watched,
        on them.
    """
    watched = rows.part(np.arange(min(WATCHED_ROWS, len(rows.numbers))))
    sample = features_of(watched if job.rule.rule == "fixed" else rows, feature_map)
    choice = choose_alpha(job.rule, sample, feature_map, job.fit_intercept)
    require_penalty(choice.alpha)
    problem = LandmarkProblem(
        job.engine,
        job.source,
        feature_map,
        job.seen.y_mean,
        choice.alpha,
        features_of(watched, feature_map),
        job.fit_intercept,
        rows.seed,
    )
    solution = solve_landmarks(problem, cg_settings(job.params))
    return with_choice(solution, choice, job, len(rows.numbers))


def cg_settings(params: dict[str, Any]) -> CgSettings:
    """Return when to stop, by the estimator's parameters."""
    return CgSettings(float(params["tol"]), most_passes(params, CG_ITERATIONS))


def with_choice(solution: Solution, choice: Solution, job: Job, n_rows: int) -> Solution:
    """Return the solution with how its alpha was chosen, if it was."""
    solution.report["solver"] = "cg"
    if job.rule.rule == "fixed":
        return solution
    solution.report["alpha_rule"] = f"{job.rule.rule} on {n_rows} rows"
    return replace(solution, alphas=choice.alphas, scores=choice.scores)


def require_penalty(alpha: float) -> None:
    """Raise where there is no penalty: directions that rounding made would then decide."""
    if not alpha > 0:
        raise InvalidInputError(
            f"alpha={alpha!r} with solver='cg'; use a number above 0, or solver='cholesky'"
        )


def landmark_solver(solver: str, rule: AlphaRule, n: int, m: int, d: int) -> str:
    """Return the solver of a Nyström model.

    From sums come alpha by all rows and what explains predictions, so "auto" gives them up only
    where alpha is given and the model is too large to keep the latter.
    """
    if solver != "auto":
        return solver
    free = rule.rule == "fixed" and rule.smallest > 0 and m > MOST_COMPONENTS
    return "cg" if free and cg_is_cheaper(n, m, d) else "cholesky"


def cg_is_cheaper(n: int, m: int, d: int) -> bool:
    """Return whether landmarks are solved for with fewer multiplications by cg than from sums."""
    value = d + KERNEL_VALUE
    direct = n * m * (value + m / 2)
    size = sketch_size(m)
    iterative = USUAL_PASSES * n * m * value + 1.5 * size * m**2
    return n > size and iterative < direct


def exact_sample_rows(params: dict[str, Any]) -> int:
    """Return how many random rows an exact fit needs."""
    return ALPHA_ROWS if params["solver"] in ("auto", "cg") else 1


def exact_solver(solver: str, kernel: Kernel, rule: AlphaRule, n: int, d: int) -> tuple[str, str]:
    """Return the solver of an exact model of n rows of d columns, and why that one."""
    if solver != "auto":
        return solver, "asked for"
    if not kernel.positive_definite:
        return "pinv", "the kernel may be indefinite"
    fixed = rule.rule == "fixed"
    if fixed and rule.smallest <= TINY_ALPHA * n:
        return "cholesky", "alpha is tiny, which iterations are slow for"
    dense, iterative = exact_work(n, d, fixed=fixed)
    why = f"{dense:.1e} multiplications dense, {iterative:.1e} by cg"
    if GRAM_MATRICES[rule.rule] * 8 * n * n > memory_budget():
        return "cg", "the Gram matrix does not fit in memory"
    return ("cg" if iterative < dense else "cholesky"), why


def exact_work(n: int, d: int, *, fixed: bool) -> tuple[float, float]:
    """Return the multiplications of an exact fit, dense and by cg."""
    value, rank = d + KERNEL_VALUE, preconditioner_rank(n)
    of_alpha = 0 if fixed else EIGENVALUES * min(n, ALPHA_ROWS) ** 3
    dense = n**2 * value + (n**3 / 3 if fixed else EIGENVALUES * n**3)
    return dense, EXACT_PASSES * n**2 / 2 * value + 2 * n * rank**2 + of_alpha


@dataclass(frozen=True)
class Conditioning:
    """How hard an exact model of n rows is for iterations.

    The rank of the preconditioner leaves a share of the trace of K; that spread over as many
    directions again is about the norm of what is left, and its ratio to alpha the condition.

    Attributes
    ----------
    n : int
    left : float
        That norm.
    share : float
        Of the trace, that is left.
    """

    n: int
    left: float
    share: float

    def least_alpha(self, d: int, dtype: Any) -> float:
        """Return the alpha from which on no more than `MOST_EXACT_WORK` is expected.

        Of rows with weight 1; it is as many times larger as weights are on average.
        """
        value = (d + KERNEL_VALUE) * (DOUBLE if np.dtype(dtype) == np.float64 else 1)
        passes = max(MOST_EXACT_WORK / (self.n**2 / 2 * value), LEAST_PASSES)
        condition = ((passes - FIRST_PASSES) / PASSES_BY_ROOT) ** 2
        return self.left / (condition - 1.0)


def fewest_passes(n: int, d: int) -> float:
    """Return the multiplications of the least number of iterations that make an exact model."""
    return LEAST_PASSES * n**2 / 2 * (d + KERNEL_VALUE)


def conditioning(kernel: Kernel, X: Any, n: int, seed: int) -> Conditioning:
    """Return what some random rows say of all n.

    Parameters
    ----------
    kernel : Kernel
        With its bandwidth.
    X : rows
        Twice as many as the preconditioner's rank, at least, if there are.
    n : int
    seed : int
    """
    m = len(X) if isinstance(X, list) else X.shape[0]
    factor = pivoted_cholesky(kernel, X, min(preconditioner_rank(n), m // 2), seed)
    rank = len(factor.pivots)
    left = float(factor.left.sum()) / max(1, m - rank)
    return Conditioning(n, left * n / max(1, rank), left * m / (factor.trace or 1.0))


def exact_by_cg(job: Job) -> tuple[GatheredRows, Solution]:
    """Return the rows of an exact model and their coefficients, without their Gram matrix."""
    if not job.kernel.positive_definite:
        raise UnsupportedError(
            f"solver='cg' needs a positive definite kernel, and {job.kernel!r} is not declared to "
            "be one; use solver='pinv' or 'cholesky'"
        )
    choice = _exact_choice(job)
    require_penalty(choice.alpha)
    cg_need(job.source.n_rows, job.source.n_outputs).require()
    rows = gather(job.source)
    dtype = tile_dtype_of(job.source)
    if job.left_out is not None:
        left_out = job.left_out(rows.ids)
    else:
        most = min(WATCHED_ROWS, len(rows.numbers) // LEFT_OUT_SHARE)
        left_out = np.isin(rows.numbers, job.seen.sample.numbers[:most])
    known = left_out.any() and not left_out.all()
    solution = solve_exact_by_cg(
        job.engine,
        job.kernel,
        rows.X,
        rows.y,
        rows.weight,
        choice.alpha,
        cg_settings(job.params),
        fit_intercept=job.fit_intercept,
        dtype=dtype,
        seed=job.seen.sample.seed,
        keep=keeps_tiles(job.kernel, len(rows.y), Tile(dtype, job.source.n_features)),
        left_out=left_out if known else None,
    )
    return rows, with_choice(solution, choice, job, min(ALPHA_ROWS, len(rows.y)))


def _exact_choice(job: Job) -> Solution:
    """Return the exact model of some random rows, whose alpha is taken for all."""
    if job.rule.rule == "fixed":
        nothing = np.zeros((0, 0))
        return Solution(nothing, nothing, job.rule.smallest)
    sample = job.seen.sample.part(np.arange(min(ALPHA_ROWS, len(job.seen.sample.numbers))))
    weight = np.ones(len(sample.numbers)) if sample.weight is None else sample.weight
    choice = solve_exact(
        gram_matrix(job.engine.local, job.kernel, sample.X),
        np.asarray(sample.y),
        weight,
        job.rule,
        solver="cholesky",
        fit_intercept=job.fit_intercept,
        positive_definite=True,
    )
    assert choice.alphas is not None
    assert choice.scores is not None
    n, dtype = job.source.n_rows, tile_dtype_of(job.source)
    known = conditioning(job.kernel, sample.X, n, job.seen.sample.seed)
    least = known.least_alpha(job.source.n_features, dtype) * float(weight.mean())
    chosen = quickest(choice.alphas, choice.scores, INDIFFERENT, least)
    choice.report["least_alpha"] = least
    return replace(choice, alpha=float(choice.alphas[chosen]))
