"""What every neighbour index promises, and the order in which all of them give their answers.

It is separate so that the estimators and the storage floor can rely on one contract, whichever
library (FAISS, SciPy, a Python loop) answers the queries.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import InvalidInputError, ModelFormatError

FloatArray = NDArray[np.floating[Any]]
Distances = NDArray[np.float64]
Indices = NDArray[np.int64]
State = tuple[dict[str, Any], dict[str, NDArray[Any]]]
Restore = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]]], "NeighborIndex"]
"""Makes an index of its state: what indices that hold others are given to read them."""

_LAST = np.iinfo(np.int64).max


class NeighborIndex(ABC):
    """An index over fitted rows that answers which of them are nearest to a query.

    Searches never change the index, so any number of threads may search at once; each search
    uses one thread of its own. Subclasses are final.

    Attributes
    ----------
    name : str
        "kd_tree", "flat", "hnsw", "ivf", "factory" or "brute".
    exact : bool
        Whether the answers are those of brute force.
    n_rows : int
        Number of rows in the index.
    rows : array of shape (n_rows, n_features), or a list of objects
        The fitted rows as they were given, which may be searched for in their turn.
    """

    name: ClassVar[str]
    exact: bool
    n_rows: int
    rows: Any

    @property
    @abstractmethod
    def description(self) -> str:
        """Human words for what the index is, with its settings."""

    @abstractmethod
    def state(self) -> State:
        """Return JSON-able metadata and plain arrays from which `from_state` rebuilds the index."""

    @classmethod
    @abstractmethod
    def from_state(
        cls, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> NeighborIndex:
        """Rebuild the index that `state` described; ModelFormatError where the two disagree."""

    @abstractmethod
    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        """Answer for 1 <= k <= n_rows, in the order of `nearest_first`."""

    def search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        """Return the k nearest fitted rows of every query.

        Parameters
        ----------
        X : array of shape (n_queries, n_features), or a sequence of objects for "brute"
            The queries.
        k : int
            How many neighbours; more than `n_rows` is allowed and leaves the rest unfound.

        Returns
        -------
        distances : float64 array of shape (n_queries, k)
            Ascending (not squared); inf where fewer than k rows were found.
        indices : int64 array of shape (n_queries, k)
            Row numbers, equal distances in the order of the rows; -1 where fewer were found.

        Raises
        ------
        InvalidInputError
            If k < 1 or X has another number of columns than the fitted rows.

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern.neighbors import build_index
        >>> index = build_index(np.array([[0.0], [3.0], [10.0]]), n_neighbors=2).index
        >>> index.search(np.array([[4.0]]), 2)
        (array([[1., 4.]]), array([[1, 0]]))
        """
        if k < 1:
            raise InvalidInputError(f"k={k} neighbours were asked for; ask for at least 1")
        distances, indices = self._search(X, min(k, self.n_rows))
        missing = ((0, 0), (0, k - indices.shape[1]))
        distances = np.pad(distances, missing, constant_values=np.inf)
        return distances, np.pad(indices, missing, constant_values=-1)

    def nearest(self, X: Any, k: int) -> Indices:
        """Return only the numbers of the k nearest rows, in no order; -1 where fewer were found.

        What `search` finds, without the work of exact distances where they are not needed.

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern.neighbors import build_index
        >>> index = build_index(np.array([[0.0], [3.0], [10.0]]), n_neighbors=2).index
        >>> sorted(index.nearest(np.array([[4.0]]), 2)[0].tolist())
        [0, 1]
        """
        if k < 1:
            raise InvalidInputError(f"k={k} neighbours were asked for; ask for at least 1")
        indices = self._nearest(X, min(k, self.n_rows))
        return np.pad(indices, ((0, 0), (0, k - indices.shape[1])), constant_values=-1)

    def _nearest(self, X: Any, k: int) -> Indices:
        return self._search(X, k)[1]

    def within(self, X: Any, radius: float) -> list[tuple[Distances, Indices]]:
        """Return all fitted rows within `radius` of each query; exact for every index.

        Parameters
        ----------
        X : array of shape (n_queries, n_features), or a sequence of objects
        radius : float
            At least 0; rows at just this distance are found.

        Returns
        -------
        list of (distances, indices)
            One pair of arrays for each query, in the order of `search`.

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern.neighbors import build_index
        >>> index = build_index(np.array([[0.0], [3.0], [10.0]]), n_neighbors=2).index
        >>> [(distances, numbers)] = index.within(np.array([[4.0]]), 4.0)
        >>> distances.tolist(), numbers.tolist()
        ([1.0, 4.0], [1, 0])
        """
        if not radius >= 0:
            raise InvalidInputError(f"radius={radius!r} must be a number of at least 0")
        found = []
        for distances, indices in self._within(X, float(radius)):
            order = np.lexsort((indices, distances))
            found.append((distances[order], indices[order]))
        return found

    @abstractmethod
    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        """Yield the rows within the radius of each query, in any order."""


def nearest_first(distances: Distances, indices: Indices, k: int) -> tuple[Distances, Indices]:
    """Keep the k best of every row of candidates: by distance, then by index, unfound (-1) last.

    The arrays given may be put in order in place.
    """
    if distances.shape[1] == k:
        # Most often they are in order; what is not, ties above all, is put in order by itself.
        wrong = ~(distances[:, 1:] > distances[:, :-1]).all(axis=1)
        if wrong.all():
            return _sorted(distances, indices, k)
        distances[wrong], indices[wrong] = _sorted(distances[wrong], indices[wrong], k)
        return distances, indices
    return _sorted(distances, indices, k)


def _sorted(distances: Distances, indices: Indices, k: int) -> tuple[Distances, Indices]:
    order = np.lexsort((np.where(indices < 0, _LAST, indices), distances), axis=-1)[:, :k]
    return np.take_along_axis(distances, order, 1), np.take_along_axis(indices, order, 1)


def without_itself(itself: Indices, indices: Indices, *more: Any) -> tuple[Any, ...]:
    """Leave each query, a row of the index, out of what was found for it.

    Parameters
    ----------
    itself : int64 array of shape (n_queries,)
        The number of each query.
    indices : int64 array of shape (n_queries, k + 1)
        What was found; of a query that is not there, among too many equal rows, the last goes.
    *more : arrays of shape (n_queries, k + 1)
        What goes with the indices.

    Returns
    -------
    tuple of arrays of shape (n_queries, k)
        Of the indices, and of each of `more`.

    Examples
    --------
    >>> found, = without_itself(np.array([3, 4]), np.array([[3, 7, 1], [5, 2, 0]]))
    >>> found.tolist()
    [[7, 1], [5, 2]]
    """
    own = indices == itself[:, None]
    own[~own.any(axis=1), -1] = True
    n, k = indices.shape
    return tuple(array[~own].reshape(n, k - 1) for array in (indices, *more))


def check_queries(X: Any, n_features: int) -> FloatArray:
    """Return the queries as a two-dimensional array with the number of columns of the fitted rows.

    Raises
    ------
    InvalidInputError
        If it has another shape.
    """
    queries = as_rows(X)
    if queries.shape[1] != n_features:
        raise InvalidInputError(
            f"the queries have {queries.shape[1]} columns but the index was built on {n_features}; "
            "give the same columns as in fit"
        )
    return queries


def forget_pages(rows: Any) -> None:
    """Let go of the memory of rows that are mapped from a file; they are read again when needed."""
    mapped = getattr(rows, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def as_rows(X: Any) -> FloatArray:
    """Return X as a float32 or float64 matrix, without a copy where it is one already."""
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"a neighbour index takes a two-dimensional array of numbers, got {rows.ndim} "
            f"dimension(s) of {rows.dtype}; objects need a callable metric f(x, z)"
        )
    return rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)


def stored(meta: Mapping[str, Any], key: str) -> Any:
    """Return one entry of stored metadata or arrays, ModelFormatError if it is not there."""
    if key not in meta:
        raise ModelFormatError(f"the stored neighbour index lacks '{key}'; save the model again")
    return meta[key]


def stored_rows(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> FloatArray:
    """Return the stored rows, after checking them against the shape and dtype in the metadata."""
    rows = np.asarray(stored(arrays, "rows"))
    expected = ((stored(meta, "n"), stored(meta, "d")), stored(meta, "dtype"))
    if (rows.shape, rows.dtype.name) != expected:
        raise ModelFormatError(
            f"the stored neighbour index says {expected[0]} rows and columns of {expected[1]}, but "
            f"its rows are {rows.shape} of {rows.dtype.name}; the model was altered or truncated"
        )
    return rows


def describe_rows(rows: FloatArray) -> dict[str, Any]:
    """Return the metadata that `stored_rows` checks."""
    return {"n": rows.shape[0], "d": rows.shape[1], "dtype": rows.dtype.name}
