"""What approximations by a feature map share: a linear model on the features, from sums over rows.

Apart from the maps, `nystroem` and `fourier`, which only draw theirs and say what to keep of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from scalekern.approximations.base import Approximation, Fitted, Job
from scalekern.approximations.by_sgd import descend, sample_rows
from scalekern.approximations.certificate import Gap, gap_to_exact
from scalekern.approximations.explain_arrays import (
    kept_of_features,
    kept_sample,
    kept_smoother,
    require_kept,
)
from scalekern.approximations.feature_sums import residual_pass, solve_sums, sum_over
from scalekern.approximations.variances import amplitude_of, feature_variance, with_std
from scalekern.approximations.weighers import FeatureWeigher, Weigher, kernel_similarity
from scalekern.engine import HashSample, engine_for
from scalekern.features import FeatureMap
from scalekern.features.landmarks import without_landmarks
from scalekern.rows import RowSource
from scalekern.solvers import Solution, alpha_rule, solve_ridge

LOO_ROWS = 4_096
"""Leave-one-out errors of models on feature maps are averaged over so many training rows."""


class MapApproximation(Approximation):
    """A linear model on a feature map, from sums over the rows."""

    solvers: ClassVar[tuple[str, ...]] = ("cholesky", "sgd")

    @abstractmethod
    def draw(self, job: Job) -> tuple[FeatureMap, np.ndarray]:
        """Return the feature map, and the numbers of the rows that it is built on."""

    def narrowed(self, feature_map: FeatureMap, job: Job) -> FeatureMap:
        """Return a map of as few features as the rows have directions, or the map as it is."""
        del job
        return feature_map

    @abstractmethod
    def kept(self, feature_map: Any, solution: Solution) -> dict[str, Any]:
        """Return the arrays that the model keeps, and note the map in the solution's report."""

    def fit(self, job: Job) -> Fitted:
        """Add up the sums and solve them."""
        feature_map, sample = self.drawn(job)
        if job.params["solver"] == "sgd":
            solution, _ = descend(
                job.engine,
                job.source,
                feature_map,
                sample,
                job.rule,
                job.params,
                job.seen.sample.seed,
            )
            return self.fitted(feature_map, solution)
        feature_map = self.narrowed(feature_map, job)
        stat = sum_over(job.engine, job.source, feature_map, job.seen.y_mean, job.rule)
        measure = residual_pass(job.engine, job.source, feature_map)
        solution = solve_sums(stat, feature_map, job.rule, job.fit_intercept, sample, measure)
        return self.fitted(feature_map, solution, job.seen.sample)

    def drawn(self, job: Job) -> tuple[FeatureMap, HashSample]:
        """Return the feature map, and random rows that it is not built on."""
        feature_map, numbers = self.draw(job)
        others = without_landmarks(job.seen.sample, numbers)
        return feature_map, others.first(max(sample_rows(job.params, LOO_ROWS), len(numbers)))

    def fitted(
        self, feature_map: FeatureMap, solution: Solution, sample: HashSample | None = None
    ) -> Fitted:
        """Return what the model keeps of a solution, and of the sample to explain it with."""
        solution.report.setdefault("solver", "cholesky")
        solution.report["tile_dtype"] = str(feature_map.dtype)
        explain = kept_of_features(solution.smoother, sample, *self.basis(feature_map))
        return Fitted(solution, self.kept(feature_map, solution) | explain | amplitude_of(solution))

    def basis(self, feature_map: Any) -> tuple[np.ndarray | None, dict[str, Any]]:
        """Return what turns the map's raw columns into features, and arrays that make them."""
        del feature_map
        return None, {}

    @abstractmethod
    def raw_columns(self, model: Any) -> Callable[[Any], np.ndarray]:
        """Return the function from rows to the raw columns of the map."""

    @abstractmethod
    def feature_map(self, model: Any) -> FeatureMap:
        """Return the map of a fitted model, in float64."""

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the function from X to predictions and standard deviations."""
        require_kept(model, "for return_std fit with solver='cholesky' and fewer n_components")
        variance = feature_variance(model, self.raw_columns(model), self.feature_map(model))
        return with_std(model, self.predictor(model, np.dtype(np.float64)), variance)

    def gap_to_exact(self, model: Any, queries: RowSource, rows: RowSource | None) -> Gap:
        """Compare with the exact model on parts of the rows given, or kept."""
        known = kept_sample(model) if rows is None else rows
        return gap_to_exact(model, self.feature_map(model), queries, known)

    def weigher(self, model: Any, rows: RowSource | None) -> Weigher:
        """Weigh the rows given, or the sample that the model keeps."""
        kept = model
        if rows is not None and not hasattr(model, "explain_baseline_"):
            kept = self._summed_again(model, rows)
        similarity = kernel_similarity(model.kernel_)
        return FeatureWeigher(kept, self.raw_columns(kept), similarity, rows)

    def _summed_again(self, model: Any, rows: RowSource) -> SimpleNamespace:
        """Return what a model would have kept that was fitted on the rows by their sums.

        The objective of "sgd" is the same, so its weights are those, to its tolerance.
        """
        feature_map, rule = self.feature_map(model), alpha_rule(model.alpha_)
        engine = engine_for(rows, model.n_jobs)
        y_mean = np.atleast_1d(model.intercept_)
        stat = sum_over(engine, rows, feature_map, y_mean, rule)
        intercept = bool(model.fit_intercept)
        solution = solve_ridge(stat, rule, fit_intercept=intercept, dtype=feature_map.dtype)
        assert solution.smoother is not None
        arrays = self.kept(feature_map, solution)
        basis, more = self.basis(feature_map)
        kept = kept_smoother(solution.smoother, basis)
        return SimpleNamespace(**(arrays | kept | more), kernel_=model.kernel_)
