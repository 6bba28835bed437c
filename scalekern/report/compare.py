"""compare: every model on the same rows, with the same kernel, against the exact one."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from scalekern.errors import InvalidInputError
from scalekern.estimators import KNeighborsRegressor, LinearRegressor, SimilarityRegressor
from scalekern.estimators.fitting import gather
from scalekern.features import RowPreparer
from scalekern.features.parameters import check_choice, seed_of
from scalekern.kernels import Kernel, as_kernel
from scalekern.report.possible import check_scaler, impossible_models, refuse, rows_for
from scalekern.rows import ArraySource, RowSource
from scalekern.rows.base import take_rows
from scalekern.rows.raw import plain_where_numbers, source_of_rows
from scalekern.storage import model_bytes

MODELS = ("exact", "linear", "knn", "local", "nystroem", "fourier")
MOST_EXACT_ROWS = 10_000


@dataclass
class Result:
    """One row of the table.

    Attributes
    ----------
    model : str
    rmse, mae, r2 : float
        On the test rows, in the units of the target; r2 is None where all test targets are equal.
    fit_seconds, predict_seconds : float
        Wall time.
    model_bytes : int
    gap_to_exact : float or None
        The RMS difference from the exact model's predictions over the standard deviation of the
        test targets; None where the exact model was not fitted on the same rows.
    n_train : int
    note : str
    """

    model: str
    rmse: float
    mae: float
    r2: float | None
    fit_seconds: float
    predict_seconds: float
    model_bytes: int
    gap_to_exact: float | None
    n_train: int
    note: str = ""


@dataclass
class Comparison:
    """What `compare` returns.

    Attributes
    ----------
    results : list of Result
    predictions : dict of float64 arrays
        Of each model, on the test rows.
    y_test : float64 array
    kernel, alpha : str, float
        What the similarity models shared; of the exact model where it ran.
    models : dict of fitted estimators
        Of scaled rows.
    preparer : RowPreparer or None
        The scaling; None for objects, which have no columns to scale.
    """

    results: list[Result]
    predictions: dict[str, np.ndarray]
    y_test: np.ndarray
    kernel: str
    alpha: float
    models: dict[str, Any] = field(default_factory=dict, repr=False)
    preparer: RowPreparer | None = field(default=None, repr=False)

    @property
    def best(self) -> str:
        """The name of the model with the smallest error."""
        return min(self.results, key=lambda result: result.rmse).model

    def pipeline(self, name: str) -> Pipeline:
        """Return a fitted model with the scaling before it, to predict with or to save."""
        steps = [] if self.preparer is None else [("prepare", self.preparer)]
        return Pipeline([*steps, ("model", self.models[name])])

    def rows(self) -> list[dict[str, Any]]:
        """Return the table as a list of dicts."""
        return [asdict(result) for result in self.results]

    def to_json(self) -> str:
        """Return the table as JSON text."""
        return json.dumps(self.rows(), indent=2)

    def __str__(self) -> str:
        from scalekern.report.table import comparison_text

        return comparison_text(self.rows())


def compare(
    X: Any,
    y: Any = None,
    *,
    test: Any = None,
    test_size: float = 0.25,
    models: Any = None,
    scaler: str = "standard",
    missing: str = "error",
    categories: str = "onehot",
    max_categories: int = 32,
    kernel: Any = "rbf",
    gamma: Any = "median",
    alpha: Any = "loo",
    fit_intercept: bool = True,
    n_components: int = 1000,
    n_neighbors: int | None = None,
    exact_rows: int | None = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
) -> Comparison:
    """Fit every model on the same rows and measure error, time, size and the gap to the exact one.

    The bandwidth and alpha are chosen once, by the exact model where it runs, and shared; the local
    model has a length scale for each query, and so chooses its own.

    Parameters
    ----------
    X : array or frame of shape (n, d), rows from `scalekern.rows` with their target, or a list of
        texts or other objects with a kernel that takes them
    y : array of shape (n,)
        Left out where X is rows.
    test : rows or (X_test, y_test), optional
        The rows to measure on. Without it X is read into memory and split.
    test_size : float or int, default=0.25
        Share or number of rows to split off, as in `sklearn.model_selection.train_test_split`.
    models : list of str, optional
        Of "exact", "linear", "knn", "local", "nystroem", "fourier"; all by default, "exact" only up
        to 10,000 training rows, "knn" only without weights. Objects have no "linear", "local" and
        "fourier", kernels that are not stationary have no "fourier" and no "local", and "knn" takes
        texts (by Levenshtein's distance) but no other objects.
    scaler : {"standard", "minmax", "none"}, default="standard"
        Learned on the training rows; objects are not scaled.
    missing, categories, max_categories : as in `RowPreparer`
        For frames, and rows of ``scalekern.rows(..., raw=True)``, with other columns than numbers.
    kernel, gamma, alpha, fit_intercept, n_components : as in `SimilarityRegressor`
    n_neighbors : int, optional
        Of "knn" and "local"; by default 5 and 32, or all rows where there are fewer.
    exact_rows : int, optional
        Fit the exact model on a sample of that many training rows; there is then no gap to it.
    random_state : int, default=0
        Of the split, the landmarks and the frequencies.
    n_jobs : int or None, default=None

    Returns
    -------
    Comparison

    Raises
    ------
    InvalidInputError
        For bad values of parameters or data.

    Examples
    --------
    >>> import numpy as np, scalekern
    >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
    >>> table = scalekern.compare(X, np.sin(X[:, 0]), models=["exact", "linear"])
    >>> [(row["model"], row["gap_to_exact"] == 0) for row in table.rows()]
    [('exact', True), ('linear', False)]
    """
    reader = SimilarityRegressor(kernel)
    train, test_source = _split(X, y, test, test_size, random_state, reader, missing)
    preparer = None
    if train.n_features:
        preparer = RowPreparer(
            scaler,
            missing=missing,
            categories=categories,
            max_categories=max_categories,
            n_jobs=n_jobs,
        )
        train, test_source = preparer.fit_transform(train), preparer.transform(test_source)
    else:
        check_scaler(scaler)
    chosen = _chosen(models, train, exact_rows, as_kernel(kernel))
    seed = seed_of(random_state)
    shared: dict[str, Any] = {"kernel": kernel, "gamma": gamma, "alpha": alpha}
    metric = "euclidean" if train.n_features else "levenshtein"
    neighbors = {"knn": n_neighbors or 5, "local": n_neighbors or min(32, train.n_rows)}
    own = dict(shared)
    make = _Factory(shared, own, fit_intercept, n_components, neighbors, metric, seed, n_jobs)
    y_test = gather_target(test_source)
    comparison = Comparison([], {}, y_test, "", float("nan"), preparer=preparer)
    for name in _in_fitting_order(chosen):
        rows = draw_sample(train, exact_rows, seed) if name == "exact" and exact_rows else train
        result, predicted, model = _measure(name, make(name), rows, test_source, y_test)
        comparison.results.append(result)
        comparison.predictions[name] = predicted
        comparison.models[name] = model
        if name in ("exact", "nystroem", "fourier") and not comparison.kernel:
            # The first similarity model chooses; the others get its kernel and alpha.
            shared |= {"kernel": model.kernel_, "alpha": model.alpha_}
            comparison.kernel, comparison.alpha = repr(model.kernel_), model.alpha_
    _set_gaps(comparison, train.n_rows)
    comparison.results.sort(key=lambda result: chosen.index(result.model))
    return comparison


@dataclass
class _Factory:
    """Makes the unfitted model of a name."""

    shared: dict[str, Any]
    own: dict[str, Any]
    fit_intercept: bool
    n_components: int
    n_neighbors: dict[str, int]
    metric: str
    seed: int
    n_jobs: int | None

    def __call__(self, name: str) -> Any:
        common: dict[str, Any] = {"random_state": self.seed, "n_jobs": self.n_jobs}
        if name == "linear":
            return LinearRegressor(n_jobs=self.n_jobs)
        if name == "knn":
            return KNeighborsRegressor(self.n_neighbors[name], metric=self.metric, **common)
        return SimilarityRegressor(
            approximation=name,
            n_components=self.n_components,
            n_neighbors=self.n_neighbors.get(name, 32),
            fit_intercept=self.fit_intercept,
            **(self.own if name == "local" else self.shared),
            **common,
        )


def _split(
    X: Any,
    y: Any,
    test: Any,
    test_size: float,
    random_state: Any,
    reader: SimilarityRegressor,
    missing: str,
) -> tuple[RowSource, RowSource]:
    train = _as_source(X, y, reader)
    if test is not None:
        return train, _test_source(test, reader)
    # Numbers are read as such before the split: a missing one is named by its row in the file.
    train = plain_where_numbers(train) if missing == "error" else train
    rows = gather(train)
    try:
        parts = train_test_split(
            np.arange(len(rows.y)), test_size=test_size, random_state=random_state
        )
    except ValueError as error:
        raise InvalidInputError(f"test_size={test_size!r}: {error}") from error
    weight = rows.weight if train.has_weight else np.empty(0)
    first, second = (
        source_of_rows(
            take_rows(rows.X, part),
            rows.y[part, 0],
            weight[part] if train.has_weight else None,
            train,
        )
        for part in parts
    )
    return first, second


def _as_source(X: Any, y: Any, reader: SimilarityRegressor) -> RowSource:
    source = rows_for(reader, X, y)
    if source.n_outputs != 1:
        raise InvalidInputError(f"compare needs one target, not {source.n_outputs}")
    return source


def _test_source(test: Any, reader: SimilarityRegressor) -> RowSource:
    if isinstance(test, RowSource):
        return _as_source(test, None, reader)
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        raise InvalidInputError("test is neither rows with a target nor a pair (X_test, y_test)")
    return _as_source(test[0], test[1], reader)


def _chosen(models: Any, train: RowSource, exact_rows: int | None, kernel: Kernel) -> list[str]:
    impossible = impossible_models(train, kernel)
    if models is not None:
        names = [models] if isinstance(models, str) else models
        checked = list(dict.fromkeys(check_choice("models", name, MODELS) for name in names))
        refuse(checked, impossible, [name for name in MODELS if name not in impossible])
        return checked
    left_out = {"knn"} if train.has_weight else set()
    left_out |= set(impossible)
    if exact_rows is None and train.n_rows > MOST_EXACT_ROWS:
        left_out.add("exact")
    return [name for name in MODELS if name not in left_out]


def _in_fitting_order(chosen: list[str]) -> list[str]:
    return sorted(chosen, key=lambda name: name != "exact")


def draw_sample(train: RowSource, size: int, seed: int) -> RowSource:
    """Return a random sample of the rows, in memory."""
    from scalekern.engine import HashSample, engine_for

    engine = engine_for(train)
    sample = engine.reduce(train, lambda: HashSample(size, seed), "drawing a sample")
    y = sample.y[:, 0] if train.target_is_vector and sample.y is not None else sample.y
    return ArraySource(sample.X, y, sample.weight)


def gather_target(source: RowSource) -> np.ndarray:
    """Return the target of all rows, shape (n,)."""
    return np.concatenate([np.asarray(block.y) for block in source.blocks(65_536)])[:, 0]


def _measure(
    name: str, model: Any, rows: RowSource, test: RowSource, y_test: np.ndarray
) -> tuple[Result, np.ndarray, Any]:
    start = time.perf_counter()
    model.fit(rows)
    middle = time.perf_counter()
    predicted = np.ravel(model.predict(test))
    end = time.perf_counter()
    error = predicted - y_test
    spread = float(np.sum((y_test - y_test.mean()) ** 2))
    result = Result(
        model=name,
        rmse=float(np.sqrt(np.mean(error**2))),
        mae=float(np.mean(np.abs(error))),
        r2=1.0 - float(np.sum(error**2)) / spread if spread > 0 else None,
        fit_seconds=middle - start,
        predict_seconds=end - middle,
        model_bytes=model_bytes(model),
        gap_to_exact=None,
        n_train=rows.n_rows,
    )
    return result, predicted, model


def _set_gaps(comparison: Comparison, n_train: int) -> None:
    exact = next((r for r in comparison.results if r.model == "exact"), None)
    scale = float(comparison.y_test.std())
    if exact is None or exact.n_train != n_train or scale == 0:
        return
    reference = comparison.predictions["exact"]
    for result in comparison.results:
        difference = comparison.predictions[result.model] - reference
        result.gap_to_exact = float(np.sqrt(np.mean(difference**2))) / scale
