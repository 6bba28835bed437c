"""k-nearest neighbours: weighted means and votes over what an index finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.explanation import Candidates, Explanation
from scalekern.engine.lazy import lazy_on_dask
from scalekern.engine.progress import whole
from scalekern.errors import InvalidInputError
from scalekern.estimators.explaining import check_output
from scalekern.estimators.intervals import SplitConformal
from scalekern.estimators.label_columns import (
    Classes,
    decoded,
    encoded,
    label_matrix,
    parts_of,
    shares,
    vote,
    winners,
)
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.estimators.own_targets import ScoresRows
from scalekern.neighbors import takes_objects
from scalekern.rows import Block, RowSource
from scalekern.rows.base import into
from scalekern.rows.validate import fit_source, predict_source
from scalekern.storage import storable


@storable
class KNeighborsRegressor(SplitConformal, ScoresRows, RegressorMixin, WeighedNeighbors):
    """Predict the weighted mean of the targets of the nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbours a prediction is made from.
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
        The index that was built, in words.
    tuning_ : list of dict
        The settings that were tried, and what each gave: "index", "nprobe" or "efSearch",
        "candidates", "recall", and "work", the nanoseconds of a query by counted steps; drawn by
        `scalekern.report.tuning.TuningDisplay`.
    tuned_ : dict
        The entry of `tuning_` that was taken.
    report_ : dict
        What ran and why.

    Raises
    ------
    InvalidInputError, UnsupportedError
        If a parameter has a bad value, or the data have missing or infinite values; the message
        says which.

    References
    ----------
    Cover and Hart (1967), Nearest neighbor pattern classification; Malkov and Yashunin (2020),
    Efficient and robust approximate nearest neighbor search using hierarchical navigable small
    world graphs ("hnsw"); Jégou, Douze and Schmid (2011), Product quantization for nearest neighbor
    search ("ivfpq").

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

    @whole("fitting")
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
        self.predict_blocks(source, into(out))
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
            lost = (indices < 0).all(axis=1)
            if lost.any():
                means[lost] = self._target_mean()
            return means

        self._map_weighted(source, mean, sink, what)

    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        means = np.einsum("qk,qkt->qt", weights, targets)
        return np.square(means - truth).mean(axis=1)

    def _target_mean(self) -> np.ndarray:
        return np.asarray(self.y_[self._there()].mean(axis=0))

    def _targets(self) -> np.ndarray:
        return self.y_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@storable
