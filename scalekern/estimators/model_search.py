"""What models of a sample tell of the fit of all rows: which approximation, kernel and map.

By errors on rows held out and never by a clock. Apart from `choosing`, which knows when there is
anything to try.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.approximations.registry import approximation_named
from scalekern.engine import Engine, HashSample
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
from scalekern.solvers import AlphaRule

CURVED_VALUES = 1 << 21
"""Curves of columns are tried on so many values: fewer rows where these are wide."""
FindMetric = Callable[[Engine, TrialRows, np.ndarray, RadialKernel, int], LearnedMetric]


@dataclass(frozen=True)
class ModelSearch:
    """Models that are tried on a sample of all rows, which are `n_rows`.

    Attributes
    ----------
    engine : Engine
        Of this process.
    params : dict
        The parameters of the estimator.
    rule : AlphaRule
    sample : HashSample
        In the coordinates of a map that was given.
    n_rows : int
    """

    engine: Engine
    params: dict[str, Any]
    rule: AlphaRule
    sample: HashSample
    n_rows: int

    def best(self, names: list[str], why: str, *, learn: bool) -> Choice:
        """Try the approximations and return the best; a later one must be better.

        With `learn` a map of the inputs is learned first, which all of them may take.
        """
        kernels = local_kernels(self.params)
        teacher = kernels[0] if len(kernels) == 1 else LOCAL_KERNELS[0]
        find, own = (learned_metric, NEIGHBORS) if learn else (given_metric, SIZES[0])
        asked = self.params["n_neighbors"]
        k = asked if isinstance(asked, int) else own
        curves, metric = self._curves(find, teacher, k)
        sample = self.sample if curves is None else self.sample.over(curves(self.sample.X))
        rows, spread = trial_rows(sample)
        metric = metric or find(self.engine, rows, spread, teacher, k)
        found = self._tried(names, sample, rows, metric, _composed(metric, spread))
        best = best_of(found)
        if len(found) > 1:
            best.report["held_out_errors"] = {
                choice.approximation.name: float(np.sqrt(choice.errors.mean())) for choice in found
            }
            best.report["held_out_rows"] = rows.n_scored
        best.report = {"why": why, **metric.report, **best.report}
        if learn:
            _note_learned(best, spread)
        if curves is not None:
            best.curves = curves
            best.report["curved_features"] = curves.columns.tolist()
        return best

    def _tried(
        self,
        names: list[str],
        sample: HashSample,
        rows: TrialRows,
        metric: LearnedMetric,
        transform: np.ndarray | None,
    ) -> list[Choice]:
        """Return the model of each approximation; a global one may be better without the map."""
        of_all = GlobalTrial(self.engine, self.params, self.rule, sample, self.n_rows)
        found: list[Choice] = []
        for name in names:
            if name == "local":
                as_many = found[0].tried_rows if found else 0
                found.append(self._local(rows, metric, transform, as_many))
            else:
                found.append(of_all.model(rows, transform, held_out=len(names) > 1))
        return found

    def _curves(
        self, find: FindMetric, teacher: RadialKernel, k: int
    ) -> tuple[Curves | None, LearnedMetric | None]:
        """Return curves of columns with heavy tails, if local models are better for them.

        Where they are so by no more than noise from the start, both are learned and the better
        comes along: a matrix after the curves has more to part. Not of wide rows, which are seen by
        their principal components.
        """
        curves = normal_scores(self.sample.X) if chooses_map(self.params) else None
        if curves is None:
            return None, None
        few = self.sample.first(max(FEWEST_ROWS, CURVED_VALUES // self.sample.X.shape[1]))
        plain, curved = (
            starting_metric(self.engine, *trial_rows(sample), teacher, min(k, len(few.X) - 1))
            for sample in (few, few.over(curves(few.X)))
        )
        if is_better(curved.trial.errors, plain.trial.errors):
            return curves, None
        lower = curved.trial.errors.mean() < plain.trial.errors.mean()
        if self.sample.X.shape[1] > WIDE or not lower:
            return None, None
        plain, curved = (
            find(self.engine, *trial_rows(sample), teacher, k)
            for sample in (self.sample, self.sample.over(curves(self.sample.X)))
        )
        better = is_better(curved.trial.errors, plain.trial.errors)
        return (curves, curved) if better else (None, plain)

    def _local(
        self,
        rows: TrialRows,
        metric: LearnedMetric,
        transform: np.ndarray | None,
        as_many: int,
    ) -> Choice:
        """Choose kernel and size on all rows of the sample; errors are of `as_many` of them."""
        asked = self.params["n_neighbors"]
        sizes = [asked] if isinstance(asked, int) else [k for k in SIZES if k < len(rows.X)]
        kernel, kernels = self.params["kernel"], local_kernels(self.params)
        if kernels:
            trial = best_neighborhoods(self.engine, rows, metric, kernels, sizes)
            kernel, k = trial.kernel, trial.n_neighbors
            size = as_many or len(rows.X)
            errors = best_of_fewer(self.engine, rows, metric, trial, size).errors
            start, more = (trial.factor, trial.alpha), {"local_settings": trial.settings}
        else:
            metric.trial.refine()
            start, k, errors, more = None, sizes[0], metric.trial.errors, {}
        approximation = approximation_named("local", self.params["solver"])
        return Choice(
            approximation,
            kernel,
            self.params["gamma"],
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
