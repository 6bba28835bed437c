"""Which rows a comparison learns from and which it measures on.

Apart from `compare` because it is about containers and says nothing of models.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.estimators import SimilarityRegressor
from scalekern.estimators.fitting import gather
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
    from sklearn.model_selection import train_test_split  # slow to import

    # Numbers are read as such before the split: a missing one is named by its row in the file.
    train = plain_where_numbers(train) if missing == "error" else train
    rows = gather(train)
    try:
        parts = train_test_split(
            np.arange(len(rows.y)), test_size=test_size, random_state=random_state
        )
    except ValueError as error:
        n = len(rows.y)
        raise InvalidInputError(
            f"test_size={test_size!r} of the {n:,} row{'s' if n > 1 else ''} of {train.name} does "
            "not leave some to fit on and some to measure on; give another test_size "
            "(--test-size), more rows, or other data to measure on (test=, --test)"
        ) from error
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
