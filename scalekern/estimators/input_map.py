"""The linear map that a metric is: applied to rows of any kind, at fit and at predict alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scalekern.engine import Engine
from scalekern.errors import InvalidInputError
from scalekern.estimators.weighing import Sink, Weigher
from scalekern.rows import RowSource


def check_metric(metric: Any) -> np.ndarray | None:
    """Return the map that a parameter `metric` gives, or None for a name.

    Raises
    ------
    InvalidInputError
        For anything but "auto", "euclidean", "learned" and an array of scales or of a map.
    """
    if isinstance(metric, str) and metric in ("auto", "euclidean", "learned"):
        return None
    try:
        given = np.asarray(metric, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.ndim in (1, 2) and given.size and np.isfinite(given).all():
        return given
    raise InvalidInputError(
        f"metric={metric!r}; use 'auto', 'euclidean', 'learned', an array of a scale for each "
        "feature, or of shape (n_features, k), by which rows are multiplied"
    )


def require_map_fits(transform: np.ndarray, source: RowSource) -> None:
    """Raise unless rows of the source can be multiplied by the map."""
    if source.n_features != len(transform):
        raise InvalidInputError(
            f"metric has shape {transform.shape}, but rows have {source.n_features} features; its "
            "first dimension must be theirs"
        )


def in_map(X: Any, transform: np.ndarray) -> Any:
    """Return rows in the coordinates of the map, of the dtype that they have."""
    if transform.ndim == 1:
        out = X.multiply(transform).tocsr() if sparse.issparse(X) else X * transform
    else:
        out = np.asarray(X @ transform)
    return out.astype(X.dtype if X.dtype == np.float32 else np.float64, copy=False)


def mapped_source(source: RowSource, transform: np.ndarray) -> RowSource:
    """Return the rows in the coordinates of the map."""
    require_map_fits(transform, source)
    width = len(transform) if transform.ndim == 1 else transform.shape[1]
    return source.map(lambda X: in_map(X, transform), width)


def mapped_landmarks(landmarks: Any, transform: np.ndarray) -> Any:
    """Return landmarks that are rows in the coordinates of the map; others as they are."""
    given = np.asarray(landmarks)
    fits = given.ndim == 2 and given.shape[1] == len(transform)
    return in_map(given.astype(np.float64), transform) if fits else landmarks


class MappedWeigher(Weigher):
    """Weighs rows for queries that have yet to be mapped."""

    def __init__(self, weigher: Weigher, transform: np.ndarray) -> None:
        self._weigher, self._transform = weigher, transform
        self.baseline, self.n_rows = weigher.baseline, weigher.n_rows

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give `sink` the weights for the queries in the coordinates of the map."""
        self._weigher.weigh(in_map(X, self._transform), engine, sink)
