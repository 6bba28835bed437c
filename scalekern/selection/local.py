"""The length factor and alpha of local models: by leave-one-out error on a sample of rows.

Each row of the sample is predicted from its neighbours without itself, by every candidate;
distances are taken once. The same errors then say how wide the standard deviations must be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.kernels import Kernel
from scalekern.rows import Block, RowSource
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

Around = Callable[[Block], Neighborhoods]


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


def choose_local(
    engine: Engine,
    sample: LeftOut,
    measured_on: LeftOut,
    kernel: Kernel,
    rule: AlphaRule,
    length: float | None,
    *,
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
    centre : bool
        Whether local means are taken off.
    block_rows : int
        Rows that fit in the cache together.
    """
    factors = np.ones(1) if length is not None else FACTORS
    alphas = ALPHAS if rule.candidates is None else rule.candidates
    scores = np.zeros((len(factors), len(alphas)))
    total = 0.0

    def errors(block: Block) -> np.ndarray:
        hoods = sample.around(block)
        E = exponents(kernel, hoods, _lengths(hoods, length))
        weight = np.ones(len(block)) if block.weight is None else block.weight
        out = np.empty_like(scores)
        for i, factor in enumerate(factors):
            K = similarities(kernel, rescaled(kernel, E, factor))
            for j, alpha in enumerate(alphas):
                found = solve_gram(K, hoods, float(alpha), centre=centre).prediction
                out[i, j] = weight @ np.square(found - block.y).mean(axis=1)
        return out

    def add(block: Block, part: np.ndarray) -> None:
        nonlocal scores, total
        scores = scores + part
        total += len(block) if block.weight is None else float(block.weight.sum())

    if scores.size > 1:
        engine.map_blocks(sample.rows, errors, add, "choosing the length scale", block_rows)
        scores /= total
    i = best(scores.min(axis=1))
    factor, alpha = float(factors[i]), float(alphas[best(scores[i])])
    spread = _spread(engine, measured_on, kernel, length, factor, alpha, centre, block_rows)
    report: dict[str, Any] = {"selection_rows": sample.rows.n_rows}
    if length is None:
        report |= {"length_factors": factors.tolist(), "factor_errors": scores.min(axis=1).tolist()}
    if len(alphas) == 1:
        return LocalChoice(alpha, factor, spread, report=report)
    return LocalChoice(alpha, factor, spread, alphas, scores[i], report | {"alpha_rule": "loo"})


def _lengths(hoods: Neighborhoods, length: float | None) -> np.ndarray:
    return hoods.radius if length is None else np.full(len(hoods.queries), length)


def _spread(
    engine: Engine,
    sample: LeftOut,
    kernel: Kernel,
    length: float | None,
    factor: float,
    alpha: float,
    centre: bool,
    block_rows: int,
) -> np.ndarray:
    parts: list[np.ndarray] = []

    def of_block(block: Block) -> np.ndarray:
        hoods = sample.around(block)
        E = rescaled(kernel, exponents(kernel, hoods, _lengths(hoods, length)), factor)
        K = similarities(kernel, E)
        found = solve_gram(K, hoods, alpha, centre=centre, with_scale=True)
        variance = found.variance[:, None] * found.scale2
        return np.stack([np.square(found.prediction - block.y), variance])

    engine.map_blocks(
        sample.rows,
        of_block,
        lambda _, part: parts.append(part),
        "measuring the errors",
        block_rows,
    )
    errors, variances = np.concatenate(parts, axis=1)
    return np.array([spread_of(e, v) for e, v in zip(errors.T, variances.T, strict=True)])


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