class KNeighborsClassifier(ScoresRows, ClassifierMixin, WeighedNeighbors):
    """Predict by the weighted vote of the nearest training rows.

    Parameters
    ----------
    n_neighbors : int, default=5
        How many neighbours a prediction is made from.
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
    classes_ : array of shape (n_classes,), or a list of them for several outputs
    recall_ : float
        Measured in `fit`, at `n_neighbors`; 1.0 for exact indices.
    index_description_ : str
        The index that was built, in words.
    tuning_ : list of dict
        The settings that were tried, and what each gave: "index", "nprobe" or "efSearch",
        "candidates", "recall", and "work", the nanoseconds of a query by counted steps; drawn by
        `scalekern.report.tuning.TuningDisplay`.
    tuned_ : dict
        The entry of `tuning_` that was taken.
    report_ : dict
        What ran and why.

    Raises
    ------
    InvalidInputError, UnsupportedError
        If a parameter has a bad value, or the data have missing or infinite values; the message
        says which.

    References
    ----------
    Cover and Hart (1967), Nearest neighbor pattern classification; Malkov and Yashunin (2020),
    Efficient and robust approximate nearest neighbor search using hierarchical navigable small
    world graphs ("hnsw"); Jégou, Douze and Schmid (2011), Product quantization for nearest neighbor
    search ("ivfpq").

    Examples
    --------
    >>> from scalekern import KNeighborsClassifier
    >>> model = KNeighborsClassifier(2).fit([[0.0], [1.0], [5.0]], ["a", "a", "b"])
    >>> model.predict([[0.4]]).tolist(), model.predict_proba([[4.0]]).tolist()
    (['a'], [[0.5, 0.5]])
    """

    _own_names = ("outputs_2d_",)
    _own_arrays = ("y_",)

    @whole("fitting")
    def fit(self, X: Any, y: Any = None) -> KNeighborsClassifier:
        """Build the index.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,) or (n, n_outputs)
            Labels of one output, or of several, predicted from the same neighbours; left out where
            X is rows that carry their target.

        Returns
        -------
        self
        """
        objects = takes_objects(self.metric)
        if isinstance(X, RowSource) or y is None:
            labels = self._fit_index(fit_source(self, X, y, objects=objects))
            self._take_labels(*encoded(labels), several=labels.shape[1] > 1)
            return self
        labels, several = label_matrix(y)
        classes, codes = encoded(labels)
        source = fit_source(self, X, codes if several else codes[:, 0], objects=objects)
        self._take_labels(classes, self._fit_index(source).astype(int), several=several)
        return self

    def _take_labels(self, classes: Classes, codes: np.ndarray, *, several: bool) -> None:
        self.outputs_2d_ = several
        self.classes_ = classes if several else classes[0]
        self.y_ = codes if several else codes[:, 0]

    @property
    def _columns(self) -> Classes:
        """The classes of each column of labels."""
        return self.classes_ if isinstance(self.classes_, list) else [self.classes_]

    @property
    def _codes(self) -> np.ndarray:
        """The labels of the training rows by their numbers, (n, n_outputs)."""
        return self.y_.reshape(len(self.y_), -1)

    @lazy_on_dask
    def predict_proba(self, X: Any) -> Any:
        """Return each class's share of the votes.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        float64 array of shape (n, n_classes), or a list of them, one for each output
        """
        votes = self._all_votes(X)
        return parts_of(votes, self._columns) if self.outputs_2d_ else votes

    def _all_votes(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        source = predict_source(self, X, objects=takes_objects(self.metric))
        out = np.empty((source.n_rows, sum(map(len, self._columns))))
        self._map_weighted(source, self._votes, into(out), "predicting")
        return out

    def _votes(self, distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
        weights, safe = self._weighted(distances, indices)
        votes = vote(weights, self._codes[safe], self._columns)
        lost = (indices < 0).all(axis=1)
        if lost.any():
            votes[lost] = self._target_mean()
        return votes

    @lazy_on_dask
    def predict(self, X: Any) -> np.ndarray:
        """Return the class with most votes; of equals the first in `classes_`.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        array of shape (n,) or (n, n_outputs), of the type of the labels
        """
        labels = winners(self._all_votes(X), self._columns)
        return labels if self.outputs_2d_ else labels[:, 0]

    def predict_blocks(
        self, source: RowSource, sink: Callable[[Block, np.ndarray], None], what: str = "predicting"
    ) -> None:
        """Give `sink` each block of rows and its labels, of shape (rows, n_outputs), in order."""
        check_is_fitted(self)
        source = predict_source(self, source, objects=takes_objects(self.metric))

        def labels(distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
            return winners(self._votes(distances, indices), self._columns)

        self._map_weighted(source, labels, sink, what)

    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        wrong = []
        for own, near in zip(truth.T, np.moveaxis(targets, 2, 0), strict=True):
            classes = np.unique(np.concatenate([own, near.ravel()]))
            votes = np.column_stack([(weights * (near == one)).sum(axis=1) for one in classes])
            wrong.append(winners(votes, [classes])[:, 0] != own)
        return np.asarray(np.mean(wrong, axis=0, dtype=np.float64))

    def _target_mean(self) -> np.ndarray:
        return shares(self._codes[self._there()], self._columns)

    def _targets_to_add(self, y: Any) -> tuple[Any, np.ndarray | None]:
        if y is None:
            return None, None
        labels, _ = label_matrix(y)
        outputs = len(self._columns)
        if labels.shape[1] != outputs:
            raise InvalidInputError(
                f"y has {labels.shape[1]} columns of labels, and the model predicts {outputs}"
            )
        return np.zeros(len(labels)), labels

    def _add_targets(self, y: np.ndarray) -> None:
        together = np.concatenate([self._targets(), y])
        self._take_labels(*encoded(together), several=self.outputs_2d_)

    def _targets(self) -> np.ndarray:
        return decoded(self._codes, self._columns)

    def _explanation(
        self, found: Candidates, baseline: np.ndarray, source: RowSource, output: int | None
    ) -> Explanation:
        check_output(output, len(self._columns))
        if output is None and len(self._columns) > 1:
            raise InvalidInputError(
                f"this classifier has {len(self._columns)} outputs; name the one to explain, such "
                "as explain(X, output=0)"
            )
        one = output or 0
        classes = self._columns[one]
        return Explanation(
            found.row_id,
            found.weight,
            found.similarity,
            found.target[:, :, one],
            parts_of(baseline[None], self._columns)[one][0],
            parts_of(self._all_votes(source), self._columns)[one],
            classes,
            np.array([[0.0], [1.0]]).repeat(len(classes), axis=1),
            "share of votes",
        )

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        meta, arrays = super().fitted_state()
        return meta, arrays | {f"classes-{j}": own for j, own in enumerate(self._columns)}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave; before several outputs it was `classes_`."""
        super().restore_state(meta, arrays)
        if "classes_" in arrays:
            self.outputs_2d_, self.classes_ = False, arrays["classes_"]
            return
        columns = [arrays[f"classes-{j}"] for j in range(self._codes.shape[1])]
        self.classes_ = columns if self.outputs_2d_ else columns[0]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
