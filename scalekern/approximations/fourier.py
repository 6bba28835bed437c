"""approximation="fourier": random features stand for a stationary or polynomial kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scalekern.approximations.base import Job
from scalekern.approximations.by_sgd import sample_rows
from scalekern.approximations.feature_model import LOO_ROWS, MapApproximation
from scalekern.approximations.prediction import as_columns, feature_predictor
from scalekern.features import (
    FeatureMap,
    ProjectedMap,
    RandomMap,
    centre_of,
    random_map,
    random_map_at,
)
from scalekern.features.parameters import require_random_features
from scalekern.solvers import Solution


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
            feature_map, as_columns(model.coef_), np.atleast_1d(model.intercept_)
        )


def _random_map_of(model: Any, dtype: np.dtype) -> RandomMap:
    # Models that were stored before rows were centred have no centre.
    return random_map_at(model.kernel_, model.frequencies_, dtype, getattr(model, "centre_", None))
