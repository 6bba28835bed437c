"""How far an approximation is from the exact model, where the exact one is too large to fit.

On parts of the training rows that are small enough, the exact model and the approximation are both
solved, by the same kernel and alpha, and compared on other rows. Parts of several sizes show where
the gap goes as rows are added. Beside that, the error of the kernel itself, which needs no targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from scalekern.approximations.gathered import GatheredRows, gather
from scalekern.engine import require_memory
from scalekern.errors import InvalidInputError
from scalekern.features import FeatureMap
from scalekern.kernels import Kernel
from scalekern.rows import RowSource
from scalekern.rows.base import stack_rows, take_rows
from scalekern.solvers import AlphaRule, solve_exact

PARTS = (16, 8, 4)
"""Each size is that of the rows cut into so many parts."""
LEAST_PART, MOST_PART = 10, 4_000
MOST_QUERIES = 2_000
COVERAGE = 0.95


@dataclass(frozen=True, eq=False)
class Gap:
    """The distance of an approximation from the exact model.

    Attributes
    ----------
    size : int array of shape (k,)
        Rows of the subproblems, ascending.
    gap : float64 array of shape (k,)
        Root mean square difference of both models' predictions for the queries, as a share of the
        standard deviation of the targets, root mean square over subproblems of that size.
    low, high : float64 arrays of shape (k,)
        A 95% confidence interval of `gap`, over subproblems of that size.
    trace_error : float
        The trace norm of K - Phi Phi' over the trace of K, for the queries.
    trace_low, trace_high : float
        Its 95% confidence interval, over queries.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityRegressor
    >>> X = np.linspace(0, 6, 400)[:, None]
    >>> model = SimilarityRegressor(gamma=1.0, alpha=1e-3, approximation="nystroem",
    ...                             n_components=30, random_state=0).fit(X, np.sin(X[:, 0]))
    >>> found = model.gap_to_exact(X[::7])
    >>> found.size.tolist(), bool(found.gap[-1] < 0.01), found.trace_error < 0.01
    ([25, 50, 100], True, True)
    """

    size: np.ndarray
    gap: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trace_error: float
    trace_low: float
    trace_high: float


def gap_to_exact(model: Any, feature_map: FeatureMap, queries: RowSource, rows: RowSource) -> Gap:
    """Return the gap of a fitted model on features.

    Parameters
    ----------
    model : fitted estimator
    feature_map : FeatureMap
        Its own, in float64.
    queries : RowSource
        Where predictions are compared; the first 2,000 are.
    rows : RowSource
        Rows with targets that both models are solved on.
    """
    kernel: Kernel = model.kernel_
    X = stack_rows([block.X for block in queries.blocks(max(1, queries.n_rows))])
    X = take_rows(X, np.arange(min(MOST_QUERIES, queries.n_rows)))
    known = gather(rows)
    if len(known.y) < min(PARTS) * LEAST_PART:
        raise InvalidInputError(
            f"gap_to_exact has {len(known.y)} training rows to work with and needs at least "
            f"{min(PARTS) * LEAST_PART}; pass more of them: rows=(X, y)"
        )
    largest = min(MOST_PART, len(known.y) // min(PARTS))
    require_memory(
        8 * 8 * largest * max(largest, feature_map.n_features, MOST_QUERIES),
        f"exact subproblems of {largest} rows",
        "pass fewer rows",
    )
    compare = _Comparison(model, kernel, feature_map, X, known)
    found = [compare.at_size(n_parts) for n_parts in PARTS if len(known.y) // n_parts >= LEAST_PART]
    size, gap, low, high = (np.array(column) for column in zip(*found, strict=True))
    return Gap(size, gap, low, high, *_trace_error(kernel, feature_map, X))


class _Comparison:
    """Both models, solved on parts of the rows and compared on the queries."""

    def __init__(
        self, model: Any, kernel: Kernel, feature_map: FeatureMap, X: Any, rows: GatheredRows
    ) -> None:
        self._model, self._rows = model, rows
        order = np.random.default_rng(len(rows.y)).permutation(len(rows.y))
        self._order = order
        self._Phi_X = np.asarray(feature_map(X))
        self._X, self._kernel, self._map = X, kernel, feature_map
        deviation = rows.y - rows.weight @ rows.y / rows.weight.sum()
        self._variance = float(rows.weight @ np.square(deviation).sum(axis=1) / rows.weight.sum())

    def at_size(self, n_parts: int) -> tuple[int, float, float, float]:
        """Return the rows of a part, the gap and its interval."""
        size = min(MOST_PART, len(self._order) // n_parts)
        parts = [self._order[i * size : (i + 1) * size] for i in range(n_parts)]
        squares = np.array([self._square(part) for part in parts])
        return size, *rms_interval(squares**0.5)

    def _square(self, part: np.ndarray) -> float:
        X, columns = take_rows(self._rows.X, part), self._kernel.columns
        near = columns(X, np.float64)
        Phi = np.asarray(self._map(X))
        exact = self._predicted(np.asarray(near(X)), np.asarray(near(self._X)), part)
        approximate = self._predicted(Phi @ Phi.T, self._Phi_X @ Phi.T, part)
        difference = float(np.square(exact - approximate).sum(axis=1).mean())
        return difference / self._variance if self._variance > 0 else 0.0

    def _predicted(self, K: np.ndarray, k: np.ndarray, part: np.ndarray) -> np.ndarray:
        model, rows = self._model, self._rows
        solution = solve_exact(
            0.5 * (K + K.T),
            rows.y[part],
            rows.weight[part],
            AlphaRule("fixed", np.array([model.alpha_])),
            solver="cholesky",
            fit_intercept=bool(model.fit_intercept),
            positive_definite=True,
        )
        return k @ solution.coef + solution.intercept


def _trace_error(kernel: Kernel, feature_map: FeatureMap, X: Any) -> tuple[float, float, float]:
    """Return the share of the kernel's trace that is missed, and its interval.

    What a Nyström kernel misses is positive definite, so that its trace is its trace norm; of
    random features it is neither, and the norm is that of the queries' own Gram matrix.
    """
    own = np.asarray(kernel.diagonal(X), dtype=np.float64)
    Phi = np.asarray(feature_map(X))
    missed = own - np.square(Phi).sum(axis=1)
    total = own.mean() or 1.0
    if np.abs(missed).max() <= 1e-9 * np.abs(own).max():
        K = np.asarray(kernel.columns(X, np.float64)(X)) - Phi @ Phi.T
        share = float(np.abs(np.linalg.eigvalsh(0.5 * (K + K.T))).sum() / (len(own) * total))
        return share, share, share
    share = float(max(missed.mean(), 0.0) / total)
    margin = float(_margin(missed) / total)
    return share, max(share - margin, 0.0), share + margin


def rms_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Return the root mean square of values that are independent, and its 95% interval."""
    squares = np.square(values)
    mean = float(squares.mean())
    # Of the logarithm: a gap is above 0, and a few parts scatter by factors.
    factor = np.exp(0.5 * _margin(squares) / mean) if mean > 0 else 1.0
    return mean**0.5, float(mean**0.5 / factor), float(mean**0.5 * factor)


def _margin(values: np.ndarray) -> float:
    n = len(values)
    if n < 2:
        return 0.0
    factor = stdtrit(n - 1, 0.5 + COVERAGE / 2)
    return float(factor * values.std(ddof=1) / np.sqrt(n))
