"""The state behind `partial_fit`: sums that go on, with a sample for leave-one-out, or descent."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.approximations.base import Fitted, Job
from scalekern.approximations.by_sgd import descend
from scalekern.approximations.feature_model import MapApproximation
from scalekern.approximations.feature_sums import solve_sums
from scalekern.engine import Engine, HashSample, Together
from scalekern.errors import InvalidInputError
from scalekern.features.landmarks import without_landmarks
from scalekern.rows import RowSource
from scalekern.solvers import AlphaRule, RidgeStatistic, SgdState, Solution


class RunningSums:
    """Sums over all rows seen so far, on the feature map that the first rows gave.

    Parameters
    ----------
    approximation : MapApproximation
    job : Job
        With the first rows.
    """

    def __init__(self, approximation: MapApproximation, job: Job) -> None:
        self._approximation = approximation
        self._map, self._landmarks = approximation.draw(job)
        sample = job.seen.sample
        self._make: dict[str, Any] = {
            "y_offset": job.seen.y_mean,
            "n_folds": job.rule.n_folds,
            "n_outputs": job.source.n_outputs,
        }
        self._sums = RidgeStatistic(self._map, **self._make)
        self._sample = HashSample(sample.size, sample.seed)
        self.n_rows = 0

    def add(self, engine: Engine, source: RowSource) -> None:
        """Add rows, which follow those seen so far."""
        _require_outputs(source, self._make["n_outputs"])
        first = self.n_rows

        def make() -> Together:
            return Together(
                sums=RidgeStatistic(self._map, **self._make, first_row=first),
                sample=HashSample(self._sample.size, self._sample.seed, first),
            )

        added = engine.reduce(source, make, "adding up the sums")
        self._sums.merge(added["sums"])
        self._sample.merge(added["sample"])
        self.n_rows += source.n_rows

    def solve(self, rule: AlphaRule, *, fit_intercept: bool) -> Fitted:
        """Return the model of all rows so far."""
        if rule.n_folds != self._make["n_folds"]:
            raise InvalidInputError(
                "alpha='cv' needs sums for each fold, so it cannot be set or unset after the first "
                "partial_fit; start again with a new model"
            )
        sample = without_landmarks(self._sample, self._landmarks)
        solution = solve_sums(self._sums, self._map, rule, fit_intercept, sample)
        return self._approximation.fitted(self._map, solution, self._sample)


class RunningDescent:
    """Stochastic gradient descent that goes on from what earlier rows taught it.

    Rows of earlier calls are not read again; they count as the curvature of their sketch around
    the coefficients found then. alpha is chosen on the first rows.

    Parameters
    ----------
    approximation : MapApproximation
    job : Job
        With the first rows.
    """

    def __init__(self, approximation: MapApproximation, job: Job) -> None:
        self._approximation, self._params = approximation, job.params
        self._map, self._landmarks = approximation.draw(job)
        sample = job.seen.sample
        self._size, self._seed = sample.size, sample.seed
        self._n_outputs, self._rule = job.source.n_outputs, job.rule
        self._state: SgdState | None = None
        self._solution: Solution | None = None
        self.n_rows = 0

    def add(self, engine: Engine, source: RowSource) -> None:
        """Learn from rows, which follow those seen so far."""
        _require_outputs(source, self._n_outputs)
        sample = engine.reduce(source, lambda: HashSample(self._size, self._seed, self.n_rows))
        if len(sample.numbers):
            self._solution, self._state = descend(
                engine,
                source,
                self._map,
                without_landmarks(sample, self._landmarks),
                self._rule,
                self._params,
                self._seed + self.n_rows,
                self._state,
            )
            alpha = np.array([self._solution.alpha])
            self._rule = AlphaRule("fixed", alpha)
        self.n_rows += source.n_rows

    def solve(self, rule: AlphaRule, *, fit_intercept: bool) -> Fitted:
        """Return the model of all rows so far."""
        del rule, fit_intercept
        assert self._solution is not None
        return self._approximation.fitted(self._map, self._solution)


def _require_outputs(source: RowSource, n_outputs: int) -> None:
    if source.n_outputs != n_outputs:
        raise InvalidInputError(
            f"y has {source.n_outputs} outputs, but earlier calls had {n_outputs}"
        )
