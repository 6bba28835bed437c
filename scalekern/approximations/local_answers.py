"""What fitted local models say of queries: predictions, deviations, and the weights of neighbours.

Thousands of queries at a time; each solves the system of its own neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.approximations.explanation import Candidates, named_rows
from scalekern.approximations.local_rows import LocalRows
from scalekern.approximations.weighers import Sink, Weigher
from scalekern.engine import Engine
from scalekern.rows.base import dense_rows
from scalekern.solvers.local import (
    Neighborhoods,
    exponents,
    length_of,
    local_shares,
    similarities,
    solve_gram,
    solve_local,
)


def local_predictions(model: Any, X: Any, *, with_std: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and, with_std, standard deviations, each of shape (rows, n_outputs)."""
    local: LocalRows = model.local_
    kernel = model.kernel_
    X = dense_rows(X)
    mean, std = np.empty((2, len(X), local.targets.shape[1]))
    for rows, _, hoods in local.blocks(X):
        lengths = _lengths(model, hoods)
        found = solve_local(
            kernel, hoods, lengths, model.alpha_, centre=model.fit_intercept, with_scale=with_std
        )
        mean[rows] = found.prediction
        if found.scale2 is not None:
            std[rows] = np.sqrt(local.spread * found.scale2 * found.variance[:, None])
        if hoods.found is not None:
            _from_all(mean[rows], std[rows], np.asarray(~hoods.found.any(axis=1)), model, local)
    return mean, std


def _from_all(
    mean: np.ndarray, std: np.ndarray, lost: np.ndarray, model: Any, local: LocalRows
) -> None:
    """Give queries for which the index found nothing the mean and deviation of all targets."""
    mean[lost] = model.intercept_
    std[lost] = local.targets.std(axis=0)


def _lengths(model: Any, hoods: Neighborhoods) -> np.ndarray:
    """Return the length scale of each query."""
    if model.length_factor_:
        return np.asarray(model.length_factor_ * hoods.radius)
    return np.full(len(hoods.queries), length_of(model.kernel_))


class LocalWeigher(Weigher):
    """The neighbours of each query, as its own model weighs them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.baseline, self.n_rows = np.atleast_1d(model.intercept_), model.local_.n_neighbors

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give the neighbours of all queries."""
        del engine
        parts = [
            self._candidates(indices, hoods)
            for _, indices, hoods in self._model.local_.blocks(dense_rows(X))
        ]
        names = ("row_id", "weight", "similarity", "target")
        sink(Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in names)))

    def _candidates(self, indices: np.ndarray, hoods: Neighborhoods) -> Candidates:
        model, n = self._model, len(self._model.local_.targets)
        E = exponents(model.kernel_, hoods, _lengths(model, hoods))
        K = similarities(model.kernel_, E)
        solution = solve_gram(K, hoods, model.alpha_, centre=model.fit_intercept)
        return Candidates(
            named_rows(getattr(model, "explain_ids_", np.arange(n)), indices),
            local_shares(hoods, solution, centre=model.fit_intercept),
            np.where(indices >= 0, K[:, -1, :-1], 0.0),
            hoods.targets,
        )
