"""What both k-NN estimators share: the index, its recall, and how much each neighbour weighs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import ThreadEngine
from scalekern.engine.limits import resolve_threads
from scalekern.errors import InvalidInputError
from scalekern.estimators.explaining import Explains
from scalekern.estimators.explanation import Candidates
from scalekern.estimators.fitting import GatheredRows, gather
from scalekern.estimators.intervals import RESIDUALS
from scalekern.estimators.neighbor_graphs import NeighborGraphs
from scalekern.estimators.weighing import Sink, Weigher, kept_ids
from scalekern.features.parameters import check_integer, seed_of
from scalekern.neighbors import NeighborIndex, build_index, index_from_state, takes_objects
from scalekern.neighbors.tune import Losses
from scalekern.rows import ArraySource, Block, RowSource, source_of
from scalekern.rows.base import stack_rows
from scalekern.rows.validate import predict_source

WEIGHTS = ("uniform", "distance", "kernel")
FEWEST_QUERY_ROWS, QUERY_ROWS = 256, 4_096
OPTIONAL_ARRAYS = ("explain_ids_", RESIDUALS)


class Neighbors(NeighborGraphs, Explains, BaseEstimator):
    """What both estimators share: the index, its recall, and weighted neighbours."""

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        weights: Any = "uniform",
        metric: Any = "euclidean",
        algorithm: str = "auto",
        target_recall: float = 0.95,
        target_error: float | None = None,
        expected_queries: int | None = None,
        search_parameters: dict[str, int] | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.metric = metric
        self.algorithm = algorithm
        self.target_recall = target_recall
        self.target_error = target_error
        self.expected_queries = expected_queries
        self.search_parameters = search_parameters
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit_index(self, source: RowSource) -> np.ndarray:
        """Build the index over the rows and return their targets."""
        k = check_integer("n_neighbors", self.n_neighbors)
        named = isinstance(self.weights, str) and self.weights in WEIGHTS
        if not (callable(self.weights) or named):
            raise InvalidInputError(
                f"weights={self.weights!r}; use 'uniform', 'distance', 'kernel' or a function of "
                "distances"
            )
        if source.has_weight:
            raise InvalidInputError("k-NN takes no sample weights; leave weight=... out of rows()")
        if k > source.n_rows:
            raise InvalidInputError(
                f"n_neighbors={k} but n_samples={source.n_rows}; ask for fewer neighbours"
            )
        rows = gather(source) if source.n_outputs else _gather_rows(source)
        for name in OPTIONAL_ARRAYS:
            self.__dict__.pop(name, None)
        for name, ids in kept_ids(rows.ids).items():
            setattr(self, name, ids)
        X = rows.X.toarray() if hasattr(rows.X, "toarray") else rows.X
        built = build_index(
            X,
            metric=self.metric,
            algorithm=self.algorithm,
            target_recall=self.target_recall,
            target_error=self.target_error,
            losses=None if self.target_error is None else self._losses(rows.y),
            n_neighbors=k,
            expected_queries=self._expected_queries(),
            search_parameters=self.search_parameters,
            seed=seed_of(self.random_state),
            n_jobs=self.n_jobs,
            graph_threads=self._graph_threads(),
        )
        self._index: NeighborIndex = built.index
        self.recall_, self.index_description_ = built.recall, built.description
        self.tuning_, self.tuned_ = built.tuning, built.tuned
        self.n_samples_fit_ = source.n_rows
        self.report_ = {
            "index": built.description,
            "exact": built.index.exact,
            "recall": built.recall,
            "rows": source.n_rows,
        }
        return rows.y

    def _expected_queries(self) -> int | None:
        if self.expected_queries is None:
            return None
        return check_integer("expected_queries", self.expected_queries)

    def _graph_threads(self) -> int:
        """Return the threads to build a graph on: a seed asks for the same one every time."""
        return resolve_threads(self.n_jobs) if self.random_state is None else 1

    def _losses(self, y: np.ndarray) -> Losses:
        """Return the function from rows and their neighbours to the errors of predictions."""

        def losses(rows: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
            weights, safe = self._weighted(distances, indices)
            return self._loss(y[rows], y[safe], weights)

        return losses

    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the error of each row's prediction.

        From its target (q, n_outputs), the targets of its neighbours (q, k, n_outputs) and their
        weights (q, k).
        """
        raise NotImplementedError

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the nearest training rows of each row.

        Parameters
        ----------
        X : array, frame or rows of shape (n, d), or objects; None, default
            None asks for each training row's neighbours other than itself.
        n_neighbors : int, default=None
            As in the constructor if None.
        return_distance : bool, default=True

        Returns
        -------
        distances : float64 array of shape (n, n_neighbors)
            True (not squared) distances, ascending; left out if `return_distance` is False.
        indices : int64 array of shape (n, n_neighbors)
            Numbers of training rows; -1, at distance inf, where fewer were found.
        """
        check_is_fitted(self)
        k = check_integer("n_neighbors", self.n_neighbors if n_neighbors is None else n_neighbors)
        least = self.n_samples_fit_ - (X is None)
        if k > least:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {self.n_samples_fit_}"
            )
        if X is None:
            distances, indices = _without_self(*self._search_all(k + 1))
        else:
            distances, indices = self._search(X, k)
        return (distances, indices) if return_distance else indices

    def _search_all(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self._found(source_of(self._index.rows), k)

    def _search(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self._found(predict_source(self, X, objects=takes_objects(self.metric)), k)

    def _found(self, source: RowSource, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances = np.empty((source.n_rows, k))
        indices = np.empty((source.n_rows, k), dtype=np.int64)

        def write(block: Block, found: tuple[np.ndarray, np.ndarray]) -> None:
            rows = slice(block.start, block.start + len(block))
            distances[rows], indices[rows] = found

        self._map_neighbors(source, k, lambda d, i: (d, i), write)
        return distances, indices

    def _map_neighbors(
        self,
        source: RowSource,
        k: int,
        function: Callable[[np.ndarray, np.ndarray], Any],
        sink: Callable[[Block, Any], None],
        what: str = "searching neighbours",
        *,
        exact: bool = True,
    ) -> None:
        """Search block by block; only what `function` makes of the neighbours is kept.

        Where exact distances are not needed, those of neighbours found are 1.
        """

        def of_block(block: Block) -> Any:
            X = block.X.toarray() if hasattr(block.X, "toarray") else block.X
            if not exact:
                numbers = self._index.nearest(X, k)
                return function(np.where(numbers < 0, np.inf, 1.0), numbers)
            return function(*self._index.search(X, k))

        engine = ThreadEngine(self.n_jobs)
        size = query_rows(source.n_rows, engine.n_threads)
        engine.map_blocks(source, of_block, sink, what, size)

    def _map_weighted(
        self,
        source: RowSource,
        function: Callable[[np.ndarray, np.ndarray], Any],
        sink: Callable[[Block, Any], None],
        what: str,
    ) -> None:
        """Search block by block for predictions, which need no distances if all weigh the same."""
        uniform = isinstance(self.weights, str) and self.weights == "uniform"
        self._map_neighbors(source, self.n_neighbors, function, sink, what, exact=not uniform)

    def _weighted(
        self, distances: np.ndarray, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weights that add up to 1 for each query, and indices safe to gather with.

        What was not found weighs nothing, so that row -1 never enters a mean.
        """
        found = indices >= 0
        weights = neighbor_weights(self.weights, distances, found)
        total = weights.sum(axis=1, keepdims=True)
        lost = total[:, 0] <= 0
        if lost.any():
            weights[lost] = found[lost]
            total[lost] = np.maximum(found[lost].sum(axis=1, keepdims=True), 1)
        return weights / total, np.where(found, indices, 0)

    def _takes_objects(self) -> bool:
        return callable(self.metric)

    def _target_mean(self) -> np.ndarray:
        """Return what is predicted without neighbours, shape (n_outputs,) or (n_classes,)."""
        raise NotImplementedError

    def _targets(self) -> np.ndarray:
        """Return the targets or labels of the training rows, shape (n, n_outputs)."""
        raise NotImplementedError

    def _weigher(self, rows: RowSource | None) -> Weigher:
        del rows
        return NeighborWeigher(self)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text = super().__repr__(N_CHAR_MAX)
        if hasattr(self, "report_") and not self.report_["exact"]:
            return f"{text}  # approximate, recall {self.recall_:.3f}"
        return text

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        meta, arrays = self._index.state()
        names = (
            "recall_",
            "index_description_",
            "tuning_",
            "tuned_",
            "n_samples_fit_",
            "report_",
        )
        own = {name: getattr(self, name) for name in (*names, *self._own_names)}
        optional = [name for name in OPTIONAL_ARRAYS if hasattr(self, name)]
        targets = {name: getattr(self, name) for name in (*self._own_arrays, *optional)}
        return own | {"index": meta}, targets | {f"index-{k}": v for k, v in arrays.items()}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        start = "index-"
        parts = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
        index_meta = meta.pop("index")
        function = self.metric if callable(self.metric) else None
        self._index = index_from_state(index_meta, parts, function)
        for name, value in meta.items():
            setattr(self, name, value)
        for name in (*self._own_arrays, *(set(OPTIONAL_ARRAYS) & set(arrays))):
            setattr(self, name, arrays[name])

    _own_names: tuple[str, ...] = ()
    _own_arrays: tuple[str, ...] = ()


