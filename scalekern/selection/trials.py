"""The rows that models are tried on; the map of the inputs and the size of neighbourhoods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from scalekern.engine import Engine, HashSample
from scalekern.engine.progress import step
from scalekern.kernels.matern import Matern
from scalekern.kernels.radial import RadialKernel
from scalekern.rows.base import dense_rows
from scalekern.selection.local_trial import LocalTrial, TrialRows
from scalekern.selection.metric import (
    WIDE,
    LearnedMetric,
    Trial,
    best_start,
    is_better,
    learn_metric,
)

TRIAL_ROWS = 50_000
SHARE, SEARCHED_BY_TREE = 4, 8
"""One in four rows is tried with where these are more and the features so few: a tree finds the
neighbours among millions, and noisy targets need more rows to tell models apart."""
MOST_BYTES = 128 << 20
SCORED, SLOPED = 150, 60
"""One in so many rows of the sample is held out, or asked for a gradient; at least, if there are
so many:"""
LEAST_SCORED, LEAST_SLOPED = 1_000, 4_000
FEWEST_ROWS = 360
"""With fewer the errors held out say too little."""
MOST_FEATURES = 1_024
NEGLIGIBLE, MINOR = 0.01, 0.1
"""Of wide rows a learned matrix drops the directions with no more of the squared distances; the
principal components that are tried have all but the second share of the variance."""
NEIGHBORS = 64
"""Of the local models that teach the metric."""
SIZES = (32, 64, 128)
"""Neighbourhoods that local models choose from."""
LOCAL_KERNELS = (Matern(nu=1.5), Matern(nu=2.5), Matern(nu=0.5))
"""Kernels that local models choose from; the first teaches the metric."""


def sample_size(n_rows: int, n_features: int) -> int:
    """Return how many rows to try models on, at most."""
    wanted = TRIAL_ROWS
    if n_features <= SEARCHED_BY_TREE:
        wanted = max(wanted, n_rows // SHARE)
    return min(wanted, MOST_BYTES // (8 * max(1, n_features)))


def scored_rows(n: int) -> int:
    """Return of how many rows of a sample of n errors are taken."""
    return min(max(LEAST_SCORED, n // SCORED), n // 3)


def sloped_rows(n: int) -> int:
    """Return of how many rows of a sample of n gradients are taken."""
    return min(max(LEAST_SLOPED, n // SLOPED), n - scored_rows(n))


def trial_rows(sample: HashSample) -> tuple[TrialRows, np.ndarray]:
    """Return the rows of a sample, standardised, and what they were divided by."""
    X, y = dense_rows(sample.X, np.float64), np.asarray(sample.y)
    n, weight = len(X), sample.weight
    with np.errstate(over="ignore", invalid="ignore"):
        spread, y_spread = _spread(X, weight), _spread(y, weight)
    mean = np.average(y, axis=0, weights=weight)
    scored = scored_rows(n)
    sloped = sloped_rows(n)
    share = None if weight is None else weight / weight.mean()
    return TrialRows(X / spread, (y - mean) / y_spread, share, scored, sloped), spread


def starting_scales(rows: TrialRows, spread: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Return what to begin from, relative to standardised rows: scales as given, equal, robust.

    Equal where the features are as good as standardised. Of wide rows their principal components
    as well, in which all else is cheaper.
    """
    own = spread / spread.max()
    starts = [("none", own)]
    if own.min() < 0.9:
        starts.append(("scaled", np.ones(len(own))))
    low, high = np.quantile(rows.X, [0.1, 0.9], axis=0)
    middle = (high - low) / 2.56  # 1 of normal features
    tails = np.where(middle > 0, 1.0 / np.maximum(middle, 1e-12), 1.0)
    if tails.max() > 2.0 * tails.min():
        starts.append(("robust", tails / tails.max()))
    if len(own) > WIDE:
        few = rows.X[rows.n_scored : rows.n_scored + rows.n_sloped]
        _, V = np.linalg.eigh(np.cov((few * own).T))
        starts.append(("principal", narrowed(own[:, None] * V[:, ::-1], few, MINOR)))
    return starts


