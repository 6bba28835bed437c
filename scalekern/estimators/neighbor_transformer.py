"""NeighborsTransformer: the graph of nearest neighbours as a step of a scikit-learn pipeline."""

from __future__ import annotations

import os
from typing import Any

from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from scalekern.estimators.neighbor_graphs import MODES
from scalekern.estimators.neighbor_search import NeighborSearch
from scalekern.features.parameters import check_choice
from scalekern.neighbors import takes_objects
from scalekern.rows.validate import fit_source
from scalekern.storage import storable


@storable
class NeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, NeighborSearch):
    """Turn rows into the sparse graph of their nearest training rows.

    It does what `sklearn.neighbors.KNeighborsTransformer` does, with the indices of this package,
    and goes before any estimator that takes `metric="precomputed"`: TSNE, DBSCAN,
    KNeighborsClassifier, UMAP, ….

    Parameters
    ----------
    n_neighbors : int, default=5
        With mode "distance" one more is given, as every training row is its own first neighbour.
    mode : {"distance", "connectivity"}, default="distance"
        Whether entries are distances or 1.
    metric, algorithm, target_recall, expected_queries, search_parameters, index_path, random_state
    n_jobs
        As in `KNeighborsRegressor`.

    Attributes
    ----------
    recall_, index_description_, tuning_, tuned_, report_
        As in `KNeighborsRegressor`.

    Raises
    ------
    InvalidInputError, UnsupportedError
        If a parameter has a bad value, or the data have missing or infinite values.

    Examples
    --------
    >>> from scalekern import NeighborsTransformer
    >>> graph = NeighborsTransformer(1).fit_transform([[0.0], [1.0], [5.0]])
    >>> graph.toarray().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 4.0, 0.0]]
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        mode: str = "distance",
        metric: Any = "euclidean",
        algorithm: str = "auto",
        target_recall: float = 0.95,
        expected_queries: int | None = None,
        search_parameters: dict[str, int] | None = None,
        index_path: str | os.PathLike[str] | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.metric = metric
        self.algorithm = algorithm
        self.target_recall = target_recall
        self.expected_queries = expected_queries
        self.search_parameters = search_parameters
        self.index_path = index_path
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> NeighborsTransformer:
        """Build the index.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : ignored

        Returns
        -------
        self
        """
        check_choice("mode", self.mode, MODES)
        source = fit_source(self, X, objects=takes_objects(self.metric), needs_y=False)
        self._fit_index(source)
        self._n_features_out = self.n_samples_fit_
        return self

    def transform(self, X: Any) -> sparse.csr_matrix:
        """Return the graph from rows to the nearest training rows.

        Parameters
        ----------
        X : array, frame or rows of shape (n, d), or objects

        Returns
        -------
        CSR matrix of shape (n, rows of the fit), float64
            Each row in the order of distances. In mode "distance" it has `n_neighbors` + 1 entries
            and, for a training row, its own 0 is one of them.
        """
        check_is_fitted(self)
        more = int(self.mode == "distance" and self.n_neighbors < self.n_samples_fit_)
        return self.kneighbors_graph(X, self.n_neighbors + more, self.mode)

    def fit_transform(self, X: Any, y: Any = None) -> sparse.csr_matrix:
        """Fit, and return the graph of the training rows among themselves.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects
        y : ignored

        Returns
        -------
        CSR matrix of shape (n, n), float64
        """
        return self.fit(X).transform(X)

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        super().restore_state(meta, arrays)
        self._n_features_out = self.n_samples_fit_
