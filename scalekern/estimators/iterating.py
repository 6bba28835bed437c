"""How solver="cg" fits a model: alpha on a sample of rows, then iterations, each a pass.

Also where "auto" takes it: by counted multiplications, which are the same on every machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.engine import HashSample
from scalekern.errors import InvalidInputError
from scalekern.estimators.approximation import Job
from scalekern.estimators.descent import choose_alpha, most_passes
from scalekern.estimators.fitting import features_of
from scalekern.features import NystroemMap
from scalekern.solvers import CgSettings, LandmarkProblem, Solution, sketch_size, solve_landmarks

CG_ITERATIONS = 200
WATCHED_ROWS = 2_048
"""Leave-one-out errors are watched on so many rows."""
KERNEL_VALUE = 60
"""Multiplications in a matrix product that cost as much as one kernel value beyond its products,
which are long and thin, and its share of the passes' own work; as measured."""
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
    choice = choose_alpha(job.rule, features_of(rows, feature_map), feature_map, job.fit_intercept)
    require_penalty(choice.alpha)
    watched = rows.part(np.arange(min(WATCHED_ROWS, len(rows.numbers))))
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


def cg_is_cheaper(n: int, m: int, d: int) -> bool:
    """Return whether landmarks are solved for with fewer multiplications by cg than from sums."""
    value = d + KERNEL_VALUE
    direct = n * m * (value + m / 2)
    size = sketch_size(m)
    iterative = USUAL_PASSES * n * m * value + 1.5 * size * m**2
    return n > size and iterative < direct
