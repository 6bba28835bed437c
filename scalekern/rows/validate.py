"""From what a user passes to `fit` or `predict` to a source, by scikit-learn's conventions.

Arrays go through scikit-learn's own checks; frames and sources are matched by column name, in any
order. This sets `n_features_in_` and `feature_names_in_` and holds later calls to them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from scalekern.errors import InvalidInputError
from scalekern.rows.base import RowSource
from scalekern.rows.containers import (
    frame_source,
    is_frame,
    is_objects,
    objects_of,
    source_of,
    to_arrow,
)
from scalekern.rows.dask_pieces import is_dask
from scalekern.rows.dask_rows import dask_source
from scalekern.rows.finite import check_range, located
from scalekern.rows.memory import ArraySource
from scalekern.rows.raw import plain_of, raw_table
from scalekern.rows.tables import Columns

DTYPES = (np.float64, np.float32)


def fit_source(
    estimator: Any,
    X: Any,
    y: Any = None,
    weight: Any = None,
    *,
    objects: bool = False,
    needs_y: bool = True,
    reset: bool = True,
    raw: bool = False,
) -> RowSource:
    """Return the rows to fit on, and let the estimator remember their columns.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_` and, where columns have names, `feature_names_in_`.
    X, y, weight : what the user passed
    objects : bool
        Whether rows may be objects of any kind.
    needs_y : bool
        Whether a target is needed.
    reset : bool
        False to hold the rows to those of an earlier fit, as `partial_fit` does.
    raw : bool
        Whether columns may be other things than numbers: frames then become raw sources, raw
        sources stay what they are, and arrays may have missing values.
    """
    if isinstance(X, RowSource):
        source = source_of(X, y, weight)
        source = source if raw else plain_of(source)
        if needs_y and not source.n_outputs:
            raise InvalidInputError(
                f"{source.name} has no target; name it: rows(..., target='column')"
            )
        return _accepted(estimator, source, reset, objects=objects)
    if is_dask(X):
        checked = _needed_target(estimator, y) if needs_y else None
        source = dask_source(X, checked, weight, raw=raw)
        return _accepted(estimator, source, reset, objects=objects)
    if is_dask(y) or is_dask(weight):
        raise InvalidInputError(
            f"y or sample_weight is a Dask collection but X is a {type(X).__name__}; "
            "give X as a Dask collection too, or call .compute() on the others"
        )
    if objects and (is_objects(X) if reset else _has_objects(estimator)):
        items = objects_of(X)
        checked = checked_target(y, len(items)) if needs_y else None
        _forget_columns(estimator)
        return ArraySource(items, checked, weight)
    if is_frame(X):
        checked = checked_target(y, len(X)) if needs_y else None
        source = _raw_frame(X, checked, weight) if raw else frame_source(X, checked, weight)
        return _accepted(estimator, source, reset, objects=objects)
    if not needs_y:
        array = _validated(estimator, X, reset=reset, allow_nan=raw)
        return ArraySource(array, None, weight, _names(estimator))
    y = _needed_target(estimator, y)
    X, y = _validated(estimator, X, y, reset=reset, allow_nan=raw)
    return ArraySource(X, y, weight, _names(estimator))


def _needed_target(estimator: Any, y: Any) -> Any:
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, "
            "but the target y is None."
        )
    _refuse_text(y)
    return y


def _refuse_text(y: Any) -> None:
    """Raise for targets that are labels, which scikit-learn's checks let pass here and there."""
    if is_dask(y):
        return
    values = np.ravel(np.asarray(y))
    first = next((value for value in values[:1] if isinstance(value, str)), None)
    if first is not None:
        raise InvalidInputError(
            f"y holds text ({str(first)!r} at row 0), and numbers are predicted here; for classes "
            "use SimilarityClassifier or KNeighborsClassifier"
        )


def _accepted(estimator: Any, source: RowSource, reset: bool, *, objects: bool) -> RowSource:
    """Remember the columns of a source; not every estimator takes objects, which have none.

    Texts of a table keep the name of their column, so that files can be read for them again.
    """
    if source.n_features:
        return _remembered(estimator, source, reset)
    if not objects:
        raise objects_error(estimator, source.name)
    _forget_columns(estimator)
    if source.text_column is not None:
        estimator.feature_names_in_ = np.array([source.text_column], dtype=object)
    return source


def objects_error(estimator: Any, name: str) -> InvalidInputError:
    """Return the error for rows that are objects where vectors of numbers are needed."""
    return InvalidInputError(
        f"{name} holds texts or other objects, but {type(estimator).__name__} needs numbers with "
        "these parameters; encode the texts first (RowPreparer), or compare them as they are with "
        "kernel='edit_distance' in a similarity model or metric='levenshtein' in k-NN"
    )


def predict_source(
    estimator: Any, X: Any, *, objects: bool = False, raw: bool = False
) -> RowSource:
    """Return the rows to predict for, their columns matched with those of the fit.

    `raw` as in `fit_source`.
    """
    if is_dask(X):
        X = dask_source(X, raw=raw)
    if objects and _has_objects(estimator):
        return _objects_again(X)
    if isinstance(X, RowSource):
        source = _remembered(estimator, X, False)
        return source if raw else plain_of(source)
    if is_frame(X):
        source = _raw_frame(X) if raw else frame_source(X)
        return _remembered(estimator, source, False, extra_is_wrong=True)
    return ArraySource(_validated(estimator, X, reset=False, allow_nan=raw))


def _raw_frame(X: Any, y: Any = None, weight: Any = None) -> RowSource:
    table = to_arrow(X)
    if not table.num_columns:
        raise InvalidInputError("X has no columns; give at least one feature")
    columns = Columns(tuple(table.column_names))
    return raw_table(table, columns, y=y, weight=weight, name="X")


def _validated(
    estimator: Any, X: Any, y: Any = "no_validation", *, reset: bool, allow_nan: bool = False
) -> Any:
    if getattr(X, "dtype", None) == np.float16:
        X = X.astype(np.float32)
    more: dict[str, Any] = {} if isinstance(y, str) else {"multi_output": True, "y_numeric": True}
    if allow_nan:
        more["ensure_all_finite"] = "allow-nan"
    with located(X=X, y=y), _texts_named(estimator, X):
        checked = validate_data(
            estimator, X, y, reset=reset, accept_sparse="csr", dtype=DTYPES, **more
        )
    if isinstance(y, str):
        check_range(X=checked)
    else:
        check_range(X=checked[0], y=checked[1])
    return checked


@contextmanager
def _texts_named(estimator: Any, X: Any) -> Iterator[None]:
    """Turn the error of things that are no numbers into one that says what to do with them."""
    try:
        yield
    except (ValueError, TypeError) as error:
        if "could not convert string" not in str(error) and "real number, not" not in str(error):
            raise
        if np.ndim(X) != 2:
            raise objects_error(estimator, "X") from error
        if isinstance(error, TypeError):
            raise
        raise InvalidInputError(
            f"X is an array that holds text ({error}), and columns of an array have no types of "
            "their own; pass a frame, such as pandas.DataFrame(X).infer_objects(), and encode its "
            "text with a RowPreparer as the first step of a pipeline"
        ) from error


def _has_objects(estimator: Any) -> bool:
    return not hasattr(estimator, "n_features_in_")


def _forget_columns(estimator: Any) -> None:
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            delattr(estimator, name)


def _objects_again(X: Any) -> RowSource:
    if is_frame(X):
        X = frame_source(X)
    if not isinstance(X, RowSource):
        return ArraySource(objects_of(X))
    if X.n_features:
        raise InvalidInputError(
            f"the model was fitted on objects such as texts, but {X.name} has {X.n_features} "
            "columns of numbers; give objects of the same kind"
        )
    return X


def checked_target(y: Any, n_rows: int) -> np.ndarray:
    """Return a target of finite numbers, one value or row for each row of X, or raise."""
    if y is None:
        raise InvalidInputError("y is missing; pass the target, one value or row for each row of X")
    _refuse_text(y)
    with located(y=y):
        values = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_range(y=values)
    if len(values) != n_rows:
        check_consistent_length(np.empty(n_rows), values)
    return values


def _remembered(
    estimator: Any, source: RowSource, reset: bool, *, extra_is_wrong: bool = False
) -> RowSource:
    """Set the estimator's columns from the source, or match the source with them."""
    names = _names(estimator)
    if reset:
        estimator.n_features_in_ = source.n_features
        if source.feature_names is not None:
            estimator.feature_names_in_ = np.array(source.feature_names, dtype=object)
        elif names is not None:
            del estimator.feature_names_in_
        return source
    if names is not None and source.feature_names is not None:
        extra = [name for name in source.feature_names if name not in names]
        if extra and extra_is_wrong:
            raise ValueError(
                f"X has columns that were not there at fit: {extra[:5]}; select {list(names)}"
            )
        return source.select(names)
    if source.n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {source.n_features} features, but {type(estimator).__name__} "
            f"is expecting {estimator.n_features_in_} features as input"
        )
    # The columns of a file without names are numbered, which is no name to warn of.
    numbered = tuple(map(str, range(source.n_features)))
    if names is None and source.feature_names not in (None, numbered):
        warnings.warn(
            f"X has feature names, but {type(estimator).__name__} was fitted without feature names",
            stacklevel=4,
        )
    return source


def _names(estimator: Any) -> tuple[str, ...] | None:
    names = getattr(estimator, "feature_names_in_", None)
    return None if names is None else tuple(names)
