"""What rows go through before similarities, at fit and at predict alike: curves, then a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.approximations.weighers import Sink, Weigher
from scalekern.engine import Engine
from scalekern.errors import InvalidInputError
from scalekern.features.curves import Curves
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
        f"metric={metric!r}; use 'auto', 'euclidean', 'learned', or an array to multiply rows by: "
        "one scale for each feature, or a matrix of shape (n_features, k)"
    )


def require_map_fits(transform: np.ndarray, source: RowSource) -> None:
    """Raise unless rows of the source can be multiplied by the map."""
    if source.n_features != len(transform):
        raise InvalidInputError(
            f"metric has shape {transform.shape}, but rows have {source.n_features} features; its "
            "first dimension must be theirs"
        )


@dataclass(frozen=True)
class InputMap:
    """Curves of single columns, then a scale for each or a matrix; either may be missing."""

    curves: Curves | None = None
    linear: np.ndarray | None = None

    def __call__(self, X: Any) -> Any:
        """Return rows in the coordinates of the map, of the dtype that they have."""
        X = X if self.curves is None else self.curves(X)
        return X if self.linear is None else in_map(X, self.linear)

    def __bool__(self) -> bool:
        return self.curves is not None or self.linear is not None

    def source(self, source: RowSource) -> RowSource:
        """Return the rows of a source in the coordinates of the map."""
        if self.linear is not None:
            require_map_fits(self.linear, source)
        return source.map(self, self._width(source.n_features)) if self else source

    def landmarks(self, landmarks: Any, n_features: int) -> Any:
        """Return landmarks that are rows in the coordinates of the map; others as they are."""
        if not self:
            return landmarks  # of objects, too, that make no array
        given = np.asarray(landmarks)
        fits = given.ndim == 2 and given.shape[1] == n_features
        return self(given.astype(np.float64)) if fits else landmarks

    def _width(self, n_features: int) -> int:
        return n_features if self.linear is None else self.linear.shape[-1]


def in_map(X: Any, transform: np.ndarray) -> Any:
    """Return rows in the coordinates of the map, of the dtype that they have."""
    if transform.ndim == 1:
        out = X.multiply(transform).tocsr() if sparse.issparse(X) else X * transform
    else:
        out = np.asarray(X @ transform)
    return out.astype(X.dtype if X.dtype == np.float32 else np.float64, copy=False)


class MappedWeigher(Weigher):
    """Weighs rows for queries that have yet to be mapped."""

    def __init__(self, weigher: Weigher, input_map: InputMap) -> None:
        self._weigher, self._map = weigher, input_map
        self.baseline, self.n_rows = weigher.baseline, weigher.n_rows

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give `sink` the weights for the queries in the coordinates of the map."""
        self._weigher.weigh(self._map(X), engine, sink)
