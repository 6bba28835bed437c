"""How much each training row weighs in a prediction: for exact models, for models on features.

A ridge model is a linear smoother, and its weights come from the same system as its coefficients,
with the query in place of the targets; see `solvers.smoother`. `explain_arrays` says what of it a
model keeps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.approximations.explain_arrays import kept_sample, require_kept
from scalekern.approximations.explanation import Candidates
from scalekern.approximations.whole_gram import gram_matrix, most_rank
from scalekern.engine import Engine, require_memory
from scalekern.engine.plan import TILE_ROWS
from scalekern.errors import InvalidInputError
from scalekern.kernels import Precomputed
from scalekern.kernels.precomputed import training_gram
from scalekern.rows import Block, RowSource
from scalekern.rows.base import slice_rows
from scalekern.solvers import AlphaRule, solve_exact

Map = Callable[[Any], np.ndarray]
Sink = Callable[[Candidates], None]


class Weigher(ABC):
    """Finds the weights of training rows in predictions."""

    baseline: np.ndarray
    n_rows: int

    @abstractmethod
    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give `sink` training rows and their weights for the queries X, part by part."""


class ExactWeigher(Weigher):
    """All training rows of an exact model: its system is solved for k(x) in place of y."""

    def __init__(self, model: Any, rows: RowSource | None = None) -> None:
        require_kept(model)
        self._model, self._rows = model, rows
        self.baseline, self.n_rows = model.explain_baseline_, len(model.explain_targets_)

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give all rows at once."""
        model, n = self._model, self.n_rows
        require_memory(
            4 * 8 * n * n,
            f"explaining an exact model of {n} rows",
            "fit with approximation='nystroem'",
        )
        w = np.asarray(getattr(model, "explain_weights_", np.ones(n)))
        share = float(model.explain_share_) * w
        K = self._gram(engine)
        k = np.asarray(model.kernel_.columns(model.landmarks_, np.float64)(X))
        # The same way through the solver as in fit, be it clipped, jittered or pseudo-inverse.
        iterated = model.report_["solver"] == "cg"
        rule = "loo" if hasattr(model, "alphas_") and not iterated else "fixed"
        solution = solve_exact(
            K,
            (k - K @ share).T,
            w,
            AlphaRule(rule, np.array([model.alpha_])),  # type: ignore[arg-type]
            solver="cholesky" if iterated else model.report_["solver"],
            fit_intercept=bool(model.explain_share_ > 0),
            positive_definite=model.kernel_.positive_definite,
            rank=most_rank(model.kernel_, model.landmarks_),
        )
        ids = getattr(model, "explain_ids_", np.arange(n))
        sink(_shared(ids, solution.coef.T + share, k, model.explain_targets_))

    def _gram(self, engine: Engine) -> np.ndarray:
        model = self._model
        if not isinstance(model.kernel_, Precomputed):
            return gram_matrix(engine, model.kernel_, model.landmarks_)
        if self._rows is None:
            raise InvalidInputError(
                "the model does not keep the similarities of the training rows to each other; pass "
                "them and the target as in fit: explain(X, rows=(K, y))"
            )
        K = self._rows.take(model.landmarks_)
        return training_gram(K, np.asarray(model.landmarks_), self._rows.n_rows)


class FeatureWeigher(Weigher):
    """The rows of a sample, or those given, of a model on features: w_i (1/W + z(x)'z(x_i)).

    Parameters
    ----------
    model : fitted estimator, or what has the arrays that it would keep
    columns : callable
        From rows to what `explain_factor_` multiplies.
    similarity : callable
        From the queries to the function from rows to their similarities, (rows, n_queries).
    rows : RowSource or None
        None for the sample that was kept.
    """

    def __init__(
        self, model: Any, columns: Map, similarity: Callable[[Any], Map], rows: RowSource | None
    ) -> None:
        require_kept(model)
        self._model, self._columns, self._similarity = model, columns, similarity
        self._source = kept_sample(model) if rows is None else rows
        self.baseline, self.n_rows = model.explain_baseline_, self._source.n_rows

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give the rows in their order, a block at a time."""
        z, similarity, share = self._coordinates(X), self._similarity(X), self._model.explain_share_

        def of_block(block: Block) -> Candidates:
            weight = share + z @ self._coordinates(block.X).T
            if block.weight is not None:
                weight = weight * block.weight
            return _shared(block.ids, weight, similarity(block.X).T, block.y)

        engine.map_blocks(
            self._source, of_block, lambda _, part: sink(part), "explaining", TILE_ROWS
        )

    def _coordinates(self, X: Any) -> np.ndarray:
        n = len(X) if isinstance(X, list) else X.shape[0]
        parts = [
            np.asarray(self._columns(slice_rows(X, low, low + TILE_ROWS)), dtype=np.float64)
            @ self._model.explain_factor_
            for low in range(0, n, TILE_ROWS)
        ]
        return np.concatenate(parts) - self._model.explain_offset_


def kernel_similarity(kernel: Any) -> Callable[[Any], Map]:
    """Return what `FeatureWeigher` takes for a kernel."""
    return lambda X: kernel.columns(X, np.float64)


def _shared(ids: np.ndarray, weight: np.ndarray, similarity: np.ndarray, y: Any) -> Candidates:
    """Return candidates that are the same rows for all queries."""
    row_id = np.broadcast_to(ids, weight.shape)
    target = np.broadcast_to(y, (*weight.shape, np.shape(y)[1]))
    return Candidates(row_id, weight, np.asarray(similarity, dtype=np.float64), target)
