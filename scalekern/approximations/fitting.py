"""How a similarity model is fitted: exactly from all rows, or from sums over a feature map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekern.engine import Engine, HashSample, Need, require_memory
from scalekern.features import FeatureMap, NystroemMap
from scalekern.kernels import Kernel, Precomputed
from scalekern.kernels.precomputed import training_gram
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.rows.base import stack_rows, take_rows
from scalekern.solvers import (
    AlphaRule,
    FeatureSample,
    ResidualStatistic,
    RidgeStatistic,
    Solution,
    solve_exact,
    solve_ridge,
)

GRAM_MATRICES = {"fixed": 7, "loo": 7, "gcv": 7, "cv": 11}
"""Matrices of n x n that an exact fit has in memory at its peak, as measured."""


def exact_need(n: int, rule: AlphaRule) -> Need:
    """Return what the exact model of n rows needs."""
    return Need(
        GRAM_MATRICES[rule.rule] * 8 * n * n,
        f"the exact model of {n} rows",
        "use approximation='nystroem' or 'fourier'",
    )


def sums_need(n_threads: int, m: int, t: int, rule: AlphaRule) -> Need:
    """Return what the sums over m features and t outputs need: one set a chunk in flight."""
    sums = 8 * rule.n_folds * m * (m + t)
    return Need((n_threads + 4) * sums, f"a sum of {m} components", "use fewer n_components")


@dataclass
class GatheredRows:
    """All rows of positive weight in memory, as the exact model needs them, and their numbers."""

    X: Any
    y: np.ndarray
    weight: np.ndarray
    numbers: np.ndarray
    ids: np.ndarray


def require_room(source: RowSource) -> None:
    """Refuse rows that memory cannot hold, for a model that keeps them all."""
    if not source.in_memory:
        # Twice: the blocks, and what they are put together into.
        needed = 2 * 8 * source.n_rows * (source.n_features + source.n_outputs + 2)
        require_memory(
            needed,
            f"a model that keeps all {source.n_rows} rows",
            "use approximation='nystroem' or 'fourier', which keep none",
        )


def gather(source: RowSource) -> GatheredRows:
    """Read all rows into memory, leaving out those of weight 0."""
    require_room(source)
    blocks = list(source.blocks(max(1, source.n_rows)))
    X = stack_rows([block.X for block in blocks])
    y = np.concatenate([block.y for block in blocks])
    ids = np.concatenate([block.ids for block in blocks])
    if not source.has_weight:
        return GatheredRows(X, y, np.ones(len(y)), np.arange(len(y)), ids)
    weight = np.concatenate([np.asarray(block.weight) for block in blocks])
    kept = np.flatnonzero(weight > 0)
    return GatheredRows(take_rows(X, kept), y[kept], weight[kept], kept, ids[kept])


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
    K += K.T
    K *= 0.5
    return K


def sum_over(
    engine: Engine,
    source: RowSource,
    feature_map: FeatureMap,
    y_offset: np.ndarray,
    rule: AlphaRule,
) -> RidgeStatistic:
    """Return the ridge sums of all rows in one pass."""
    m, t = feature_map.n_features, source.n_outputs
    sums_need(engine.n_threads, m, t, rule).require()
    nystroem = feature_map if isinstance(feature_map, NystroemMap) else None
    summed = feature_map if nystroem is None else nystroem.unfinished

    def make() -> RidgeStatistic:
        return RidgeStatistic(summed, t, y_offset, rule.n_folds)

    stat = engine.reduce(source, make, "adding up the sums")
    if nystroem is not None:
        stat.transform(nystroem.whitening.finish, nystroem)
    return stat


def solve_sums(
    stat: RidgeStatistic,
    feature_map: FeatureMap,
    rule: AlphaRule,
    fit_intercept: bool,
    sample: HashSample,
    second_pass: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> Solution:
    """Return the coefficients from the sums; leave-one-out errors are those of the sample."""
    solution = solve_ridge(
        stat,
        rule,
        fit_intercept=fit_intercept,
        dtype=feature_map.dtype,
        second_pass=second_pass,
        sample=features_of(sample, feature_map) if rule.rule == "loo" else None,
    )
    return replace(solution, report=solution.report | {"sums_rows": int(stat.count.sum())})


def features_of(sample: HashSample, feature_map: FeatureMap) -> FeatureSample:
    """Return the features of a sample of rows."""
    n = len(sample.numbers)
    Phi = np.asarray(feature_map(sample.X), dtype=np.float64)
    weight = np.ones(n) if sample.weight is None else sample.weight
    return FeatureSample(Phi, np.asarray(sample.y), weight)


def residual_pass(
    engine: Engine, source: RowSource, feature_map: FeatureMap
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Return the function that measures squared errors by one more pass over the rows."""

    def measure(coefs: np.ndarray, intercepts: np.ndarray) -> np.ndarray:
        stat = engine.reduce(
            source,
            lambda: ResidualStatistic(feature_map, coefs, intercepts),
            "measuring residuals",
        )
        return stat.sse

    return measure
