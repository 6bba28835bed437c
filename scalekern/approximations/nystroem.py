"""approximation="nystroem": some landmarks stand for all rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scalekern.approximations.base import Fitted, Job
from scalekern.approximations.by_cg import landmarks_by_cg
from scalekern.approximations.by_sgd import sample_rows
from scalekern.approximations.explain_arrays import elimination, kept_elimination
from scalekern.approximations.feature_model import LOO_ROWS, MapApproximation
from scalekern.approximations.prediction import weighted_sum
from scalekern.approximations.solver_choice import landmark_solver
from scalekern.features import NystroemMap
from scalekern.features.landmarks import choose_landmarks, landmark_sample_rows
from scalekern.features.maps import UnfinishedNystroemMap
from scalekern.solvers import Solution


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
        return weighted_sum(model, dtype)
