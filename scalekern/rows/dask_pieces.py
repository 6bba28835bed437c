"""Dask collections as pieces: one for each partition, with the numbers of its rows.

What rows are made of on Dask, before anybody says what they mean; Dask is imported only for those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.rows.dask_blocks import row_count


def is_dask(X: Any) -> bool:
    """Return whether X is a Dask collection; Dask is not imported to find out."""
    return hasattr(X, "__dask_graph__")


def is_dask_frame(X: Any) -> bool:
    """Return whether X is a Dask DataFrame whose columns have text names."""
    return is_dask(X) and all(isinstance(name, str) for name in getattr(X, "columns", [0]))


def is_dask_array(X: Any) -> bool:
    """Return whether a Dask collection is an array, and no frame."""
    return hasattr(X, "map_blocks")


@dataclass(frozen=True)
class Pieces:
    """A collection cut by rows.

    Attributes
    ----------
    parts : tuple of Delayed
    offsets : int64 array of shape (n_parts + 1,)
        The number of the first row of each part; the last is that of all rows.
    """

    parts: tuple[Any, ...]
    offsets: np.ndarray

    @property
    def n_rows(self) -> int:
        """The number of all rows."""
        return int(self.offsets[-1])

    def within(self, start: int, stop: int) -> tuple[list[Any], list[tuple[int, int, int]]]:
        """Return the parts with rows from start to stop; their numbers, and the rows of each."""
        first = int(np.searchsorted(self.offsets, start, side="right")) - 1
        parts, cuts = [], []
        for number in range(first, len(self.parts)):
            low, high = (int(offset) for offset in self.offsets[number : number + 2])
            if low >= stop:
                break
            if high > max(low, start):
                parts.append(self.parts[number])
                cuts.append((number, max(start - low, 0), min(stop, high) - low))
        return parts, cuts


def pieces_of(collections: list[Any]) -> list[Pieces | None]:
    """Return the pieces of each; those of unknown lengths are counted in one pass."""
    import dask

    parts = [None if c is None else parts_of(c) for c in collections]
    known = [None if c is None else _known_lengths(c) for c in collections]
    counting = [
        [] if p is None or k is not None else [dask.delayed(row_count)(part) for part in p]
        for p, k in zip(parts, known, strict=True)
    ]
    counted = dask.compute(*counting)
    found: list[Pieces | None] = []
    for p, k, c in zip(parts, known, counted, strict=True):
        lengths = list(c) if k is None else k
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        found.append(None if p is None else Pieces(tuple(p), offsets))
    return found


def parts_of(collection: Any) -> list[Any]:
    """Return the partitions of a collection, each of whole rows, as tasks."""
    if is_dask_array(collection):
        if collection.ndim == 2 and len(collection.chunks[1]) > 1:
            collection = collection.rechunk({1: -1})
        return list(collection.to_delayed().ravel())
    return list(collection.to_delayed())


def _known_lengths(collection: Any) -> list[int] | None:
    if not is_dask_array(collection):
        return None
    rows = collection.chunks[0]
    return None if any(np.isnan(size) for size in rows) else [int(size) for size in rows]


def as_dask(values: Any) -> Any:
    """Return a Dask collection as it is, other values as a Dask array."""
    if is_dask(values):
        return values
    import dask.array as da

    array = np.asarray(values)
    return da.from_array(array, chunks=(65_536, *array.shape[1:]))
