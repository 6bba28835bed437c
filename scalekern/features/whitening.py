"""The factor that turns kernel values against landmarks into coordinates of unit kernel norm.

With K_ZZ = T'T the features phi(x) = T'^-1 k(Z, x) have inner products that are the Nyström kernel.
Tiles are multiplied by T^-1 before they are summed: sums of raw kernel values, transformed at the
end, lose twice the digits and fail for smooth kernels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, solve_triangular

CUTOFFS = {np.dtype(np.float32): 1e-9, np.dtype(np.float64): 1e-14}
"""Below this share of the largest, a direction of K_ZZ is rounding and not similarity."""

COLUMN_BLOCKS = 6


@dataclass(frozen=True)
class Whitening:
    """What is kept of the landmarks, and the inverse factor.

    Attributes
    ----------
    kept : int array of shape (used,)
        Numbers of the landmarks that are used, in the order of the rows of `inverse`.
    inverse : float64 array of shape (used, rank)
        Multiplies k(X, Z[kept]) to give the features.
    triangular : bool
        Whether `inverse` is upper triangular, so that half of the product can be left out.
    clipped : float
        Share of the spectrum of an indefinite kernel that was negative and left out.
    smallest, largest : float
        Estimates of the extreme eigenvalues that are kept.
    """

    kept: np.ndarray
    inverse: np.ndarray
    triangular: bool
    clipped: float
    smallest: float
    largest: float

    @property
    def rank(self) -> int:
        """The number of features."""
        return self.inverse.shape[1]


def whiten(K_ZZ: np.ndarray, cutoff: float, *, positive_definite: bool) -> Whitening:
    """Return the whitening of the landmarks' own Gram matrix.

    Parameters
    ----------
    K_ZZ : float64 array of shape (m, m)
    cutoff : float
        Relative to the largest eigenvalue, or the largest pivot.
    positive_definite : bool
        Whether the kernel is; else the eigenvalues are looked at, and negative ones left out.
    """
    if positive_definite:
        return _by_pivoted_cholesky(K_ZZ, cutoff)
    return _by_eigenvalues(K_ZZ, cutoff)


def _by_pivoted_cholesky(K: np.ndarray, cutoff: float) -> Whitening:
    # The pivots that are left are the landmarks that the others do not already span, so a
    # low-rank K_ZZ makes the whole model smaller, not only this factor.
    largest = _norm(K)
    if largest <= 0:
        return _nothing(len(K))
    L, pivots, rank, _ = lapack.dpstrf(K, lower=1, tol=cutoff * largest)
    kept = pivots[:rank] - 1
    L = np.tril(L[:rank, :rank])
    inverse = np.ascontiguousarray(solve_triangular(L, np.eye(rank), lower=True).T)
    return Whitening(kept, inverse, True, 0.0, _smallest(L), largest)


def _by_eigenvalues(K: np.ndarray, cutoff: float) -> Whitening:
    e, V = np.linalg.eigh(K)
    size = np.abs(e)
    kept = e > max(cutoff, CUTOFFS[np.dtype(np.float64)]) * size.max(initial=0.0)
    if not kept.any():
        return _nothing(len(K))
    clipped = float(size[e < 0].sum() / size.sum())
    inverse = V[:, kept] / np.sqrt(e[kept])
    return Whitening(
        np.arange(len(K)), inverse, False, clipped, float(e[kept].min()), float(e[kept].max())
    )


def _nothing(m: int) -> Whitening:
    return Whitening(np.arange(min(1, m)), np.zeros((min(1, m), 1)), False, 0.0, 1.0, 1.0)


def _norm(K: np.ndarray, steps: int = 12) -> float:
    """Return the largest eigenvalue by power iteration; a per cent is near enough for a cutoff."""
    v = np.ones(len(K)) / np.sqrt(len(K))
    norm = 0.0
    for _ in range(steps):
        v = K @ v
        norm = float(np.linalg.norm(v))
        if norm == 0:
            return float(np.diag(K).max())
        v /= norm
    return max(norm, float(np.diag(K).max()))


def _smallest(L: np.ndarray, steps: int = 12) -> float:
    """Return the smallest eigenvalue of L L' by inverse iteration."""
    v = np.random.default_rng(0).standard_normal(len(L))
    smallest = 1.0
    for _ in range(steps):
        v = solve_triangular(L, v, lower=True)
        v = solve_triangular(L, v, lower=True, trans="T")
        smallest = 1.0 / float(np.linalg.norm(v))
        v *= smallest
    return smallest


def multiply(K: np.ndarray, whitening: Whitening, U: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Write K @ U into `out`, leaving out the zero blocks of a triangular U.

    A triangular U is cut into a few column blocks, of which each needs only the rows above its
    end: about 0.6 of the full product at the speed of a full product.
    """
    if not whitening.triangular or U.shape[1] < 64 * COLUMN_BLOCKS:
        return np.matmul(K, U, out=out)
    edges = np.linspace(0, U.shape[1], COLUMN_BLOCKS + 1).astype(int)
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        np.matmul(K[:, :high], U[:high, low:high], out=out[:, low:high])
    return out
