"""How much each training row weighs in a prediction: for exact models, for models on features.

A ridge model is a linear smoother, and its weights come from the same system as its coefficients,
with the query in place of the targets; see `solvers.smoother`. What that needs beyond the model
itself is kept as the arrays in `EXPLAIN_ARRAYS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalekern.engine import Engine, HashSample, require_memory
from scalekern.engine.plan import TILE_ROWS
from scalekern.errors import InvalidInputError
from scalekern.estimators.explanation import Candidates
from scalekern.estimators.fitting import GatheredRows, gram_matrix, most_rank
from scalekern.features import Whitening
from scalekern.kernels import Precomputed
from scalekern.kernels.precomputed import training_gram
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.rows.base import slice_rows
from scalekern.solvers import AlphaRule, Smoother, solve_exact
from scalekern.storage.registry import array_bytes

EXPLAIN_ROWS = 1_000
"""A model on features keeps so many of its training rows, drawn by hash, to explain with."""
MOST_COMPONENTS = 4_096
"""Up to here the factor, 8 bytes for each pair of components, is kept with the model."""
EXPLAIN_ARRAYS = (
    "explain_rows_",
    "explain_ids_",
    "explain_targets_",
    "explain_weights_",
    "explain_factor_",
    "explain_offset_",
    "explain_baseline_",
    "explain_share_",
    "explain_eliminate_",
    "explain_blocks_",
)
EXPLAIN_AXES = {
    "explain_rows_": "ed|e?", "explain_ids_": "e?", "explain_targets_": "et",
    "explain_weights_": "e", "explain_factor_": "cq", "explain_offset_": "q",
    "explain_baseline_": "t", "explain_share_": "",
}  # fmt: skip
KEPT_OF_EXACT = ("explain_targets_", "explain_baseline_", "explain_share_")
KEPT_ON_FEATURES = (*KEPT_OF_EXACT, "explain_rows_", "explain_ids_", "explain_factor_",
                    "explain_offset_")  # fmt: skip

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
                "the model keeps no similarities of the training rows to each other; pass them "
                "and the target as in fit: explain(X, rows=(K, y))"
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


def kept_of_exact(rows: GatheredRows, fit_intercept: bool) -> dict[str, Any]:
    """Return what an exact model keeps to explain: 8 bytes a row and output, 8 more if weighted."""
    W = rows.weight.sum()
    share, mean = (1.0 / W, rows.weight @ rows.y / W) if fit_intercept else (0.0, 0.0 * rows.y[0])
    kept = {"explain_targets_": rows.y, "explain_baseline_": mean, "explain_share_": share}
    weighted = not (rows.weight == 1).all()
    return (
        {name: np.asarray(value) for name, value in kept.items()}
        | ({"explain_weights_": rows.weight} if weighted else {})
        | kept_ids(rows.ids)
    )


def kept_ids(ids: np.ndarray | None) -> dict[str, Any]:
    """Return row ids to keep; none where they are the numbers of the rows."""
    plain = ids is None or (ids.dtype.kind in "iu" and np.array_equal(ids, np.arange(len(ids))))
    return {} if plain else {"explain_ids_": ids}


def kept_of_features(
    smoother: Smoother | None,
    sample: HashSample | None,
    basis: np.ndarray | None = None,
    more: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """Return what a model on m features keeps: about 8 m^2 bytes, and a sample of 1,000 rows.

    Nothing where there is no smoother or too many features.

    Parameters
    ----------
    smoother : Smoother
    sample : HashSample
        Training rows in the order of their hashes.
    basis : float64 array of shape (columns, m), optional
        Features are columns times this; the columns themselves if None.
    more : mapping
        Other arrays to keep with these.
    """
    if smoother is None or sample is None or len(smoother.factor) > MOST_COMPONENTS:
        return {}
    part = sample.part(np.arange(min(EXPLAIN_ROWS, len(sample.numbers))))
    rows = {"explain_rows_": part.X, "explain_ids_": part.ids, "explain_targets_": part.y}
    weight = {} if part.weight is None else {"explain_weights_": part.weight}
    return kept_smoother(smoother, basis) | dict(more) | rows | weight


def kept_smoother(smoother: Smoother, basis: np.ndarray | None) -> dict[str, Any]:
    """Return the smoother as arrays, on the columns that `basis` turns into features."""
    return {
        "explain_factor_": smoother.factor if basis is None else basis @ smoother.factor,
        "explain_offset_": smoother.offset,
        "explain_baseline_": smoother.baseline,
        "explain_share_": np.asarray(smoother.share),
    }


def explain_bytes(arrays: Mapping[str, Any]) -> int:
    """Return the bytes of those arrays of a model that it needs to explain itself only."""
    return sum(array_bytes(value) for name, value in arrays.items() if name in EXPLAIN_ARRAYS)


def kept_elimination(whitening: Whitening) -> dict[str, Any]:
    """Return the block elimination of Nyström tiles, 4 m^2 bytes; nothing for a single block.

    Without it, kernel values times the whole whitening lose half the digits where K_ZZ is badly
    conditioned, and weights no longer add up to the prediction.
    """
    if len(whitening.blocks) == 1:
        return {}
    starts = np.array([b.start for b in whitening.blocks])
    upper = np.triu_indices(len(whitening.eliminate), 1)
    return {"explain_eliminate_": whitening.eliminate[upper], "explain_blocks_": starts}


def elimination(model: Any) -> Whitening:
    """Return what `kept_elimination` kept; the rest of the whitening is empty."""
    m = model.explain_factor_.shape[0] if hasattr(model, "explain_factor_") else 0
    E, starts = np.zeros((m, m)), np.zeros(1, dtype=np.int64)
    if hasattr(model, "explain_blocks_"):
        E[np.triu_indices(m, 1)] = model.explain_eliminate_
        starts = model.explain_blocks_
    stops = [*starts[1:], m]
    blocks = [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
    return Whitening(np.arange(m), blocks, E, np.zeros((m, 0)), 0.0)


RERUN = "pass the training rows, explain(X, rows=(X_train, y_train)), which are then read twice"


def require_kept(model: Any, advice: str = RERUN) -> None:
    """Raise where the model did not keep what an explanation needs."""
    if not hasattr(model, "explain_baseline_"):
        raise InvalidInputError(
            f"this {type(model).__name__} keeps nothing to explain its predictions with: it has "
            f"more than {MOST_COMPONENTS:,} components, was not solved from sums, or was saved "
            f"by an older version; {advice}"
        )


def kept_sample(model: Any) -> RowSource:
    """Return the training rows that a model on features keeps, or raise where there are none."""
    require_kept(model)
    X = model.explain_rows_
    return ArraySource(
        X if isinstance(X, list) or hasattr(X, "tocsr") else np.asarray(X),
        model.explain_targets_,
        getattr(model, "explain_weights_", None),
        ids=model.explain_ids_,
    )


def _shared(ids: np.ndarray, weight: np.ndarray, similarity: np.ndarray, y: Any) -> Candidates:
    """Return candidates that are the same rows for all queries."""
    row_id = np.broadcast_to(ids, weight.shape)
    target = np.broadcast_to(y, (*weight.shape, np.shape(y)[1]))
    return Candidates(row_id, weight, np.asarray(similarity, dtype=np.float64), target)
