"""The smoother behind a ridge solution: how much each training target counts in a prediction.

A ridge prediction is linear in the targets: yhat(x) = b + sum_i s_i(x) (y_i - b). With features
centred at their weighted mean, A = Phi'W Phi + alpha I and A^-1 = H H',

    s_i(x) = w_i (1/W + z(x)'z(x_i)),    z(x) = H'(phi(x) - mean),

where b is the weighted mean of the targets and the weights add up to 1. Without an intercept
nothing is centred, 1/W is left out and b is 0. So H, as large as the sums, is all that is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from scalekern.solvers.spd import pseudo_inverse


@dataclass(frozen=True)
class Smoother:
    """How a ridge solution weighs its rows.

    Attributes
    ----------
    factor : float64 array of shape (m, r)
        H above.
    offset : float64 array of shape (r,)
        H' times the mean of the features; 0 without an intercept.
    baseline : float64 array of shape (t,)
        b above.
    share : float
        1/W, or 0 without an intercept.
    """

    factor: np.ndarray
    offset: np.ndarray
    baseline: np.ndarray
    share: float


def inverse_factor(A: np.ndarray, report: dict[str, Any]) -> np.ndarray:
    """Return H with H @ H.T the inverse of A that `solve_spd` used, by its report.

    Parameters
    ----------
    A : float64 array of shape (m, m)
    report : dict
        With `factorization` and `jitter`.
    """
    if report["factorization"] == "cholesky":
        A = A.copy()
        A.flat[:: len(A) + 1] += report["jitter"]
        L = cholesky(A, lower=True, check_finite=False)
        return np.asarray(solve_triangular(L, np.eye(len(A)), lower=True, check_finite=False).T)
    e, V = np.linalg.eigh(A)
    return V * np.sqrt(np.maximum(pseudo_inverse(e), 0.0))
