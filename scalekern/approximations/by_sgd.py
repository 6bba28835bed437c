"""How solver="sgd" fits a model on a feature map: alpha on a sample of rows, then the passes.

The penalty stands for the noise of one row, so a sample of rows tells it; a sketch, in which every
row is a mixture of many, would tell the noise of the mixture. The choice is that of the other
solvers, in closed form and by the same rules, on the model of the sample; the first passes then
tell whether all rows want another.
"""

from __future__ import annotations

import numbers
from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.approximations.feature_sums import features_of
from scalekern.engine import Engine, HashSample
from scalekern.engine.progress import step
from scalekern.errors import InvalidInputError
from scalekern.features import FeatureMap
from scalekern.rows import ArraySource, RowSource
from scalekern.solvers import (
    AlphaRule,
    FeatureSample,
    RidgeStatistic,
    SgdSettings,
    SgdState,
    Solution,
    loss_named,
    sketch_size,
    solve_ridge,
    solve_sgd,
)
from scalekern.solvers.sgd_problem import BATCH_ROWS

SGD_PASSES = 5


def most_passes(params: dict[str, Any], default: int) -> int:
    """Return `max_iter`, or the solver's own default."""
    return default if params["max_iter"] is None else int(params["max_iter"])


def sample_rows(params: dict[str, Any], least: int) -> int:
    """Return how many random rows a fit needs: as many as a sketch has, for "sgd"."""
    if params["solver"] != "sgd":
        return least
    return max(least, sketch_size(int(params["n_components"])))


def check_descent(tol: Any, batch_size: Any) -> None:
    """Raise where `tol` or `batch_size` cannot be."""
    real = isinstance(tol, numbers.Real) and not isinstance(tol, bool)
    if not (real and np.isfinite(float(tol)) and tol >= 0):
        raise InvalidInputError(f"tol={tol!r}; use a number of at least 0")
    if isinstance(batch_size, str) and batch_size == "auto":
        return
    whole = isinstance(batch_size, numbers.Integral) and not isinstance(batch_size, bool)
    if not (whole and batch_size >= 1):
        raise InvalidInputError(f"batch_size={batch_size!r}; use 'auto' or a number of at least 1")


def descend(
    engine: Engine,
    source: RowSource,
    feature_map: FeatureMap,
    rows: HashSample,
    rule: AlphaRule,
    params: dict[str, Any],
    seed: int,
    state: SgdState | None = None,
) -> tuple[Solution, SgdState]:
    """Return the coefficients, and the state that more rows would go on from.

    Parameters
    ----------
    engine, source, feature_map : what to fit
    rows : HashSample
        Random rows of the source.
    rule : AlphaRule
    params : dict
        Of the estimator, with "loss".
    seed : int
    state : SgdState, optional
        Of an earlier call.
    """
    settings = SgdSettings(
        max_iter=most_passes(params, SGD_PASSES),
        tol=float(params["tol"]),
        batch_rows=BATCH_ROWS if params["batch_size"] == "auto" else int(params["batch_size"]),
        fit_intercept=bool(params["fit_intercept"]),
        seed=seed,
    )
    loss = loss_named(params["loss"], source.n_outputs)
    sample = features_of(rows, feature_map)
    choice = choose_alpha(rule, sample, feature_map, settings.fit_intercept)
    # The same prior against a loss of this curvature instead of 1.
    scale = 1.0 if rule.rule == "fixed" else loss.curvature
    alpha = scale * choice.alpha
    alphas = None if choice.alphas is None else scale * choice.alphas
    solution, state = solve_sgd(
        engine, source, feature_map, loss, alpha, sample, settings, state, alphas
    )
    again = solution.report.pop("rechosen")
    solution.report |= {"solver": "sgd", "batch_size": settings.batch_rows}
    if rule.rule != "fixed":
        on = f"{rule.rule} on {len(sample.y)} rows"
        solution.report |= {"alpha_rule": on + (", again after the first passes" if again else "")}
        if not again:
            solution = replace(solution, alphas=alphas, scores=choice.scores)
    return solution, state


@step("choosing alpha")
def choose_alpha(
    rule: AlphaRule, sample: FeatureSample, feature_map: FeatureMap, fit_intercept: bool
) -> Solution:
    """Return the solution of the sample by the rule, whose alpha is that of all rows."""
    if rule.rule == "fixed":
        nothing = np.zeros((0, 0))
        return Solution(nothing, nothing, rule.smallest)
    y_mean = sample.weight @ sample.y / sample.weight.sum()
    stat = RidgeStatistic(_Given(sample.Phi), sample.y.shape[1], y_mean, rule.n_folds)
    for block in ArraySource(sample.Phi, sample.y, sample.weight).blocks(4_096):
        stat.update(block)
    return solve_ridge(
        stat, rule, fit_intercept=fit_intercept, dtype=feature_map.dtype, sample=sample
    )


class _Given(FeatureMap):
    """Rows that are features already."""

    def __init__(self, Phi: np.ndarray) -> None:
        self.n_features, self.dtype = Phi.shape[1], Phi.dtype

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            return np.array(X)
        out[...] = X
        return out
