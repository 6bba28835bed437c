"""Randomly pivoted Cholesky: the rows that a kernel is best spanned by, and the factor they give.

Apart from the choice of landmarks because exact models precondition with the same factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from scalekern.engine.progress import step
from scalekern.kernels import Kernel
from scalekern.rows.base import take_rows

RANK_REACHED = 1e-13
"""Where no more than this share of the trace is left, it is rounding."""
BLOCKS = 10


@dataclass(frozen=True)
class PivotedFactor:
    """What is near the Gram matrix of n rows, F'F.

    Attributes
    ----------
    F : float64 array of shape (rank, n)
    pivots : int array of shape (rank,)
        In the order in which they were chosen.
    left : float64 array of shape (n,)
        The diagonal of the Gram matrix less that of F'F.
    trace : float
        Of the Gram matrix.
    """

    F: np.ndarray
    pivots: np.ndarray
    left: np.ndarray
    trace: float


@step("factoring the kernel")
def pivoted_cholesky(kernel: Kernel, X: Any, rank: int, seed: int) -> PivotedFactor:
    """Return a factor of at most `rank` rows, fewer where the kernel's numerical rank is.

    Pivots are drawn in proportion to what is left of the diagonal, many at a time, and those that
    earlier ones of the same draw already span are rejected, so that the outcome has the
    distribution of one at a time.

    Parameters
    ----------
    kernel : Kernel
        Positive definite, with its bandwidth.
    X : rows
    rank : int
    seed : int

    References
    ----------
    Chen, Epperly, Tropp and Webber (2025), Randomly pivoted Cholesky; Epperly, Tropp and Webber
    (2024), Embrace rejection: kernel matrix approximation by accelerated RPCholesky.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.kernels import RBF
    >>> X = np.repeat(np.arange(3.0), 5)[:, None]
    >>> factor = pivoted_cholesky(RBF(1.0), X, 10, seed=0)
    >>> len(factor.pivots), bool(np.allclose(factor.F.T @ factor.F, RBF(1.0).block(X, X)))
    (3, True)
    """
    rng = np.random.default_rng(seed)
    left = np.maximum(np.asarray(kernel.diagonal(X), dtype=np.float64), 0.0)
    n, trace = len(left), float(left.sum())
    rank = min(rank, n)
    F, pivots = np.empty((rank, n)), np.empty(rank, dtype=np.int64)
    i, at_once = 0, max(1, rank // BLOCKS)
    while i < rank and left.sum() > RANK_REACHED * trace:
        drawn = rng.choice(n, size=at_once, p=left / left.sum())
        Z = take_rows(X, drawn)
        H = np.asarray(kernel.columns(Z, np.float64)(Z)) - F[:i, drawn].T @ F[:i, drawn]
        accepted, L = _accept(H, rng, np.finfo(np.float64).eps * trace / n)
        accepted, L = accepted[: rank - i], L[: rank - i, : rank - i]
        chosen = drawn[accepted]
        K = np.asarray(kernel.columns(take_rows(X, chosen), np.float64)(X)).T
        new = solve_triangular(L, K - F[:i, chosen].T @ F[:i], lower=True, check_finite=False)
        F[i : i + len(chosen)], pivots[i : i + len(chosen)] = new, chosen
        left = np.maximum(left - np.square(new).sum(axis=0), 0.0)
        left[chosen] = 0.0
        i += len(chosen)
    return PivotedFactor(F[:i], pivots[:i], left, trace)


def _accept(
    H: np.ndarray, rng: np.random.Generator, rounding: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return which candidates to keep, and the Cholesky factor of their part of H."""
    H = 0.5 * (H + H.T)
    u = np.diag(H).copy()
    L, accepted = np.zeros_like(H), list[int]()
    for j in range(len(H)):
        # The first is always kept: with rounding the rest may look spanned already.
        if accepted and not rng.random() * u[j] < H[j, j]:
            continue
        L[j, j] = np.sqrt(max(H[j, j], rounding))
        L[j + 1 :, j] = H[j + 1 :, j] / L[j, j]
        H[j + 1 :, j + 1 :] -= np.outer(L[j + 1 :, j], L[j + 1 :, j])
        accepted.append(j)
    kept = np.array(accepted)
    return kept, L[np.ix_(kept, kept)]
