"""How fast this machine does what fits are made of, measured on the spot in under a second.

The rates turn the counted work of a plan into seconds, for people to read. No choice depends on
them, so the same seed gives the same model on any machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from math import comb, gamma, log, pi
from typing import Any

import numpy as np

from scalekern.engine.blas import one_blas_thread

LEAF_ROWS, TREE_COLUMNS = 16, 6
"""Of a KD-tree: rows of a leaf, and columns of the one that is measured."""
ROUNDS, LEAST_SECONDS = 3, 0.004
"""In each round every kind of work is repeated at least so long, and the median call of all rounds
counts: a core that was slow for a moment was slow in one round, and work of seconds never sees the
fastest call of many (on a shared machine exponentials and copies take 1.3 times as long)."""

Job = tuple[float, Callable[[], Any]]
"""How much work it is, and what does it."""

# The processor's time, which other programs do not add to, where it is told finely enough.
_fine = time.get_clock_info("thread_time").resolution < 1e-6
_clock = time.thread_time if _fine else time.perf_counter


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
    jobs = _elementwise() | _products() | _factors() | _trees()
    calls: dict[str, list[float]] = {kind: [] for kind in jobs}
    with one_blas_thread():
        for _ in range(ROUNDS):
            for kind, (_, run) in jobs.items():
                calls[kind] += _timed(run)
    return {kind: work / float(np.median(calls[kind])) for kind, (work, _) in jobs.items()}


def _timed(run: Callable[[], Any]) -> list[float]:
    """Return the seconds of each call of some."""
    calls: list[float] = []
    while sum(calls) < LEAST_SECONDS:
        start = _clock()
        run()
        calls.append(max(_clock() - start, 1e-9))
    return calls


def _products() -> dict[str, Job]:
    """Rows of a tile times themselves, as sums over features are made."""
    jobs: dict[str, Job] = {}
    for bits, dtype in (("32", np.float32), ("64", np.float64)):
        A = np.random.default_rng(0).standard_normal((768, 512)).astype(dtype)
        B, out = np.ascontiguousarray(A[:512]), np.empty((768, 512), dtype=dtype)
        jobs["product" + bits] = 2.0 * 768 * 512 * 512, partial(np.matmul, A, B, out=out)
    return jobs


def _elementwise() -> dict[str, Job]:
    # In no order, as those of features: a sine goes another way for each range of angles.
    angles = np.random.default_rng(0).normal(0.0, 1.0, 1 << 15)
    # Zeros that nothing was written to would all be one page of memory.
    x, out = np.ones(1 << 21), np.ones(1 << 21)
    numbers = np.random.default_rng(0).standard_normal(1 << 16)
    jobs: dict[str, Job] = {
        "move": (2.0 * x.nbytes, partial(np.copyto, out, x)),
        "sort": (float(len(numbers)), partial(np.argsort, numbers, kind="stable")),
    }
    for bits, dtype in (("32", np.float32), ("64", np.float64)):
        to = np.empty(1 << 15, dtype=dtype)
        ordered = np.linspace(-8.0, 0.0, len(to)).astype(dtype)
        jobs["exp" + bits] = float(len(to)), partial(np.exp, ordered, out=to)
        jobs["wave" + bits] = float(len(to)), partial(np.sin, angles.astype(dtype), out=to)
    return jobs


def _factors() -> dict[str, Job]:
    # As many models on 32 neighbours, the query and a target as are solved at a time; their size
    # is no multiple of eight, as sizes are.
    stack = np.tile(np.eye(34) + 0.1, (96, 1, 1))
    # Of similarities, as most of their eigenvalues are tiny, which spares work.
    X = np.random.default_rng(0).standard_normal((640, 4))
    K = np.exp(-np.square(X[:, None] - X).sum(axis=2))
    return {
        "solve": (len(stack) * 34.0**3, partial(np.linalg.cholesky, stack)),
        "eigen": (float(len(K)) ** 3, partial(np.linalg.eigh, K)),
    }


def _trees() -> dict[str, Job]:
    from scipy.spatial import cKDTree

    X = np.random.default_rng(0).uniform(size=(1 << 15, TREE_COLUMNS))
    tree, build = cKDTree(X, balanced_tree=False), partial(cKDTree, X, balanced_tree=False)
    coordinates = 512 * tree_coordinates(len(X), TREE_COLUMNS, 5)
    # Queries lie near each other, as those of a batch do once it is put in order.
    near = X[tree.indices[:512]]
    return {
        "tree": (coordinates, partial(tree.query, near, k=[1, 2, 3, 4, 5])),
        "tree_build": (len(X) * float(np.log2(len(X))), build),
    }


def tree_coordinates(n: int, d: int, k: int) -> float:
    """Return about how many coordinates a KD-tree of n rows looks at for k neighbours of a query.

    Counted for rows that fill a cube evenly and leaves that are cubes: a ball of k rows meets
    ``sum_i C(d, i) V_i (r / side)^i`` of them (Steiner's formula; V_i is the volume of the unit
    ball in i dimensions), but at the sides of the cube there are none to meet. Keeping a row among
    the best so far costs as much as 20 coordinates, as measured.
    """
    side = max((n / LEAF_ROWS) ** (1.0 / d), 1.0)
    radius = (k / (LEAF_ROWS * _ball(d))) ** (1.0 / d)
    leaves = sum(comb(d, i) * _ball(i) * (radius * (1.0 - 1.0 / side)) ** i for i in range(d + 1))
    rows = min(LEAF_ROWS * leaves, float(n))
    best = min(float(k), rows)
    return d * rows + 20.0 * best * (1.0 + log(rows / best))


def _ball(d: int) -> float:
    """Return the volume of the unit ball."""
    return float(pi ** (d / 2) / gamma(d / 2 + 1))
