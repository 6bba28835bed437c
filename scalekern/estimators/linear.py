"""The plain linear model, by the same streamed sums: the end of the line that starts at k-NN."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from scalekern.approximations.explain_arrays import EXPLAIN_ARRAYS, EXPLAIN_ROWS, kept_of_features
from scalekern.approximations.weighers import FeatureWeigher, Weigher
from scalekern.engine import HashSample, Moments, Together, engine_for
from scalekern.engine.progress import whole
from scalekern.errors import InvalidInputError
from scalekern.estimators.base import RowPredictor, check_outputs
from scalekern.estimators.intervals import RESIDUALS
from scalekern.features import StandardizedMap
from scalekern.rows import RowSource
from scalekern.rows.base import dense_rows
from scalekern.rows.validate import fit_source
from scalekern.solvers import RidgeStatistic, alpha_rule, solve_ridge
from scalekern.storage import storable


@storable
class LinearRegressor(RowPredictor):
    """Linear least squares with an intercept, in two passes over rows of any source.

    The model to compare others with. scikit-learn's `LinearRegression` gives the same for rows in
    memory.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    coef_ : float64 array of shape (d,) or (n_outputs, d)
    intercept_ : float or float64 array of shape (n_outputs,)

    Raises
    ------
    InvalidInputError
        If the data have missing or infinite values, or y and X differ in length.

    Examples
    --------
    >>> from scalekern import LinearRegressor
    >>> model = LinearRegressor().fit([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0])
    >>> model.predict([[3.0]]).round(6).tolist()
    [7.0]
    """

    def __init__(self, *, n_jobs: int | None = None) -> None:
        self.n_jobs = n_jobs

    @whole("fitting")
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> LinearRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), or rows from `scalekern.rows`
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target.
        sample_weight : array of shape (n,), optional

        Returns
        -------
        self
        """
        source = fit_source(self, X, y, sample_weight)
        engine, t = engine_for(source, self.n_jobs), source.n_outputs

        def look() -> Together:
            return Together(X=Moments("X"), y=Moments("y"), sample=HashSample(EXPLAIN_ROWS, 0))

        seen = engine.reduce(source, look, "looking at the rows")
        if not seen["X"].count:
            raise InvalidInputError("every sample weight is zero; at least one must be above 0")
        scale, y_mean = np.sqrt(seen["X"].variance), seen["y"].mean
        columns = StandardizedMap(seen["X"].mean, np.where(scale > 0, scale, 1.0), np.float64)
        stat = engine.reduce(
            source,
            lambda: RidgeStatistic(columns, t, y_mean),
            "adding up the sums",
        )
        solution = solve_ridge(stat, alpha_rule(0.0), fit_intercept=True, dtype=np.float64)
        coef = solution.coef / columns.scale[:, None]
        intercept = solution.intercept - columns.mean @ coef
        self._keep(solution.smoother, columns, seen["sample"])
        self.target_is_vector_, self.n_outputs_ = source.target_is_vector, source.n_outputs
        self.coef_ = coef[:, 0] if self.target_is_vector_ else coef.T
        self.intercept_ = float(intercept[0]) if self.target_is_vector_ else intercept
        return self

    def _keep(self, smoother: Any, columns: StandardizedMap, sample: HashSample) -> None:
        for name in (*EXPLAIN_ARRAYS, RESIDUALS):
            self.__dict__.pop(name, None)
        # Explained in the columns of the rows themselves, which are neither centred nor scaled.
        basis = np.diag(1.0 / columns.scale)
        offset = smoother.offset + columns.mean / columns.scale @ smoother.factor
        kept = kept_of_features(replace(smoother, offset=offset), sample, basis)
        for name, value in kept.items():
            setattr(self, name, value)

    def _weigher(self, rows: RowSource | None) -> Weigher:
        to_floats = partial(dense_rows, dtype=np.float64)
        return FeatureWeigher(self, to_floats, lambda X: lambda Z: to_floats(Z @ X.T), rows)

    def _tile_dtype(self, source: RowSource) -> np.dtype:
        del source
        return np.dtype(np.float64)

    def _predictor(self, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        coef = np.atleast_2d(self.coef_).T
        return lambda X: np.asarray(X @ coef, dtype=dtype) + self.intercept_

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        meta = {"target_is_vector_": self.target_is_vector_, "n_outputs_": self.n_outputs_}
        arrays = {"coef_": self.coef_, "intercept_": np.asarray(self.intercept_)}
        more = (*EXPLAIN_ARRAYS, RESIDUALS)
        return meta, arrays | {name: getattr(self, name) for name in more if hasattr(self, name)}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        check_outputs(meta["n_outputs_"], arrays["intercept_"])
        for name, value in (meta | arrays).items():
            setattr(self, name, value)
        if self.target_is_vector_:
            self.intercept_ = float(np.ravel(arrays["intercept_"])[0])
