"""The plan of a model or a pipeline: the steps in front, and the columns that they make of rows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from scalekern.engine.cost import Step, rows_of_task, tasks_of
from scalekern.engine.limits import resolve_threads
from scalekern.errors import UnsupportedError
from scalekern.estimators import LinearRegressor, SimilarityRegressor
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.features import RowPreparer
from scalekern.features.category_column import OneHotColumn
from scalekern.features.column_base import Column
from scalekern.features.column_kinds import columns_of
from scalekern.features.date_column import PARTS, DateColumn
from scalekern.features.number_column import NumberColumn
from scalekern.planning.features import plan_linear
from scalekern.planning.neighbors import plan_neighbors
from scalekern.planning.outlook import Outlook
from scalekern.planning.shape import Shape
from scalekern.planning.similarity import plan_similarity
from scalekern.rows import RowSource
from scalekern.rows.outline import Outline
from scalekern.storage.registry import array_bytes, is_storable, steps_of


def foresee(model: Any, source: RowSource) -> tuple[Outlook, RowSource]:
    """Return what a fit of a model or pipeline would do, and the rows as its last step sees them.

    Raises
    ------
    UnsupportedError
        For a step or a model that cannot be planned.
    """
    steps = steps_of(model)
    before, kept, notes = [], 0, []
    for step in steps[:-1]:
        done, source, own, note = _prepared(step, source)
        before += done
        kept += own
        notes += note
    found = _outlook(steps[-1], source)
    found.steps[:0] = before
    found.model_bytes += kept
    found.notes[:0] = notes
    return found, source


def _outlook(model: Any, source: RowSource) -> Outlook:
    """Return what a fit of an unfitted estimator on rows like these would do."""
    shape = Shape(source, resolve_threads(getattr(model, "n_jobs", None)))
    if isinstance(model, LinearRegressor):
        return plan_linear(shape)
    if isinstance(model, WeighedNeighbors):
        return plan_neighbors(model, shape)
    if isinstance(model, SimilarityRegressor):
        return plan_similarity(model, shape)
    raise UnsupportedError(
        f"a {type(model).__name__} cannot be planned; give a SimilarityRegressor, "
        "KNeighborsRegressor, KNeighborsClassifier or LinearRegressor, or a pipeline that ends in "
        "one"
    )


def _prepared(step: Any, source: RowSource) -> tuple[list[Step], RowSource, int, list[str]]:
    """Return the passes of a step, the rows after it, the bytes it keeps, and notes."""
    if isinstance(step, RowPreparer):
        return _by_preparer(step, source)
    if not is_storable(step) or not hasattr(step, "transform"):
        raise UnsupportedError(
            f"a pipeline with a {type(step).__name__} cannot be planned; the steps before the "
            "model may be RowPreparer and scikit-learn's StandardScaler and MinMaxScaler"
        )
    kept = 3 * array_bytes(np.empty(source.n_features))
    return [_a_pass(source, "scaling", type(step).__name__)], source, kept, []


def _by_preparer(
    step: RowPreparer, source: RowSource
) -> tuple[list[Step], RowSource, int, list[str]]:
    columns = columns_of(
        source, step.missing, step.categories, step.max_categories, step.categorical
    )
    widths = [_widest(column, source.n_outputs) for column in columns]
    plain = step.missing == "error" and all(isinstance(c, NumberColumn) for c in columns)
    done = [] if plain and step.scaler == "none" else [_look(source, plain)]
    d = sum(widths)
    after = _Prepared(source, d)
    notes = []
    if d > len(columns):
        notes.append(f"{len(columns)} columns become at most {d}; how many depends on the rows")
    return done, after, 2 * 8 * d, notes


def _look(source: RowSource, plain: bool) -> Step:
    why = "their means and spreads" if plain else "their kinds, categories, means and spreads"
    return _a_pass(source, "scaling" if plain else "looking at columns", why)


def _a_pass(source: RowSource, what: str, why: str) -> Step:
    n, d = source.n_rows, source.n_features
    work = Counter({"move": 40.0 * n * d})
    # Means, spreads and categories: some hundred numbers a column.
    own, parts = 800 * d, source.partitions
    read, apart = source.pass_bytes(), source.pass_bytes(rows_of_task(n, d))
    return Step(what, why, n, tasks_of(n, d), read, work, True, own, parts, apart_bytes=apart)


def _widest(column: Column, n_outputs: int) -> int:
    """Return the most columns that one becomes."""
    missing = int(column.missing != "error")
    if isinstance(column, NumberColumn):
        return 1 + missing
    if isinstance(column, DateColumn):
        return (column.form != "time") + 2 * len(PARTS[column.form]) + missing
    if isinstance(column, OneHotColumn):
        return column.max_categories
    return max(1, n_outputs)


class _Prepared(Outline):
    """The outline of rows after a step, which reads the files of those before it."""

    def __init__(self, source: RowSource, n_features: int) -> None:
        super().__init__(source.n_rows, n_features, source.n_outputs, source.dtype)
        self._source = source
        self.on_dask, self.partitions = source.on_dask, source.partitions

    def pass_bytes(self, apart: int = 0) -> int:
        """Return what a pass reads."""
        return self._source.pass_bytes(apart)