@step("learning the metric")
def learned_metric(
    engine: Engine, rows: TrialRows, spread: np.ndarray, kernel: RadialKernel, k: int
) -> LearnedMetric:
    """Return the map that local models teach, relative to standardised rows."""
    trial = partial(_trial, engine, rows, kernel, k)

    def narrow(transform: np.ndarray) -> np.ndarray:
        return narrowed(transform, rows.X[: rows.n_scored + rows.n_sloped])

    return learn_metric(trial, starting_scales(rows, spread), narrow=narrow)


def starting_metric(
    engine: Engine, rows: TrialRows, spread: np.ndarray, kernel: RadialKernel, k: int
) -> LearnedMetric:
    """Return the best of the maps that learning begins from."""
    return best_start(partial(_trial, engine, rows, kernel, k), starting_scales(rows, spread))[0]


def _trial(
    engine: Engine,
    rows: TrialRows,
    kernel: RadialKernel,
    k: int,
    transform: np.ndarray,
    before: Trial | None,
) -> Trial:
    return LocalTrial(engine, rows, transform, kernel, k, before)


def narrowed(transform: np.ndarray, X: np.ndarray, dropped: float = NEGLIGIBLE) -> np.ndarray:
    """Return a matrix without the columns that make a share of the distances of the rows of X.

    At least `WIDE` are kept: of these similarities are cheap already.
    """
    variance = (X @ transform).var(axis=0)
    order = np.argsort(-variance, kind="stable")
    share = variance[order].cumsum() / (variance.sum() or 1.0)
    kept = order[: max(WIDE, int(np.searchsorted(share, 1.0 - dropped)) + 1)]
    return np.ascontiguousarray(transform[:, np.sort(kept)])


@step("trying local models")
def best_neighborhoods(
    engine: Engine,
    rows: TrialRows,
    metric: LearnedMetric,
    kernels: Sequence[RadialKernel],
    sizes: Sequence[int],
) -> LocalTrial:
    """Return the local models of the best kernel and size; a larger size must be better.

    Parameters
    ----------
    engine : Engine
    rows : TrialRows
    metric : LearnedMetric
    kernels : sequence of RadialKernel
    sizes : sequence of int
        Numbers of neighbours, ascending.
    """
    taught = metric.trial

    def trial(kernel: RadialKernel, k: int) -> LocalTrial:
        same = isinstance(taught, LocalTrial) and (taught.kernel, taught.n_neighbors) == (kernel, k)
        found = taught if same else LocalTrial(engine, rows, metric.map, kernel, k, taught)
        assert isinstance(found, LocalTrial)
        found.refine()
        return found

    # One kernel need not be tried where it is dear to try; several must be told apart.
    start = sizes[0] if len(kernels) == 1 else sizes[len(sizes) // 2]
    of_kernels = [trial(kernel, start) for kernel in kernels]
    known = min(of_kernels, key=lambda t: float(t.errors.mean()))
    found = known if sizes[0] == start else trial(known.kernel, sizes[0])
    for k in sizes[1:]:
        larger = known if k == start else trial(known.kernel, k)
        if not is_better(larger.errors, found.errors):
            break
        found = larger
    return found


def best_of_fewer(
    engine: Engine, rows: TrialRows, metric: LearnedMetric, trial: LocalTrial, size: int
) -> LocalTrial:
    """Return the local models of a trial on the first rows only, as another model had them."""
    if size >= len(rows.X):
        return trial
    weight = None if rows.weight is None else rows.weight[:size]
    fewer = replace(rows, X=rows.X[:size], y=rows.y[:size], weight=weight)
    found = LocalTrial(engine, fewer, metric.map, trial.kernel, trial.n_neighbors, trial)
    found.refine()
    return found


def given_metric(
    engine: Engine, rows: TrialRows, spread: np.ndarray, kernel: RadialKernel, k: int
) -> LearnedMetric:
    """Return the rows' own metric, relative to standardised rows, with local models in it."""
    own = spread / spread.max()
    trial = LocalTrial(engine, rows, own, kernel, k)
    return LearnedMetric(own, trial, "none")


def _spread(values: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    mean = np.average(values, axis=0, weights=weight)
    spread = np.sqrt(np.average(np.square(values - mean), axis=0, weights=weight))
    return np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)
