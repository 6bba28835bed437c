"""compare: every model on the same rows, against the exact one; those that can share a kernel."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral
from typing import Any

import numpy as np

from scalekern.engine.progress import progress_bar, whole
from scalekern.errors import InvalidInputError, ScalekernError
from scalekern.estimators import SimilarityRegressor
from scalekern.features import RowPreparer
from scalekern.features.parameters import check_integer, seed_of
from scalekern.features.survey import GAMMA_RULES, check_gamma
from scalekern.kernels import as_kernel
from scalekern.report.about import call_text
from scalekern.report.candidates import (
    SIZED,
    Candidate,
    Factory,
    candidates_of,
    chosen_models,
    in_fitting_order,
)
from scalekern.report.comparison import Comparison, Data
from scalekern.report.measured import FAILURES, draw_sample, gather_target, measure, not_fitted
from scalekern.report.possible import check_scaler
from scalekern.report.split import split_rows
from scalekern.report.wording import choice_of
from scalekern.rows import RowSource
from scalekern.solvers import alpha_rule

CERTIFIED_ROWS = 8_000
"""Training rows on parts of which the gap to an exact model is measured that was not fitted."""
KERNEL_MODELS = ("exact", "nystroem", "fourier")


@whole("comparing")
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
    n_components: Any = 1000,
    n_neighbors: int | None = None,
    exact_rows: int | None = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
) -> Comparison:
    """Fit every model on the same rows; compare error, time, size and the gap to the exact model.

    Exact, Nyström and Fourier models share one bandwidth and one alpha, chosen by the exact model
    where it runs. The local model has a length scale for each query, and so chooses its own. The
    auto model is `SimilarityRegressor` with nothing set: it chooses kernel, metric, approximation
    and all else by errors on held-out training rows, as `scalekern fit` does.

    Parameters
    ----------
    X : array or frame of shape (n, d), rows from `scalekern.rows` with their target, or a list of
        texts or other objects with a kernel that takes them
    y : array of shape (n,)
        The target. Left out where X is rows that carry it.
    test : rows or (X_test, y_test), optional
        The rows to measure errors on. Without it X is read into memory and split.
    test_size : float or int, default=0.25
        Share or number of rows to split off, as in `sklearn.model_selection.train_test_split`.
    models : list of str, optional
        Of "exact", "linear", "knn", "local", "nystroem", "fourier", "auto"; all by default, "exact"
        only up to 10,000 training rows, "knn" only without weights. Objects have no "linear",
        "local", "fourier" and "auto", kernels that are not stationary have no "fourier" and no
        "local", and "knn" takes texts (by Levenshtein's distance) but no other objects.
    scaler : {"standard", "minmax", "none"}, default="standard"
        Learned on the training rows; objects are not scaled.
    missing, categories, max_categories : as in `RowPreparer`
        For frames, and rows of ``scalekern.rows(..., raw=True)``, with other columns than numbers.
    kernel, gamma, alpha, fit_intercept : as in `SimilarityRegressor`
        Of "exact", "nystroem", "fourier" and "local". Like the next two they are nothing to "auto",
        which keeps to its own choices.
    n_components : int or list of int, default=1000
        As in `SimilarityRegressor`. Of a list, "nystroem" and "fourier" are fitted at each size, as
        "nystroem-250"; the report then shows error against components.
    n_neighbors : int, optional
        Of "knn" and "local"; by default 5 and 32, or all rows where there are fewer.
    exact_rows : int, optional
        Fit the exact model on a random sample of this many training rows. The gap to an exact model
        of all rows is then measured on parts of them.
    random_state : int, default=0
        The seed of the split, the landmarks and the frequencies.
    n_jobs : int or None, default=None
        Threads; None is one for each core.

    Returns
    -------
    Comparison
        Prints as a table; has `recommended`, `rows()`, `models`, `predictions` and `to_html(path)`.

    Raises
    ------
    InvalidInputError
        If a parameter or the data have bad values, or no model at all can be fitted. A single model
        that fails, such as the exact one beyond the memory limit, says why in its `note`.
    UnsupportedError
        If the targets are classes, or a model that was asked for cannot be fitted on such rows.

    Examples
    --------
    >>> import numpy as np, scalekern
    >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
    >>> table = scalekern.compare(X, np.sin(X[:, 0]), models=["exact", "linear"])
    >>> [(row["model"], row["gap_to_exact"] == 0) for row in table.rows()]
    [('exact', True), ('linear', False)]
    """
    settings = {name: value for name, value in locals().items() if name not in ("X", "y", "test")}
    shared: dict[str, Any] = {"kernel": kernel, "gamma": gamma, "alpha": alpha}
    sizes = _checked(shared, n_components, n_neighbors, fit_intercept)
    reader = SimilarityRegressor(kernel)
    train, test_source = split_rows(X, y, test, test_size, random_state, reader, missing)
    y_test = gather_target(test_source)
    _refuse_constant(train, y_test)
    data = _described(train, test_source, y, None if test is not None else test_size)
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
    families, left_out = chosen_models(models, train, exact_rows, as_kernel(kernel))
    if n_neighbors and n_neighbors > train.n_rows and {"knn", "local"} & set(families):
        raise InvalidInputError(
            f"n_neighbors={n_neighbors} but n_samples={train.n_rows} to fit on; ask for fewer "
            "neighbours"
        )
    candidates = candidates_of(families, sizes)
    seed = seed_of(random_state)
    metric = "euclidean" if train.n_features else "levenshtein"
    neighbors = {"knn": n_neighbors or 5, "local": n_neighbors or min(32, train.n_rows)}
    make = Factory(shared, dict(shared), fit_intercept, neighbors, metric, seed, n_jobs)
    comparison = Comparison(
        results=[],
        predictions={},
        y_test=y_test,
        kernel="",
        alpha=float("nan"),
        preparer=preparer,
        left_out=left_out,
        settings=settings,
        data=data,
        call=_call(settings, has_y=y is not None),
    )
    sample = draw_sample(train, exact_rows, seed) if exact_rows else train
    errors = []
    with progress_bar("models", len(candidates), unit="done") as advance:
        for candidate in in_fitting_order(candidates):
            rows = sample if candidate.family == "exact" else train
            try:
                _add(comparison, candidate, make, rows, test_source)
            except FAILURES as error:
                comparison.results.append(not_fitted(candidate.key, error, rows.n_rows))
                errors.append(error)
            advance(1)
    if errors and not comparison.models:
        raise _of_all(errors[0])
    _set_gaps(comparison, train.n_rows)
    exact_was_wanted = "exact" in (*left_out, *families)
    if exact_was_wanted and comparison.exact_rmse is None:
        _certify(comparison, candidates, train, test_source, seed)
    order = [candidate.key for candidate in candidates]
    comparison.results.sort(key=lambda result: order.index(result.model))
    return comparison


def _checked(
    shared: dict[str, Any], n_components: Any, n_neighbors: Any, fit_intercept: Any
) -> list[int]:
    """Return the sizes, or raise for parameters that no rows could make right."""
    as_kernel(shared["kernel"])
    alpha_rule(shared["alpha"])
    check_gamma(shared["gamma"], (*GAMMA_RULES, "cv"))
    if n_neighbors is not None:
        check_integer("n_neighbors", n_neighbors)
    if not isinstance(fit_intercept, (bool, np.bool_)):
        raise InvalidInputError(f"fit_intercept={fit_intercept!r}; use True or False")
    several = isinstance(n_components, (Sequence, np.ndarray)) and not isinstance(n_components, str)
    sizes = list(np.ravel(n_components)) if several else [n_components]
    if not sizes:
        raise InvalidInputError(
            "n_components is an empty list; give a number, or a list of at least one"
        )
    return sorted({check_integer("n_components", size) for size in sizes})


def _of_all(error: BaseException) -> BaseException:
    """Return what to raise where no model can be fitted; a library's own words are no advice."""
    if isinstance(error, (ScalekernError, MemoryError)):
        return error
    return InvalidInputError(
        f"no model could be fitted: {error}; check X and y for huge or constant values"
    )


def _refuse_constant(train: RowSource, y_test: np.ndarray) -> None:
    """Raise if all targets are the same; those to fit on are read up to the first other one."""
    if np.all(y_test == y_test[0]) and all(
        np.all(np.asarray(block.y) == y_test[0]) for block in train.blocks(65_536)
    ):
        raise InvalidInputError(
            f"the target is {y_test[0]:g} in every row, so that there is nothing to predict; "
            "choose another target (--target)"
        )


def _described(train: RowSource, test: RowSource, y: Any, test_size: Any) -> Data:
    """Return what the report says of the rows; `test_size` is None where they were not split."""
    named = next(iter(train.target_names), getattr(y, "name", None))  # of a column or a Series
    train_name, test_name = ("" if rows.name == "X" else rows.name for rows in (train, test))
    if test_size is not None:
        test_name = f"{_share(test_size)} of {train_name or 'all rows'}, split off at random"
    return Data(
        train=train_name,
        test=test_name,
        n_train=train.n_rows,
        n_test=test.n_rows,
        n_columns=train.n_features,
        columns=train.feature_names,
        target=named if isinstance(named, str) else None,
        weighted=train.has_weight,
    )


def _share(test_size: Any) -> str:
    if isinstance(test_size, Integral):
        return "a part"
    return {0.25: "a quarter", 0.5: "half"}.get(float(test_size), f"{100 * test_size:.3g}%")


def _call(settings: dict[str, Any], *, has_y: bool) -> str:
    parameters = inspect.signature(compare).parameters.values()
    return call_text(settings, {p.name: p.default for p in parameters}, has_y=has_y)


def _add(
    comparison: Comparison,
    candidate: Candidate,
    make: Factory,
    rows: RowSource,
    test: RowSource,
) -> None:
    """Fit one model and enter it."""
    model, name = make(candidate), candidate.key
    result, predicted = measure(name, model, rows, test, comparison.y_test)
    if candidate.family in SIZED:
        # No more landmarks than rows; of the others as many as asked for, to a pair.
        most = rows.n_rows if candidate.family == "nystroem" else candidate.size
        result.n_components = min(candidate.size, most)
    if candidate.family == "auto":
        result.note = f"chose {choice_of(model)}"
    comparison.results.append(result)
    comparison.predictions[name] = predicted
    comparison.models[name] = model
    if candidate.family in KERNEL_MODELS and not comparison.kernel:
        # The first similarity model chooses; the others get its kernel and alpha.
        make.shared |= {"kernel": model.kernel_, "alpha": model.alpha_}
        comparison.kernel, comparison.alpha = repr(model.kernel_), model.alpha_


def _set_gaps(comparison: Comparison, n_train: int) -> None:
    exact = next((result for result in comparison.fitted if result.model == "exact"), None)
    scale = float(comparison.y_test.std())
    if exact is None or exact.n_train != n_train or scale == 0:
        return
    reference = comparison.predictions["exact"]
    for result in comparison.fitted:
        difference = comparison.predictions[result.model] - reference
        result.gap_to_exact = float(np.sqrt(np.mean(difference**2))) / scale


def _certify(
    comparison: Comparison,
    candidates: Sequence[Candidate],
    train: RowSource,
    test: RowSource,
    seed: int,
) -> None:
    """Bound the gap of the largest approximations to the exact model that was not fitted."""
    rows = None
    for family in SIZED:
        sized = [one for one in candidates if one.family == family]
        model = comparison.models.get(sized[-1].key) if sized else None
        if model is None:
            continue
        rows = draw_sample(train, CERTIFIED_ROWS, seed) if rows is None else rows
        with suppress(*FAILURES):  # too few rows, or too little memory: there is no bound then
            comparison.certificates[sized[-1].key] = model.gap_to_exact(test, rows=rows)
