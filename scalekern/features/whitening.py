"""The factor that turns kernel values against landmarks into coordinates of unit kernel norm.

With K_ZZ = LL' the features phi(x) = L^-1 k(Z, x) have inner products that are the Nyström kernel.
Sums of raw kernel values, transformed at the end, lose twice the digits of K_ZZ's condition and
fail for smooth kernels; transforming every tile costs as much as the sums. So L is cut into blocks
that are well conditioned in themselves: a tile is freed of what earlier blocks explain (a block
elimination), and only the diagonal blocks, where no digits are at stake, are left to the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack, solve_triangular

from scalekern.engine.progress import step

CUTOFFS = {np.dtype(np.float32): 1e-9, np.dtype(np.float64): 1e-14}
"""Below this share of the largest, a direction of K_ZZ is rounding and not similarity."""


@dataclass(frozen=True)
class Whitening:
    """What is kept of the landmarks, and the inverse factor in two parts.

    Attributes
    ----------
    kept : int array of shape (used,)
        Numbers of the landmarks that are used, in the order of the columns of a tile.
    blocks : list of slice
        Runs of columns of a tile.
    eliminate : float64 array of shape (used, used)
        Strictly block upper triangular; a tile plus the tile times it is eliminated.
    finish : float64 array of shape (used, rank)
        Block diagonal where `blocks` are several; turns eliminated values into features.
    clipped : float
        Share of the spectrum of an indefinite kernel that was negative and left out.
    """

    kept: np.ndarray
    blocks: list[slice]
    eliminate: np.ndarray
    finish: np.ndarray
    clipped: float

    @property
    def rank(self) -> int:
        """The number of features."""
        return self.finish.shape[1]

    @property
    def inverse(self) -> np.ndarray:
        """The whole factor, shape (used, rank): k(X, Z[kept]) times it is the features."""
        return self.finish + self.eliminate @ self.finish


@step("factoring the landmarks")
def whiten(
    K_ZZ: np.ndarray, cutoff: float, dtype: np.dtype, *, positive_definite: bool
) -> Whitening:
    """Return the whitening of the landmarks' own Gram matrix.

    Parameters
    ----------
    K_ZZ : float64 array of shape (m, m)
    cutoff : float
        Relative to the largest eigenvalue.
    dtype : numpy dtype
        Of the tiles: how much condition a diagonal block may have.
    positive_definite : bool
        Whether the kernel is; else the eigenvalues are looked at, and negative ones left out.
    """
    if positive_definite:
        return _by_pivoted_cholesky(K_ZZ, cutoff, dtype)
    return _by_eigenvalues(K_ZZ, cutoff)


def _by_pivoted_cholesky(K: np.ndarray, cutoff: float, dtype: np.dtype) -> Whitening:
    # The pivots that are left are the landmarks that the others do not already span, so a
    # low-rank K_ZZ makes the whole model smaller, not only this factor.
    largest = largest_eigenvalue(K)
    if largest <= 0:
        return _nothing(len(K))
    L, pivots, rank, _ = lapack.dpstrf(K, lower=1, tol=cutoff * largest)
    kept, L = pivots[:rank] - 1, np.tril(L[:rank, :rank])
    blocks = _blocks(L, dtype)
    eliminate, finish = np.zeros_like(L), np.zeros_like(L)
    inverse = solve_triangular(L, np.eye(rank), lower=True).T
    for b in blocks:
        finish[b, b] = inverse[b, b]
        # In the block's own units again: (L^-1)' columns of b, times L_bb'.
        eliminate[: b.start, b] = inverse[: b.start, b] @ L[b, b].T
    return Whitening(kept, blocks, eliminate, finish, 0.0)


def _blocks(L: np.ndarray, dtype: np.dtype) -> list[slice]:
    """Cut a pivoted factor where the condition of what is left would cost digits.

    Sums in a block's own coordinates square its condition, so it must stay above the square root
    of the tiles' precision. The falling pivots bound the smallest eigenvalue from above only: three
    times that root leaves room (on kin40k and protein once is enough, and 0.3 times is not).
    """
    most = 3.0 * float(np.sqrt(np.finfo(dtype).eps))
    pivots, blocks, low = np.diag(L) ** 2, [], 0
    while low < len(L):
        rest = L[low:, low:]
        floor = most * largest_eigenvalue(rest @ rest.T)
        below = np.flatnonzero(pivots[low + 1 :] < floor)
        high = low + 1 + int(below[0]) if len(below) else len(L)
        blocks.append(slice(low, high))
        low = high
    return blocks


def _by_eigenvalues(K: np.ndarray, cutoff: float) -> Whitening:
    e, V = np.linalg.eigh(K)
    size = np.abs(e)
    kept = e > max(cutoff, CUTOFFS[np.dtype(np.float64)]) * size.max(initial=0.0)
    if not kept.any():
        return _nothing(len(K))
    clipped = float(size[e < 0].sum() / size.sum())
    finish = V[:, kept] / np.sqrt(e[kept])
    m = len(K)
    return Whitening(np.arange(m), [slice(0, m)], np.zeros((m, m)), finish, clipped)


def _nothing(m: int) -> Whitening:
    one = min(1, m)
    zero = np.zeros((one, one))
    return Whitening(np.arange(one), [slice(0, one)], zero, zero, 0.0)


def largest_eigenvalue(K: np.ndarray, steps: int = 12) -> float:
    """Return it by power iteration; a per cent is near enough for a cutoff."""
    v = np.ones(len(K)) / np.sqrt(len(K))
    norm = 0.0
    for _ in range(steps):
        v = K @ v
        norm = float(np.linalg.norm(v))
        if norm == 0:
            break
        v /= norm
    return max(norm, float(np.diag(K).max()))


def eliminated(K: np.ndarray, blocks: list[slice], eliminate: np.ndarray) -> np.ndarray:
    """Add K @ eliminate to a tile in place, last block first, so that each sees raw values."""
    for b in blocks[:0:-1]:
        K[:, b] += K[:, : b.start] @ eliminate[: b.start, b]
    return K
