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
        What multiplies variances so that they add up to the squared leave-one-out errors.
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


def choose_local(
    engine: Engine,
    sample: RowSource,
    around: Around,
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
    sample : RowSource
        Training rows, with their targets and weights.
    around : callable
        Returns the neighbours of a block of the sample without the rows themselves.
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
        hoods = around(block)
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
        engine.map_blocks(sample, errors, add, "choosing the length scale", block_rows)
        scores /= total
    i = best(scores.min(axis=1))
    factor, alpha = float(factors[i]), float(alphas[best(scores[i])])
    spread = _spread(engine, sample, around, kernel, length, factor, alpha, centre, block_rows)
    report: dict[str, Any] = {"selection_rows": sample.n_rows}
    if length is None:
        report |= {"length_factors": factors.tolist(), "factor_errors": scores.min(axis=1).tolist()}
    if len(alphas) == 1:
        return LocalChoice(alpha, factor, spread, report=report)
    return LocalChoice(alpha, factor, spread, alphas, scores[i], report | {"alpha_rule": "loo"})


def _lengths(hoods: Neighborhoods, length: float | None) -> np.ndarray:
    return hoods.radius if length is None else np.full(len(hoods.queries), length)


def _spread(
    engine: Engine,
    sample: RowSource,
    around: Around,
    kernel: Kernel,
    length: float | None,
    factor: float,
    alpha: float,
    centre: bool,
    block_rows: int,
) -> np.ndarray:
    squares = np.zeros((2, sample.n_outputs))

    def of_block(block: Block) -> np.ndarray:
        hoods = around(block)
        E = rescaled(kernel, exponents(kernel, hoods, _lengths(hoods, length)), factor)
        K = similarities(kernel, E)
        found = solve_gram(K, hoods, alpha, centre=centre, with_scale=True)
        variance = found.variance[:, None] * found.scale2
        return np.stack([np.square(found.prediction - block.y), variance]).sum(axis=1)

    def add(_: Block, part: np.ndarray) -> None:
        squares[...] += part

    engine.map_blocks(sample, of_block, add, "measuring the errors", block_rows)
    errors, variances = squares
    return np.divide(errors, variances, out=np.ones_like(errors), where=variances > 0)
