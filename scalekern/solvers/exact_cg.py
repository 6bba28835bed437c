"""The exact model without its Gram matrix: conjugate gradients over tiles that are made anew.

Of the system (A + alpha I) beta = sqrt(w) (y - mean), see `exact_systems`, a residual r leaves
predictions for the training rows wrong by A (A + alpha I)^-1 r, no longer than r itself: `tol` is
compared with the share of |r|^2 in the objective |y - f|^2_w + alpha |f|^2, at its minimum alpha
y'beta. That bound is far above what predictions of new rows miss, so a second model, without some
rows, is solved along, which sees its errors on those rows and tells when these have settled.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from scalekern.engine import Engine, Need
from scalekern.engine.progress import step
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.kernels import Kernel
from scalekern.rows.base import slice_rows, take_rows
from scalekern.solvers.cg import CgResult, CgSettings, conjugate_gradients
from scalekern.solvers.exact_systems import COLUMNS, Systems
from scalekern.solvers.ridge import Solution
from scalekern.solvers.tiles import GramProduct

LEAST_RANK, MOST_RANK = 32, 1_000
WORST_EXCESS = 0.01
"""Where rounding in float32 tiles makes more of the objective, float64 ones solve anew."""
MEASURED_ROWS = 256
"""Rounding is measured on so many rows."""


@step("finding the coefficients")
def solve_exact_by_cg(
    engine: Engine,
    kernel: Kernel,
    X: Any,
    y: np.ndarray,
    weight: np.ndarray,
    alpha: float,
    settings: CgSettings,
    *,
    fit_intercept: bool,
    dtype: Any,
    seed: int,
    keep: bool = False,
    left_out: np.ndarray | None = None,
) -> Solution:
    """Return the coefficients of the rows.

    Parameters
    ----------
    engine : Engine
    kernel : Kernel
        Positive definite, with its bandwidth.
    X : rows
    y : float64 array of shape (n, t)
    weight : float64 array of shape (n,), above 0
    alpha : float
        Above 0.
    settings : CgSettings
    fit_intercept : bool
    dtype : numpy dtype
        Of the tiles; float32 ones are made float64 where alpha is too small for their rounding, or
        where the solution's residual says so.
    seed : int
        Of the preconditioner.
    keep : bool, default=False
        Whether tiles are kept in a temporary file after the first product.
    left_out : bool array of shape (n,), optional
        Rows that the second model leaves out and scores; without them only the residual counts.

    References
    ----------
    Díaz, Epperly, Frangella, Tropp and Webber (2023), Robust, randomized preconditioning for kernel
    ridge regression; Gardner et al. (2018), GPyTorch.
    """
    n, t = y.shape
    cg_need(n, t).require()
    with step("the preconditioner"):
        factor = pivoted_cholesky(kernel, X, preconditioner_rank(n), seed)
    systems = Systems(factor.F, y, weight, alpha, left_out, fit_intercept=fit_intercept)
    if alpha < rounding_norm(systems.largest, factor.trace / n * float(weight.mean())):
        dtype = np.float64

    gram = GramProduct(engine, kernel, X, dtype, keep=keep)
    found = _solved(systems, gram, settings)
    if _lost_in_rounding(systems, found, kernel, X, weight, gram.dtype):
        # Rows far apart leave float32 similarities too few digits.
        wasted = found.products
        gram = GramProduct(engine, kernel, X, np.float64, keep=keep)
        found = _solved(systems, gram, settings)
        found.report["float32_products"] = wasted
    report = found.report | {
        "preconditioner": "pivoted cholesky",
        "preconditioner_rank": len(factor.F),
        "trace_left": float(factor.left.sum() / (factor.trace or 1.0)),
        "passes": found.products,
        "tile_dtype": str(gram.dtype),
        "tiles": "kept in a file" if keep else "made anew for each product",
    }
    seen = systems.unseen() if found.seen is None else found.seen
    return Solution(
        systems.coef(found.x)[:, :t],
        systems.intercept(seen),
        alpha,
        report=report,
        amplitude=systems.amplitude(found.x, max(weight.sum(), n) - fit_intercept),
        left_out=systems.scores(seen) if systems.watches else None,
    )


def _solved(systems: Systems, gram: GramProduct, settings: CgSettings) -> CgResult:
    return conjugate_gradients(
        partial(systems.times, gram),
        systems.right,
        systems.inverse,
        systems.excess,
        settings,
        held_out=systems.held_out_error if systems.watches else None,
    )


def _lost_in_rounding(
    systems: Systems, found: CgResult, kernel: Kernel, X: Any, weight: np.ndarray, dtype: np.dtype
) -> bool:
    """Return whether rounding in tiles of a dtype makes too much of the objective."""
    if dtype == np.float64:
        return False
    missed = _rounding(kernel, X, weight, systems.coef(found.x), dtype)
    stuck = "stagnation" in found.report["stopped"] and found.report["residual"] > WORST_EXCESS
    return bool(stuck or (systems.excess(found.x, missed, missed) > WORST_EXCESS).any())


def rounding_norm(largest: float, diagonal: float) -> float:
    """Return about the norm of what float32 makes of a Gram matrix, which no penalty may be below.

    Errors of single entries hardly add up: theirs is a random matrix, whose norm is some times the
    length of a row, and that is at most the root of the largest eigenvalue times the diagonal.
    """
    return float(2.0 * np.finfo(np.float32).eps * np.sqrt(largest * diagonal))


def _rounding(
    kernel: Kernel, X: Any, weight: np.ndarray, V: np.ndarray, dtype: np.dtype
) -> np.ndarray:
    """Return what rounding makes of sqrt(w) K V on rows here and there, scaled up to all rows."""
    n = len(weight)
    rows = np.arange(0, n, -(-n // MEASURED_ROWS))
    some = take_rows(X, rows)
    missed = np.zeros((len(rows), V.shape[1]))
    for low in range(0, n, COLUMNS):
        others, v = slice_rows(X, low, low + COLUMNS), V[low : low + COLUMNS]
        precise, rounded = (
            kernel.columns(others, kind)(some) @ v.astype(kind) for kind in (np.float64, dtype)
        )
        missed += precise - rounded
    return np.sqrt(n / len(rows)) * np.sqrt(weight[rows])[:, None] * missed


def cg_need(n: int, t: int) -> Need:
    """Return what an exact model of n rows and t outputs needs: the preconditioner, above all.

    The vectors are those of two models.
    """
    rank = preconditioner_rank(n)
    return Need(
        8 * n * (rank + rank // 4 + 20 * t),
        f"the exact model of {n} rows by cg",
        "use approximation='nystroem' or 'fourier'",
    )


def preconditioner_rank(n: int) -> int:
    """Return how many rows the preconditioner is built on: it must stay cheap beside products."""
    return min(n, MOST_RANK, max(LEAST_RANK, n // 8))
