"""How a model on a feature map is fitted: sums over the rows, their solution, one more pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from scalekern.engine import Engine, HashSample, Need
from scalekern.engine.progress import step
from scalekern.features import FeatureMap, NystroemMap
from scalekern.rows import RowSource
from scalekern.solvers import (
    AlphaRule,
    FeatureSample,
    ResidualStatistic,
    RidgeStatistic,
    Solution,
    solve_ridge,
)


def sums_need(n_threads: int, m: int, t: int, rule: AlphaRule) -> Need:
    """Return what the sums over m features and t outputs need: one set a chunk in flight."""
    sums = 8 * rule.n_folds * m * (m + t)
    return Need((n_threads + 4) * sums, f"a sum of {m} components", "use fewer n_components")


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
        with step("finishing the sums"):
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


@step("making features")
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
