"""Build the index that suits the rows, and measure what it finds: the way in for other floors.

`kinds` chooses, the index modules build, `tune` finds the settings; this module joins them.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekern.engine.progress import step
from scalekern.errors import InvalidInputError, RecallWarning, UnsupportedError
from scalekern.neighbors.approximate import MOST_CANDIDATES, ApproximateIndex
from scalekern.neighbors.base import FloatArray, Indices, NeighborIndex, as_rows
from scalekern.neighbors.brute import BruteIndex, as_objects
from scalekern.neighbors.contest import contest
from scalekern.neighbors.factory import FactoryIndex
from scalekern.neighbors.flat import FlatIndex
from scalekern.neighbors.hnsw import HNSWIndex
from scalekern.neighbors.ivf import LISTS
from scalekern.neighbors.kd_tree import KDTreeIndex
from scalekern.neighbors.kinds import (
    is_tuned_apart,
    kind_for_function,
    kind_for_rows,
    kind_for_texts,
)
from scalekern.neighbors.metrics import (
    FAISS_METRICS,
    Metric,
    canonical_metric,
    takes_objects,
)
from scalekern.neighbors.on_disk import build_on_disk
from scalekern.neighbors.texts import TextIndex
from scalekern.neighbors.trial import Goal, Losses, draw_sample
from scalekern.neighbors.tune import Tuned, completed, measured, tuned
from scalekern.rows import RowSource

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """An index with what is known about it.

    Attributes
    ----------
    index : NeighborIndex
    recall : float
        Share of the true neighbours found, at k = n_neighbors; 1.0 for an exact index.
    description : str
        Human words, with the recall where it was measured.
    tuning : list of dict
        One for each setting tried: its value, its recall, its counted work; empty if exact.
    tuned : dict
        That of the setting taken.
    """

    index: NeighborIndex
    recall: float
    description: str
    tuning: list[dict[str, Any]] = field(default_factory=list)
    tuned: dict[str, Any] = field(default_factory=dict)


def build_index(
    X: Any,
    *,
    metric: Metric = "euclidean",
    algorithm: str = "auto",
    target_recall: float = 0.95,
    target_error: float | None = None,
    losses: Losses | None = None,
    n_neighbors: int = 5,
    expected_queries: int | None = None,
    search_parameters: Mapping[str, int] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
    graph_threads: int = 1,
) -> BuiltIndex:
    """Choose, build and tune an index over the rows of X.

    Parameters
    ----------
    X : array of shape (n_rows, n_features), texts, or any sequence of objects for a callable metric
        Kept, not copied, where it is float32 or float64.
    metric : str or callable, default "euclidean"
        A name, or a function f(x, z) -> distance of two objects.
    algorithm : str, default "auto"
        "auto": all pairs for a function, a KD-tree in up to 8 columns, a scan below 20,000 rows or
        for `target_recall` 1.0, else what reaches the target at the least counted work. "brute"
        (exact), "kd_tree" (exact), "hnsw", "ivf", "ivfsq", "ivfpq", or a FAISS factory string.
    target_recall : float in (0, 1], default 0.95
        Recall at `n_neighbors` that an approximate index is tuned to; 1.0 means exact.
    target_error : float, optional
        Tune by the error of predictions instead: it may exceed that with exact neighbours by this
        share.
    losses : callable, optional
        With `target_error`: gives the errors of the rows with the numbers and neighbours given.
    n_neighbors : int, default 5
        Number of neighbours the recall is measured at.
    expected_queries : int, optional
        So few may be cheaper by scans than building what answers each of them faster; None is many.
    search_parameters : mapping of str to int, optional
        "nprobe" or "efSearch", and "candidates" of each neighbour, as given and not tuned.
    seed : int, default 0
        Draws the rows of k-means and of the measurement; same seed, same index, on any machine.
    n_jobs : int or None, default None
        Threads; None is one a core. The index does not depend on it.
    graph_threads : int, default 1
        Of building "hnsw"; with more than one the graph differs from run to run.

    Returns
    -------
    BuiltIndex

    Raises
    ------
    InvalidInputError, UnsupportedError
        For a parameter out of range, and for a metric the algorithm cannot answer for.

    Warns
    -----
    RecallWarning
        If no setting reaches `target_recall`; the best one is kept.

    Examples
    --------
    >>> import numpy as np
    >>> built = build_index(np.arange(12.0).reshape(6, 2), n_neighbors=2)
    >>> built.description, built.recall
    ('KD-tree, exact, euclidean distances', 1.0)
    """
    metric = canonical_metric(metric)
    goal = Goal(target_recall, target_error, losses)
    rows, kind = _rows_and_kind(X, metric, algorithm, target_recall, expected_queries)
    _check(len(rows), goal, n_neighbors)
    _log.info("building a neighbour index of kind %s over %d rows", kind, len(rows))
    exact = _exact(kind, rows, metric)
    if exact is not None:
        if search_parameters:
            raise InvalidInputError(
                f"search_parameters={dict(search_parameters)!r} are of approximate indices, and "
                f"this one is exact ({exact.description}); leave them out or name an algorithm"
            )
        return BuiltIndex(exact, 1.0, exact.description)
    name = str(metric)
    apart = is_tuned_apart(kind, rows.shape[1])
    sample = draw_sample(rows, name, n_neighbors, seed, n_jobs, apart=apart)
    if kind == "contest" and not search_parameters:
        won = contest(rows, name, sample, goal, seed, n_jobs, graph_threads)
        return _described(won, goal, n_neighbors, graph_threads)
    kind = "ivfpq" if kind == "contest" else kind
    index = _approximate(kind, rows, name, seed, n_jobs, graph_threads, sample.rows)
    if search_parameters:
        found = measured(_at(index, search_parameters), sample, goal)
        return _described(found, goal, n_neighbors, graph_threads, asked=False)
    return _described(tuned(index, sample, goal), goal, n_neighbors, graph_threads)


def build_index_on_disk(
    source: RowSource,
    folder: Path,
    *,
    metric: Metric = "euclidean",
    algorithm: str = "auto",
    target_recall: float = 0.95,
    target_error: float | None = None,
    losses: Callable[[Any], Losses] | None = None,
    n_neighbors: int = 5,
    search_parameters: Mapping[str, int] | None = None,
    seed: int = 0,
    n_jobs: int | None = None,
) -> tuple[BuiltIndex, NDArray[np.float64]]:
    """Build and tune an index in a folder, for rows that do not fit in memory.

    Parameters
    ----------
    source : RowSource
        Of vectors; read once, block by block.
    folder : Path
        New, or with an unfinished or finished index of the same rows.
    losses : callable, optional
        Makes what `build_index` takes of the targets.
    metric, algorithm, target_recall, target_error, n_neighbors, search_parameters, seed, n_jobs
        As in `build_index`; the metric is "euclidean", "cosine" or "inner_product", and the
        algorithm "auto" or "ivfpq".

    Returns
    -------
    built : BuiltIndex
    targets : float64 array of shape (n_rows, n_outputs), mapped from the folder
    """
    metric = canonical_metric(metric)
    if algorithm not in ("auto", "ivfpq") or metric not in FAISS_METRICS or not source.n_features:
        raise UnsupportedError(
            f"index_path builds lists of codes on disk, which algorithm={algorithm!r} and "
            f"metric={metric!r} of these rows do not have; use algorithm='ivfpq' and one of "
            f"{', '.join(FAISS_METRICS)}"
        )
    if target_recall == 1:
        raise UnsupportedError(
            "index_path builds an approximate index, which cannot promise target_recall=1.0; use a "
            "target such as 0.99"
        )
    _check(source.n_rows, Goal(target_recall, target_error), n_neighbors)
    found = build_on_disk(source, folder, str(metric), seed, n_jobs)
    makes = None if losses is None else losses(found.targets)
    goal = Goal(target_recall, target_error, makes)
    sample = draw_sample(found.index.rows, str(metric), n_neighbors, seed, n_jobs)
    if search_parameters:
        at = measured(_at(found.index, search_parameters), sample, goal)
        return _described(at, goal, n_neighbors, asked=False), found.targets
    return _described(tuned(found.index, sample, goal), goal, n_neighbors), found.targets


def _rows_and_kind(
    X: Any, metric: Metric, algorithm: str, target_recall: float, expected_queries: int | None
) -> tuple[Any, str]:
    """Return the rows as their index takes them, and its kind."""
    if takes_objects(metric):
        of_objects = kind_for_function if callable(metric) else kind_for_texts
        return as_objects(X), of_objects(algorithm)
    rows = as_rows(X)
    shape = rows.shape[0], rows.shape[1]
    kind = kind_for_rows(algorithm, *shape, str(metric), target_recall, expected_queries)
    if len(rows) == 1:  # nothing to be approximate about, or to measure
        kind = kind_for_rows("brute", *shape, str(metric), 1.0)
    return rows, kind


def _check(n_rows: int, goal: Goal, n_neighbors: int) -> None:
    if not 0 < goal.recall <= 1:
        raise InvalidInputError(
            f"target_recall={goal.recall!r} is not in (0, 1]; 0.95 is usual, 1.0 means exact"
        )
    if goal.error is not None and not 0 <= goal.error < math.inf:
        raise InvalidInputError(
            f"target_error={goal.error!r} must be at least 0; 0.01 lets the error of predictions "
            "be 1% above that with exact neighbours"
        )
    if n_neighbors < 1:
        raise InvalidInputError(f"n_neighbors={n_neighbors!r} must be at least 1")
    if n_neighbors > n_rows:
        raise InvalidInputError(
            f"n_neighbors={n_neighbors} but only {n_rows} rows were fitted; "
            "ask for fewer neighbours or fit more rows"
        )


@step("building the index")
def _exact(kind: str, rows: Any, metric: Any) -> NeighborIndex | None:
    """Return the index of an exact kind, None for other kinds."""
    if kind == "pairs":
        return BruteIndex(rows, metric)
    if kind == "texts":
        return TextIndex(rows)
    if kind == "kd_tree":
        return KDTreeIndex(rows, metric)
    return FlatIndex.build(rows, metric) if kind == "flat" else None


@step("building the index")
def _approximate(
    kind: str,
    rows: FloatArray,
    metric: str,
    seed: int,
    n_jobs: int | None,
    graph_threads: int,
    held: Indices,
) -> ApproximateIndex:
    if kind == "hnsw":
        return HNSWIndex.build(rows, metric, graph_threads, held)
    if kind in LISTS:
        return LISTS[kind].build(rows, metric, seed, n_jobs, held)
    return FactoryIndex.build(rows, kind, metric, seed, held)


def _at(index: ApproximateIndex, given: Mapping[str, int]) -> ApproximateIndex:
    """Return the index at the search parameters that were given."""
    knob = index.knob
    largest = {knob.name: knob.largest} if knob.name else {}
    largest |= {"candidates": MOST_CANDIDATES} if index.compressed else {}
    for name, value in given.items():
        if name not in largest:
            raise InvalidInputError(
                f"search_parameters has {name!r}, which {index.name!r} does not have; it has "
                f"{', '.join(map(repr, largest)) or 'none'}"
            )
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest[name]:
            raise InvalidInputError(
                f"search_parameters has {name!r}: {value!r}; give a whole number from 1 to "
                f"{largest[name]}"
            )
    return index.at(given.get(knob.name, index.setting), given.get("candidates"))


def _described(
    found: Tuned, goal: Goal, k: int, graph_threads: int = 1, *, asked: bool = True
) -> BuiltIndex:
    """Return a tuned index, made whole, with what is known of it.

    Warn where it does not do what was asked.
    """
    found = completed(found, goal, graph_threads, fixed=not asked)
    recall, words = found.trial.recall.mean, found.index.description
    if asked and not found.reached and not found.meets(goal):
        what = f"recall at {k} neighbours is {recall:.3f}, below target_recall={goal.recall}"
        if found.trial.excess is not None:
            what = (
                f"the error is {found.trial.excess:.1%} above that of exact neighbours, more than "
                f"target_error={goal.error}"
            )
        warnings.warn(
            f"{what}, even at the largest setting of {words}; the best one is kept. Use "
            "algorithm='brute' for exact neighbours, or a lower target",
            RecallWarning,
            stacklevel=4,
        )
    words = f"{words}, recall {recall:.3f} at {k} neighbours"
    return BuiltIndex(found.index, recall, words, found.table, found.line)
