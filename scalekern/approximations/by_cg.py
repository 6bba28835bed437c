"""How solver="cg" fits a model: alpha on a sample of rows, then iterations, each a pass."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.approximations.base import Job
from scalekern.approximations.by_sgd import choose_alpha, most_passes
from scalekern.approximations.feature_sums import features_of
from scalekern.approximations.gathered import GatheredRows, gather
from scalekern.approximations.solver_choice import ALPHA_ROWS, conditioning
from scalekern.approximations.whole_gram import gram_matrix
from scalekern.engine import HashSample
from scalekern.engine.progress import step
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import NystroemMap
from scalekern.features.parameters import tile_dtype_of
from scalekern.solvers import (
    CgSettings,
    LandmarkProblem,
    Solution,
    solve_exact,
    solve_exact_by_cg,
    solve_landmarks,
)
from scalekern.solvers.exact_cg import cg_need
from scalekern.solvers.kernel_work import Tile, keeps_tiles
from scalekern.solvers.path import quickest

CG_ITERATIONS = 200
INDIFFERENT = 0.01
"""Errors of the sample that differ by less do not tell alphas apart; the largest is the quickest to
solve for, where targets without noise would have it vanish."""
WATCHED_ROWS = 1_024
LEFT_OUT_SHARE = 5
"""Errors of rows left out are watched on so many; of an exact model on a fifth of all at most."""


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
    watched = rows.first(WATCHED_ROWS)
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


@step("choosing alpha")
def _exact_choice(job: Job) -> Solution:
    """Return the exact model of some random rows, whose alpha is taken for all."""
    if job.rule.rule == "fixed":
        nothing = np.zeros((0, 0))
        return Solution(nothing, nothing, job.rule.smallest)
    sample = job.seen.sample.first(ALPHA_ROWS)
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
