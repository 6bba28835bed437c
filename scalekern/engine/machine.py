"""How fast this machine does what fits are made of, measured on the spot in under half a second.

The rates turn the counted work of a plan into seconds, for people to read. No choice depends on
them, so the same seed gives the same model on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from scalekern.engine.blas import one_blas_thread

LEAST_SECONDS = 0.008
"""A measurement is repeated at least so long; the fastest round counts."""


@cache
def rates() -> dict[str, float]:
    """Return what one core does in a second, by kind of work, measured once a process.

    Returns
    -------
    dict
        "product32", "product64": floating-point operations of matrix products in float32 and
        float64; "exp32", "exp64", "wave32", "wave64": exponentials, sines or cosines; "move":
        bytes read or written; "eigen": n^3 of an eigen-decomposition; "solve": those
        of a Cholesky factorisation in small stacks; "sort": numbers of an argsort; "tree",
        "tree_build": coordinates that a KD-tree looks at, and n log2(n) of building one.
    """
    # In no order, as those of features: a sine goes another way for each range of angles.
    angles = np.random.default_rng(0).normal(0.0, 1.0, 1 << 15)
    with one_blas_thread():
        found = {}
        for bits, dtype in (("32", np.float32), ("64", np.float64)):
            found["product" + bits] = _products(dtype)
            found["exp" + bits] = _elementwise(np.exp, np.linspace(-8.0, 0.0, 1 << 15), dtype)
            found["wave" + bits] = _elementwise(np.sin, angles, dtype)
        found["move"] = _moves()
        found["sort"] = _sorts()
        found["solve"] = _solves()
        found["eigen"] = _eigen()
        return found | _trees()


# The processor's time, which other programs do not add to, where it is told finely enough.
_fine = time.get_clock_info("thread_time").resolution < 1e-6
_clock = time.thread_time if _fine else time.perf_counter


def fastest(function: Callable[[], Any], least: float = LEAST_SECONDS) -> float:
    """Return the seconds of the fastest call of at least two that take `least` seconds."""
    best, spent, calls = np.inf, 0.0, 0
    while spent < least or calls < 2:
        start = _clock()
        function()
        seconds = _clock() - start
        best, spent, calls = min(best, seconds), spent + seconds, calls + 1
    return max(best, 1e-9)


def _products(dtype: Any) -> float:
    """Rows of a tile times themselves, as sums over features are made."""
    A = np.random.default_rng(0).standard_normal((768, 512)).astype(dtype)
    B, out = np.ascontiguousarray(A[:512]), np.empty((768, 512), dtype=dtype)
    return 2.0 * 768 * 512 * 512 / fastest(lambda: np.matmul(A, B, out=out))


def _elementwise(function: Any, values: np.ndarray, dtype: Any) -> float:
    x = values.astype(dtype)
    out = np.empty_like(x)
    return len(x) / fastest(lambda: function(x, out=out), 0.005)


def _moves() -> float:
    # Zeros that nothing was written to would all be one page of memory.
    x, out = np.ones(1 << 21), np.ones(1 << 21)
    return 2.0 * x.nbytes / fastest(lambda: np.copyto(out, x))


def _sorts() -> float:
    x = np.random.default_rng(0).standard_normal(1 << 16)
    return len(x) / fastest(lambda: np.argsort(x, kind="stable"))


def _solves() -> float:
    A = np.tile(np.eye(32) + 0.1, (256, 1, 1))
    return 256 * 32.0**3 / fastest(lambda: np.linalg.cholesky(A))


def _eigen() -> float:
    # Of similarities, as most of their eigenvalues are tiny, which spares work.
    n = 768
    X = np.random.default_rng(0).standard_normal((n, 4))
    A = np.exp(-np.square(X[:, None] - X).sum(axis=2))
    return float(n) ** 3 / fastest(lambda: np.linalg.eigh(A), 0.1)


def _trees() -> dict[str, float]:
    from scipy.spatial import cKDTree

    X = np.random.default_rng(0).standard_normal((1 << 15, 6))
    build = fastest(lambda: cKDTree(X, balanced_tree=False))
    tree = cKDTree(X, balanced_tree=False)
    search = fastest(lambda: tree.query(X[:512], k=5))
    return {
        "tree": 512 * tree_coordinates(len(X), 6, 5) / search,
        "tree_build": len(X) * np.log2(len(X)) / build,
    }


def tree_coordinates(n: int, d: int, k: int) -> float:
    """Return about how many coordinates a KD-tree of n rows looks at for k neighbours of a query.

    The growth by 1.8 a column is that of gaussian rows in 4 to 10 columns; rows that lie near a
    plane of fewer columns need less.
    """
    return d * min(float(n), 16.0 * 1.8**d + 4.0 * k) * float(np.log2(n + 2.0)) / 15.0
