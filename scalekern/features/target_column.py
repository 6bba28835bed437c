"""Target means: a column of many categories as one number, the mean target of each.

A row must not see its own target in what stands for it, or a column of random names would seem to
predict. So the rows of the fit are dealt to five folds by the hash of their ids, and each gets the
means of the other folds; rows that come later get the means of all (Micci-Barreca 2001; the folds
as in scikit-learn's `TargetEncoder`).
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from scalekern.engine import hash_ids
from scalekern.features.category_column import CategoryColumn, CategorySums
from scalekern.features.column_base import Spread, no_values
from scalekern.rows import Block
from scalekern.storage.agreement import check_arrays

N_FOLDS = 5
FOLD_SEED = 0x5F01D  # as the folds of cross-validation, which then leave out whole folds of these
SMOOTH = 10.0


class TargetColumn(CategoryColumn):
    """The mean target of each row's category, smoothed: (sum of y + 10 mean of y) / (rows + 10).

    A category that was not there in `fit` gets the mean of all rows. Missing values are a category
    of their own. With several targets there is an output for each. The outputs are scaled.
    """

    def __init__(self, name: str, place: int, missing: str) -> None:
        super().__init__(name, place, missing)
        self.folded: np.ndarray | None = None

    def summed(self, block: Block, codes: np.ndarray, n: int) -> np.ndarray:
        """Return weights and weighted targets, shape (n + 1, folds, 1 + n_outputs)."""
        assert block.y is not None
        weight = np.ones(len(block)) if block.weight is None else block.weight
        cells = np.where(codes < 0, n, codes) * N_FOLDS + folds_of(block)
        size = (n + 1) * N_FOLDS
        columns = [weight, *(weight[:, None] * block.y).T]
        sums = [np.bincount(cells, weights=column, minlength=size) for column in columns]
        return np.column_stack(sums).reshape(n + 1, N_FOLDS, len(columns))

    def learn(self, sums: CategorySums) -> None:
        """Take the means of all rows, and those without each fold."""
        there = np.flatnonzero(sums.sums[:, :, 0].sum(axis=1) > 0)
        if not len(there):
            raise no_values(self.name)
        texts = list(sums.texts)
        order = sorted(there, key=lambda i: texts[i])
        # Categories, then missing values, then what was not there.
        cells = np.concatenate(
            [sums.sums[order], sums.missing[None], np.zeros_like(sums.missing)[None]]
        )
        of_all = cells.sum(axis=1)
        self.means = smoothed(of_all, of_all.sum(axis=0))
        others = of_all[:, None] - cells
        self.folded = smoothed(others, others.sum(axis=0), otherwise=of_all.sum(axis=0))
        self._take([texts[i] for i in order])
        self.spreads = self._spreads(of_all[:, 0])

    def encode(self, block: Block, out: np.ndarray) -> None:
        """Write the means of the rows' categories; out of fold until `for_new_rows`."""
        n = len(self.categories)
        numbers = self.known(block, self._numbers, n + 1, n)
        if self.folded is None:
            out[:] = self.means[numbers]
        else:
            out[:] = self.folded[numbers, folds_of(block)]

    def for_new_rows(self) -> TargetColumn:
        """Return the column with the means of all rows of the fit."""
        column = copy(self)
        column.folded = None
        return column

    def describe(self) -> str:
        """Return in words what the column becomes."""
        return f"the mean target of each of {len(self.categories):,} categories"

    def _spreads(self, count: np.ndarray) -> list[Spread]:
        """Return the spreads of the means over the rows of the fit."""
        seen = count > 0
        share = count[seen] / count.sum()
        spreads = []
        for values in self.means[seen].T:
            mean = float(share @ values)
            variance = float(share @ (values - mean) ** 2) if np.ptp(values) > 0 else 0.0
            spreads.append(Spread(mean, variance, float(values.min()), float(values.max())))
        return spreads

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was learned: values for JSON, and arrays."""
        return {}, {"categories": self.categories, "means": self.means}

    def restore(self, values: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.means = arrays["means"]
        self._take(list(arrays["categories"]))
        if self.means.ndim != 2 or len(self.means) != len(self.categories) + 2:
            raise ValueError(f"means of {self.name} have shape {self.means.shape}")
        check_arrays(arrays, {"means": "kt"})

    def _take(self, categories: list[str]) -> None:
        self.categories = categories
        self._numbers = {text: i for i, text in enumerate(categories)}
        t = self.means.shape[1]
        self.suffixes = ["_mean"] if t == 1 else [f"_mean_{k}" for k in range(t)]


def folds_of(block: Block) -> np.ndarray:
    """Return the fold of each row, from its id."""
    folds = hash_ids(block.ids, FOLD_SEED) % np.uint64(N_FOLDS)
    return folds.astype(np.int64)


def smoothed(sums: np.ndarray, total: np.ndarray, otherwise: Any = None) -> np.ndarray:
    """Return (sum of y + m mean of y) / (weight + m), with m = 10.

    Parameters
    ----------
    sums, total : float64 arrays of shape (..., 1 + n_outputs)
        Weight and weighted targets, of each category and of all.
    otherwise : float64 array of shape (1 + n_outputs,), optional
        What takes the place of a total without rows.
    """
    if otherwise is not None:
        total = np.where(total[..., :1] > 0, total, otherwise)
    mean = total[..., 1:] / total[..., :1]
    smooth: np.ndarray = (sums[..., 1:] + SMOOTH * mean) / (sums[..., :1] + SMOOTH)
    return smooth
