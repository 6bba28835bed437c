"""The approximations of a similarity model: each says what it keeps, how it is fitted, predicts.

A new one is a class here, or in a file beside, and a line in `APPROXIMATIONS`; the estimator only
chooses and reports.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from scalekern._config import get_config
from scalekern.engine import HashSample, engine_for
from scalekern.errors import UnsupportedError
from scalekern.estimators.approximation import Approximation, Fitted, Job
from scalekern.estimators.certificate import Gap, gap_to_exact
from scalekern.estimators.combination import WithLocal
from scalekern.estimators.descent import descend, sample_rows
from scalekern.estimators.fitting import fit_exact, residual_pass, solve_sums, sum_over
from scalekern.estimators.iterating import (
    exact_by_cg,
    exact_sample_rows,
    exact_solver,
    landmark_solver,
    landmarks_by_cg,
)
from scalekern.estimators.local import Local
from scalekern.estimators.prediction import feature_predictor, kernel_predictor
from scalekern.estimators.variances import (
    amplitude_of,
    exact_variance,
    feature_variance,
    with_std,
)
from scalekern.estimators.weighing import (
    KEPT_OF_EXACT,
    ExactWeigher,
    FeatureWeigher,
    Weigher,
    elimination,
    kept_elimination,
    kept_of_exact,
    kept_of_features,
    kept_sample,
    kept_smoother,
    kernel_similarity,
    require_kept,
)
from scalekern.features import (
    FeatureMap,
    NystroemMap,
    ProjectedMap,
    RandomMap,
    centre_of,
    random_map,
    random_map_at,
)
from scalekern.features.landmarks import (
    choose_landmarks,
    landmark_sample_rows,
    without_landmarks,
)
from scalekern.features.maps import UnfinishedNystroemMap
from scalekern.features.parameters import require_random_features
from scalekern.rows import RowSource
from scalekern.solvers import Solution, alpha_rule, solve_ridge

LOO_ROWS = 4_096
"""Leave-one-out errors of models on feature maps are averaged over so many training rows."""


class Exact(Approximation):
    """Every training row has its weight."""

    name = "exact"
    solvers = ("cholesky", "pinv", "cg")
    keeps_rows = True
    axes: ClassVar[dict[str, str]] = {
        "explain_targets_": "mt",
        "explain_weights_": "m",
        "explain_ids_": "m?",
    }
    needed = ("dual_coef_", "landmarks_")
    kept_to_explain = KEPT_OF_EXACT

    def sample_size(self, params: dict[str, Any]) -> int:
        """Rows to choose alpha on, where that of all rows is too dear."""
        return exact_sample_rows(params)

    def fit(self, job: Job) -> Fitted:
        """Solve for the weights of all rows."""
        n, d = job.source.n_rows, job.source.n_features
        solver, why = exact_solver(job.params["solver"], job.kernel, job.rule, n, d)
        if solver == "cg":
            rows, solution = exact_by_cg(job)
        else:
            rows, solution = fit_exact(
                job.engine.local, job.source, job.kernel, job.rule, solver, job.fit_intercept
            )
            solution.report |= {"tile_dtype": "float64"}
        solution.report |= {"solver": solver, "why_solver": why}
        kept = kept_of_exact(rows, job.fit_intercept)
        fitted = Fitted(
            solution,
            {"landmarks_": rows.X, "dual_coef_": solution.coef} | kept | amplitude_of(solution),
        )
        if solution.left_out is not None and job.left_out is not None:
            out = job.left_out(rows.ids)
            fitted.left_out = solution.left_out, rows.y[out], rows.weight[out]
        return fitted

    def weigher(self, model: Any, rows: RowSource | None) -> Weigher:
        """Weigh all training rows, which the model holds."""
        return ExactWeigher(model, rows)

    def predictor(self, model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the sum over the training rows, in float64 unless it is configured else.

        The weights of rows that are near each other cancel: on airfoil in float32 tiles 9.3 would
        become of an RMSE of 3.6, with weights that were found in float64.
        """
        return _weighted_sum(model, np.dtype(get_config().tile_dtype or np.float64))

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the function from X to predictions and standard deviations."""
        return with_std(model, self.predictor(model, np.dtype(np.float64)), exact_variance(model))


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
        wanted = max(sample_rows(job.params, LOO_ROWS), len(numbers))
        return feature_map, others.part(np.arange(min(wanted, len(others.numbers))))

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


class Nystroem(MapApproximation):
    """Some landmarks stand for all rows."""

    name = "nystroem"
    solvers = ("cholesky", "cg", "sgd")
    axes: ClassVar[dict[str, str]] = {"explain_factor_": "mq"}
    needed = ("dual_coef_", "landmarks_")

    def sample_size(self, params: dict[str, Any]) -> int:
        """Rows to choose landmarks from, and other rows to leave out."""
        m = int(params["n_components"])
        return max(landmark_sample_rows(params["landmarks"], m), m + sample_rows(params, LOO_ROWS))

    def fit(self, job: Job) -> Fitted:
        """Add up the sums and solve them, or iterate where that is asked for or cheaper."""
        solver, m = job.params["solver"], int(job.params["n_components"])
        if landmark_solver(solver, job.rule, job.source.n_rows, m, job.source.n_features) != "cg":
            return super().fit(job)
        feature_map, rows = self.drawn(job)
        assert isinstance(feature_map, NystroemMap)
        return self.fitted(feature_map, landmarks_by_cg(job, feature_map, rows), job.seen.sample)

    def draw(self, job: Job) -> tuple[NystroemMap, np.ndarray]:
        """Choose the landmarks."""
        params, sample = job.params, job.seen.sample
        chosen = choose_landmarks(
            params["landmarks"], job.source, sample, params["n_components"], job.kernel
        )
        return NystroemMap(job.kernel, chosen.rows, job.tile_dtype), chosen.numbers

    def kept(self, feature_map: NystroemMap, solution: Solution) -> dict[str, Any]:
        """Return the landmarks and their weights."""
        white = feature_map.whitening
        solution.report |= {
            "landmarks": len(white.kept),
            "rank": white.rank,
            "clipped_share": white.clipped,
        }
        return {"landmarks_": feature_map.Z, "dual_coef_": white.inverse @ solution.coef}

    def basis(self, feature_map: NystroemMap) -> tuple[np.ndarray, dict[str, Any]]:
        """Return what finishes eliminated kernel values, and what eliminates them."""
        return feature_map.whitening.finish, kept_elimination(feature_map.whitening)

    def raw_columns(self, model: Any) -> Callable[[Any], np.ndarray]:
        """Return the eliminated kernel values against the landmarks."""
        return UnfinishedNystroemMap(
            model.kernel_, model.landmarks_, elimination(model), np.dtype(np.float64)
        )

    def feature_map(self, model: Any) -> NystroemMap:
        """Return the map on the landmarks."""
        return NystroemMap(model.kernel_, model.landmarks_, np.float64)

    def predictor(self, model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the sum over the landmarks."""
        return _weighted_sum(model, dtype)