class NeighborWeigher(Weigher):
    """The neighbours themselves, with the weights that the prediction gives them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.baseline, self.n_rows = model._target_mean(), model.n_neighbors  # noqa: SLF001

    def weigh(self, X: Any, engine: ThreadEngine, sink: Sink) -> None:
        """Give the neighbours of each query, the nearest first."""
        del engine
        model = self._model
        distances, indices = model._found(ArraySource(X), model.n_neighbors)  # noqa: SLF001
        weight, safe = model._weighted(distances, indices)  # noqa: SLF001
        ids = np.asarray(getattr(model, "explain_ids_", np.arange(model.n_samples_fit_)))
        none = -1 if ids.dtype.kind in "iu" else ""
        row_id = np.where(indices >= 0, ids[safe], none)
        target = model._targets()[safe]  # noqa: SLF001
        sink(Candidates(row_id, weight, 1.0 / (1.0 + distances), target))


def neighbor_weights(weights: Any, distances: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the weight of each neighbour, shape as `distances`, not yet adding up to 1.

    Those that were not `found` weigh nothing.
    """
    if callable(weights):
        with np.errstate(divide="ignore", invalid="ignore"):
            given = np.asarray(weights(distances), dtype=np.float64)
        if given.shape != distances.shape:
            raise InvalidInputError(
                f"weights returned shape {given.shape} for distances of shape {distances.shape}"
            )
        given = np.where(found, given, 0.0)
        bad = ~(np.isfinite(given) & (given >= 0))
        if bad.any():
            raise InvalidInputError(
                f"weights returned {given[bad][0]} for the distance {distances[bad][0]}; it must "
                "return finite numbers of at least 0 (for 1 / distance use weights='distance')"
            )
        return given
    if weights == "uniform":
        return found.astype(np.float64)
    if weights == "kernel":
        return kernel_weights(distances, found)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = 1.0 / distances
    at_zero = np.isinf(inverse)
    return np.where(at_zero.any(axis=1, keepdims=True), at_zero, inverse)


