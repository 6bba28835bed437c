"""k-nearest neighbours: weighted means and votes over what an index finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from scalekern.engine.lazy import lazy_on_dask
from scalekern.estimators.explanation import Candidates, Explanation
from scalekern.estimators.intervals import SplitConformal
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.neighbors import takes_objects
from scalekern.rows import Block, RowSource
from scalekern.rows.validate import fit_source, predict_source
from scalekern.storage import storable


@storable
class KNeighborsRegressor(SplitConformal, RegressorMixin, WeighedNeighbors):
    """Predict the weighted mean of the targets of the nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default=5
    weights : {"uniform", "distance", "kernel"} or callable, default="uniform"
        Equal weights; 1 / distance, where rows at distance 0 outweigh all others; a Gaussian of the
        distance whose bandwidth is half of that to the last neighbour (Nadaraya-Watson); or a
        function of an array of distances that returns an array of weights.
    metric : str or callable, default="euclidean"
        "euclidean", "cosine", "inner_product" (the largest are nearest, their "distances" are minus
        the products), a name that `scipy.spatial.distance.cdist` knows, "levenshtein" for texts, or
        a function of two objects of any kind.
    algorithm : str, default="auto"
        "auto", "brute", "kd_tree", "hnsw" (a graph), "ivf", "ivfsq", "ivfpq" (lists of rows, of
        byte codes, of four-bit codes), or a FAISS factory string. "auto" is exact in few columns
        and for few rows, else what reaches the target at the least counted work; `report_` says
        which.
    target_recall : float, default=0.95
        What share of the true neighbours an approximate index must find; 1.0 means exact.
    target_error : float or None, default=None
        Tune an approximate index to the error of its predictions instead: on training rows left
        out, it may exceed that with exact neighbours by this share (0.01: by 1%).
    expected_queries : int or None, default=None
        For "auto": so few are answered by a scan, where building an index costs more. None is many.
    search_parameters : dict or None, default=None
        "nprobe" or "efSearch", and "candidates" for each neighbour where rows are coded, as given
        and not tuned.
    index_path : path or None, default=None
        A folder to build the index in, for rows beyond memory: `fit` reads them once, block by
        block, and maps them from there. It must be new, or hold what an earlier fit on the same
        rows left there: an unfinished index is taken up, a finished one is used as it is.
    random_state : int, RandomState or None, default=None
        The same seed gives the same index. Without one "hnsw" is built on all threads, which is
        faster and comes out a little different each time.
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    recall_ : float
        Measured in `fit`, at `n_neighbors`; 1.0 for exact indices.
    index_description_ : str
    tuning_ : list of dict
        The settings that were tried, and what each gave: "index", "nprobe" or "efSearch",
        "candidates", "recall", and "work", the nanoseconds of a query by counted steps; drawn by
        `scalekern.report.tuning.TuningDisplay`.
    tuned_ : dict
        That of the settings taken.
    report_ : dict

    Raises
    ------
    InvalidInputError, UnsupportedError
        For bad values of parameters or data.

    Examples
    --------
    >>> from scalekern import KNeighborsRegressor
    >>> model = KNeighborsRegressor(2).fit([[0.0], [1.0], [5.0]], [1.0, 3.0, 9.0])
    >>> model.predict([[0.4]]).tolist()
    [2.0]
    >>> distances, rows = model.kneighbors([[0.4]])
    >>> distances.round(6).tolist(), rows.tolist()
    ([[0.4, 0.6]], [[0, 1]])
    >>> model.kneighbors_graph([[0.4]]).toarray().tolist()
    [[1.0, 1.0, 0.0]]
    >>> distances, rows = model.radius_neighbors([[0.4]], radius=0.5)
    >>> rows[0].tolist(), model.radius_neighbors_graph([[0.4]], radius=0.5).toarray().tolist()
    ([0], [[1.0, 0.0, 0.0]])
    """

    _own_names = ("target_is_vector_",)
    _own_arrays = ("y_",)

    def fit(self, X: Any, y: Any = None) -> KNeighborsRegressor:
        """Build the index.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target.

        Returns
        -------
        self
        """
        source = fit_source(self, X, y, objects=takes_objects(self.metric))
        self.y_ = self._fit_index(source)
        self.target_is_vector_ = source.target_is_vector
        return self

    @lazy_on_dask
    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions for rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        float64 array of shape (n,) or (n, n_outputs)
        """
        check_is_fitted(self)
        source = predict_source(self, X, objects=takes_objects(self.metric))
        out = np.empty((source.n_rows, self.y_.shape[1]))

        def write(block: Block, part: np.ndarray) -> None:
            out[block.start : block.start + len(block)] = part

        self.predict_blocks(source, write)
        return out[:, 0] if self.target_is_vector_ else out

    def predict_blocks(
        self, source: RowSource, sink: Callable[[Block, np.ndarray], None], what: str = "predicting"
    ) -> None:
        """Give `sink` each block and its predictions of shape (rows, n_outputs), in order."""
        check_is_fitted(self)
        source = predict_source(self, source, objects=takes_objects(self.metric))

        def mean(distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
            weights, safe = self._weighted(distances, indices)
            means = np.einsum("qk,qkt->qt", weights, self.y_[safe])
            means[(indices < 0).all(axis=1)] = self.y_.mean(axis=0)
            return means

        self._map_weighted(source, mean, sink, what)

    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        means = np.einsum("qk,qkt->qt", weights, targets)
        return np.square(means - truth).mean(axis=1)

    def _target_mean(self) -> np.ndarray:
        return np.asarray(self.y_.mean(axis=0))

    def _targets(self) -> np.ndarray:
        return self.y_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@storable
class KNeighborsClassifier(ClassifierMixin, WeighedNeighbors):
    """Predict by the weighted vote of the nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default=5
    weights : {"uniform", "distance", "kernel"} or callable, default="uniform"
        Equal weights; 1 / distance, where rows at distance 0 outweigh all others; a Gaussian of the
        distance whose bandwidth is half of that to the last neighbour (Nadaraya-Watson); or a
        function of an array of distances that returns an array of weights.
    metric : str or callable, default="euclidean"
        "euclidean", "cosine", "inner_product" (the largest are nearest, their "distances" are minus
        the products), a name that `scipy.spatial.distance.cdist` knows, "levenshtein" for texts, or
        a function of two objects of any kind.
    algorithm : str, default="auto"
        "auto", "brute", "kd_tree", "hnsw" (a graph), "ivf", "ivfsq", "ivfpq" (lists of rows, of
        byte codes, of four-bit codes), or a FAISS factory string. "auto" is exact in few columns
        and for few rows, else what reaches the target at the least counted work; `report_` says
        which.
    target_recall : float, default=0.95
        What share of the true neighbours an approximate index must find; 1.0 means exact.
    target_error : float or None, default=None
        Tune an approximate index to the error of its predictions instead: on training rows left
        out, it may exceed that with exact neighbours by this share (0.01: by 1%).
    expected_queries : int or None, default=None
        For "auto": so few are answered by a scan, where building an index costs more. None is many.
    search_parameters : dict or None, default=None
        "nprobe" or "efSearch", and "candidates" for each neighbour where rows are coded, as given
        and not tuned.
    index_path : path or None, default=None
        A folder to build the index in, for rows beyond memory: `fit` reads them once, block by
        block, and maps them from there. It must be new, or hold what an earlier fit on the same
        rows left there: an unfinished index is taken up, a finished one is used as it is.
    random_state : int, RandomState or None, default=None
        The same seed gives the same index. Without one "hnsw" is built on all threads, which is
        faster and comes out a little different each time.
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    recall_ : float
        Measured in `fit`, at `n_neighbors`; 1.0 for exact indices.
    index_description_ : str
    tuning_ : list of dict
        The settings that were tried, and what each gave: "index", "nprobe" or "efSearch",
        "candidates", "recall", and "work", the nanoseconds of a query by counted steps; drawn by
        `scalekern.report.tuning.TuningDisplay`.
    tuned_ : dict
        That of the settings taken.
    report_ : dict

    Raises
    ------
    InvalidInputError, UnsupportedError
        For bad values of parameters or data.

    Examples
    --------
    >>> from scalekern import KNeighborsClassifier
    >>> model = KNeighborsClassifier(2).fit([[0.0], [1.0], [5.0]], ["a", "a", "b"])
    >>> model.predict([[0.4]]).tolist(), model.predict_proba([[4.0]]).tolist()
    (['a'], [[0.5, 0.5]])
    """

    _own_names = ()
    _own_arrays = ("y_", "classes_")

    def fit(self, X: Any, y: Any = None) -> KNeighborsClassifier:
        """Build the index.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,)
            Labels; left out where X is rows that carry their target.

        Returns
        -------
        self
        """
        objects = takes_objects(self.metric)
        if isinstance(X, RowSource) or y is None:
            source = fit_source(self, X, y, objects=objects)
            labels = self._fit_index(source)
            self.classes_, self.y_ = np.unique(labels[:, 0], return_inverse=True)
            return self
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_classification_targets(labels)
        self.classes_, encoded = np.unique(labels, return_inverse=True)
        self.y_ = self._fit_index(fit_source(self, X, encoded, objects=objects))[:, 0].astype(int)
        return self

    @lazy_on_dask
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return each class's share of the votes.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        float64 array of shape (n, n_classes)
        """
        check_is_fitted(self)
        source = predict_source(self, X, objects=takes_objects(self.metric))
        out = np.empty((source.n_rows, len(self.classes_)))

        def write(block: Block, part: np.ndarray) -> None:
            out[block.start : block.start + len(block)] = part

        self._map_weighted(source, self._votes, write, "predicting")
        return out

    def _votes(self, distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
        weights, safe = self._weighted(distances, indices)
        votes = np.zeros((len(weights), len(self.classes_)))
        queries = np.arange(len(weights))
        labels = self.y_[safe]
        for j in range(weights.shape[1]):
            votes[queries, labels[:, j]] += weights[:, j]
        votes[(indices < 0).all(axis=1)] = np.bincount(self.y_) / len(self.y_)
        return votes

    @lazy_on_dask
    def predict(self, X: Any) -> np.ndarray:
        """Return the class with most votes; of equals the first in `classes_`.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        array of shape (n,), of the type of the labels
        """
        return self._winner(self.predict_proba(X))

    def _winner(self, votes: np.ndarray) -> np.ndarray:
        # Weights of equal votes differ by rounding; the first class must win a tie all the same.
        return self.classes_[np.argmax(np.round(votes, 12), axis=1)]

    def predict_blocks(
        self, source: RowSource, sink: Callable[[Block, np.ndarray], None], what: str = "predicting"
    ) -> None:
        """Give `sink` each block of rows and its labels, of shape (rows, 1), in order."""
        check_is_fitted(self)
        source = predict_source(self, source, objects=takes_objects(self.metric))

        def labels(distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
            return self._winner(self._votes(distances, indices))[:, None]

        self._map_weighted(source, labels, sink, what)

    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        classes = np.unique(np.concatenate([truth.ravel(), targets.ravel()]))
        votes = [(weights * (targets[:, :, 0] == one)).sum(axis=1) for one in classes]
        # As in `predict`: the first of equals wins, and equal means but for rounding.
        winner = classes[np.argmax(np.round(votes, 12), axis=0)]
        return (winner != truth[:, 0]).astype(np.float64)

    def _target_mean(self) -> np.ndarray:
        return np.bincount(self.y_, minlength=len(self.classes_)) / len(self.y_)

    def _targets(self) -> np.ndarray:
        return np.asarray(self.classes_[self.y_][:, None])

    def _explanation(
        self, found: Candidates, baseline: np.ndarray, source: RowSource
    ) -> Explanation:
        return Explanation(
            found.row_id,
            found.weight,
            found.similarity,
            found.target[:, :, 0],
            baseline,
            self.predict_proba(source),
            self.classes_,
            np.array([[0.0], [1.0]]).repeat(len(self.classes_), axis=1),
            "share of votes",
        )