class Fourier(MapApproximation):
    """Random features stand for a stationary or polynomial kernel."""

    name = "fourier"
    axes: ClassVar[dict[str, str]] = {"explain_factor_": "cq"}
    needed = ("coef_", "frequencies_")

    def sample_size(self, params: dict[str, Any]) -> int:
        """Rows to leave out."""
        return sample_rows(params, LOO_ROWS)

    def draw(self, job: Job) -> tuple[RandomMap, np.ndarray]:
        """Draw the frequencies."""
        kernel, D = require_random_features(job.kernel), job.params["n_components"]
        d, seed = job.source.n_features, job.seen.sample.seed
        centre = centre_of(job.seen.sample.X)
        feature_map = random_map(kernel, D, d, seed, job.tile_dtype, centre=centre)
        return feature_map, np.zeros(0, dtype=np.int64)

    def narrowed(self, feature_map: FeatureMap, job: Job) -> FeatureMap:
        """Of fewer rows than features, keep to the span of the rows' features.

        The coefficients are in it, whatever alpha: sums over the others would be all for nothing.
        """
        if job.source.n_rows >= feature_map.n_features:
            return feature_map
        X = job.source.take(np.arange(job.source.n_rows))
        Phi = np.asarray(feature_map(X), dtype=np.float64)
        return ProjectedMap(feature_map, np.linalg.qr(Phi.T)[0])

    def kept(self, feature_map: Any, solution: Solution) -> dict[str, Any]:
        """Return the frequencies and the weights of the features."""
        coef, full = solution.coef, feature_map
        if isinstance(feature_map, ProjectedMap):
            coef, full = feature_map.basis @ coef, feature_map.full
        assert isinstance(full, RandomMap)
        return {"frequencies_": full.frequencies, "centre_": full.centre, "coef_": coef}

    def basis(self, feature_map: Any) -> tuple[np.ndarray | None, dict[str, Any]]:
        """Return what turns all features into those of fewer directions."""
        return (feature_map.basis if isinstance(feature_map, ProjectedMap) else None), {}

    def raw_columns(self, model: Any) -> Callable[[Any], np.ndarray]:
        """Return the features."""
        return self.feature_map(model)

    def feature_map(self, model: Any) -> RandomMap:
        """Return the map at the frequencies."""
        return _random_map_of(model, np.dtype(np.float64))

    def restored(self, meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of the model, whose frequencies make as many features as it has."""
        made = random_map_at(meta["kernel_"], arrays["frequencies_"], np.dtype(np.float64))
        if (made.n_features, len(made.centre)) != (
            len(arrays["coef_"]),
            len(arrays.get("centre_", made.centre)),
        ):
            raise ValueError(f"frequencies_ make {made.n_features} features, which coef_ has not")
        return super().restored(meta, arrays)

    def predictor(self, model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the linear model on the features."""
        feature_map = _random_map_of(model, dtype)
        return feature_predictor(
            feature_map, _columns(model.coef_), np.atleast_1d(model.intercept_)
        )


APPROXIMATIONS: dict[str, Approximation] = {
    approximation.name: approximation
    for approximation in (
        Exact(),
        Nystroem(),
        Fourier(),
        Local(),
        WithLocal(Nystroem()),
        WithLocal(Fourier()),
    )
}


def approximation_named(name: str, solver: str) -> Approximation:
    """Return the approximation, or raise where the solver does not go with it."""
    approximation = APPROXIMATIONS[name]
    if solver not in ("auto", *approximation.solvers):
        pairs = "; ".join(f"{a.name}: {', '.join(a.solvers)}" for a in APPROXIMATIONS.values())
        raise UnsupportedError(
            f"solver={solver!r} does not go with approximation={name!r}; the solvers are {pairs}"
        )
    return approximation


def solver_names() -> tuple[str, ...]:
    """Return every solver that some approximation has."""
    names = (solver for a in APPROXIMATIONS.values() for solver in a.solvers)
    return tuple(dict.fromkeys(("auto", *names)))


def _weighted_sum(model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
    dual, intercept = _columns(model.dual_coef_), np.atleast_1d(model.intercept_)
    return kernel_predictor(model.kernel_, model.landmarks_, dual, intercept, dtype)


def _random_map_of(model: Any, dtype: np.dtype) -> RandomMap:
    # Models that were stored before rows were centred have no centre.
    return random_map_at(model.kernel_, model.frequencies_, dtype, getattr(model, "centre_", None))


def _columns(coef: np.ndarray) -> np.ndarray:
    return coef.reshape(len(coef), -1)