def _gather_rows(source: RowSource) -> GatheredRows:
    """Read all rows that have no target."""
    blocks = list(source.blocks(max(1, source.n_rows)))
    X, ids = stack_rows([block.X for block in blocks]), np.concatenate([b.ids for b in blocks])
    n = source.n_rows
    return GatheredRows(X, np.zeros((n, 0)), np.ones(n), np.arange(n), ids)


def kernel_weights(distances: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return Gaussian weights exp(-2 d^2 / r^2), r the distance to the last neighbour found.

    So the bandwidth of each query is half of its radius, and the last neighbour weighs 0.14 of one
    at distance 0: Nadaraya and Watson's estimator with a bandwidth that follows the density.
    """
    radius = np.where(found, distances, 0.0).max(axis=1, keepdims=True)
    share = np.divide(distances, radius, out=np.zeros_like(distances), where=radius > 0)
    return np.where(found, np.exp(-2.0 * np.where(found, share, 0.0) ** 2), 0.0)


def query_rows(n_rows: int, n_threads: int) -> int:
    """Return the queries of a block: the same number for each thread, from 256 up to 4,096.

    The neighbours of a query do not depend on its block.
    """
    rounds = -(-n_rows // (QUERY_ROWS * n_threads))
    return max(FEWEST_QUERY_ROWS, -(-n_rows // (rounds * n_threads)))


def _without_self(distances: np.ndarray, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leave each row out of its own neighbours; the last one where it is not among them."""
    own = indices == np.arange(len(indices))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(indices), indices.shape[1] - 1)
    return distances[~own].reshape(shape), indices[~own].reshape(shape)
