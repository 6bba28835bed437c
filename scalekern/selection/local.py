"""The length factor and alpha of local models: by leave-one-out error on a sample of rows.

Each row of the sample is predicted from its neighbours without itself. The whole grid of
candidates is tried on a quarter of the rows; all alphas of the best factor, and what is around the
best of them, on all. The same errors then say how wide the standard deviations must be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.kernels import Kernel
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.solvers.local import (
    Neighborhoods,
    exponents,
    rescaled,
    similarities,
    solve_gram,
)
from scalekern.solvers.path import AlphaRule, best

FACTORS = 2.0 ** np.arange(-2, 7)
ALPHAS = 10.0 ** np.array([-10.0, -8, -6, -5, -4, -3, -2, -1, 0, 1])
COVERED, NORMAL_WIDTH = 0.9, 1.6448536269514722
"""Of a normal variable, so much is within so many standard deviations."""
DEFAULT_FACTOR, DEFAULT_ALPHA = 1.0, 1e-3
"""Where there is one row only, and so nothing to choose by."""

FEWEST = 200
"""Rows that the whole grid is tried on, at least."""

Around = Callable[[Block], Neighborhoods]
Place = tuple[int, int]
Look = Callable[[RowSource, Sequence[Place]], dict[Place, float]]


@dataclass(frozen=True)
class LocalChoice:
    """What was chosen.

    Attributes
    ----------
    alpha : float
    factor : float
        What multiplies the length: that of each query's radius, or the one given.
    spread : float64 array of shape (n_outputs,)
        What multiplies variances so that normal intervals cover nine of ten rows left out.
    alphas, scores : float64 arrays or None
        The alphas tried, and their mean squared errors at the factor chosen.
    report : dict
    """

    alpha: float
    factor: float
    spread: np.ndarray
    alphas: np.ndarray | None = None
    scores: np.ndarray | None = None
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LeftOut:
    """Training rows, each with its neighbours without itself.

    Attributes
    ----------
    rows : RowSource
        With their targets and weights.
    around : callable
        Returns the neighbours of a block of the rows without the rows themselves.
    """

    rows: RowSource
    around: Around


@step("choosing the length")
def choose_local(
    engine: Engine,
    sample: LeftOut,
    measured_on: LeftOut,
    kernel: Kernel,
    rule: AlphaRule,
    length: float | None,
    *,
    start: tuple[float, float] | None = None,
    centre: bool,
    block_rows: int,
) -> LocalChoice:
    """Return the length factor and alpha of the smallest leave-one-out error.

    Parameters
    ----------
    engine : Engine
    sample : LeftOut
        To choose by.
    measured_on : LeftOut
        To measure errors on; others than those chosen by, if there are so many.
    kernel : Kernel
    rule : AlphaRule
        Its number is kept and its array tried; all else tries `ALPHAS`.
    length : float or None
        The length scale of all queries; None is a factor times each query's radius.
    start : (float, float), optional
        The factor and alpha to begin from; by default the best of the whole grid on fewer rows.
    centre : bool
        Whether local means are taken off.
    block_rows : int
        Rows that fit in the cache together.
    """
    factors = np.ones(1) if length is not None else FACTORS
    alphas = ALPHAS if rule.candidates is None else rule.candidates
    trial = _Trial(engine, kernel, length, centre, block_rows)
    look = partial(trial.errors, sample.around, factors, alphas)
    place = None if start is None else (_nearest(factors, start[0]), _nearest(alphas, start[1]))
    known, i = _search(sample.rows, look, (len(factors), len(alphas)), place)
    tried = sorted({k for k, _ in known})
    lowest = [min(error for (k, _), error in known.items() if k == one) for one in tried]
    scores = np.array([known[i, j] for j in range(len(alphas))])
    factor, alpha = float(factors[i]), float(alphas[best(scores)])
    spread = trial.spread(measured_on, factor, alpha)
    report: dict[str, Any] = {"selection_rows": sample.rows.n_rows}
    if length is None:
        report |= {"length_factors": factors[tried].tolist(), "factor_errors": lowest}
    if len(alphas) == 1:
        return LocalChoice(alpha, factor, spread, report=report)
    return LocalChoice(alpha, factor, spread, alphas, scores, report | {"alpha_rule": "loo"})


@dataclass(frozen=True)
class _Trial:
    """How models of rows left out are made, but for their factor and alpha."""

    engine: Engine
    kernel: Kernel
    length: float | None
    centre: bool
    block_rows: int

    def errors(
        self,
        around: Around,
        factors: np.ndarray,
        alphas: np.ndarray,
        rows: RowSource,
        places: Sequence[Place],
    ) -> dict[Place, float]:
        """Return the mean squared errors of rows at some places on the grid."""
        of_factor = {i: [j for k, j in places if k == i] for i, _ in places}
        sums, total = np.zeros(len(places)), 0.0

        def of_block(block: Block) -> np.ndarray:
            hoods = around(block)
            E = self._exponents(hoods)
            weight = np.ones(len(block)) if block.weight is None else block.weight
            out = []
            for i, columns in of_factor.items():
                K = similarities(self.kernel, rescaled(self.kernel, E, factors[i]))
                for j in columns:
                    found = solve_gram(K, hoods, float(alphas[j]), centre=self.centre).prediction
                    out.append(weight @ np.square(found - block.y).mean(axis=1))
            return np.array(out)

        def add(block: Block, part: np.ndarray) -> None:
            nonlocal total
            sums[...] += part
            total += len(block) if block.weight is None else float(block.weight.sum())

        what = "choosing the length scale"
        self.engine.map_blocks(rows, of_block, add, what, self.block_rows)
        keys = [(i, j) for i, columns in of_factor.items() for j in columns]
        return dict(zip(keys, (sums / total).tolist(), strict=True))

    def spread(self, sample: LeftOut, factor: float, alpha: float) -> np.ndarray:
        """Return what variances must be multiplied by, for each output."""
        parts: list[np.ndarray] = []

        def of_block(block: Block) -> np.ndarray:
            hoods = sample.around(block)
            E = rescaled(self.kernel, self._exponents(hoods), factor)
            K = similarities(self.kernel, E)
            found = solve_gram(K, hoods, alpha, centre=self.centre, with_scale=True)
            variance = found.variance[:, None] * found.scale2
            return np.stack([np.square(found.prediction - block.y), variance])

        self.engine.map_blocks(
            sample.rows,
            of_block,
            lambda _, part: parts.append(part),
            "measuring the errors",
            self.block_rows,
        )
        errors, variances = np.concatenate(parts, axis=1)
        return np.array([spread_of(e, v) for e, v in zip(errors.T, variances.T, strict=True)])

    def _exponents(self, hoods: Neighborhoods) -> np.ndarray:
        own = self.length is None
        lengths = hoods.radius if own else np.full(len(hoods.queries), self.length)
        return exponents(self.kernel, hoods, lengths)


def _search(
    sample: RowSource, look: Look, shape: Place, place: Place | None
) -> tuple[dict[Place, float], int]:
    """Return errors at places on the grid, and the best factor, of which every alpha is there."""
    grid = [(i, j) for i in range(shape[0]) for j in range(shape[1])]
    if len(grid) == 1:
        return {(0, 0): 0.0}, 0
    if place is None and shape[0] > 1:
        few = next(iter(sample.blocks(max(FEWEST, sample.n_rows // 4))))
        place = _best(look(ArraySource(few.X, few.y, few.weight), grid))
    known: dict[Place, float] = {}
    i, j = place or (0, 0)
    while True:
        near = [(a, b) for a, b in grid if abs(a - i) <= 1 and abs(b - j) <= 1]
        column = [(i, b) for b in range(shape[1])]
        new = [at for at in near if at not in known] or [at for at in column if at not in known]
        if not new:
            return known, i
        known |= look(sample, new)
        i, j = _best(known)


def _best(known: dict[Place, float]) -> Place:
    """Return the place of the smallest error; of equals the shortest length."""
    return min(known, key=lambda place: (known[place], place))


def _nearest(values: np.ndarray, value: float) -> int:
    # The path of a user may hold an alpha of 0.
    tiny = np.finfo(np.float64).tiny
    return int(np.abs(np.log(np.maximum(values, tiny) / max(value, tiny))).argmin())


def spread_of(errors: np.ndarray, variances: np.ndarray) -> float:
    """Return what variances must be multiplied by for normal intervals of them to cover 90%.

    Each variance is estimated on a few rows. Were they multiplied so as to add up to the squared
    errors, intervals would cover too little: it is the small ones that leave errors outside.

    Parameters
    ----------
    errors : float64 array of shape (n,)
        Squared.
    variances : float64 array of shape (n,)

    Examples
    --------
    >>> errors = np.random.default_rng(0).standard_normal(100_000) ** 2
    >>> round(spread_of(errors, np.full(100_000, 0.5)), 1)
    2.0
    """
    known = variances > 0
    if not known.any():
        return 1.0
    ratio = float(np.quantile(errors[known] / variances[known], COVERED))
    if ratio > 0 and np.isfinite(ratio):
        return ratio / NORMAL_WIDTH**2
    # Most errors are 0; those that are not must still be accounted for.
    return float(errors[known].sum() / variances[known].sum()) or 1.0
