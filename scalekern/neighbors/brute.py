"""Exact search for metrics that no index knows: a Python function of two objects, or SciPy's cdist.

Every pair is looked at. With a function it is a Python loop, and the objects may be anything:
vectors, strings, graphs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from scalekern.errors import InvalidInputError, ModelFormatError, UnsupportedError
from scalekern.neighbors.base import (
    Distances,
    Indices,
    NeighborIndex,
    State,
    as_rows,
    check_queries,
    describe_rows,
    stored,
    stored_rows,
)
from scalekern.neighbors.metrics import CDIST_METRICS, Metric, PairMetric, stored_metric

_TILE_ENTRIES = 1 << 21


@final
class BruteIndex(NeighborIndex):
    """All pairs, for a function f(x, z) -> distance on any objects, or for a cdist metric on rows.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features), or a sequence of objects for a function
    metric : str or callable

    Examples
    --------
    >>> index = BruteIndex(["cat", "horse"], lambda x, z: abs(len(x) - len(z)))
    >>> index.search(["cow"], 2)
    (array([[0., 2.]]), array([[0, 1]]))
    """

    name: ClassVar[str] = "brute"
    exact: bool = True

    def __init__(self, rows: Any, metric: Metric) -> None:
        self.metric = metric
        self.rows = as_objects(rows) if callable(metric) else as_rows(rows)
        self.n_rows = len(self.rows)

    @property
    def description(self) -> str:
        name = getattr(self.metric, "__name__", "a function") if callable(self.metric) else ""
        return f"all pairs, exact, {name or self.metric} distances"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        nearest = [k_smallest(row, k) for row in self._all_distances(X)]
        shape = (len(nearest), k)
        distances = np.array([d for d, _ in nearest]).reshape(shape)
        return distances, np.array([i for _, i in nearest], dtype=np.int64).reshape(shape)

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        for row in self._all_distances(X):
            near = np.flatnonzero(row <= radius)
            yield row[near], near

    def _all_distances(self, X: Any) -> Iterator[Distances]:
        """Yield the distances of each query to all rows."""
        metric = self.metric
        if callable(metric):
            rows = (_loop(x, self.rows, metric) for x in as_objects(X))
        else:
            rows = self._scan(check_queries(X, self.rows.shape[1]))
        for q, row in enumerate(rows):
            if np.isnan(row).any():
                raise self._undefined(q, int(np.isnan(row).argmax()))
            yield row

    def _scan(self, queries: NDArray[Any]) -> Any:
        step = max(1, _TILE_ENTRIES // self.n_rows)
        for start in range(0, len(queries), step):
            tile = cdist(queries[start : start + step], self.rows, CDIST_METRICS[str(self.metric)])
            yield from np.maximum(tile, 0.0)  # a rounded correlation may fall below zero

    def _undefined(self, query: int, row: int) -> InvalidInputError:
        return InvalidInputError(
            f"the metric {getattr(self.metric, '__name__', self.metric)!r} of query {query} and "
            f"fitted row {row} is not a number; drop such rows or choose a metric defined for them"
        )

    def state(self) -> State:
        if not callable(self.metric):
            meta = {"name": self.name, "metric": self.metric, **describe_rows(self.rows)}
            return meta, {"rows": self.rows}
        if isinstance(self.rows, np.ndarray) and self.rows.dtype.kind in "fiub":
            kind, arrays = "vectors", {"rows": self.rows}
        elif all(isinstance(row, str) for row in self.rows):
            kind, arrays = "strings", packed(self.rows)
        else:
            raise UnsupportedError(
                "an index over objects other than vectors and strings cannot be stored without "
                "pickle; turn the objects into strings, or fit again after loading"
            )
        return {"name": self.name, "metric": None, "objects": kind, "n": self.n_rows}, arrays

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        metric: PairMetric | None = None,
    ) -> BruteIndex:
        """Rebuild; a function is never stored, so it comes back through `metric`."""
        if stored(meta, "metric") is not None:
            name = stored_metric(meta["metric"], CDIST_METRICS)
            return cls(stored_rows(meta, arrays), name)
        if metric is None:
            raise ModelFormatError(
                "the stored neighbour index was built with a function as its metric, and functions "
                "are not stored; pass the same function to load"
            )
        strings = stored(meta, "objects") == "strings"
        index = cls(unpacked(arrays) if strings else stored(arrays, "rows"), metric)
        if index.n_rows != stored(meta, "n"):
            raise ModelFormatError(
                f"the stored neighbour index says {meta['n']} rows but holds {index.n_rows}; "
                "the model was altered or truncated"
            )
        return index


def as_objects(rows: Any) -> Sequence[Any] | NDArray[Any]:
    """Return a sequence that is indexed by position: arrays as they are, all else as a list."""
    return rows if isinstance(rows, np.ndarray) else list(rows)


def k_smallest(distances: Distances, k: int) -> tuple[Distances, Indices]:
    """Return the k smallest of one row of distances, ties to the first rows."""
    near = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
    best = near[np.argsort(distances[near], kind="stable")[:k]]
    return distances[best], best


def _loop(x: Any, rows: Any, metric: PairMetric) -> Distances:
    return np.array([metric(x, z) for z in rows], dtype=np.float64)


def packed(strings: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return strings as one array of UTF-8 bytes and the offsets where each begins."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in strings]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    return {"text": np.frombuffer(b"".join(encoded), dtype=np.uint8), "offsets": offsets}


def unpacked(arrays: Mapping[str, NDArray[Any]]) -> list[str]:
    """Return the strings of `packed`, ModelFormatError where bytes and offsets disagree."""
    text, offsets = stored(arrays, "text").tobytes(), stored(arrays, "offsets")
    whole = len(offsets) and offsets[0] == 0 and offsets[-1] == len(text)
    if not whole or (np.diff(offsets) < 0).any():
        raise ModelFormatError("the stored strings were altered: offsets and text disagree")
    try:
        return [text[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(offsets)]
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"the stored strings were altered: {error}") from error
