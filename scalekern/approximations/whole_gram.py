"""How an exact model is fitted by its whole Gram matrix, and what that takes."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.approximations.gathered import GatheredRows, gather
from scalekern.engine import Engine, Need
from scalekern.kernels import Kernel, Precomputed
from scalekern.kernels.precomputed import training_gram
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.solvers import AlphaRule, Solution, solve_exact

GRAM_MATRICES = {"fixed": 7, "loo": 7, "gcv": 7, "cv": 11}
"""Matrices of n x n that an exact fit has in memory at its peak, at most."""
TILE = 256


def exact_need(n: int, rule: AlphaRule) -> Need:
    """Return what the exact model of n rows needs."""
    return Need(
        GRAM_MATRICES[rule.rule] * 8 * n * n,
        f"the exact model of {n} rows",
        "use approximation='nystroem' or 'fourier'",
    )


def fit_exact(
    engine: Engine,
    source: RowSource,
    kernel: Kernel,
    rule: AlphaRule,
    solver: str,
    fit_intercept: bool,
) -> tuple[GatheredRows, Solution]:
    """Return the rows and their coefficients."""
    n = source.n_rows
    exact_need(n, rule).require()
    rows = gather(source)
    if isinstance(kernel, Precomputed):
        K = training_gram(rows.X, rows.numbers, n)
        rows.X = rows.numbers
    else:
        K = gram_matrix(engine, kernel, rows.X)
    solution = solve_exact(
        K,
        rows.y,
        rows.weight,
        rule,
        solver=solver,  # type: ignore[arg-type]
        fit_intercept=fit_intercept,
        positive_definite=kernel.positive_definite,
        rank=most_rank(kernel, rows.X),
    )
    return rows, solution


def most_rank(kernel: Kernel, X: Any) -> int:
    """Return the most that the rank of the Gram matrix of rows can be: equal rows count once."""
    if isinstance(X, list):
        distinct = len(set(X)) if all(isinstance(item, (str, bytes)) for item in X) else len(X)
    elif isinstance(X, np.ndarray) and X.ndim == 2:
        # As bytes: numbers that differ in rounding only are other rows; + 0.0 makes -0.0 equal 0.
        distinct = len({row.tobytes() for row in X + 0.0})
    else:
        distinct = int(X.shape[0])
    rank = kernel.rank(X)
    return distinct if rank is None else min(distinct, rank)


def gram_matrix(engine: Engine, kernel: Kernel, X: Any) -> np.ndarray:
    """Return the whole Gram matrix of the rows, exactly symmetric."""
    source = ArraySource(X)
    columns = kernel.columns(X, np.float64)
    K = np.empty((source.n_rows, source.n_rows))

    def write(block: Block) -> None:
        columns(block.X, K[block.rows])

    engine.map_blocks(source, write, lambda block, _: None, "the Gram matrix", max_rows=512)
    _make_symmetric(K)
    return K


def _make_symmetric(K: np.ndarray) -> None:
    """Replace a matrix by its symmetric part, a pair of tiles at a time: a copy is new memory."""
    for low in range(0, len(K), TILE):
        for left in range(0, low + 1, TILE):
            rows, columns = slice(low, low + TILE), slice(left, left + TILE)
            tile, other = K[rows, columns], K[columns, rows]
            mean = 0.5 * (tile + other.T)
            tile[:], other[:] = mean, mean.T
