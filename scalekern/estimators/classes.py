"""Labels as targets: what classes there are, their indicators, and the weights of rows.

A source of rows with labels becomes one with indicator columns, block by block, so that every
regressor is a classifier without holding the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from scalekern.engine import Engine, Statistic
from scalekern.errors import InvalidInputError
from scalekern.estimators.label_columns import checked_labels
from scalekern.rows import Block, RowSource
from scalekern.rows.base import then
from scalekern.rows.dask_pieces import is_dask
from scalekern.rows.dask_results import dask_labels
from scalekern.rows.validate import fit_source

_SAME = ("n_rows", "n_features", "dtype", "feature_names", "in_memory", "name")
Weights = Callable[[Block], np.ndarray]


class ClassCounts(Statistic):
    """How many rows of positive weight each value of a single target has."""

    def __init__(self) -> None:
        self.values, self.counts = np.zeros(0), np.zeros(0, dtype=np.int64)

    def update(self, block: Block) -> None:
        """Count one block of rows."""
        assert block.y is not None
        y = block.y[:, 0] if block.weight is None else block.y[block.weight > 0, 0]
        other = ClassCounts()
        other.values, other.counts = np.unique(y, return_counts=True)
        self.merge(other)

    def merge(self, other: ClassCounts) -> None:
        """Add the counts of other rows."""
        values = np.concatenate([self.values, other.values])
        counts = np.concatenate([self.counts, other.counts])
        self.values, at = np.unique(values, return_inverse=True)
        self.counts = np.bincount(at, counts, len(self.values)).astype(np.int64)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the counts as plain arrays."""
        return {"values": self.values, "counts": self.counts}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the counts that `arrays` gave."""
        self.values, self.counts = arrays["values"], arrays["counts"]


class IndicatorSource(RowSource):
    """The rows of a source of labels, with indicators as targets and other weights.

    Parameters
    ----------
    source : RowSource
    values : float64 array of shape (n_classes,)
        The labels in the source, ascending.
    low : float
        The target of a row in another class: -1 for least squares, 0 for the logarithmic loss.
    weights : callable
        Block -> float64 array of shape (rows,).
    """

    def __init__(self, source: RowSource, values: np.ndarray, low: float, weights: Weights) -> None:
        self._source, self._values, self._low, self._weights = source, values, low, weights
        for name in _SAME:
            setattr(self, name, getattr(source, name))
        self.n_outputs = 1 if len(values) == 2 else len(values)
        self.target_is_vector, self.has_weight = self.n_outputs == 1, True

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all rows in order."""
        return map(self._encoded(), self._source.blocks(max_rows))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks."""
        return map(self._encoded(), self._source.runs(numbers, length))

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source below, and what is made of its blocks."""
        return then(self._source, self._encoded())

    def reweighted(self, weights: Weights) -> RowSource:
        """Return the same rows with weights that `weights` makes of a block of these."""
        return ReweightedSource(self, weights)

    def _encoded(self) -> Callable[[Block], Block]:
        """Return the function of blocks, which holds no rows: it travels to workers."""
        values, low, weights = self._values, self._low, self._weights
        n_outputs = self.n_outputs

        def encoded(block: Block) -> Block:
            assert block.y is not None
            y = np.full((len(block), n_outputs), low)
            if n_outputs == 1:
                y[block.y[:, 0] == values[1]] = 1.0
            else:
                y[block.y[:, :1] == values] = 1.0
            return replace(block, y=y, weight=weights(block))

        return encoded

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        return IndicatorSource(self._source.select(names), self._values, self._low, self._weights)


class ReweightedSource(RowSource):
    """The rows of a source with other weights."""

    def __init__(self, source: RowSource, weights: Weights) -> None:
        self._source, self._weights = source, weights
        for name in (*_SAME, "n_outputs", "target_is_vector"):
            setattr(self, name, getattr(source, name))
        self.has_weight = True

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all rows in order."""
        return map(self._weighted(), self._source.blocks(max_rows))

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks."""
        return map(self._weighted(), self._source.runs(numbers, length))

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source below, and what is made of its blocks."""
        return then(self._source, self._weighted())

    def _weighted(self) -> Callable[[Block], Block]:
        weights = self._weights
        return lambda block: replace(block, weight=weights(block))

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        return ReweightedSource(self._source.select(names), self._weights)


def labelled_source(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, objects: bool
) -> tuple[RowSource, np.ndarray | None]:
    """Return rows whose target is a label's number, and the labels; None where it is the label."""
    if isinstance(X, RowSource):
        return fit_source(estimator, X, y, sample_weight, objects=objects), None
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, "
            "but the target y is None."
        )
    if is_dask(y):
        classes, numbers = dask_labels(y)
        check_classification_targets(classes)
        return fit_source(estimator, X, numbers, sample_weight, objects=objects), classes
    labels = checked_labels(column_or_1d(y, warn=True))
    classes, encoded = np.unique(labels, return_inverse=True)
    return fit_source(estimator, X, encoded, sample_weight, objects=objects), classes


def places_of(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the places of labels among ascending values, -1 of a label that is not there."""
    places = np.minimum(np.searchsorted(values, labels), len(values) - 1)
    return np.where(values[places] == labels, places, -1)


def counted_classes(
    engine: Engine, source: RowSource, classes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the values in the source, the labels that they stand for, and the rows of each."""
    if source.n_outputs != 1:
        raise InvalidInputError(
            f"a classifier needs exactly one target column, got {source.n_outputs}; fit one for "
            "each"
        )
    found = engine.reduce(source, ClassCounts, "counting the classes")
    if not len(found.values):
        raise InvalidInputError("every sample weight is zero; at least one must be above 0")
    if classes is None:
        check_classification_targets(found.values)
        whole = (found.values == np.floor(found.values)).all()
        classes = found.values.astype(np.int64) if whole else found.values
    else:
        classes = classes[found.values.astype(np.int64)]
    if len(classes) < 2:
        raise ValueError(
            f"the classifier needs rows of 2 classes or more, but the data has {len(classes)} "
            f"class: {classes.tolist()}"
        )
    return found.values, classes, found.counts


def class_weights(class_weight: Any, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the weight of each class: 1, as given, or n / (n_classes * count) for "balanced"."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        return counts.sum() / (len(classes) * counts)
    if not isinstance(class_weight, Mapping):
        raise InvalidInputError(
            f"class_weight={class_weight!r}; use None, 'balanced' or a dict of weights by label"
        )
    labels = classes.tolist()
    foreign = [label for label in class_weight if label not in labels]
    if foreign:
        raise InvalidInputError(
            f"class_weight has {foreign[:5]}, which y does not have; the classes are {labels[:20]}"
        )
    weights = np.array([float(class_weight.get(label, 1.0)) for label in labels])
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise InvalidInputError(
            f"class_weight={class_weight!r}; weights must be finite and at least 0, with one "
            "above 0"
        )
    return weights
