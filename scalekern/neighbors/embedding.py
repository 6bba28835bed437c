"""Rows as FAISS sees them (float32, centred, scaled) beside the rows as they are.

FAISS computes in float32 and expands ‖x − z‖², so large means cancel and large values overflow.
Its answers are therefore only candidates: every distance a user sees is computed here, from the
kept rows, in float64. It is separate from the indices because all FAISS indices share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalekern.neighbors.base import Distances, FloatArray, Indices

_BLOCK_ROWS = 65536
_GATHER_BYTES = 1 << 20
FARTHEST = 2.0**50


SMALLEST_EXPONENT = -500
"""Of two: the square of its inverse is a float64, too."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """The map from rows to points in float32 whose euclidean order is that of the metric.

    Attributes
    ----------
    rows : array of shape (n_rows, n_features), float32 or float64
        The fitted rows as given.
    metric : str
        "euclidean", "cosine", "inner_product", "manhattan" or "chebyshev".
    center : float64 array of shape (n_dimensions,)
        Mean of the points, taken off so that ‖x‖² + ‖z‖² − 2x·z does not cancel.
    scale : float
        A power of two that brings every coordinate of the fitted points into [−1, 1].
    norm : float
        Of "inner_product": the length of the longest fitted row.
    """

    rows: FloatArray
    metric: str
    center: NDArray[np.float64]
    scale: float
    norm: float = 0.0

    @classmethod
    def of(cls, rows: FloatArray, metric: str) -> Embedding:
        """Measure centre and scale of `rows`, block by block."""
        flagged = metric == "cosine" and any(zero_rows(block).any() for block in row_blocks(rows))
        more, norm = int(flagged), 0.0
        if metric == "inner_product":
            more, norm = 1, max(float(lengths(block).max()) for block in row_blocks(rows))
        plain = cls(rows, metric, np.zeros(rows.shape[1] + more), 1.0, norm)
        sums = [plain.points(block).sum(axis=0) for block in row_blocks(rows)]
        center = np.sum(sums, axis=0) / len(rows)
        if rows.dtype == np.float32:
            center = center.astype(np.float32).astype(np.float64)
        farthest = max(np.abs(plain.points(b) - center).max() for b in row_blocks(rows))
        # Smaller points than this have squares that are 0 whatever one does.
        exponent = max(int(np.frexp(farthest)[1]), SMALLEST_EXPONENT)
        return cls(rows, metric, center, float(np.ldexp(1.0, -exponent)), norm)

    @property
    def dimensions(self) -> int:
        """Number of coordinates of a point."""
        return len(self.center)

    @property
    def _flags_zeros(self) -> bool:
        return self.metric == "cosine" and self.dimensions > self.rows.shape[1]

    def points(self, X: FloatArray) -> NDArray[np.float64]:
        """Return float64 points whose euclidean distances order pairs as the metric does.

        For "cosine" they have length one, and 1 − cos = ‖x − z‖²/2. If there are fitted rows of
        zeros, one more coordinate is 1 for them and 0 for others: so they are at distance 1 from
        every other row, as in scikit-learn, where without it they would be nearest to all. For
        "inner_product" one more coordinate makes all of the length of the longest, and queries are
        given that length too, and 0 there: |x − z|² = 2·norm² − 2·x·z (Bachrach et al. 2014).
        """
        # C order, because sums along a row round differently in another one.
        Z: NDArray[np.float64] = np.asarray(X, dtype=np.float64, order="C")
        if self.metric == "inner_product":
            return np.column_stack([Z, np.sqrt(np.maximum(self.norm**2 - lengths(Z) ** 2, 0.0))])
        if self.metric != "cosine":
            return Z
        Z = directions(Z)
        return np.column_stack([Z, zero_rows(X)]) if self._flags_zeros else Z

    def query_points(self, X: FloatArray) -> NDArray[np.float64]:
        """Return the points of queries, which for "inner_product" are not those of rows."""
        if self.metric != "inner_product":
            return self.points(X)
        return np.column_stack(
            [directions(np.asarray(X, np.float64)) * self.norm, np.zeros(len(X))]
        )

    def embed_queries(self, X: FloatArray) -> NDArray[np.float32]:
        """Return the points of queries for FAISS, C-contiguous float32."""
        if self.metric != "inner_product":
            return self.embed(X)
        centred = (self.query_points(X) - self.center) * self.scale
        return np.ascontiguousarray(centred, dtype=np.float32)

    def embed(self, X: FloatArray) -> NDArray[np.float32]:
        """Return the points of the rows of X for FAISS, C-contiguous float32."""
        # The limit is far outside the fitted points; beyond it squares could overflow in float32.
        if X.dtype == np.float32 and self._stays_in_float32:
            centred = X - self.center.astype(np.float32)
            centred *= np.float32(self.scale)
            return np.ascontiguousarray(np.clip(centred, -FARTHEST, FARTHEST, out=centred))
        centred = np.clip((self.points(X) - self.center) * self.scale, -FARTHEST, FARTHEST)
        return np.ascontiguousarray(centred, dtype=np.float32)

    @property
    def _stays_in_float32(self) -> bool:
        """Whether float32 rows are embedded with the one rounding of their centring.

        Their centre is a float32 and the scale a power of two.
        """
        moderate = 2.0**-60 < self.scale < 2.0**60
        return moderate and self.is_plain and self.rows.dtype == np.float32

    @property
    def is_plain(self) -> bool:
        """Whether the points are the rows."""
        return self.metric not in ("cosine", "inner_product")

    def embedded_blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield the points of all fitted rows, in order, block by block."""
        for block in row_blocks(self.rows):
            yield self.embed(block)

    def distances(self, X: FloatArray, candidates: Indices) -> Distances:
        """Return the exact distance of each query to each of its candidates, inf for -1."""
        found = np.empty(candidates.shape, dtype=np.float64)
        queries = self.points(X) if self.metric == "cosine" else np.asarray(X, dtype=np.float64)
        for some, columns in tiles(candidates, _GATHER_BYTES // (8 * self.dimensions)):
            found[some, columns] = self._pair_distances(queries[some], candidates[some, columns])
        if self.metric == "cosine" and not self._flags_zeros:
            found[zero_rows(X)] = 1.0
        found[candidates < 0] = np.inf
        return found

    def _pair_distances(self, queries: NDArray[np.float64], candidates: Indices) -> Distances:
        # Numbers of -1 read the first row; what comes of it is not used.
        rows = np.take(self.rows, candidates.ravel(), axis=0, mode="clip")
        Z = self.points(rows) if self.metric == "cosine" else rows
        Z = Z.reshape(*candidates.shape, -1)
        if self.metric == "inner_product":
            return -np.einsum("qd,qcd->qc", queries, Z, dtype=np.float64)
        difference = Z.astype(np.float64)
        difference -= queries[:, None, :]
        if self.metric == "manhattan":
            return np.abs(difference, out=difference).sum(axis=2)
        if self.metric == "chebyshev":
            return np.abs(difference, out=difference).max(axis=2)
        squared = np.einsum("qcd,qcd->qc", difference, difference)
        return self.from_squared(squared)

    def from_squared(self, squared: Distances) -> Distances:
        """Return the metric's distance from a squared euclidean one between points."""
        distances: Distances = squared / 2 if self.metric == "cosine" else np.sqrt(squared)
        return distances

    def to_squared(self, distances: Distances, X: FloatArray) -> Distances:
        """Return FAISS's squared distance between embedded points, of one distance of each query.

        The inverse of `from_squared`, but for "inner_product" as well.
        """
        if self.metric == "inner_product":
            length = lengths(np.asarray(X, np.float64))
            factor = np.divide(self.norm, length, out=np.zeros_like(length), where=length > 0)
            own = np.where(length > 0, self.norm**2, 0.0)
            return (self.norm**2 + own + 2 * factor * distances) * self.scale**2
        if self.metric == "cosine":
            return 2 * distances * self.scale**2
        squared: Distances = np.square(distances * self.scale)
        return squared


def lengths(X: FloatArray) -> NDArray[np.float64]:
    """Return the Euclidean length of each row."""
    return np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))


def zero_rows(X: FloatArray) -> NDArray[np.bool_]:
    """Say which rows are all zeros, and so have no direction."""
    zero: NDArray[np.bool_] = (X == 0).all(axis=1)
    return zero


def directions(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows of length one, zeros where a row has no direction."""
    # Dividing by the largest entry first keeps the squares from overflow and underflow.
    largest = np.abs(X).max(axis=1, keepdims=True, initial=0.0)
    X = X / np.where(largest == 0, 1.0, largest)
    length = np.sqrt(np.einsum("ij,ij->i", X, X))[:, None]
    return X / np.where(length == 0, 1.0, length)


def tiles(matrix: NDArray[Any], entries: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices that cut a matrix into tiles of about `entries`, whole rows where they fit."""
    n_rows, n_columns = matrix.shape
    width = max(1, min(n_columns, entries))
    height = max(1, entries // width)
    for top in range(0, n_rows, height):
        for left in range(0, n_columns, width):
            yield slice(top, top + height), slice(left, left + width)


def row_blocks(rows: FloatArray) -> Iterator[FloatArray]:
    """Yield `rows` in blocks small enough to copy to float64."""
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]
