"""The exact model without its Gram matrix: conjugate gradients over tiles that are made anew.

The system is that of `solvers.exact`: with sqrt(w) taken into the matrix and, where there is an
intercept, the weighted mean projected out,

    (A + alpha I) beta = sqrt(w) (y - mean),    A = P sqrt(w) K sqrt(w) P.

The preconditioner is a pivoted Cholesky factor F'F of K, put between the same two factors, plus
alpha I, inverted by Woodbury's formula. A residual r leaves predictions for the training rows wrong
by A (A + alpha I)^-1 r, no longer than r itself: `tol` is compared with the share of |r|^2 in the
objective |y - f|^2_w + alpha |f|^2, which is alpha y'beta at its minimum. That bound is far above
what predictions of new rows miss, so a second model, without some rows, is solved along as more
columns of the same products, which see its errors on those rows and tell when these have settled.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from scalekern.engine import Engine, Need
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.features.whitening import largest_eigenvalue
from scalekern.kernels import Kernel
from scalekern.rows.base import slice_rows, take_rows
from scalekern.solvers.cg import CgResult, CgSettings, conjugate_gradients
from scalekern.solvers.ridge import Solution
from scalekern.solvers.spd import factor_spd
from scalekern.solvers.tiles import GramProduct

ROUNDING = 1e-15
LEAST_RANK, MOST_RANK = 32, 1_000
COLUMNS = 8_192
"""Of the factor that are weighted together."""
WORST_EXCESS = 0.01
"""Where rounding in float32 tiles makes more of the objective, float64 ones solve anew."""
MEASURED_ROWS = 256
"""Rounding is measured on so many rows."""


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
    factor = pivoted_cholesky(kernel, X, preconditioner_rank(n), seed)
    systems = _Systems(factor.F, y, weight, alpha, left_out, fit_intercept=fit_intercept)
    if alpha < rounding_norm(systems.largest, factor.trace / n * float(weight.mean())):
        dtype = np.float64

    def solved(gram: GramProduct) -> CgResult:
        return conjugate_gradients(
            partial(systems.times, gram),
            systems.right,
            systems.inverse,
            systems.excess,
            settings,
            held_out=systems.held_out_error if systems.watches else None,
        )

    gram = GramProduct(engine, kernel, X, dtype, keep=keep)
    found = solved(gram)
    if gram.dtype != np.float64:
        missed = _rounding(kernel, X, weight, systems.coef(found.x), gram.dtype)
        stuck = "stagnation" in found.report["stopped"] and found.report["residual"] > WORST_EXCESS
        if stuck or (systems.excess(found.x, missed, missed) > WORST_EXCESS).any():
            # Rows far apart leave float32 similarities too few digits.
            wasted = found.products
            gram = GramProduct(engine, kernel, X, np.float64, keep=keep)
            found = solved(gram)
            found.report["float32_products"] = wasted
    report = found.report | {
        "preconditioner": "pivoted cholesky",
        "preconditioner_rank": len(factor.F),
        "trace_left": float(factor.left.sum() / (factor.trace or 1.0)),
        "passes": found.products,
        "tile_dtype": str(gram.dtype),
        "tiles": "kept in a file" if keep else "made anew for each product",
    }
    freedom = max(weight.sum(), len(y)) - fit_intercept
    energy = np.einsum("ij,ij->j", systems.right, found.x)[:t]
    seen = systems.unseen() if found.seen is None else found.seen
    return Solution(
        systems.coef(found.x)[:, :t],
        systems.intercept(seen),
        alpha,
        report=report,
        amplitude=np.maximum(energy, 0.0) / max(freedom, 1.0),
        left_out=systems.scores(seen) if systems.watches else None,
    )


class _Systems:
    """The model of all rows and, side by side with it, the one that leaves some out.

    Parameters
    ----------
    F : float64 array of shape (rank, n)
        F'F is about K.
    y : float64 array of shape (n, t)
    weight : float64 array of shape (n,)
    alpha : float
    left_out : bool array of shape (n,) or None
    fit_intercept : bool
    """

    def __init__(
        self,
        F: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        alpha: float,
        left_out: np.ndarray | None,
        *,
        fit_intercept: bool,
    ) -> None:
        self._y, self._weight, self._alpha, self._t = y, weight, alpha, y.shape[1]
        weights = [weight] if left_out is None else [weight, np.where(left_out, 0.0, weight)]
        self._parts = [_System(F, w, alpha, fit_intercept=fit_intercept) for w in weights]
        self._watched = np.flatnonzero(np.zeros(len(y)) if left_out is None else left_out)
        self.watches, self.largest = left_out is not None, self._parts[0].largest
        self.right = np.hstack([part.right(y) for part in self._parts])
        size = np.square(np.linalg.norm(self.right, axis=0))
        self._least = ROUNDING * np.where(size == 0, 1.0, size)

    def times(self, gram: GramProduct, V: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the matrices times V, and K V's means and what it is on the rows watched."""
        KV = gram(self.coef(V))
        product = np.hstack([part.transposed(v) for part, v in self._split(KV)])
        means = np.hstack([part.mean(v) for part, v in self._split(KV)])
        return product + self._alpha * V, np.vstack([means, KV[self._watched]])

    def inverse(self, V: np.ndarray) -> np.ndarray:
        """Return the preconditioners times V."""
        return np.hstack([part.inverse(v) for part, v in self._split(V)])

    def excess(self, x: np.ndarray, r: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Return the share of |r|^2 in the objective."""
        del z
        left = self._alpha * np.einsum("ij,ij->j", x, self.right)
        missed = np.square(r).sum(axis=0)
        return missed / np.where(missed > 0, np.maximum(left, self._least), 1.0)

    def coef(self, x: np.ndarray) -> np.ndarray:
        """Return the weights of rows in predictions."""
        return np.hstack([part.weighted(v) for part, v in self._split(x)])

    def unseen(self) -> np.ndarray:
        """Return what products see of coefficients that are 0."""
        return np.zeros((1 + len(self._watched), len(self._parts) * self._t))

    def intercept(self, seen: np.ndarray) -> np.ndarray:
        """Return that of the model of all rows."""
        return np.asarray(self._parts[0].mean(self._y) - seen[0, : self._t])

    def scores(self, seen: np.ndarray) -> np.ndarray:
        """Return the predictions for the rows watched, by the model that is without them."""
        return np.asarray(seen[1:, self._t :] - seen[0, self._t :] + self._parts[1].mean(self._y))

    def held_out_error(self, seen: np.ndarray) -> np.ndarray:
        """Return the root mean square error of these predictions, of each output."""
        w = self._weight[self._watched]
        squares = np.square(self._y[self._watched] - self.scores(seen))
        return np.asarray(np.sqrt(w @ squares / w.sum()))

    def _split(self, V: np.ndarray) -> list[tuple[_System, np.ndarray]]:
        return list(zip(self._parts, np.hsplit(V, len(self._parts)), strict=True))


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
    n, size = len(weight), np.abs(V).max(initial=0.0) or 1.0
    V = V / size  # which may be too large for the tiles
    rows = np.arange(0, n, -(-n // MEASURED_ROWS))
    some = take_rows(X, rows)
    missed = np.zeros((len(rows), V.shape[1]))
    for low in range(0, n, COLUMNS):
        others, v = slice_rows(X, low, low + COLUMNS), V[low : low + COLUMNS]
        precise, rounded = (
            kernel.columns(others, kind)(some) @ v.astype(kind) for kind in (np.float64, dtype)
        )
        missed += precise - rounded
    return size * np.sqrt(n / len(rows)) * np.sqrt(weight[rows])[:, None] * missed


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
