"""Neighbours as sparse graphs, and all within a radius: scikit-learn's words for both.

A mixin apart from the search itself: it needs only `kneighbors` and an index.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import engine_for
from scalekern.errors import InvalidInputError
from scalekern.features.parameters import check_choice
from scalekern.neighbors import NeighborIndex, takes_objects
from scalekern.rows import RowSource, source_of
from scalekern.rows.base import dense_rows
from scalekern.rows.validate import predict_source

MODES = ("connectivity", "distance")
RADIUS_ROWS = 256

Within = list[tuple[np.ndarray, np.ndarray]]


class NeighborGraphs:
    """`kneighbors_graph`, `radius_neighbors` and `radius_neighbors_graph`."""

    metric: Any
    n_jobs: int | None
    n_samples_fit_: int
    kneighbors: Any
    _refuse_removed: Any
    _index: NeighborIndex

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> sparse.csr_matrix:
        """Return the nearest training rows of each row as a sparse matrix.

        Parameters
        ----------
        X : array, frame or rows of shape (n, d), or objects; None, default
            None asks for each training row's neighbours other than itself.
        n_neighbors : int, default=None
            As in the constructor if None.
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether entries are 1 or distances.

        Returns
        -------
        CSR matrix of shape (n, rows of the fit), float64
            The entries of a row in the order of their distances; none where no row was found.
        """
        check_choice("mode", mode, MODES)
        distances, indices = self.kneighbors(X, n_neighbors)
        found = indices >= 0
        pairs = [(d[f], i[f]) for d, i, f in zip(distances, indices, found, strict=True)]
        return self._graph(pairs, mode)

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = False,
    ) -> Any:
        """Return all training rows within a radius of each row: exact, whatever the index.

        An approximate index is left aside and all rows are scanned, since it could not promise to
        miss none.

        Parameters
        ----------
        X : array, frame or rows of shape (n, d), or objects; None, default
            None asks for each training row's neighbours other than itself.
        radius : float
            Rows at just this distance count.
        return_distance : bool, default=True
        sort_results : bool, default=False
            They always come in the order of their distances; this is scikit-learn's word.

        Returns
        -------
        distances : object array of n float64 arrays
            Left out if `return_distance` is False.
        indices : object array of n int64 arrays
        """
        del sort_results
        pairs = self._within(X, radius)
        distances, indices = (np.empty(len(pairs), dtype=object) for _ in range(2))
        for q, (near, numbers) in enumerate(pairs):
            distances[q], indices[q] = near, numbers
        return (distances, indices) if return_distance else indices

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = False,
    ) -> sparse.csr_matrix:
        """Return all training rows within a radius of each row as a sparse matrix.

        Parameters
        ----------
        X, radius, sort_results : as in `radius_neighbors`
        mode : {"connectivity", "distance"}, default="connectivity"
            Whether entries are 1 or distances.

        Returns
        -------
        CSR matrix of shape (n, rows of the fit), float64
        """
        del sort_results
        check_choice("mode", mode, MODES)
        return self._graph(self._within(X, radius), mode)

    def _within(self, X: Any, radius: float | None) -> Within:
        check_is_fitted(self)
        if radius is None:
            raise InvalidInputError(
                "radius is missing; give the distance within which rows count as neighbours"
            )
        if X is None:
            self._refuse_removed()
            pairs = self._search_within(source_of(self._index.rows), radius)
            kept = [numbers != row for row, (_, numbers) in enumerate(pairs)]
            return [(d[own], i[own]) for (d, i), own in zip(pairs, kept, strict=True)]
        source = predict_source(self, X, objects=takes_objects(self.metric))
        return self._search_within(source, radius)

    def _search_within(self, source: RowSource, radius: float) -> Within:
        found: Within = []

        def of_block(block: Any) -> Within:
            X = dense_rows(block.X)
            return self._index.within(X, radius)

        engine_for(source, self.n_jobs).map_blocks(
            source, of_block, lambda _, part: found.extend(part), "searching a radius", RADIUS_ROWS
        )
        return found

    def _graph(self, pairs: Within, mode: str) -> sparse.csr_matrix:
        starts = np.cumsum([0, *(len(numbers) for _, numbers in pairs)])
        columns = np.concatenate([numbers for _, numbers in pairs])
        values = np.concatenate([near for near, _ in pairs])
        if mode == "connectivity":
            values = np.ones(len(columns))
        return sparse.csr_matrix((values, columns, starts), (len(pairs), self.n_samples_fit_))
