"""Standard deviations of predictions: the Gaussian process whose mean a similarity model is.

With the kernel s^2 k and noise of variance s^2 alpha the mean is the model itself, and a new target
varies about it by

    s^2 (alpha + k(x, x) - k_x'(K + alpha W^-1)^-1 k_x),

and by s^2 (1 - 1'(K + alpha W^-1)^-1 k_x)^2 / 1'(K + alpha W^-1)^-1 1 more where there is an
intercept without penalty (Rasmussen and Williams 2006, sections 2.2, 2.7 and 8.3.4).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.approximations.whole_gram import gram_matrix
from scalekern.engine import ThreadEngine, require_memory
from scalekern.engine.progress import step
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import FeatureMap
from scalekern.rows.base import slice_rows
from scalekern.solvers import Solution
from scalekern.solvers.spd import factor_spd

AT_ONCE = 512
Map = Callable[[Any], np.ndarray]


def amplitude_of(solution: Solution) -> dict[str, Any]:
    """Return the amplitude as an array to keep, where the solution has one."""
    return {} if solution.amplitude is None else {"amplitude_": solution.amplitude}


def with_std(
    model: Any, predict: Map, variance: Map
) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    """Return the function from rows to predictions and standard deviations, (rows, n_outputs).

    Parameters
    ----------
    model : fitted estimator
    predict : callable
    variance : callable
        From rows to variances of the function for an amplitude of 1, shape (rows,).
    """
    if not hasattr(model, "amplitude_"):
        raise InvalidInputError(
            f"this {type(model).__name__} has no scale for return_std=True: it was fitted with "
            "alpha=0 or solver='sgd', or saved by an older version; fit it again with "
            "solver='cholesky'"
        )

    def both(X: Any) -> tuple[np.ndarray, np.ndarray]:
        spread = np.sqrt(np.maximum(variance(X), 0.0) + model.alpha_)
        return predict(X), spread[:, None] * np.sqrt(model.amplitude_)

    return both


@step("factoring the exact model")
def exact_variance(model: Any) -> Map:
    """Return the variance of an exact model, whose system is solved again for each query."""
    if not model.kernel_.positive_definite:
        raise UnsupportedError(
            f"return_std=True needs a positive definite kernel, and {model.kernel_!r} is not "
            "declared to be one; predict without it"
        )
    n = len(model.dual_coef_)
    require_memory(
        4 * 8 * n * n,
        f"return_std=True of an exact model of {n} rows",
        "fit with approximation='nystroem' or 'local'",
    )
    w = np.asarray(getattr(model, "explain_weights_", np.ones(n)))
    A = gram_matrix(ThreadEngine(model.n_jobs), model.kernel_, model.landmarks_)
    A.flat[:: n + 1] += model.alpha_ / w
    solve, _ = factor_spd(A)
    columns = model.kernel_.columns(model.landmarks_, np.float64)
    ones = solve(np.ones((n, 1)))[:, 0] if model.explain_share_ > 0 else None

    def variance(X: Any) -> np.ndarray:
        k = np.asarray(columns(X))
        left = model.kernel_.diagonal(X) - np.einsum("ij,ji->i", k, solve(k.T))
        return left if ones is None else left + np.square(1.0 - k @ ones) / ones.sum()

    return _in_parts(variance)


@step("factoring the features")
def feature_variance(model: Any, columns: Map, feature_map: FeatureMap) -> Map:
    """Return the variance of a model on features, from the factor that explanations need.

    Parameters
    ----------
    model : fitted estimator
    columns : callable
        From rows to what `explain_factor_` multiplies.
    feature_map : FeatureMap
        From rows to phi; what k(x, x) has beyond phi'phi is not known of the function at x.
    """
    share, factor = float(model.explain_share_), model.explain_factor_
    # Fewer rows than features tell nothing of the function outside their span.
    whole = factor.shape[1] >= feature_map.n_features
    span = None if whole else np.linalg.qr(factor)[0]

    def variance(X: Any) -> np.ndarray:
        z = columns(X) @ factor - model.explain_offset_
        phi = feature_map(X) if span is None else feature_map(X) @ span
        own = np.asarray(model.kernel_.diagonal(X), dtype=np.float64)
        missing = np.maximum(own - np.square(phi).sum(axis=1), 0.0)
        return missing + model.alpha_ * (share + np.square(z).sum(axis=1))

    return _in_parts(variance)


def _in_parts(variance: Map) -> Map:
    def of_rows(X: Any) -> np.ndarray:
        n = len(X) if isinstance(X, list) else X.shape[0]
        parts = [variance(slice_rows(X, low, low + AT_ONCE)) for low in range(0, n, AT_ONCE)]
        return np.concatenate(parts)

    return of_rows
