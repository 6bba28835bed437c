"""What models of a sample tell of the fit of all rows: which approximation, kernel and map.

By errors on rows held out and never by a clock. Apart from `choosing`, which knows when there is
anything to try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.approximations.registry import approximation_named
from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.estimators.choice import Choice, best_of
from scalekern.estimators.global_trial import GlobalTrial
from scalekern.estimators.outset import chooses_map, local_kernels
from scalekern.features.curves import Curves, normal_scores
from scalekern.kernels.radial import RadialKernel
from scalekern.selection.local_trial import TrialRows
from scalekern.selection.metric import WIDE, LearnedMetric, is_better, relevances
from scalekern.selection.trials import (
    FEWEST_ROWS,
    LOCAL_KERNELS,
    NEIGHBORS,
    SIZES,
    best_neighborhoods,
    best_of_fewer,
    given_metric,
    learned_metric,
    starting_metric,
    trial_rows,
)

CURVED_VALUES = 1 << 21
"""Curves of columns are tried on so many values: fewer rows where these are wide."""
FindMetric = Callable[[Engine, TrialRows, np.ndarray, RadialKernel, int], LearnedMetric]


def best_model(trial: GlobalTrial, names: list[str], why: str, *, learn: bool) -> Choice:
    """Try the approximations on the sample and return the best; a later one must be better.

    With `learn` a map of the inputs is learned first, which all of them may take.
    """
    kernels = local_kernels(trial.params)
    teacher = kernels[0] if len(kernels) == 1 else LOCAL_KERNELS[0]
    find, own = (learned_metric, NEIGHBORS) if learn else (given_metric, SIZES[0])
    asked = trial.params["n_neighbors"]
    k = asked if isinstance(asked, int) else own
    curves, metric = _curves(trial, find, teacher, k)
    if curves is not None:
        trial = replace(trial, sample=trial.sample.over(curves(trial.sample.X)))
    rows, spread = trial_rows(trial.sample)
    metric = metric or find(trial.engine, rows, spread, teacher, k)
    found = _tried(trial, names, rows, metric, _composed(metric, spread))
    best = best_of(found)
    if len(found) > 1:
        best.report["held_out_errors"] = {
            choice.approximation.name: float(np.sqrt(choice.errors.mean())) for choice in found
        }
        best.report["held_out_rows"] = rows.n_scored
        best.report["why"] = _verdict(best, found[0], best.report)
    best.report = {"why": why, **metric.report, **best.report}
    if learn:
        _note_learned(best, spread)
    if curves is not None:
        best.curves = curves
        best.report["curved_features"] = curves.columns.tolist()
    return best


def _verdict(best: Choice, first: Choice, report: dict[str, Any]) -> str:
    """Return why one of several approximations was taken, after they were tried."""
    errors = {name: f"{error:.4g}" for name, error in report["held_out_errors"].items()}
    own = errors.pop(best.approximation.name)
    others = " and ".join(f"{error} of {name}" for name, error in errors.items())
    held_out = f"on {report['held_out_rows']:,} rows held out its error is {own}"
    if best is first:
        return f"{held_out}, and {others} is not lower by more than noise"
    return f"{held_out}, lower than {others} by more than noise"


def _tried(
    trial: GlobalTrial,
    names: list[str],
    rows: TrialRows,
    metric: LearnedMetric,
    transform: np.ndarray | None,
) -> list[Choice]:
    """Return the model of each approximation; a global one may be better without the map."""
    found: list[Choice] = []
    for name in names:
        if name == "local":
            as_many = found[0].tried_rows if found else 0
            found.append(_local(trial, rows, metric, transform, as_many))
        else:
            with step(f"trying {name}"):
                found.append(trial.model(rows, transform, held_out=len(names) > 1))
    return found


def _curves(
    trial: GlobalTrial, find: FindMetric, teacher: RadialKernel, k: int
) -> tuple[Curves | None, LearnedMetric | None]:
    """Return curves of columns with heavy tails, if local models are better for them.

    Where they are so by no more than noise from the start, both are learned and the better
    comes along: a matrix after the curves has more to part. Not of wide rows, which are seen by
    their principal components.
    """
    curves = normal_scores(trial.sample.X) if chooses_map(trial.params) else None
    if curves is None:
        return None, None
    few = trial.sample.first(max(FEWEST_ROWS, CURVED_VALUES // trial.sample.X.shape[1]))
    plain, curved = (
        starting_metric(trial.engine, *trial_rows(sample), teacher, min(k, len(few.X) - 1))
        for sample in (few, few.over(curves(few.X)))
    )
    if is_better(curved.trial.errors, plain.trial.errors):
        return curves, None
    lower = curved.trial.errors.mean() < plain.trial.errors.mean()
    if trial.sample.X.shape[1] > WIDE or not lower:
        return None, None
    plain, curved = (
        find(trial.engine, *trial_rows(sample), teacher, k)
        for sample in (trial.sample, trial.sample.over(curves(trial.sample.X)))
    )
    better = is_better(curved.trial.errors, plain.trial.errors)
    return (curves, curved) if better else (None, plain)


def _local(
    trial: GlobalTrial,
    rows: TrialRows,
    metric: LearnedMetric,
    transform: np.ndarray | None,
    as_many: int,
) -> Choice:
    """Choose kernel and size on all rows of the sample; errors are of `as_many` of them."""
    asked = trial.params["n_neighbors"]
    sizes = [asked] if isinstance(asked, int) else [k for k in SIZES if k < len(rows.X)]
    kernel, kernels = trial.params["kernel"], local_kernels(trial.params)
    if kernels:
        found = best_neighborhoods(trial.engine, rows, metric, kernels, sizes)
        kernel, k = found.kernel, found.n_neighbors
        size = as_many or len(rows.X)
        errors = best_of_fewer(trial.engine, rows, metric, found, size).errors
        start, more = (found.factor, found.alpha), {"local_settings": found.settings}
    else:
        metric.trial.refine()
        start, k, errors, more = None, sizes[0], metric.trial.errors, {}
    approximation = approximation_named("local", trial.params["solver"])
    return Choice(
        approximation,
        kernel,
        trial.params["gamma"],
        k,
        transform,
        report=more,
        errors=errors,
        start=start,
    )


def _note_learned(choice: Choice, spread: np.ndarray) -> None:
    """Note what a learned map says of the features, or that there is none."""
    if choice.input_map is None:
        choice.report["metric"] = "none"
    else:
        choice.relevances = relevances(choice.input_map, spread**2)


def _composed(metric: LearnedMetric, spread: np.ndarray) -> np.ndarray | None:
    """Return the map of rows as they are, from one of standardised rows; None for the identity."""
    if metric.kind == "none":
        return None
    transform = metric.map / (spread if metric.map.ndim == 1 else spread[:, None])
    return np.asarray(transform)
