"""SimilarityRegressor: a weighted sum of similarities, exact or approximate, by one objective."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.base import Approximation, Fitted, Job
from scalekern.approximations.by_sgd import check_descent
from scalekern.approximations.certificate import Gap
from scalekern.approximations.explain_arrays import EXPLAIN_ARRAYS, explain_bytes
from scalekern.approximations.feature_model import MapApproximation
from scalekern.approximations.partial_fit import RunningDescent, RunningSums
from scalekern.approximations.registry import (
    APPROXIMATIONS,
    approximation_named,
    solver_names,
)
from scalekern.approximations.weighers import Weigher
from scalekern.engine import engine_for
from scalekern.engine.checkpoint import checkpointed
from scalekern.engine.lazy import lazy_on_dask
from scalekern.engine.progress import whole
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.base import RowPredictor, check_outputs
from scalekern.estimators.checkpoints import checkpoint_identity
from scalekern.estimators.choice import Choice
from scalekern.estimators.choosing import choose, survey_of
from scalekern.estimators.input_map import InputMap, MappedWeigher, check_metric
from scalekern.estimators.intervals import RESIDUALS
from scalekern.features.curves import Curves
from scalekern.features.parameters import check_choice, check_integer, seed_of, tile_dtype_of
from scalekern.features.survey import GAMMA_RULES, check_gamma
from scalekern.kernels import Precomputed, as_kernel
from scalekern.rows import Block, RowSource
from scalekern.rows.validate import fit_source, predict_source
from scalekern.selection.bandwidth import select_kernel, without_bandwidth
from scalekern.solvers import AlphaRule, alpha_rule
from scalekern.storage import storable

MAP_ARRAYS = ("curved_features_", "input_curves_", "input_map_", "feature_relevances_")
ARRAYS = (*MAP_ARRAYS, "dual_coef_", "landmarks_", "frequencies_", "centre_", "coef_", "alphas_",
          "scores_", "amplitude_", *EXPLAIN_ARRAYS, RESIDUALS)  # fmt: skip
VALUES = ("alpha_", "target_is_vector_", "n_outputs_", "report_", "kernel_")


def _has_sums(model: SimilarityRegressor) -> bool:
    if model.approximation == "exact" or model.approximation.endswith("local"):
        raise AttributeError(
            f"partial_fit adds up sums, which approximation={model.approximation!r} does not have; "
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
    kernel : str, callable or Kernel, default="auto"
        What similar means. "auto" tries "rbf" and the three "matern" kernels on up to 1,000 rows
        and takes the smoothest whose leave-one-out error is within 1% of the smallest (where gamma
        is a number it is "rbf"). Or "rbf",
        "laplacian", "matern12", "matern32", "matern52", "rational_quadratic", "linear",
        "polynomial", "cosine"; "edit_distance" for texts; "precomputed", where X holds
        similarities; a symmetric function of two objects of any kind; or a kernel object, such as
        `RBF() + 2.0 * Linear()`.
    gamma : float, "scale", "median" or "cv", default="cv"
        The bandwidth, where the kernel leaves it open: the larger, the faster similarity falls with
        distance. A number above 0, in 1 / units of X squared (1 / units of X for "laplacian");
        "scale" is 1 / (d * variance of X), as in scikit-learn's SVC; "median" goes by the median
        distance between up to 1,000 rows; "cv" starts there and searches for the smallest
        leave-one-out error on those rows.
    alpha : float, array, "loo", "gcv" or "cv", default="loo"
        The penalty: the larger, the smoother the model. As in `sklearn.kernel_ridge.KernelRidge`,
        it is not multiplied by the number of rows. "loo" tries a path of alphas and takes the one
        with the smallest leave-one-out error, over all rows for an exact model, else over 4,096 of
        the training rows. For an exact model by "cg" the errors are those of 3,000 rows, and of the
        alphas within 1% of the smallest error the largest is taken that iterations can solve for
        with 5e12 multiplications, or with 20 products. "gcv" is generalised cross-validation,
        which a few rows far from all others can mislead; "cv" is five-fold cross-validation; an
        array is a path of your own. None of them needs another pass over the rows.
    approximation : str, default="auto"
        How the similarities to all rows are made affordable: "auto", "exact", "nystroem",
        "fourier", "local", "nystroem+local" or "fourier+local".
        "auto" is exact up to 60,000 rows of few columns (5e12 multiplications), else Nyström,
        unless local models have a squared error lower by 2% and two standard errors on rows held
        out of a sample; they are tried from 360 rows on, where kernel, bandwidth and solver allow
        it. In these trials Nyström stands in for exact beyond 2,500 rows, unless its landmarks
        leave more than 5% of the trace of the Gram matrix.
        "local" solves an exact model on the nearest training rows of each query, with a length
        scale for each query: its distance to the last neighbour times one factor. Factor and alpha
        are those of the smallest leave-one-out error on 1,000 training rows, whatever rules `gamma`
        and `alpha` name; numbers are kept, for all queries. Its kernels are "rbf", "matern12",
        "matern32", "matern52" and "laplacian".
        With "+local" the residuals of the first are predicted by the second, whose factor and alpha
        are its own; `gamma` and `alpha` are those of the first.
    metric : {"auto", "euclidean", "learned"} or array, default="auto"
        "auto" is "learned" where `gamma` is "cv" and the kernel one of "local" whose bandwidth is
        open, and "euclidean" else. "learned" finds a linear map of the inputs, of scales or a whole
        matrix, before all else: local models' gradients say along which directions the target
        changes, and a map is kept where it lowers their error on rows held out by 2% and two
        standard errors. Global models take it where it serves them too. Before it, columns of
        dense rows with heavy tails (excess kurtosis above 6) become normal deviates of their ranks
        where local models are better for it by the same rule, at once or with what is learned after
        it. All that from 360 rows on, up to 1,024 features; from 20 rows on columns are scaled to
        deviation 1, with curves or not, unless leave-one-out errors are lower as they are. An array
        of shape (d,) or (d, k) is what rows are multiplied by, and nothing else; "euclidean" leaves
        columns as they are.
    n_components : int, default=1000
        How many landmarks ("nystroem") or random features ("fourier"): with more the model comes
        closer to the exact one and costs more. "exact" and "local" ignore it.
    landmarks : "uniform", "kmeans", "rpcholesky" or array, default="uniform"
        The rows that "nystroem" takes similarities to. "uniform" draws them by a hash of the row
        number and the seed. The next two draw ten times as many first: "kmeans" takes the means of
        their clusters, "rpcholesky" those that span the others best (randomly pivoted Cholesky).
        Or your own: an array of rows of shape (m, d), or of row numbers.
    solver : {"auto", "pinv", "cholesky", "cg", "sgd"}, default="auto"
        How the coefficients are found. "pinv" is for exact models, and what "auto" takes where the
        kernel may be indefinite: it keeps negative eigenvalues, as the article does. "cholesky"
        clips them. "cg", conjugate gradients, is for "exact" without its Gram matrix and for
        "nystroem" with thousands of landmarks, kernels being positive definite and alpha above 0;
        "auto" takes it where it counts fewer multiplications. alpha is then chosen, where it is to
        be, on 3,000 random rows ("exact": the largest within 1% of the smallest error) or 4,096.
        "sgd" is for "nystroem" and "fourier": mini-batches, preconditioned by a sketch of all rows;
        alpha is then chosen, where it is to be, on a random sample of rows.
    n_neighbors : int or "auto", default="auto"
        The rows of each model of "local"; "auto" is 32, doubled up to 128 as long as that lowers
        the error held out by 2% and two standard errors.
    fit_intercept : bool, default=True
        Whether to fit an intercept, which is not penalised; in "local" it is the mean target of the
        neighbours.
    max_iter : int or None, default=None
        Passes over the rows of "sgd" at most, the sketch's included; iterations of "cg" at most.
        None is 5 for "sgd" and 200 for "cg".
    tol : float, default=1e-4
        "sgd" stops earlier where, from one pass to the next, the mean iterate's predictions change
        by less than this share of their size. "cg" stops where no more than about this share
        of the objective is to be gained, or where four iterations have changed the error on rows
        left out by less than ten times this share. 0 goes on until `max_iter`, of "cg" until
        rounding leaves nothing to gain.
    batch_size : int or "auto", default="auto"
        Rows of a step of "sgd"; "auto" is 256.
    random_state : int, RandomState or None, default=None
    n_jobs : int or None, default=None
        Threads; None is one a core. The model does not depend on it.

    Attributes
    ----------
    kernel_ : Kernel
        With its bandwidth.
    alpha_ : float
        The penalty that was given or chosen.
    alphas_, scores_ : float64 arrays
        The path that was tried and its mean squared errors, where alpha was chosen.
    curved_features_ : int64 array of shape (c,)
        Columns with heavy tails that became normal deviates of their ranks, where errors on rows
        held out asked for it; by ``input_curves_``, of shape (c, 2, k): values, what they become.
    input_map_ : float64 array of shape (d,) or (d, k)
        What rows are multiplied by next, where a metric was given or learned.
    feature_relevances_ : float64 array of shape (d,)
        Of a learned metric: the share of each feature in the squared distance of two rows.
    landmarks_ : rows
        The rows that similarities are taken to ("exact", "nystroem").
    dual_coef_ : float64 array of shape (m,) or (m, n_outputs)
        The weights of the landmarks' similarities.
    frequencies_ : float64 array of shape (d, n_components / 2)
        Of "fourier", with `coef_`, and `centre_`, which is taken off each row.
    amplitude_ : float64 array of shape (n_outputs,)
        The likeliest variance, as a multiple of the kernel, of the Gaussian process whose mean the
        model is; `amplitude_ * alpha_` estimates the variance of the noise. Not of "local", "sgd".
    local_ : LocalRows
        The index of "local", with the targets.
    length_factor_ : float or None
        Of "local"; None where the bandwidth was given.
    intercept_ : float or float64 array of shape (n_outputs,)
    report_ : dict
        What ran and why.

    Raises
    ------
    InvalidInputError
        If a parameter has a bad value, or the data have missing or infinite values; the message
        says which, and where.
    UnsupportedError
        If parameters do not go together; the message lists those that do.

    References
    ----------
    Saunders, Gammerman and Vovk (1998), Ridge regression learning algorithm in dual variables
    ("exact"); Williams and Seeger (2001), Using the Nyström method to speed up kernel machines
    ("nystroem"); Rahimi and Recht (2007), Random features for large-scale kernel machines
    ("fourier").

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityRegressor
    >>> X = np.linspace(0, 6, 200)[:, None]
    >>> model = SimilarityRegressor(gamma=1.0, alpha=1e-3).fit(X, np.sin(X[:, 0]))
    >>> float(model.predict([[np.pi / 2]])[0].round(3))
    1.0
    """

    _loss = "squared_error"
    _left_out: Callable[[np.ndarray], np.ndarray] | None = None
    """Which rows a classifier wants scored by a model without them."""

    def __init__(
        self,
        kernel: Any = "auto",
        *,
        gamma: Any = "cv",
        alpha: Any = "loo",
        approximation: str = "auto",
        metric: Any = "auto",
        n_components: int = 1000,
        landmarks: Any = "uniform",
        solver: str = "auto",
        n_neighbors: Any = "auto",
        fit_intercept: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        batch_size: Any = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.approximation = approximation
        self.metric = metric
        self.n_components = n_components
        self.landmarks = landmarks
        self.solver = solver
        self.n_neighbors = n_neighbors
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state
        self.n_jobs = n_jobs

    @whole("fitting")
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None
    ) -> SimilarityRegressor:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target.
        sample_weight : array of shape (n,), optional
            At least 0. A row of weight 2 counts as two rows.
        checkpoint : path, optional
            A new folder for what the passes over the rows have come to: the sums so far, the state
            of gradient steps, the products of conjugate gradients. After a kill the same call goes
            on from there, to the same model. It is removed when the fit is done. For "nystroem",
            "fourier" and "exact" with solver="cg"; needs a whole number as random_state.

        Returns
        -------
        self
        """
        rule, objects = self._checked()
        source = fit_source(self, X, y, sample_weight, objects=objects)
        with checkpointed(checkpoint, partial(checkpoint_identity, self, source)):
            job, choice = self._job(source, rule)
            fitted = choice.approximation.fit(job)
        self._forget()
        self._keep(job, choice)
        self._finish(source, choice.approximation, fitted, choice.report)
        if fitted.left_out is not None:
            self._left_out_scores = fitted.left_out
        return self

    @available_if(_has_sums)
    @whole("fitting")
    def partial_fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> SimilarityRegressor:
        """Add rows to a Nyström or Fourier model, and solve again.

        The first call chooses landmarks or frequencies and the bandwidth from its rows, unless they
        are given; after any sequence of calls the model is that of all rows so far. `fit`
        keeps no sums, so the first call after it begins anew; a loaded model has none and refuses.

        Parameters
        ----------
        X, y, sample_weight : as in `fit`

        Returns
        -------
        self

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern import SimilarityRegressor
        >>> X = np.linspace(0, 6, 200)[:, None]
        >>> model = SimilarityRegressor(
        ...     gamma=1.0, alpha=1e-3, approximation="nystroem", landmarks=X[::10])
        >>> for part in (X[::2], X[1::2]):
        ...     model = model.partial_fit(part, np.sin(part[:, 0]))
        >>> model.report_["rows"], float(model.predict([[np.pi / 2]])[0].round(3)), model.n_iter_
        (200, 1.0, 1)
        """
        rule, objects = self._checked()
        first = not hasattr(self, "_running")
        if first and hasattr(self, "_loaded"):
            raise InvalidInputError(
                "a loaded model has no sums that partial_fit could add to; fit a new one "
                "(sklearn.base.clone(model) has the same parameters), or keep it by pickle"
            )
        source = fit_source(self, X, y, sample_weight, objects=objects, reset=first)
        name = "nystroem" if self.approximation == "auto" else self.approximation
        approximation = approximation_named(name, self.solver)
        assert isinstance(approximation, MapApproximation)
        if self.solver == "cg":
            raise UnsupportedError(
                "partial_fit cannot use solver='cg', which passes over all rows many times; use "
                "'cholesky' or 'sgd'"
            )
        chosen: dict[str, Any] = {}
        if first:
            self._forget()
            job, choice = self._job(source, rule, name)
            self._keep(job, choice)
            running = RunningDescent if self.solver == "sgd" else RunningSums
            self._running, chosen = running(approximation, job), choice.report
        engine = engine_for(source, self.n_jobs)
        self._running.add(engine, self._in_metric(source))
        fitted = self._running.solve(rule, fit_intercept=self.fit_intercept)
        notes = {"why": "partial_fit adds up sums", "rows": self._running.n_rows}
        self._finish(source, approximation, fitted, chosen | notes)
        return self

    def _checked(self) -> tuple[AlphaRule, bool]:
        """Return the rule of alpha, and whether rows are objects."""
        check_choice("approximation", self.approximation, ("auto", *APPROXIMATIONS))
        check_choice("solver", self.solver, solver_names())
        check_integer("n_components", self.n_components)
        check_gamma(self.gamma, (*GAMMA_RULES, "cv"))
        if self.n_neighbors != "auto":
            check_integer("n_neighbors", self.n_neighbors)
        check_metric(self.metric)
        if self.max_iter is not None:
            check_integer("max_iter", self.max_iter)
        check_descent(self.tol, self.batch_size)
        if not isinstance(self.fit_intercept, (bool, np.bool_)):
            raise InvalidInputError(f"fit_intercept={self.fit_intercept!r}; use True or False")
        return alpha_rule(self.alpha), self._takes_objects()

    def _job(
        self, source: RowSource, rule: AlphaRule, name: str | None = None
    ) -> tuple[Job, Choice]:
        """Decide what is open, look at the rows once, and return what there is to fit."""
        engine = engine_for(source, self.n_jobs)
        params = self.get_params(deep=False) | {"loss": self._loss}
        params["random_state"] = seed_of(self.random_state)
        choice = choose(
            engine, source, params | {"approximation": name or self.approximation}, rule
        )
        params["n_neighbors"] = choice.n_neighbors
        to = InputMap(choice.curves, choice.input_map)
        params["landmarks"] = to.landmarks(self.landmarks, source.n_features)
        source = to.source(source)
        approximation = choice.approximation
        seen = survey_of(engine, source, choice, params)
        if approximation.name != "local":
            kernel, found = select_kernel(engine.local, choice.kernel, choice.gamma, rule, seen)
            choice.kernel = kernel
            choice.report |= found
        kernel, _ = approximation.select(choice.kernel, choice.gamma, rule, seen)
        if self.kernel == "auto":
            params["kernel"] = without_bandwidth(kernel)
        job = Job(engine, source, kernel, rule, seen, params, choice.start, self._left_out)
        return job, choice

    def _keep(self, job: Job, choice: Choice) -> None:
        self.kernel_ = job.kernel
        if choice.curves is not None:
            self.curved_features_, self.input_curves_ = choice.curves.columns, choice.curves.knots
        if choice.input_map is not None:
            self.input_map_ = choice.input_map
        if choice.relevances is not None:
            self.feature_relevances_ = choice.relevances

    def _curves(self) -> Curves | None:
        known = hasattr(self, "input_curves_")
        return Curves(self.curved_features_, self.input_curves_) if known else None

    def _input_map(self) -> InputMap:
        return InputMap(self._curves(), getattr(self, "input_map_", None))

    def _in_metric(self, source: RowSource) -> RowSource:
        return self._input_map().source(source)

    def _forget(self) -> None:
        for name in ("_running", "_loaded", "local_", "rest_", "length_factor_", *ARRAYS, *VALUES):
            self.__dict__.pop(name, None)

    def _finish(
        self,
        source: RowSource,
        approximation: Approximation,
        fitted: Fitted,
        notes: dict[str, Any],
    ) -> None:
        solution = fitted.solution
        self._forget_calibration()
        self.alpha_ = solution.alpha
        self.target_is_vector_ = vector = source.target_is_vector
        self.n_outputs_ = source.n_outputs
        self.intercept_ = float(solution.intercept[0]) if vector else solution.intercept
        for name, value in fitted.arrays.items():
            flat = vector and name in ("dual_coef_", "coef_")
            setattr(self, name, value[:, 0] if flat else value)
        if solution.alphas is not None:
            self.alphas_, self.scores_ = solution.alphas, solution.scores
        self.report_ = {
            "approximation": approximation.name,
            "kernel": repr(self.kernel_),
            "alpha": self.alpha_,
            "rows": source.n_rows,
            "accumulation_dtype": "float64",
            "explain_bytes": explain_bytes(fitted.arrays),
            **solution.report,
            **notes,
        }

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # Cross-validation then cuts rows and columns of the Gram matrix alike.
        named = isinstance(self.kernel, str) and self.kernel == "precomputed"
        tags.input_tags.pairwise = named or isinstance(self.kernel, Precomputed)
        return tags

    def _takes_objects(self) -> bool:
        return self.kernel != "auto" and not as_kernel(self.kernel).takes_vectors

    def _tile_dtype(self, source: RowSource) -> np.dtype:
        return tile_dtype_of(source)

    @lazy_on_dask
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Return the predictions for rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d); objects for kernels of objects
        return_std : bool, default=False
            Also return the standard deviation of a new target about its prediction.

        Returns
        -------
        predictions : float64 array of shape (n,) or (n, n_outputs), in the units of the target
        std : float64 array of the same shape and units
            Only with `return_std`. That of a Gaussian process with the kernel ``s^2 k`` and noise
            of variance ``s^2 alpha``: ``s^2 (k(x, x) + alpha - k_x' (K + alpha I)^-1 k_x)``, the
            noise of the new target included, as scikit-learn's `GaussianProcessRegressor` has it
            with a `WhiteKernel`; with an intercept, more by what its own estimate varies. s^2 is
            `amplitude_`, the likeliest value. Nyström models have ``alpha phi(x)'(Phi'W Phi + alpha
            I)^-1 phi(x)`` and what of k(x, x) the landmarks leave (the projected process). Local
            models have the neighbourhood's own ``s^2 = c r' (K + alpha I)^-1 r / (n_neighbors -
            1)``, r its targets less their mean, and c one number, set in `fit` so that nine of ten
            rows left out are within 1.645 standard deviations; 0 where all targets are equal.

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidInputError
            If rows or columns are wrong.
        UnsupportedError
            If `return_std` asks for what the approximation does not have.
        """
        if not return_std:
            return super().predict(X)
        check_is_fitted(self)
        approximation = APPROXIMATIONS[self.report_["approximation"]]
        predict = self._mapped(approximation.std_predictor(self))
        source = predict_source(self, X, objects=self._takes_objects())
        both = np.empty((2, source.n_rows, self.n_outputs_))

        def write(block: Block, found: tuple[np.ndarray, np.ndarray]) -> None:
            both[:, block.rows] = found

        engine = engine_for(source, self.n_jobs)
        engine.map_blocks(source, lambda block: predict(block.X), write)
        mean, std = both[..., 0] if self.target_is_vector_ else both
        return mean, std

    @whole("comparing with the exact model")
    def gap_to_exact(self, X: Any, rows: Any = None) -> Gap:
        """Return how far a Nyström or Fourier model is from the exact one, with its confidence.

        The exact model and the approximation are both solved on parts of training rows, by the
        same kernel and alpha, and compared on X; the larger the parts, the nearer to what all rows
        would show. The error of the kernel on X is beside it.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects
            Rows like those to predict; up to 2,000 are used.
        rows : (X, y), (X, y, sample_weight) or rows from `scalekern.rows`, optional
            Training rows to solve on: a sample of up to 16,000, held in memory. By default the
            1,000 that the model keeps, whose parts are small.

        Returns
        -------
        Gap
            `size`, `gap`, `low`, `high`, `trace_error`, `trace_low`, `trace_high`.

        Raises
        ------
        InvalidInputError
            If there are too few rows, or the model kept none (solver="sgd", or "cg" on many rows).
        UnsupportedError
            For other approximations.

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern import SimilarityRegressor
        >>> X = np.linspace(0, 6, 400)[:, None]
        >>> model = SimilarityRegressor(gamma=1.0, alpha=1e-3, approximation="nystroem",
        ...                             n_components=30, random_state=0).fit(X, np.sin(X[:, 0]))
        >>> bool(model.gap_to_exact(X[::7]).gap[-1] < 0.01)
        True
        """
        check_is_fitted(self)
        source = predict_source(self, X, objects=self._takes_objects())
        approximation = APPROXIMATIONS[self.report_["approximation"]]
        known = self._rows_given(rows)
        known = None if known is None else self._in_metric(known)
        return approximation.gap_to_exact(self, self._in_metric(source), known)

    def _predictor(self, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        return self._mapped(APPROXIMATIONS[self.report_["approximation"]].predictor(self, dtype))

    def _mapped(self, predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return the function of rows as they are, from that of rows in the metric."""
        to = self._input_map()
        return (lambda X: predict(to(X))) if to else predict

    def _weigher(self, rows: RowSource | None) -> Weigher:
        rows = None if rows is None else self._in_metric(rows)
        weigher = APPROXIMATIONS[self.report_["approximation"]].weigher(self, rows)
        to = self._input_map()
        return MappedWeigher(weigher, to) if to else weigher

    @property
    def n_iter_(self) -> int:
        """Passes over the rows of "sgd"; 1 of the other solvers."""
        return int(self.report_.get("passes", 1))

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        arrays = {name: getattr(self, name) for name in ARRAYS if hasattr(self, name)}
        arrays["intercept_"] = np.asarray(self.intercept_)
        approximation = APPROXIMATIONS[self.report_["approximation"]]
        meta, more = approximation.state(self)
        return {name: getattr(self, name) for name in VALUES} | meta, arrays | more

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        check_outputs(meta["n_outputs_"], arrays["intercept_"])
        approximation = APPROXIMATIONS[meta["report_"]["approximation"]]
        restored = approximation.restored(meta, arrays) | {"_loaded": True}
        for name, value in restored.items():
            setattr(self, name, value)
        if self.target_is_vector_:
            self.intercept_ = float(np.ravel(arrays["intercept_"])[0])
