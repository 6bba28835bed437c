"""Counts, means, variances and ranges of columns, as a statistic (Chan, Golub and LeVeque 1979)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse

from scalekern.engine.statistic import Statistic
from scalekern.rows import Block


class Moments(Statistic):
    """Moments of the features ("X") or of the targets ("y"), rows counted by their weights.

    Attributes
    ----------
    count : float
        The sum of the weights; the number of rows where there are none.
    mean, m2, low, high : float64 arrays of shape (columns,)
        Mean, sum of squared deviations, minimum and maximum.
    """

    def __init__(self, of: Literal["X", "y"] = "X") -> None:
        self._of = of
        self.count = 0.0
        self.mean = self.m2 = np.zeros(0)
        self.low = self.high = np.zeros(0)

    def update(self, block: Block) -> None:
        """Add one block of rows."""
        values: Any = block.X if self._of == "X" else block.y
        if sparse.issparse(values):
            values = values.toarray()
        # Few columns add up faster, and with less rounding, where each lies in one piece.
        values = np.ascontiguousarray(np.asarray(values, dtype=np.float64).T)
        part = Moments(self._of)
        if block.weight is None:
            part.count = float(values.shape[1])
            part.mean = values.mean(axis=1)
            part.m2 = np.square(values - part.mean[:, None]).sum(axis=1)
        else:
            kept = block.weight > 0
            if not kept.any():
                return
            values, w = values[:, kept], block.weight[kept]
            part.count = float(w.sum())
            part.mean = values @ (w / part.count)
            part.m2 = np.square(values - part.mean[:, None]) @ w
        part.low, part.high = values.min(axis=1), values.max(axis=1)
        self.merge(part)

    def merge(self, other: Moments) -> None:
        """Add the moments of other rows."""
        if not self.count:
            self.restore(other.arrays())
        elif other.count:
            count = self.count + other.count
            delta = other.mean - self.mean
            self.m2 = self.m2 + other.m2 + delta**2 * (self.count * other.count / count)
            self.mean = self.mean + delta * (other.count / count)
            self.low = np.minimum(self.low, other.low)
            self.high = np.maximum(self.high, other.high)
            self.count = count

    @property
    def variance(self) -> np.ndarray:
        """The population variance of each column; exactly 0 for a constant one."""
        variance = self.m2 / (self.count or 1.0)
        return np.where(self.low == self.high, 0.0, variance)

    @property
    def total_variance(self) -> float:
        """The variance of all entries taken as one column."""
        between = np.square(self.mean - self.mean.mean()).mean()
        return float(self.variance.mean() + between)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays."""
        return {
            "count": np.array(self.count),
            "mean": self.mean,
            "m2": self.m2,
            "low": self.low,
            "high": self.high,
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave."""
        self.count = float(arrays["count"])
        self.mean, self.m2 = arrays["mean"], arrays["m2"]
        self.low, self.high = arrays["low"], arrays["high"]
