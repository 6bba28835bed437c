"""How much each neighbour weighs in a prediction, and so in its explanation."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.approximations.explanation import Candidates, named_rows
from scalekern.approximations.weighers import Sink, Weigher
from scalekern.engine import Engine
from scalekern.errors import InvalidInputError
from scalekern.estimators.explaining import Explains
from scalekern.estimators.neighbor_changes import ChangingRows
from scalekern.estimators.neighbor_search import NeighborSearch
from scalekern.features.parameters import check_integer
from scalekern.neighbors.trial import Losses
from scalekern.rows import ArraySource, Block, RowSource

WEIGHTS = ("uniform", "distance", "kernel")


class WeighedNeighbors(ChangingRows, NeighborSearch, Explains):
    """What the regressor and the classifier share: neighbours with weights."""

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
        index_path: str | os.PathLike[str] | None = None,
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
        self.index_path = index_path
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit_index(self, source: RowSource) -> np.ndarray:
        named = isinstance(self.weights, str) and self.weights in WEIGHTS
        if not (callable(self.weights) or named):
            raise InvalidInputError(
                f"weights={self.weights!r}; use 'uniform', 'distance', 'kernel' or a function of "
                "distances"
            )
        if self.metric == "inner_product" and self.weights in ("distance", "kernel"):
            raise InvalidInputError(
                f"weights={self.weights!r} needs distances, and metric='inner_product' gives "
                "minus the products, which may be below 0; use 'uniform', or a function of them"
            )
        return super()._fit_index(source)

    def _goal(self, y: np.ndarray) -> dict[str, Any]:
        if self.target_error is None:
            return {}
        return {"target_error": self.target_error, "losses": self._losses(y)}

    def _goal_on_disk(self) -> dict[str, Any]:
        if self.target_error is None:
            return {}
        return {"target_error": self.target_error, "losses": self._losses}

    def _losses(self, y: np.ndarray) -> Losses:
        """Return the function from rows and their neighbours to the errors of predictions."""

        def losses(rows: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> np.ndarray:
            weights, safe = self._weighted(distances, indices)
            return self._loss(y[rows], y[safe], weights)

        return losses

    @abstractmethod
    def _loss(self, truth: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the error of each row's prediction.

        From its target (q, n_outputs), the targets of its neighbours (q, k, n_outputs) and their
        weights (q, k).
        """

    def _map_weighted(
        self,
        source: RowSource,
        function: Callable[[np.ndarray, np.ndarray], Any],
        sink: Callable[[Block, Any], None],
        what: str,
    ) -> None:
        """Search block by block for predictions, which need no distances if all weigh the same."""
        uniform = isinstance(self.weights, str) and self.weights == "uniform"
        self._map_neighbors(source, self._k(), function, sink, what, exact=not uniform)

    def _k(self) -> int:
        """Return how many neighbours to ask for, which may have been set after the fit."""
        k = check_integer("n_neighbors", self.n_neighbors)
        if k > self.n_samples_fit_:
            raise InvalidInputError(
                f"n_neighbors={k} but n_samples={self.n_samples_fit_}; ask for fewer neighbours"
            )
        return k

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

    @abstractmethod
    def _target_mean(self) -> np.ndarray:
        """Return what is predicted without neighbours, shape (n_outputs,) or (n_classes,)."""

    @abstractmethod
    def _targets(self) -> np.ndarray:
        """Return the targets or labels of the training rows, shape (n, n_outputs)."""

    def _weigher(self, rows: RowSource | None) -> Weigher:
        del rows
        return NeighborWeigher(self)


class NeighborWeigher(Weigher):
    """The neighbours themselves, with the weights that the prediction gives them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.baseline, self.n_rows = model._target_mean(), model._k()  # noqa: SLF001

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give the neighbours of each query, the nearest first."""
        del engine
        model = self._model
        distances, indices = model._found(ArraySource(X), self.n_rows)  # noqa: SLF001
        weight, safe = model._weighted(distances, indices)  # noqa: SLF001
        ids = getattr(model, "explain_ids_", np.arange(model.n_samples_fit_))
        row_id = named_rows(ids, indices)
        target = model._targets()[safe]  # noqa: SLF001
        products = model.metric == "inner_product"
        similarity = -distances if products else 1.0 / (1.0 + distances)
        sink(Candidates(row_id, weight, similarity, target))


def neighbor_weights(weights: Any, distances: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return the weight of each neighbour, shape as `distances`, not yet adding up to 1.

    Those that were not `found` weigh nothing.
    """
    if callable(weights):
        with np.errstate(divide="ignore", invalid="ignore"):
            given = np.asarray(weights(distances), dtype=np.float64)
        if given.shape != distances.shape:
            raise InvalidInputError(
                f"the function weights returned shape {given.shape} for distances of shape "
                f"{distances.shape}; it must return the same shape"
            )
        given = np.where(found, given, 0.0)
        bad = ~(np.isfinite(given) & (given >= 0))
        if bad.any():
            raise InvalidInputError(
                f"the function weights returned {given[bad][0]} for the distance "
                f"{distances[bad][0]}; it must return finite numbers of at least 0 (for 1 / "
                "distance use weights='distance')"
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


def kernel_weights(distances: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return Gaussian weights exp(-2 d^2 / r^2), r the distance to the last neighbour found.

    So the bandwidth of each query is half of its radius, and the last neighbour weighs 0.14 of one
    at distance 0: Nadaraya and Watson's estimator with a bandwidth that follows the density.
    """
    radius = np.where(found, distances, 0.0).max(axis=1, keepdims=True)
    share = np.divide(distances, radius, out=np.zeros_like(distances), where=radius > 0)
    return np.where(found, np.exp(-2.0 * np.where(found, share, 0.0) ** 2), 0.0)
