"""gamma="cv": the bandwidth with the smallest leave-one-out error of the exact model on a sample.

For each candidate one eigen-decomposition gives the errors of all alphas in closed form, so nothing
is fitted twice. The median heuristic is among the candidates, so on the sample the choice is never
worse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.features.survey import BANDWIDTH_ROWS, Survey, by_median, resolve_kernel
from scalekern.kernels import Kernel, as_kernel
from scalekern.rows.base import slice_rows
from scalekern.solvers.path import AlphaRule

FACTORS = 4.0 ** np.arange(-4, 5)


def select_kernel(
    kernel: Any, gamma: Any, rule: AlphaRule, seen: Survey
) -> tuple[Kernel, dict[str, Any]]:
    """Return the kernel with its bandwidth, and a report of the candidates where there were some.

    Parameters
    ----------
    kernel : str, callable or Kernel
    gamma : float, "scale", "median" or "cv"
    rule : AlphaRule
        The alphas that the final model may choose.
    seen : Survey
    """
    if not (isinstance(gamma, str) and gamma == "cv"):
        return resolve_kernel(kernel, gamma, seen), {}
    median = as_kernel(kernel)
    if not median.needs_gamma:
        return median, {}
    candidates = [by_median(median, seen, float(factor)) for factor in FACTORS]
    errors = np.array([_loo_error(candidate, rule, seen) for candidate in candidates])
    report = {
        "gamma_factors": FACTORS.tolist(),
        "gammas": [_gamma_of(candidate) for candidate in candidates],
        "gamma_errors": errors.tolist(),
    }
    return candidates[int(np.argmin(errors))], report


def _gamma_of(kernel: Kernel) -> float | None:
    """Return the bandwidth as a gamma; None for a combination, which may have several."""
    parameters = kernel.get_params(deep=False)
    length = parameters.get("length_scale")
    return parameters.get("gamma") if length is None else 1.0 / (2.0 * length**2)


def _loo_error(kernel: Kernel, rule: AlphaRule, seen: Survey) -> float:
    """Return the smallest leave-one-out mean squared error over the alphas, on the sample."""
    sample = seen.sample
    m = min(BANDWIDTH_ROWS, len(sample.numbers))
    X = slice_rows(sample.X, 0, m)
    y = np.asarray(sample.y)[:m] - seen.y_mean
    root = np.sqrt(np.ones(m) if sample.weight is None else sample.weight[:m])[:, None]
    K = np.asarray(kernel.columns(X, np.float64)(X))
    L, V = np.linalg.eigh(root * K * root.T)
    c, V2 = V.T @ (root * y), V**2
    best = np.inf
    for alpha in rule.path(float(L.max(initial=0.0)), np.float64):
        inverse = 1.0 / np.maximum(np.maximum(L, 0) + alpha, 1e-15 * max(L.max(), 1e-300))
        # e_i = (A^-1 y)_i / (A^-1)_ii, the classic identity; in weighted units.
        errors = (V @ (inverse[:, None] * c)) / (V2 @ inverse)[:, None]
        best = min(best, float(np.mean(errors**2)))
    return best
