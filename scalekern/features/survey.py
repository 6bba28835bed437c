"""The first pass of every fit: a sample of rows, the mean target, what the bandwidth needs."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.engine import Engine, HashSample, Moments, Statistic, Together
from scalekern.errors import InvalidInputError
from scalekern.kernels import Kernel, as_kernel
from scalekern.kernels.base import check_positive
from scalekern.rows import RowSource
from scalekern.rows.base import dense_rows, slice_rows

BANDWIDTH_ROWS = 1000
GAMMA_RULES = ("scale", "median")


@dataclass(frozen=True)
class Survey:
    """What one pass found.

    Attributes
    ----------
    sample : HashSample
        Rows in the order of their hashes: any first part of it is a sample too.
    y_mean : float64 array of shape (n_outputs,)
    y_size : float
        The largest target, by size.
    variance : float or None
        Of all entries of X, where gamma="scale" asks for it.
    """

    sample: HashSample
    y_mean: np.ndarray
    variance: float | None
    y_size: float = 0.0


def survey(engine: Engine, source: RowSource, size: int, seed: int, *, gamma: Any = None) -> Survey:
    """Read all rows once and return a sample of at least `size` of them, and moments."""
    # What goes into a statistic travels to workers: so not the source.
    has_target = source.n_outputs > 0
    scales = isinstance(gamma, str) and gamma == "scale" and source.n_features > 0

    def make() -> Together:
        parts: dict[str, Statistic] = {"sample": HashSample(max(size, BANDWIDTH_ROWS), seed)}
        if has_target:
            parts["y"] = Moments("y")
        if scales:
            parts["X"] = Moments("X")
        return Together(**parts)

    found = engine.reduce(source, make, "looking at the rows").parts
    sample: Any = found["sample"]
    if not len(sample.numbers):
        raise InvalidInputError("every sample weight is zero; at least one must be above 0")
    y, X = (found.get(name) for name in ("y", "X"))
    y_mean, y_size = np.zeros(0), 0.0
    if isinstance(y, Moments):
        y_mean, y_size = y.mean, float(np.abs([y.low, y.high]).max(initial=0.0))
    variance = X.total_variance if isinstance(X, Moments) else None
    return Survey(sample, y_mean, variance, y_size)


def check_gamma(gamma: Any, rules: tuple[str, ...] = GAMMA_RULES) -> None:
    """Raise unless `gamma` is a number above 0 or one of `rules`."""
    if isinstance(gamma, str):
        if gamma in rules:
            return
    elif isinstance(gamma, numbers.Real) and not isinstance(gamma, bool):
        check_positive("gamma", float(gamma))
        return
    words = ", ".join(map(repr, rules))
    raise InvalidInputError(f"gamma={gamma!r}; use a number above 0, or one of {words}")


def resolve_kernel(kernel: Any, gamma: Any, seen: Survey) -> Kernel:
    """Return the kernel with its bandwidth, chosen by the rule `gamma` where that is left open."""
    kernel = as_kernel(kernel)
    if not kernel.needs_gamma:
        return kernel
    if isinstance(gamma, str) and gamma == "median":
        return by_median(kernel, seen)
    return kernel.with_gamma(resolve_gamma(gamma, seen))


def by_median(kernel: Kernel, seen: Survey, factor: float = 1.0) -> Kernel:
    """Return the kernel with `factor` times the median's gamma where its bandwidth is open."""
    return kernel.with_median_gamma(*_first_rows(seen), factor)


def median_gamma(kernel: Kernel, seen: Survey) -> float:
    """Return the gamma of the median heuristic."""
    return kernel.median_gamma(*_first_rows(seen))


def _first_rows(seen: Survey) -> tuple[Any, np.ndarray | None]:
    X, weight = slice_rows(seen.sample.X, 0, BANDWIDTH_ROWS), seen.sample.weight
    weight = None if weight is None else weight[:BANDWIDTH_ROWS]
    return dense_rows(X, np.float64), weight


def resolve_gamma(gamma: Any, seen: Survey) -> float:
    """Return the number behind `gamma`: itself, or by "scale"."""
    check_gamma(gamma)
    if not isinstance(gamma, str):
        return float(gamma)
    if isinstance(seen.sample.X, list):
        raise InvalidInputError(
            "gamma='scale' needs the variance of columns of numbers; use 'median' for objects"
        )
    return 1.0 / (seen.sample.X.shape[1] * (seen.variance or 1.0))
