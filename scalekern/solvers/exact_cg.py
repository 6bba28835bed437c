"""The exact model without its Gram matrix: conjugate gradients over tiles that are made anew.

The system is that of `solvers.exact`: with sqrt(w) taken into the matrix and, where there is an
intercept, the weighted mean projected out,

    (A + alpha I) beta = sqrt(w) (y - mean),    A = P sqrt(w) K sqrt(w) P.

The preconditioner is a pivoted Cholesky factor F'F of K, put between the same two factors, plus
alpha I, inverted by Woodbury's formula. A residual r leaves predictions for the training rows wrong
by A (A + alpha I)^-1 r, no longer than r itself: `tol` is compared with the share of |r|^2 in the
objective |y - f|^2_w + alpha |f|^2, which is alpha y'beta at its minimum.
"""

from __future__ import annotations

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
COLUMNS = 8_192
"""Of the factor that are weighted together."""
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
        Rows to score by a second model that is without them: its weights are more columns of the
        same products, which hardly cost more for them.

    References
    ----------
    Díaz, Epperly, Frangella, Tropp and Webber (2023), Robust, randomized preconditioning for kernel
    ridge regression; Gardner et al. (2018), GPyTorch.
    """
    n, t = y.shape
    cg_need(n, t if left_out is None else 2 * t).require()
    factor = pivoted_cholesky(kernel, X, preconditioner_rank(n), seed)
    weights = [weight] if left_out is None else [weight, np.where(left_out, 0.0, weight)]
    systems = [_System(factor.F, w, alpha, fit_intercept=fit_intercept) for w in weights]
    if alpha < np.finfo(np.float32).eps / 2 * systems[0].largest:
        dtype = np.float64

    def split(V: np.ndarray) -> list[tuple[_System, np.ndarray]]:
        return list(zip(systems, np.hsplit(V, len(systems)), strict=True))

    def times(gram: GramProduct, V: np.ndarray) -> np.ndarray:
        KV = gram(np.hstack([system.weighted(v) for system, v in split(V)]))
        return np.hstack([system.transposed(v) for system, v in split(KV)]) + alpha * V

    def inverse(V: np.ndarray) -> np.ndarray:
        return np.hstack([system.inverse(v) for system, v in split(V)])

    right = np.hstack([system.right(y) for system in systems])
    size = np.linalg.norm(right, axis=0)
    constant = size == 0
    size[constant] = 1.0

    def excess(x: np.ndarray, r: np.ndarray, z: np.ndarray) -> np.ndarray:
        del z
        left = alpha * np.einsum("ij,ij->j", x, right)
        missed = np.square(r).sum(axis=0)
        return missed / np.where(missed > 0, np.maximum(left, ROUNDING * size**2), 1.0)

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
    coefs = np.hstack([system.weighted(x) for system, x in split(found.x)])
    coef, products = coefs[:, :t], found.products
    intercept, scores = np.zeros(t), None
    if fit_intercept or left_out is not None:
        fits, products = gram(coefs), products + 1
        means = [system.mean(y - fit) for system, fit in split(fits)]
        intercept = means[0]
        scores = None if left_out is None else fits[left_out, t:] + means[1]
    report = found.report | {
        "preconditioner": "pivoted cholesky",
        "preconditioner_rank": len(factor.F),
        "trace_left": float(factor.left.sum() / (factor.trace or 1.0)),
        "passes": products,
        "tile_dtype": str(gram.dtype),
        "tiles": "kept in a file" if keep else "made anew for each product",
    }
    freedom = max(weight.sum(), len(y)) - fit_intercept
    energy = np.einsum("ij,ij->j", right, found.x)[:t]
    amplitude = np.maximum(energy, 0.0) / max(freedom, 1.0)
    return Solution(coef, intercept, alpha, report=report, amplitude=amplitude, left_out=scores)


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


class _System:
    """What the weights of rows make of K: P sqrt(w) K sqrt(w) P + alpha I.

    Parameters
    ----------
    F : float64 array of shape (rank, n)
        F'F is about K.
    weight : float64 array of shape (n,), at least 0
    alpha : float
    fit_intercept : bool
        Whether P projects sqrt(w) out, or nothing.
    """

    def __init__(
        self, F: np.ndarray, weight: np.ndarray, alpha: float, *, fit_intercept: bool
    ) -> None:
        self._F, self._alpha, self._intercept = F, alpha, fit_intercept
        self._share = weight / weight.sum()
        self._root = np.sqrt(weight)[:, None]
        self._q = np.sqrt(self._share) if fit_intercept else None
        H = np.zeros((len(F), len(F)))
        for low in range(0, F.shape[1], COLUMNS):
            part = F[:, low : low + COLUMNS]
            H += (part * weight[low : low + COLUMNS]) @ part.T
        if fit_intercept:
            mean = F @ self._share
            H -= weight.sum() * np.outer(mean, mean)
        self.largest = largest_eigenvalue(H) if len(H) else 0.0
        H.flat[:: len(H) + 1] += alpha
        self._solve, _ = factor_spd(H)

    def weighted(self, V: np.ndarray) -> np.ndarray:
        """Return sqrt(w) P V."""
        return self._root * self._centred(V)

    def transposed(self, V: np.ndarray) -> np.ndarray:
        """Return P sqrt(w) V."""
        return self._centred(self._root * V)

    def right(self, y: np.ndarray) -> np.ndarray:
        """Return P sqrt(w) y; of a constant target 0, where rounding is left."""
        right, whole = self.transposed(y), np.linalg.norm(self._root * y, axis=0)
        left = np.linalg.norm(right, axis=0)
        right[:, left <= len(y) * np.finfo(np.float64).eps * whole] = 0.0
        return right

    def inverse(self, V: np.ndarray) -> np.ndarray:
        """Return (F'F + alpha I)^-1 V = (V - F'(F F' + alpha I)^-1 F V) / alpha, F weighted."""
        seen = self._solve(self._F @ self.weighted(V))
        return (V - self.transposed(self._F.T @ seen)) / self._alpha

    def mean(self, y: np.ndarray) -> np.ndarray:
        """Return the intercept of residuals."""
        return self._share @ y if self._intercept else np.zeros(y.shape[1])

    def _centred(self, V: np.ndarray) -> np.ndarray:
        return V if self._q is None else V - np.outer(self._q, self._q @ V)
