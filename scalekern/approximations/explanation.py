"""The record of an explanation: which training rows speak for a prediction, and how strongly.

Apart from the ways to find the weights, because reports and users read it whatever model it is of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SHOWN_ROWS = 5  # in the repr of an explanation


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Training rows and their weights in predictions: yhat(x) = b + sum_i w_i(x) (y_i - b).

    The weights are those of the linear smoother that the model is: how much a prediction changes
    with a training target, all else held. They are not the coefficients of the kernel sum, whose
    terms are huge and cancel. Those of a model with an intercept and of k-NN add up to 1 over all
    training rows, and b is the (weighted) mean of the training targets; without an intercept b
    is 0.

    Attributes
    ----------
    row_id : array of shape (n_queries, n_shown)
        Keys of training rows, or their numbers; the largest weight, by size, first. -1 (or an
        empty text) at weight 0 where an approximate index found fewer rows.
    weight : float64 array of shape (n_queries, n_shown)
    similarity : float64 array of shape (n_queries, n_shown)
        The kernel of query and row; of a linear model their inner product; of k-NN
        1 / (1 + distance).
    target : array of shape (n_queries, n_shown), and (..., n_outputs) for several outputs
        Of a classifier the labels.
    baseline : float64 array of shape () or (n_outputs,)
        b, in the units of `prediction`.
    prediction : float64 array of shape (n_queries,) or (n_queries, n_outputs)
        Of a classifier what `unit` says, one column for each class.
    classes : array of shape (n_classes,) or None
        Of a classifier.
    class_values : float64 array of shape (2, n_classes) or None
        The y_i that a row of another class, and one of the class, stands for: 0 and 1 in votes.
    unit : {"target", "share of votes", "log-odds"}
        Of prediction, baseline and contributions.
    """

    row_id: np.ndarray
    weight: np.ndarray
    similarity: np.ndarray
    target: np.ndarray
    baseline: np.ndarray
    prediction: np.ndarray
    classes: np.ndarray | None = None
    class_values: np.ndarray | None = None
    unit: str = "target"

    @property
    def contribution(self) -> np.ndarray:
        """What each row adds to the prediction, w_i (y_i - b), shape as `target`.

        Of a classifier shape (n_queries, n_shown, n_classes).
        """
        y: Any = self.target
        if self.class_values is not None:
            y = np.where(y[..., None] == self.classes, *self.class_values[::-1])
        weight = self.weight if np.ndim(self.baseline) == 0 else self.weight[..., None]
        return np.asarray(weight * (y - self.baseline))

    @property
    def not_shown(self) -> np.ndarray:
        """What all other training rows add, in units of the target, shape as `prediction`."""
        return np.asarray(self.prediction - self.baseline - self.contribution.sum(axis=1))

    @property
    def share_not_shown(self) -> np.ndarray:
        """The size of `not_shown` as a share of the sizes of all contributions, from 0 to 1."""
        rest = np.abs(self.not_shown)
        total = rest + np.abs(self.contribution).sum(axis=1)
        return np.divide(rest, total, out=np.zeros_like(total), where=total > 0)

    def __repr__(self) -> str:
        n_queries, n_rows = self.weight.shape
        said = (
            f"Explanation of {n_queries:,} prediction{'' if n_queries == 1 else 's'} by "
            f"{n_rows:,} training rows each"
        )
        if not self.weight.size:
            return said
        arrays = {"row": self.row_id, "weight": self.weight, "similarity": self.similarity,
                  "target": self.target}  # fmt: skip
        columns = [[name, *map(_short, rows[0, :SHOWN_ROWS])] for name, rows in arrays.items()]
        aligned = [[text.rjust(max(map(len, column))) for text in column] for column in columns]
        table = ["  ".join(line) for line in zip(*aligned, strict=True)]
        if n_rows > SHOWN_ROWS:
            table.append(f"and {n_rows - SHOWN_ROWS:,} more rows")
        first = f"the first: {_short(self.prediction[0])}, from a baseline of "
        return "\n".join([said, f"{first}{_short(self.baseline)} ({self.unit})", *table])

    def top(self, n: int) -> Explanation:
        """Return the explanation with the first `n` rows of each query only."""
        names = ("row_id", "weight", "similarity", "target")
        return replace(self, **{name: getattr(self, name)[:, :n] for name in names})


@dataclass(frozen=True, eq=False)
class Candidates:
    """Training rows with their weights for each query, not yet in order.

    Attributes
    ----------
    row_id, weight, similarity : arrays of shape (n_queries, rows)
    target : array of shape (n_queries, rows, n_outputs)
    """

    row_id: np.ndarray
    weight: np.ndarray
    similarity: np.ndarray
    target: np.ndarray


def _short(value: Any) -> str:
    """Return a number in four digits, several with commas, anything else as it is."""
    if np.ndim(value):
        return ", ".join(map(_short, value))
    number = np.asarray(value).item()
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def named_rows(ids: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Return the ids of rows by their places; -1 or an empty text for place -1, no row."""
    ids = np.asarray(ids)
    none = -1 if ids.dtype.kind in "iu" else ""
    return np.where(indices >= 0, ids[np.where(indices >= 0, indices, 0)], none)


class Strongest:
    """Collects candidates, and of them keeps the `n` of largest weight by size for each query."""

    def __init__(self, n: int | None) -> None:
        self._n = n
        self._held: list[Candidates] = []

    def add(self, part: Candidates) -> None:
        """Take more candidates."""
        if self._n is None:
            self._held.append(part)
        else:
            self._held = [_sorted(_joined([*self._held, part]), self._n)]

    def sorted(self) -> Candidates:
        """Return what was kept, the largest weights first."""
        return _sorted(_joined(self._held), self._n)


def _joined(parts: list[Candidates]) -> Candidates:
    names = ("row_id", "weight", "similarity", "target")
    return Candidates(*(np.concatenate([getattr(p, n) for p in parts], axis=1) for n in names))


def _sorted(part: Candidates, n: int | None) -> Candidates:
    order = np.argsort(-np.abs(part.weight), axis=1, kind="stable")[:, :n]
    row_id, weight, similarity = (
        np.take_along_axis(values, order, axis=1)
        for values in (part.row_id, part.weight, part.similarity)
    )
    target = np.take_along_axis(part.target, order[..., None], axis=1)
    return Candidates(row_id, weight, similarity, target)
