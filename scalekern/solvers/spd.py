"""Solve a positive definite system whatever rounding has done to it.

A ladder: Cholesky; Cholesky with a little more on the diagonal, ten times more at each step; at
last eigenvalues with a cutoff, which always gives an answer. What was done is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from scalekern.errors import InvalidInputError

STEPS = 6


LARGEST_ENTRY, LEAST_ENTRY = 1e100, 1e-130
"""Beyond them squares, and squares of inverses, are no numbers."""


def solve_spd(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return X with A @ X = B, and a report.

    Parameters
    ----------
    A : float64 array of shape (m, m), symmetric, meant to be positive definite
    B : float64 array of shape (m, t)

    Returns
    -------
    X : float64 array of shape (m, t)
    report : dict
        `factorization` ("cholesky" or "eigenvalues"), `jitter` (what was added to the diagonal),
        `rank`.
    """
    for solve, report in _ladder(A):
        X = np.asarray(solve(B))
        if np.isfinite(X).all() or report["factorization"] == "eigenvalues":
            return X, report
    raise AssertionError("the ladder ends in eigenvalues")


def check_system(A: np.ndarray, B: np.ndarray, dtype: Any = np.float64) -> None:
    """Raise where the squares of a system, which errors are made of, would be no numbers.

    Linear and polynomial kernels of rows near the end of their range make such, times weights.
    `dtype` is that of the tiles that were added up.
    """
    for part in (A, B):
        if not (-LARGEST_ENTRY <= part.min(initial=0.0) and part.max(initial=0.0) <= LARGEST_ENTRY):
            raise InvalidInputError(
                f"similarities times weights or targets are too large for {np.dtype(dtype)}; "
                "divide rows, targets or weights by a constant"
            )


def factor_spd(A: np.ndarray) -> tuple[Callable[[np.ndarray], np.ndarray], dict[str, Any]]:
    """Return the function from B to X of `solve_spd`, for many B, and its report."""
    return next(_ladder(A))


def _ladder(
    A: np.ndarray,
) -> Iterator[tuple[Callable[[np.ndarray], np.ndarray], dict[str, Any]]]:
    m = len(A)
    size = float(np.trace(A)) / max(1, m)
    jitters = [0.0] + [size * np.finfo(np.float64).eps * 10.0**k for k in range(STEPS)]
    for jitter in jitters:
        try:
            factor = cho_factor(_with_diagonal(A, jitter), lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            continue
        report = {"factorization": "cholesky", "jitter": jitter, "rank": m}
        yield partial(cho_solve, factor, check_finite=False), report
    e, V = np.linalg.eigh(A)
    inverse = pseudo_inverse(e)
    rank = int(np.count_nonzero(inverse))
    report = {"factorization": "eigenvalues", "jitter": 0.0, "rank": rank}
    yield lambda B: V @ (inverse[:, None] * (V.T @ B)), report


def pseudo_inverse(e: np.ndarray) -> np.ndarray:
    """Return 1/e, and 0 where |e| is rounding against the largest, as `numpy.linalg.pinv` does."""
    size = np.abs(e)
    kept = size > 1e-15 * size.max(initial=0.0)
    return np.divide(1.0, e, out=np.zeros_like(e), where=kept)


def _with_diagonal(A: np.ndarray, jitter: float) -> np.ndarray:
    if jitter == 0.0:
        return A
    A = A.copy()
    A.flat[:: len(A) + 1] += jitter
    return A
