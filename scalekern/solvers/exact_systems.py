"""The systems of exact models that conjugate gradients solve, with their preconditioners.

They are those of `solvers.exact`: with sqrt(w) taken into the matrix and, where there is an
intercept, the weighted mean projected out,

    (A + alpha I) beta = sqrt(w) (y - mean),    A = P sqrt(w) K sqrt(w) P.

The preconditioner is a pivoted Cholesky factor F'F of K, put between the same two factors, plus
alpha I, inverted by Woodbury's formula. The model without some rows is more columns of the same
products with K.
"""

from __future__ import annotations

import numpy as np

from scalekern.features.whitening import largest_eigenvalue
from scalekern.solvers.spd import factor_spd
from scalekern.solvers.tiles import GramProduct

ROUNDING = 1e-15
COLUMNS = 8_192
"""Of the factor that are weighted together."""


class Systems:
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
        self._parts = [System(F, w, alpha, fit_intercept=fit_intercept) for w in weights]
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

    def amplitude(self, x: np.ndarray, freedom: float) -> np.ndarray:
        """Return the likeliest variance of the model of all rows, by its degrees of freedom."""
        energy = np.einsum("ij,ij->j", self.right, x)[: self._t]
        return np.maximum(energy, 0.0) / max(freedom, 1.0)

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

    def _split(self, V: np.ndarray) -> list[tuple[System, np.ndarray]]:
        return list(zip(self._parts, np.hsplit(V, len(self._parts)), strict=True))


class System:
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
            part = F[:, low : low + COLUMNS] * self._root[low : low + COLUMNS, 0]
            H += part @ part.T  # of one matrix BLAS computes half
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
