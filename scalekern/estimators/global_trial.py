"""A global model tried on a sample of the rows: its kernel, whether a map serves it, its errors.

Local models are tried by `selection.local_trial`; this is the other side, which knows what stands
in for an exact model of many rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.approximations.base import Job
from scalekern.approximations.prediction import kernel_predictor
from scalekern.approximations.registry import approximation_named
from scalekern.approximations.solver_choice import ALPHA_ROWS, conditioning
from scalekern.engine import Engine, HashSample
from scalekern.estimators.choice import Choice
from scalekern.estimators.input_map import InputMap
from scalekern.estimators.outset import candidates, decomposes
from scalekern.features.survey import BANDWIDTH_ROWS, Survey, survey
from scalekern.kernels import Kernel
from scalekern.rows import ArraySource
from scalekern.rows.base import dense_rows, take_rows
from scalekern.selection.bandwidth import select_kernel, without_bandwidth
from scalekern.selection.closed_form import left_out_errors
from scalekern.selection.local_trial import TrialRows
from scalekern.selection.metric import is_better
from scalekern.selection.trials import SIZES, TRIAL_ROWS
from scalekern.solvers import AlphaRule

MOST_LEFT = 0.05
"""Of the trace of the Gram matrix: where landmarks leave more, they stand in for nothing."""


@dataclass(frozen=True)
class GlobalTrial:
    """The sample that models are tried on, and with what; the global ones are tried here.

    Attributes
    ----------
    engine : Engine
        Of this process.
    params : dict
        The parameters of the estimator.
    rule : AlphaRule
    sample : HashSample
        Of all rows, in the coordinates that are settled.
    n_rows : int
        How many all rows are.
    """

    engine: Engine
    params: dict[str, Any]
    rule: AlphaRule
    sample: HashSample
    n_rows: int

    def model(
        self,
        rows: TrialRows,
        transform: np.ndarray | None,
        *,
        held_out: bool,
        preferred: bool = False,
    ) -> Choice:
        """Return one model of all rows, in the map or not; measure the model itself if asked to.

        The map is chosen by errors in closed form on few rows, which are what else is returned.
        """
        kernel, report, transform, errors = self._in_map_or_not(transform, preferred=preferred)
        width = self.sample.X.shape[1] if transform is None else transform.shape[-1]
        names, why = candidates(self.params, self.n_rows, width)
        report = report | {"why": why}
        approximation = approximation_named(names[0], self.params["solver"])
        k = self.params["n_neighbors"]
        choice = Choice(
            approximation,
            kernel,
            self.params["gamma"],
            k if isinstance(k, int) else SIZES[0],
            transform,
            report=report,
            errors=errors,
        )
        if held_out and not self._tried_on_few(choice, rows):
            choice.errors = self._errors(choice, rows)
        return choice

    def _in_map_or_not(
        self, transform: np.ndarray | None, *, preferred: bool
    ) -> tuple[Kernel, dict[str, Any], np.ndarray | None, np.ndarray]:
        """Return the kernel, its report, the map if rows are better in it, and squared errors."""
        kernel, report, seen = self._kernel(transform, self.params["kernel"])
        if transform is None:
            return kernel, report, None, np.zeros(0)
        asked = self.params["kernel"]
        if asked == "auto" and not preferred:  # of few rows all families cost next to nothing
            asked = without_bandwidth(kernel)
        plain, plain_report, plain_seen = self._kernel(None, asked)
        mapped, as_given = self._left_out(kernel, seen), self._left_out(plain, plain_seen)
        # What makes rows cheaper need not be better as well.
        preferred |= transform.ndim == 2 and transform.shape[1] < len(transform)
        if not is_better(as_given, mapped) if preferred else is_better(mapped, as_given):
            return kernel, report, transform, mapped
        return plain, report | plain_report, None, as_given

    def _tried_on_few(self, choice: Choice, rows: TrialRows) -> bool:
        """Measure an exact model on few rows, where Nyström is no model of it; say if so.

        By leave-one-out errors in closed form, as those of local models are.
        """
        n = self.n_rows
        if choice.approximation.name != "exact" or decomposes(n):
            return False
        X = InputMap(linear=choice.input_map)(self.sample.X)
        few = take_rows(X, np.arange(min(ALPHA_ROWS, len(rows.X))))
        if conditioning(choice.kernel, few, n, self.sample.seed).share <= MOST_LEFT:
            return False
        sample = self.sample.over(X)
        sample.y, sample.weight = rows.y, rows.weight
        seen = Survey(sample, np.zeros(rows.y.shape[1]), 1.0)
        (left,) = left_out_errors(self.engine, [choice.kernel], self.rule, seen, ALPHA_ROWS)
        choice.errors, choice.tried_rows = left.errors[: rows.n_scored], len(left.errors)
        choice.report["tried"] = f"exact on {len(left.errors)} rows"
        return True

    def _kernel(
        self, transform: np.ndarray | None, kernel: Any
    ) -> tuple[Kernel, dict[str, Any], Survey]:
        X = InputMap(linear=transform)(self.sample.X)
        y_mean = np.average(np.asarray(self.sample.y), axis=0, weights=self.sample.weight)
        seen = Survey(self.sample.over(X), y_mean, _variance(X))
        found, report = select_kernel(self.engine, kernel, self.params["gamma"], self.rule, seen)
        return found, report, seen

    def _left_out(self, kernel: Kernel, seen: Survey) -> np.ndarray:
        (left,) = left_out_errors(self.engine, [kernel], self.rule, seen, BANDWIDTH_ROWS)
        return left.errors

    def _errors(self, choice: Choice, rows: TrialRows) -> np.ndarray:
        """Return squared errors on the rows held out, of a model of the other rows."""
        X = InputMap(linear=choice.input_map)(self.sample.X)
        out, kept = np.arange(rows.n_scored), np.arange(rows.n_scored, min(len(rows.X), TRIAL_ROWS))
        weight = rows.weight
        source = ArraySource(
            take_rows(X, kept), rows.y[kept], None if weight is None else weight[kept]
        )
        approximation, params = choice.approximation, self.params
        if approximation.name == "exact" and not decomposes(len(kept)):
            params = params | {"solver": "cholesky"}
            approximation = approximation_named("nystroem", "cholesky")
            choice.report["tried"] = "nystroem for exact"
        size = approximation.sample_size(params)
        seen = survey(self.engine, source, size, self.sample.seed)
        fitted = approximation.fit(Job(self.engine, source, choice.kernel, self.rule, seen, params))
        predict = kernel_predictor(
            choice.kernel,
            fitted.arrays["landmarks_"],
            fitted.arrays["dual_coef_"],
            fitted.solution.intercept,
            np.dtype(np.float64),
        )
        errors = np.square(predict(take_rows(X, out)) - rows.y[out]).mean(axis=1)
        return errors if weight is None else errors * weight[out]


def _variance(X: Any) -> float:
    return float(np.var(dense_rows(X), dtype=np.float64))
