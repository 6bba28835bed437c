"""Build the index that suits the rows, and measure what it finds: the way in for other floors.

`kinds` makes the choice, the index modules build, `tune` measures; this module joins them.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import Any

from scalekern.errors import InvalidInputError, RecallWarning
from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import FloatArray, NeighborIndex, as_rows
from scalekern.neighbors.brute import BruteIndex, as_objects
from scalekern.neighbors.factory import FactoryIndex
from scalekern.neighbors.flat import FlatIndex
from scalekern.neighbors.hnsw import HNSWIndex
from scalekern.neighbors.ivf import IVFIndex
from scalekern.neighbors.kd_tree import KDTreeIndex
from scalekern.neighbors.kinds import kind_for_function, kind_for_rows, kind_for_texts
from scalekern.neighbors.metrics import Metric, canonical_metric, takes_objects
from scalekern.neighbors.texts import TextIndex
from scalekern.neighbors.tune import draw_sample, tuned

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
    """

    index: NeighborIndex
    recall: float
    description: str
    tuning: list[dict[str, Any]] = field(default_factory=list)


def build_index(
    X: Any,
    *,
    metric: Metric = "euclidean",
    algorithm: str = "auto",
    target_recall: float = 0.95,
    n_neighbors: int = 5,
    seed: int = 0,
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
        for `target_recall` 1.0, else IVF. "brute" (exact), "kd_tree" (exact), "hnsw", "ivf", or a
        FAISS factory string.
    target_recall : float in (0, 1], default 0.95
        Recall at `n_neighbors` that an approximate index is tuned to; 1.0 means exact.
    n_neighbors : int, default 5
        Number of neighbours the recall is measured at.
    seed : int, default 0
        Draws the rows of k-means and of the measurement; same seed, same index, on any machine.

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
    if takes_objects(metric):
        rows: Any = as_objects(X)
        kind = kind_for_function(algorithm) if callable(metric) else kind_for_texts(algorithm)
    else:
        rows = as_rows(X)
        kind = kind_for_rows(algorithm, rows.shape[0], rows.shape[1], str(metric), target_recall)
    _check(len(rows), target_recall, n_neighbors)
    index = _build(kind, rows, metric, seed)
    if not isinstance(index, ApproximateIndex):
        return BuiltIndex(index, 1.0, index.description)
    return _tune(index, rows, target_recall, n_neighbors, seed)


def _check(n_rows: int, target_recall: float, n_neighbors: int) -> None:
    if not 0 < target_recall <= 1:
        raise InvalidInputError(
            f"target_recall={target_recall!r} is not in (0, 1]; 0.95 is usual, 1.0 means exact"
        )
    if n_neighbors < 1:
        raise InvalidInputError(f"n_neighbors={n_neighbors!r} must be at least 1")
    if n_neighbors > n_rows:
        raise InvalidInputError(
            f"n_neighbors={n_neighbors} but only {n_rows} rows were fitted; "
            "ask for fewer neighbours or fit more rows"
        )


def _build(kind: str, rows: Any, metric: Any, seed: int) -> NeighborIndex:
    _log.info("building a neighbour index of kind %s over %d rows", kind, len(rows))
    if kind in ("pairs", "texts"):
        return BruteIndex(rows, metric) if kind == "pairs" else TextIndex(rows)
    if kind == "kd_tree":
        return KDTreeIndex(rows, metric)
    if kind == "flat":
        return FlatIndex.build(rows, metric)
    if kind == "hnsw":
        return HNSWIndex.build(rows, metric)
    if kind == "ivf":
        return IVFIndex.build(rows, metric, seed)
    return FactoryIndex.build(rows, kind, metric, seed)


def _tune(
    index: ApproximateIndex, rows: FloatArray, target: float, k: int, seed: int
) -> BuiltIndex:
    if len(rows) == 1:
        return BuiltIndex(index, 1.0, index.description)
    sample = draw_sample(rows, index.metric, k, seed)
    index, recall, trials = tuned(index, sample, target)
    if recall < target:
        warnings.warn(
            f"recall at {k} neighbours is {recall:.3f}, below target_recall={target}, even at the "
            f"largest setting of {index.description}; the best one is kept. Use "
            "algorithm='brute' for exact neighbours, or a lower target",
            RecallWarning,
            stacklevel=3,
        )
    words = f"{index.description}, recall {recall:.3f} at {k} neighbours"
    return BuiltIndex(index, recall, words, trials)
