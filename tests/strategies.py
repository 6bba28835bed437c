"""What hypothesis draws from: data as users bring it, with every degeneracy at once."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from pandas import DataFrame
from scipy.sparse import csr_matrix

from scalekern.kernels import as_kernel

ANY_DATA = settings(deadline=None, derandomize=True)
"""No deadlines, which busy machines miss; the same examples each time, so that a gate is fair."""

SIZES = st.integers(1, 12)


@st.composite
def symmetric_systems(draw):
    """A symmetric matrix of any rank, sign and scale, and right-hand sides."""
    m, t = draw(SIZES), draw(st.integers(1, 3))
    rank = draw(st.integers(0, m))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    F = rng.normal(size=(m, rank)) * 10.0 ** rng.uniform(-draw(st.integers(0, 12)), 0, size=rank)
    signs = np.ones(rank)
    signs[: draw(st.integers(0, rank))] = draw(st.sampled_from([1.0, -1.0, -1e-10]))
    A = (F * signs) @ F.T
    A = 0.5 * (A + A.T) + draw(st.sampled_from([0.0, 1e-16, 1e-8, 1.0])) * np.eye(m)
    scale = 10.0 ** draw(st.integers(-100, 100))
    return A * scale, rng.normal(size=(m, t)) * 10.0 ** draw(st.integers(-50, 50))


@st.composite
def training_sets(draw):
    """X and y of 1 to 40 rows: repeated rows, constant columns, far from the origin, any scale."""
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = rng.normal(size=(n, d))
    if draw(st.booleans()):
        X = X[rng.integers(0, max(1, n // 3), size=n)]
    constant = rng.random(d) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    X[:, constant] = 1.0
    X = X * 10.0 ** draw(st.integers(-6, 6)) + draw(st.sampled_from([0.0, 1.0, 1e4]))
    y = rng.normal(size=(n, draw(st.integers(1, 3))))
    if draw(st.booleans()):
        y[:] = 3.0
    y = y * 10.0 ** draw(st.integers(-6, 6))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    return X.astype(dtype), y[:, 0] if y.shape[1] == 1 else y


def weights(n):
    """Weights of n rows, at least one of them above 0; or none."""
    some = st.lists(st.sampled_from([0.0, 1e-6, 1.0, 2.5, 1e6]), min_size=n, max_size=n)
    return st.none() | some.filter(any).map(np.array)


ALPHAS = st.sampled_from(["loo", "gcv", "cv", [1e-8, 1.0]]) | st.integers(-12, 3).map(
    lambda exponent: 10.0**exponent
)
GAMMAS = st.sampled_from(["median", "scale", "cv"]) | st.integers(-6, 6).map(
    lambda exponent: 10.0**exponent
)
KERNELS = st.sampled_from(["rbf", "laplacian", "matern12", "matern32", "matern52", "linear"])


def _formulas(parts):
    pairs = st.tuples(parts, parts)
    numbers = st.sampled_from([0.0, 1e-3, 1.0, 30.0])
    sums, products = pairs.map(lambda k: k[0] + k[1]), pairs.map(lambda k: k[0] * k[1])
    return sums | products | st.tuples(numbers, parts).map(lambda k: k[0] * k[1])


COMBINATIONS = st.recursive(KERNELS.map(as_kernel), _formulas, max_leaves=3)
"""Sums and products of kernels with open bandwidths, up to three of them."""


@st.composite
def laid_out(draw, X):
    """The same rows in another order of memory, read-only, strided or sparse."""
    ways = [np.ascontiguousarray, np.asfortranarray, csr_matrix, lambda X: X[::-1].copy()[::-1]]
    return draw(st.sampled_from(ways))(X)


@st.composite
def tables(draw):
    """A frame of numbers, texts, booleans and gaps, and a target."""
    n, kinds = draw(st.integers(2, 30)), draw(st.lists(st.sampled_from("ntbg"), min_size=1,
                                                       max_size=4))  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    made = {
        "n": lambda: rng.normal(size=n) * 10.0 ** rng.integers(-6, 7),
        "t": lambda: rng.choice(["x", "y", "", "a b", "é"], size=n),
        "b": lambda: rng.random(n) > 0.5,
        "g": lambda: np.where(rng.permutation(n) < n // 2, np.nan, rng.normal(size=n)),
    }
    columns = {f"{kind}{i}": made[kind]() for i, kind in enumerate(kinds)}
    return DataFrame(columns), rng.normal(size=n)
