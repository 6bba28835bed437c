"""The exact model without its Gram matrix: conjugate gradients over tiles that are made anew.

The system is that of `solvers.exact`: with sqrt(w) taken into the matrix and, where there is an
intercept, the weighted mean projected out,

    (A + alpha I) beta = sqrt(w) (y - mean),    A = P sqrt(w) K sqrt(w) P.

The preconditioner is a pivoted Cholesky factor F'F of A plus alpha I, inverted by Woodbury's
formula. A residual r leaves predictions for the training rows wrong by A (A + alpha I)^-1 r, no
longer than r itself: `tol` is compared with the share of |r|^2 in the objective |y - f|^2_w +
alpha |f|^2, which is alpha y'beta at its minimum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from scalekern.engine import Engine, Need
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.features.whitening import largest_eigenvalue
from scalekern.kernels import Kernel
from scalekern.solvers.cg import CgSettings, conjugate_gradients
from scalekern.solvers.ridge import Solution
from scalekern.solvers.spd import factor_spd
from scalekern.solvers.tiles import GramProduct

ROUNDING = 1e-15
LEAST_RANK, MOST_RANK = 32, 1_000
WORST_EXCESS = 0.01
"""A residual of float32 tiles, measured with float64 ones, above this share is solved anew."""


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

    References
    ----------
    Díaz, Epperly, Frangella, Tropp and Webber (2023), Robust, randomized preconditioning for kernel
    ridge regression; Gardner et al. (2018), GPyTorch.
    """
    n, t = y.shape
    cg_need(n, t).require()
    root = np.sqrt(weight)
    factor = pivoted_cholesky(kernel, X, preconditioner_rank(n), seed)
    centre = _Centre(root) if fit_intercept else _Nothing()
    F = factor.F
    F *= root
    for row in F:
        row[:] = centre(row[:, None])[:, 0]
    largest = largest_eigenvalue(F @ F.T) if len(F) else 0.0
    if alpha < np.finfo(np.float32).eps / 2 * largest:
        dtype = np.float64

    def times(gram: GramProduct, V: np.ndarray) -> np.ndarray:
        return centre(root[:, None] * gram(root[:, None] * centre(V))) + alpha * V

    right = centre(root[:, None] * y)
    size = np.linalg.norm(right, axis=0)
    # Of a constant target rounding is left.
    constant = size <= len(y) * np.finfo(np.float64).eps * np.linalg.norm(root[:, None] * y, axis=0)
    right[:, constant], size[constant] = 0.0, 1.0

    def excess(x: np.ndarray, r: np.ndarray, z: np.ndarray) -> np.ndarray:
        del z
        left = alpha * np.einsum("ij,ij->j", x, right)
        missed = np.square(r).sum(axis=0)
        return missed / np.where(missed > 0, np.maximum(left, ROUNDING * size**2), 1.0)

    inverse = woodbury(F, alpha)
    double = np.dtype(dtype) == np.float64
    precise = GramProduct(engine, kernel, X, np.float64, keep=keep and double)
    gram = precise if double else GramProduct(engine, kernel, X, dtype, keep=keep)
    found = conjugate_gradients(partial(times, gram), right, inverse, excess, settings)
    if gram is not precise:
        # Rows far apart leave float32 similarities too few digits, which only float64 can tell.
        left = right - times(precise, found.x)
        if (excess(found.x, left, left) > WORST_EXCESS).any():
            gram, wasted = precise, found.products
            found = conjugate_gradients(partial(times, gram), right, inverse, excess, settings)
            found.report["float32_products"] = wasted
    coef = root[:, None] * found.x
    intercept, products = np.zeros(y.shape[1]), found.products
    if fit_intercept:
        share = weight / weight.sum()
        coef = coef - share[:, None] * coef.sum(axis=0)
        intercept, products = share @ (y - gram(coef)), products + 1
    report = found.report | {
        "preconditioner": "pivoted cholesky",
        "preconditioner_rank": len(F),
        "trace_left": float(factor.left.sum() / (factor.trace or 1.0)),
        "passes": products,
        "tile_dtype": str(gram.dtype),
        "tiles": "kept in a file" if keep else "made anew for each product",
    }
    freedom = max(weight.sum(), len(y)) - fit_intercept
    amplitude = np.maximum(np.einsum("ij,ij->j", right, found.x), 0.0) / max(freedom, 1.0)
    return Solution(coef, intercept, alpha, report=report, amplitude=amplitude)


def cg_need(n: int, t: int) -> Need:
    """Return what an exact model of n rows and t outputs needs: the preconditioner, above all."""
    rank = preconditioner_rank(n)
    return Need(
        8 * n * (rank + rank // 4 + 10 * t),
        f"the exact model of {n} rows by cg",
        "use approximation='nystroem' or 'fourier'",
    )


def preconditioner_rank(n: int) -> int:
    """Return how many rows the preconditioner is built on: it must stay cheap beside products."""
    return min(n, MOST_RANK, max(LEAST_RANK, n // 8))


def woodbury(F: np.ndarray, alpha: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return v -> (F'F + alpha I)^-1 v = (v - F'(F F' + alpha I)^-1 F v) / alpha."""
    H = F @ F.T
    H.flat[:: len(H) + 1] += alpha
    solve, _ = factor_spd(H)
    return lambda v: (v - F.T @ solve(F @ v)) / alpha


class _Centre:
    """Projects what is along sqrt(w) out of columns."""

    def __init__(self, root: np.ndarray) -> None:
        self._q = root / np.linalg.norm(root)

    def __call__(self, V: np.ndarray) -> np.ndarray:
        return V - np.outer(self._q, self._q @ V)


class _Nothing:
    def __call__(self, V: np.ndarray) -> np.ndarray:
        return V
