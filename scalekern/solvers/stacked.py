"""Cholesky factors of stacks of small matrices, and the triangular systems that they leave.

Plain linear algebra, apart from the models that stand on it. LAPACK's triangular solvers take one
matrix at a time, so these go through the rows of all matrices of a stack at once.
"""

from __future__ import annotations

import numpy as np


def cholesky(A: np.ndarray) -> np.ndarray:
    """Return the lower factors; a matrix that has none gets the least more on its diagonal.

    NumPy refuses a whole stack for one matrix, so stacks are halved until it stands alone; no
    matrix's factor depends on its company.
    """
    try:
        return np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        pass
    if len(A) > 1:
        half = len(A) // 2
        return np.concatenate([cholesky(A[:half]), cholesky(A[half:])])
    jitter, one = least_ridge(A.shape[1]), np.eye(A.shape[1])
    while jitter < 10 * A.shape[1]:  # diagonally dominant at the latest
        jitter *= 10
        try:
            return np.linalg.cholesky(A + jitter * one)
        except np.linalg.LinAlgError:
            continue
    return one[None] * np.sqrt(A.shape[1])


def back_substituted(L: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return w of shape (q, k) with L' w = v, L cut to (k, k); v is used up."""
    w = np.empty_like(v)
    for j in range(v.shape[1] - 1, -1, -1):
        np.divide(v[:, j], L[:, j, j], out=w[:, j])
        v[:, :j] -= L[:, j, :j] * w[:, j, None]
    return w


def forward_substituted(L: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Return U of shape (q, k, t) with L U = B, L cut to (k, k)."""
    U = np.empty_like(B)
    for j in range(B.shape[1]):
        known = (L[:, j, None, :j] @ U[:, :j])[:, 0]
        U[:, j] = (B[:, j] - known) / L[:, j, j, None]
    return U


def least_ridge(m: int) -> float:
    """Return the alpha from which Cholesky factorisation of m points cannot fail.

    It succeeds where the smallest eigenvalue is above m (m + 1) / 2 roundings (Demmel 1989), and
    the similarities' own rounding moves that by some m.
    """
    return 2.0 * m * (m + 8) * float(np.finfo(np.float64).eps)
