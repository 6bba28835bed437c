"""Numbers: scaled, and filled in where they are missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.features.column_base import Column, NumberSums, no_values
from scalekern.rows import Block
from scalekern.storage.agreement import check_values


class NumberColumn(Column):
    """A column of numbers, booleans (0 and 1) or durations (seconds).

    A missing value becomes the mean or the median of the values that are there. Where some were
    missing in `fit`, a second output says which: 1 where the value is missing, 0 elsewhere.
    """

    kind = "a number"

    def statistic(self) -> NumberSums:
        """Return the empty sums that the column learns from."""
        return NumberSums(self.floats, median=self.missing == "median")

    def learn(self, sums: NumberSums) -> None:
        """Take what missing values become, and the spread."""
        if not sums.moments.count:
            raise no_values(self.name)
        self.n_missing = int(sums.missing)
        spread = sums.spread()
        self.fill = spread.mean if self.missing != "median" else float(np.median(sums.sample.X))
        self.spreads = [spread, None] if self.n_missing else [spread]
        self._name_outputs()

    def encode(self, block: Block, out: np.ndarray) -> None:
        """Write the values and, in a second output, whether they are missing."""
        values = self.floats(block)
        missing = np.isnan(values)
        out[:, 0] = np.where(missing, self.fill, values)
        if self.n_missing:
            out[:, 1] = missing

    def describe(self) -> str:
        """Return in words what becomes of missing values."""
        if not self.n_missing:
            return ""
        return f"{self.n_missing:,} missing values become the {self.missing}, {self.fill:.6g}"

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was learned: values for JSON, and arrays."""
        return {"fill": self.fill, "n_missing": self.n_missing}, {}

    def restore(self, values: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `state` gave."""
        check_values(values, {"fill": (int, float), "n_missing": (int, float)})
        self.fill, self.n_missing = values["fill"], values["n_missing"]
        self._name_outputs()

    def _name_outputs(self) -> None:
        self.suffixes = ["", "_missing"] if self.n_missing else [""]
