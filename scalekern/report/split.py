"""Which rows a comparison learns from and which it measures on.

Apart from `compare` because it is about containers and says nothing of models.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from scalekern.approximations.gathered import gather
from scalekern.errors import InvalidInputError
from scalekern.estimators import SimilarityRegressor
from scalekern.report.possible import refuse_classes, rows_for
from scalekern.rows import RowSource
from scalekern.rows.base import take_rows
from scalekern.rows.raw import plain_where_numbers, source_of_rows


def split_rows(
    X: Any,
    y: Any,
    test: Any,
    test_size: float,
    random_state: Any,
    reader: SimilarityRegressor,
    missing: str,
) -> tuple[RowSource, RowSource]:
    """Return training and test rows: those given, or a random split read into memory.

    Raises
    ------
    InvalidInputError
        For a bad `test_size`, test rows without a target, or several targets.
    UnsupportedError
        For targets that are classes.
    """
    train = _as_source(X, y, reader, missing)
    if test is not None:
        return train, _test_source(test, reader, missing)
    # Numbers are read as such before the split: a missing one is named by its row in the file.
    train = plain_where_numbers(train) if missing == "error" else train
    rows = gather(train)
    n, n_test = len(rows.y), measured_rows(len(rows.y), test_size)
    if not 0 < n_test < n:
        raise InvalidInputError(
            f"test_size={test_size!r} of the {n:,} row{'s' if n > 1 else ''} of {train.name} does "
            "not leave some to fit on and some to measure on; give another test_size "
            "(--test-size), more rows, or other data to measure on (test=, --test)"
        )
    order = check_random_state(random_state).permutation(n)
    weight = rows.weight if train.has_weight else np.empty(0)
    first, second = (
        source_of_rows(
            take_rows(rows.X, part),
            rows.y[part, 0],
            weight[part] if train.has_weight else None,
            train,
        )
        for part in (order[n_test:], order[:n_test])
    )
    return first, second


def measured_rows(n: int, test_size: Any) -> int:
    """Return how many of n rows are measured on, 0 where `test_size` is neither share nor number.

    With the permutation above this is the split of `sklearn.model_selection.train_test_split`,
    whose import takes longer than a comparison of few rows.
    """
    if isinstance(test_size, bool) or not isinstance(test_size, Real):
        return 0
    if isinstance(test_size, Integral):
        return int(test_size)
    share = float(test_size)
    return math.ceil(share * n) if 0 < share < 1 else 0


def _as_source(X: Any, y: Any, reader: SimilarityRegressor, missing: str) -> RowSource:
    refuse_classes(y)
    source = rows_for(reader, X, y, missing)
    if source.n_outputs != 1:
        raise InvalidInputError(
            f"compare needs exactly one target, and {source.name} has {source.n_outputs}; compare "
            "them one at a time"
        )
    return source


def _test_source(test: Any, reader: SimilarityRegressor, missing: str) -> RowSource:
    if isinstance(test, RowSource):
        return _as_source(test, None, reader, missing)
    if not isinstance(test, (tuple, list)) or len(test) != 2:
        raise InvalidInputError(
            f"test is a {type(test).__name__}; give a pair (X_test, y_test), or rows from "
            "scalekern.rows with their target"
        )
    return _as_source(test[0], test[1], reader, missing)
