"""SimilarityRegressor: a weighted sum of similarities, exact or approximate, by one objective."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if

from scalekern.engine import HashSample, ThreadEngine, Together
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.base import RowPredictor
from scalekern.estimators.fitting import fit_exact, residual_pass, solve_sums, sum_over
from scalekern.estimators.prediction import feature_predictor, kernel_predictor
from scalekern.features import FeatureMap, FourierMap, NystroemMap, fourier_map
from scalekern.features.landmarks import choose_landmarks, landmark_numbers, without_landmarks
from scalekern.features.parameters import (
    check_choice,
    check_integer,
    require_stationary,
    seed_of,
    tile_dtype_of,
)
from scalekern.features.survey import Survey, survey
from scalekern.kernels import Kernel, as_kernel
from scalekern.rows import RowSource
from scalekern.rows.validate import fit_source
from scalekern.selection import select_kernel
from scalekern.solvers import AlphaRule, RidgeStatistic, Solution, alpha_rule
from scalekern.storage import storable

SOLVERS = {
    "exact": ("pinv", "cholesky"),
    "nystroem": ("cholesky",),
    "fourier": ("cholesky",),
}
LOO_ROWS = 4_096
"""Of a Nyström or Fourier model, leave-one-out errors are averaged over so many training rows."""
MOST_EXACT_ROWS = 2_500
"""Up to here "auto" is exact: the decomposition costs less than a sum over 1,000 components."""


def _has_sums(model: SimilarityRegressor) -> bool:
    if model.approximation == "exact":
        raise AttributeError(
            "partial_fit adds up sums, which approximation='exact' does not have; "
            "use 'nystroem' or 'fourier'"
        )
    return True


@storable
class SimilarityRegressor(RowPredictor):
    """Predict by a weighted sum of similarities to training rows or landmarks.

    Minimises ``sum_i w_i (y_i - f(x_i) - b)^2 + alpha |f|^2`` over the functions of the kernel,
    exactly or approximately.

    Parameters
    ----------
    kernel : str, callable or Kernel, default="rbf"
        "rbf", "laplacian", "matern12", "matern32", "matern52", "linear"; a symmetric function of
        two objects of any kind; or a kernel object.
    gamma : float, "scale", "median" or "cv", default="median"
        The bandwidth where the kernel leaves it open: a number above 0, in 1 / units of X squared
        (1 / units of X for "laplacian"); "scale" is 1 / (d * variance of X); "median" is that of
        the median distance between up to 1,000 rows; "cv" tries nine values around it by the
        leave-one-out error on those rows.
    alpha : float, array, "loo", "gcv" or "cv", default="loo"
        The penalty, as in `sklearn.kernel_ridge.KernelRidge` (not multiplied by the number of
        rows). "loo" takes the smallest leave-one-out error of a whole path: that of all rows of an
        exact model, of 4,096 of the training rows else. An array is a path of your own. "gcv" is
        generalised cross-validation, which a few rows far from all others can mislead; "cv" is
        five-fold cross-validation. None of them needs another pass.
    approximation : {"auto", "exact", "nystroem", "fourier"}, default="auto"
        "auto" is exact up to 2,500 rows, then Nyström.
    n_components : int, default=1000
        Landmarks ("nystroem") or random features ("fourier").
    landmarks : "uniform" or array, default="uniform"
        Drawn by a hash of the row number and the seed; or rows of shape (m, d); or row numbers.
    solver : {"auto", "pinv", "cholesky"}, default="auto"
        "pinv" is for exact models, and what "auto" takes where the kernel may be indefinite: it
        keeps negative eigenvalues, as the article does. "cholesky" clips them.
    fit_intercept : bool, default=True
        An intercept without penalty.
    random_state : int, RandomState or None, default=None
    n_jobs : int or None, default=None
        Threads; None is one a core. The model does not depend on it.

    Attributes
    ----------
    kernel_ : Kernel
        With its bandwidth.
    alpha_ : float
    alphas_, scores_ : float64 arrays
        The path that was tried and its mean squared errors, where alpha was chosen.
    landmarks_ : rows
        The rows that similarities are taken to ("exact", "nystroem").
    dual_coef_ : float64 array of shape (m,) or (m, n_outputs)
        Their weights.
    frequencies_ : float64 array of shape (d, n_components / 2)
        Of "fourier", with `coef_`.
    intercept_ : float or float64 array of shape (n_outputs,)
    report_ : dict
        What ran and why.

    Raises
    ------
    InvalidInputError
        For a bad value of a parameter or of the data.
    UnsupportedError
        For a combination that does not exist; the message lists those that do.

    References
    ----------
    Saunders, Gammerman and Vovk (1998), Ridge regression learning algorithm in dual variables;
    Williams and Seeger (2001); Rahimi and Recht (2007).

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityRegressor
    >>> X = np.linspace(0, 6, 200)[:, None]
    >>> model = SimilarityRegressor(gamma=1.0, alpha=1e-3).fit(X, np.sin(X[:, 0]))
    >>> float(model.predict([[np.pi / 2]])[0].round(3))
    1.0
    """

    def __init__(
        self,
        kernel: Any = "rbf",
        *,
        gamma: Any = "median",
        alpha: Any = "loo",
        approximation: str = "auto",
        n_components: int = 1000,
        landmarks: Any = "uniform",
        solver: str = "auto",
        fit_intercept: bool = True,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.approximation = approximation
        self.n_components = n_components
        self.landmarks = landmarks
        self.solver = solver
        self.fit_intercept = fit_intercept
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SimilarityRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target.
        sample_weight : array of shape (n,), optional
            At least 0. A row of weight 2 counts as two rows.

        Returns
        -------
        self
        """
        rule, kernel = self._checked()
        source = fit_source(self, X, y, sample_weight, objects=not kernel.takes_vectors)
        approximation, why = self._approximation(source)
        engine, seen = self._survey(source, approximation)
        self.kernel_, chosen = select_kernel(self.kernel, self.gamma, rule, seen)
        self._forget()
        if approximation == "exact":
            solution = self._fit_exact(engine, source, rule)
        else:
            feature_map = self._draw_map(approximation, source, seen)
            stat = sum_over(engine, source, feature_map, seen.y_mean, rule)
            measure = residual_pass(engine, source, feature_map)
            solution = solve_sums(
                stat, feature_map, rule, self.fit_intercept, self._loo_rows(seen.sample), measure
            )
            self._keep(feature_map, solution)
        self._finish(source, approximation, why, solution, chosen)
        return self

    @available_if(_has_sums)
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SimilarityRegressor:
        """Add rows to a Nyström or Fourier model, and solve again.

        A model of `fit` keeps no sums: the first call after it begins anew. That first call chooses landmarks or frequencies and the bandwidth from its rows, unless they
        are given; after any sequence of calls the model is that of all rows so far.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`

        Returns
        -------
        self
        """
        rule, kernel = self._checked()
        first = not hasattr(self, "_sums")
        objects = not kernel.takes_vectors
        source = fit_source(self, X, y, sample_weight, objects=objects, reset=first)
        approximation = "nystroem" if self.approximation == "auto" else self.approximation
        self._check_solver(approximation)
        engine = ThreadEngine(self.n_jobs)
        chosen: dict[str, Any] = {}
        if first:
            engine, seen = self._survey(source, approximation)
            self.kernel_, chosen = select_kernel(self.kernel, self.gamma, rule, seen)
            self._map = self._draw_map(approximation, source, seen)
            self._sums = RidgeStatistic(self._map, source.n_outputs, seen.y_mean, rule.n_folds)
            self._sample = HashSample(seen.sample.size, seen.sample.seed)
            self._rows_so_far = 0
        self._check_outputs(source)
        added = engine.reduce(source, self._empty(), "adding up the sums")
        self._sums.merge(added["sums"])
        self._sample.merge(added["sample"])
        self._rows_so_far += source.n_rows
        solution = solve_sums(
            self._sums, self._map, rule, self.fit_intercept, self._loo_rows(self._sample)
        )
        self._keep(self._map, solution)
        self._finish(source, approximation, "partial_fit adds up sums", solution, chosen)
        return self

    def _empty(self) -> Callable[[], Together]:
        offset, folds, first = self._sums.y_offset, self._sums.n_folds, self._rows_so_far
        outputs, size, seed = self._sums.c.shape[2], self._sample.size, self._sample.seed
        return lambda: Together(
            sums=RidgeStatistic(self._map, outputs, offset, folds, first),
            sample=HashSample(size, seed, first),
        )

    def _check_outputs(self, source: RowSource) -> None:
        outputs = self._sums.c.shape[2]
        if source.n_outputs != outputs:
            raise InvalidInputError(
                f"y has {source.n_outputs} outputs, but earlier calls had {outputs}"
            )

    def _checked(self) -> tuple[AlphaRule, Kernel]:
        check_choice("approximation", self.approximation, ("auto", *SOLVERS))
        check_choice("solver", self.solver, ("auto", "pinv", "cholesky"))
        check_integer("n_components", self.n_components)
        if not isinstance(self.fit_intercept, (bool, np.bool_)):
            raise InvalidInputError(f"fit_intercept={self.fit_intercept!r}; use True or False")
        return alpha_rule(self.alpha), as_kernel(self.kernel)

    def _approximation(self, source: RowSource) -> tuple[str, str]:
        approximation, why = self.approximation, "asked for"
        if approximation == "auto":
            given = not isinstance(self.landmarks, str)
            small = source.n_rows <= MOST_EXACT_ROWS and not given
            approximation = "exact" if small else "nystroem"
            why = (
                "landmarks were given"
                if given
                else f"{source.n_rows} rows; exact up to {MOST_EXACT_ROWS}"
            )
        self._check_solver(approximation)
        return approximation, why

    def _check_solver(self, approximation: str) -> None:
        valid = SOLVERS[approximation]
        if self.solver not in ("auto", *valid):
            pairs = "; ".join(f"{name}: {', '.join(s)}" for name, s in SOLVERS.items())
            raise UnsupportedError(
                f"solver={self.solver!r} does not go with approximation={approximation!r}; "
                f"the solvers are {pairs}"
            )

    def _survey(self, source: RowSource, approximation: str) -> tuple[ThreadEngine, Survey]:
        engine = ThreadEngine(self.n_jobs)
        drawn = self.n_components if approximation == "nystroem" else 0
        size = 1 if approximation == "exact" else drawn + LOO_ROWS
        return engine, survey(engine, source, size, seed_of(self.random_state), gamma=self.gamma)

    def _loo_rows(self, sample: HashSample) -> HashSample:
        return without_landmarks(sample, self._landmark_numbers)

    def _draw_map(self, approximation: str, source: RowSource, seen: Survey) -> FeatureMap:
        dtype = tile_dtype_of(source)
        if approximation == "nystroem":
            m = self.n_components
            Z = choose_landmarks(self.landmarks, source, seen.sample, m)
            self._landmark_numbers = landmark_numbers(self.landmarks, seen.sample, m)
            return NystroemMap(self.kernel_, Z, dtype)
        self._landmark_numbers = np.zeros(0, dtype=np.int64)
        kernel = require_stationary(self.kernel_)
        seed, d = seen.sample.seed, source.n_features
        return fourier_map(kernel, self.n_components, d, seed, dtype, orthogonal=True)

    def _fit_exact(self, engine: ThreadEngine, source: RowSource, rule: AlphaRule) -> Solution:
        solver = self.solver
        if solver == "auto":
            solver = "cholesky" if self.kernel_.positive_definite else "pinv"
        rows, solution = fit_exact(engine, source, self.kernel_, rule, solver, self.fit_intercept)
        self.landmarks_, self._dual = rows.X, solution.coef
        solution.report["solver"] = solver
        return solution

    def _keep(self, feature_map: FeatureMap, solution: Solution) -> None:
        if isinstance(feature_map, NystroemMap):
            white = feature_map.whitening
            self.landmarks_ = feature_map.Z
            self._dual = white.inverse @ solution.coef
            solution.report |= {
                "landmarks": len(white.kept), "rank": white.rank, "clipped_share": white.clipped
            }  # fmt: skip
        elif isinstance(feature_map, FourierMap):
            self.frequencies_ = feature_map.frequencies
            self.coef_ = solution.coef
        solution.report |= {"solver": "cholesky", "tile_dtype": str(feature_map.dtype)}

    def _forget(self) -> None:
        for name in ("_sums", "_sample", "_map", "_dual", "landmarks_", "frequencies_", "coef_"):
            self.__dict__.pop(name, None)

    def _finish(
        self,
        source: RowSource,
        approximation: str,
        why: str,
        solution: Solution,
        chosen: dict[str, Any],
    ) -> None:
        self.target_is_vector_ = source.target_is_vector
        self.n_outputs_ = solution.coef.shape[1]
        self.alpha_ = solution.alpha
        if solution.alphas is not None:
            self.alphas_, self.scores_ = solution.alphas, solution.scores
        vector = self.target_is_vector_
        self.intercept_ = float(solution.intercept[0]) if vector else solution.intercept
        if hasattr(self, "_dual"):
            self.dual_coef_ = self._dual[:, 0] if vector else self._dual
        self.report_ = {
            "approximation": approximation,
            "why": why,
            "kernel": repr(self.kernel_),
            "alpha": self.alpha_,
            "rows": source.n_rows,
            "accumulation_dtype": "float64",
            "tile_dtype": "float64",
            **solution.report,
            **chosen,
        }

    def _takes_objects(self) -> bool:
        return not as_kernel(self.kernel).takes_vectors

    def _tile_dtype(self, source: RowSource) -> np.dtype:
        return tile_dtype_of(source)

    def _predictor(self, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        intercept = np.atleast_1d(np.asarray(self.intercept_, dtype=np.float64))
        if self.report_["approximation"] == "fourier":
            return feature_predictor(FourierMap(self.frequencies_, dtype), self.coef_, intercept)
        dual = self.dual_coef_.reshape(len(self.dual_coef_), -1)
        return kernel_predictor(self.kernel_, self.landmarks_, dual, intercept, dtype)

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        arrays = {"dual_coef_": None, "landmarks_": None, "frequencies_": None, "coef_": None,
                  "alphas_": None, "scores_": None}  # fmt: skip
        arrays = {k: getattr(self, k) for k in arrays if hasattr(self, k)}
        arrays["intercept_"] = np.asarray(self.intercept_)
        meta = {name: getattr(self, name) for name in
                ("alpha_", "target_is_vector_", "n_outputs_", "report_", "kernel_")}  # fmt: skip
        return meta, arrays

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        for name, value in (meta | arrays).items():
            setattr(self, name, value)
        if self.target_is_vector_:
            self.intercept_ = float(np.ravel(arrays["intercept_"])[0])
