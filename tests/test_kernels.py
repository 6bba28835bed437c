"""Each kernel is the one of its name, in any container, dtype and buffer; and it is a parameter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process import kernels as theirs
from sklearn.gaussian_process.kernels import Matern as SklearnMatern
from sklearn.metrics.pairwise import laplacian_kernel, linear_kernel, rbf_kernel

from scalekern.errors import InvalidInputError
from scalekern.kernels import (
    RBF,
    BlockKernel,
    Laplacian,
    Linear,
    Matern,
    PairwiseKernel,
    as_kernel,
)

RNG = np.random.default_rng(3)
X = RNG.normal(size=(50, 4))
# Some columns of the Gram matrix belong to rows of X itself: distances of 0 are the hard ones.
Z = np.concatenate([X[:12], RNG.normal(size=(9, 4)), X[:1] + 1e-7])

PEERS = {
    "rbf": (RBF(0.4), lambda A, B: rbf_kernel(A, B, gamma=0.4)),
    "laplacian": (Laplacian(0.3), lambda A, B: laplacian_kernel(A, B, gamma=0.3)),
    "matern12": (Matern(1.7, nu=0.5), SklearnMatern(1.7, nu=0.5)),
    "matern32": (Matern(1.7, nu=1.5), SklearnMatern(1.7, nu=1.5)),
    "matern52": (Matern(1.7, nu=2.5), SklearnMatern(1.7, nu=2.5)),
    "linear": (Linear(), linear_kernel),
}
STATIONARY = [name for name in PEERS if name != "linear"]
each_kernel = pytest.mark.parametrize("name", PEERS)


def close(K, expected, tolerance=1e-12):
    assert K.shape == expected.shape
    np.testing.assert_allclose(K, expected, rtol=tolerance, atol=tolerance)


@each_kernel
def test_kernel_equals_scikit_learns_to_twelve_digits(name):
    kernel, peer = PEERS[name]
    close(kernel.block(X, Z), peer(X, Z))


@each_kernel
@pytest.mark.parametrize("convert", [np.asfortranarray, lambda A: np.repeat(A, 2, axis=0)[::2]])
def test_kernel_does_not_mind_the_order_in_memory(name, convert):
    kernel, peer = PEERS[name]
    close(kernel.block(convert(X), convert(Z)), peer(X, Z))


@each_kernel
@pytest.mark.parametrize("sparse_rows", [True, False])
@pytest.mark.parametrize("sparse_columns", [True, False])
def test_kernel_of_sparse_rows_equals_that_of_dense_ones(name, sparse_rows, sparse_columns):
    kernel, peer = PEERS[name]
    thin, few = X * (X > 0.5), Z * (Z > 0.5)
    left = sparse.csr_matrix(thin) if sparse_rows else thin
    right = sparse.csr_array(few) if sparse_columns else few
    close(kernel.block(left, right), peer(thin, few))


@each_kernel
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernel_writes_into_the_buffer_that_it_is_given(name, dtype):
    kernel, peer = PEERS[name]
    whole = np.full((60, len(Z)), np.nan, dtype=dtype)
    tile = kernel.block(X, Z, whole[5:55])
    assert tile is not None
    assert np.shares_memory(tile, whole)
    close(whole[5:55], peer(X, Z), 1e-12 if dtype == np.float64 else 1e-5)
    assert np.isnan(whole[:5]).all()
    assert np.isnan(whole[55:]).all()


@each_kernel
def test_float32_rows_give_float32_tiles_within_rounding(name):
    kernel, peer = PEERS[name]
    X32, Z32 = X.astype(np.float32), Z.astype(np.float32)
    K = kernel.block(X32, Z32)
    assert K.dtype == np.float32
    expected = peer(X32.astype(np.float64), Z32.astype(np.float64))
    # |x|^2 and |z|^2 of about 16 in the exponent, and a few operations.
    np.testing.assert_allclose(K, expected, rtol=0, atol=64 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize("tile", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [np.float32, np.float64])
def test_stationary_kernel_keeps_its_digits_far_from_the_origin(name, tile, rows):
    kernel, peer = PEERS[name]
    far_X, far_Z = (X + 1e4).astype(rows), (Z + 1e4).astype(rows)
    expected = peer(far_X.astype(np.float64) - 1e4, far_Z.astype(np.float64) - 1e4)
    K = kernel.columns(far_Z, tile)(far_X)
    close(K, expected, 1e-12 if tile == np.float64 else 64 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e4, 1e9])
def test_stationary_kernel_keeps_its_digits_among_rows_far_apart(name, dtype, scale):
    # Pairs of near rows, each pair many lengths from the others and from the mean.
    kernel, peer = PEERS[name]
    peer = theirs.RBF((2 * 0.4) ** -0.5) if name == "rbf" else peer  # rbf_kernel loses them itself
    centres = scale * RNG.normal(size=(30, 4))
    near = np.concatenate([centres, centres + RNG.normal(size=(30, 4))]).astype(dtype)
    expected = peer(near.astype(np.float64), centres.astype(dtype).astype(np.float64))
    K = kernel.block(near, centres.astype(dtype))
    # The last place of the centred rows; and of their squares, up to where they are taken apart.
    eps = float(np.finfo(dtype).eps)
    tolerance = max(8 * scale * eps, 4 * eps**0.5)
    np.testing.assert_allclose(K, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(np.diag(K[:30]), 1, rtol=0, atol=tolerance)
    assert (K <= 1 + 1e-6).all()


@pytest.mark.parametrize("name", STATIONARY)
def test_stationary_kernel_is_one_where_rows_are_equal(name):
    kernel, _ = PEERS[name]
    close(np.diag(kernel.block(X, X)), np.ones(len(X)))


@each_kernel
def test_diagonal_is_that_of_the_gram_matrix(name):
    kernel, _ = PEERS[name]
    close(kernel.diagonal(X), np.diag(kernel.block(X, X)))
    close(kernel.diagonal(sparse.csr_matrix(X)), np.diag(kernel.block(X, X)))


@each_kernel
def test_gram_matrix_has_no_negative_eigenvalue(name):
    kernel, _ = PEERS[name]
    e = np.linalg.eigvalsh(kernel.block(X, X))
    assert kernel.positive_definite
    assert e[0] > -1e-12 * e[-1]


@each_kernel
def test_tile_of_many_rows_is_that_of_a_few_at_a_time(name):
    kernel, _ = PEERS[name]
    many = RNG.normal(size=(5000, 4))
    columns = kernel.columns(Z, np.float64)
    parts = [columns(many[i : i + 700]) for i in range(0, 5000, 700)]
    close(columns(many), np.concatenate(parts), 1e-13)


@pytest.mark.parametrize("name", [*PEERS, "callable"])
def test_kernel_is_a_parameter_object_of_scikit_learn(name):
    kernel = PEERS[name][0] if name in PEERS else BlockKernel(linear_kernel)
    copy = clone(kernel)
    assert copy is not kernel
    assert copy.get_params() == kernel.get_params()
    close(copy.block(X, Z), kernel.block(X, Z))


def test_set_params_changes_the_kernel():
    kernel = Matern(1.0, nu=0.5).set_params(nu=2.5, length_scale=3.0)
    close(kernel.block(X, Z), SklearnMatern(3.0, nu=2.5)(X, Z))


@pytest.mark.parametrize("name", ["rbf", "laplacian", "matern12", "matern32", "matern52", "linear"])
def test_short_name_stands_for_the_kernel_of_its_name(name):
    kernel = as_kernel(name).with_gamma(0.4)
    if name.startswith("matern"):
        peer = SklearnMatern((2 * 0.4) ** -0.5, nu=int(name[-2]) / 2)
    else:
        peer = {"rbf": rbf_kernel, "laplacian": laplacian_kernel}.get(name)
        peer = linear_kernel if peer is None else lambda A, B, f=peer: f(A, B, gamma=0.4)
    close(kernel.block(X, Z), peer(X, Z))


@pytest.mark.parametrize("name", STATIONARY)
def test_with_gamma_fills_only_what_was_left_open(name):
    fixed, opened = PEERS[name][0], as_kernel(name)
    assert opened.needs_gamma
    assert not fixed.needs_gamma
    assert fixed.with_gamma(9.0).get_params() == fixed.get_params()
    filled = opened.with_gamma(0.4)
    assert not filled.needs_gamma
    assert opened.needs_gamma, "the kernel that the user passed must not change"


@pytest.mark.parametrize("name", STATIONARY)
def test_median_gamma_is_that_of_the_median_pair_of_distinct_rows(name):
    kernel = as_kernel(name)
    rows = X[:7]
    order = 1 if name == "laplacian" else 2
    pairs = [np.linalg.norm(rows[i] - rows[j], order) for i in range(7) for j in range(i)]
    median = np.median(pairs)  # of 21
    expected = 1 / median if order == 1 else 1 / (2 * median**2)
    assert kernel.median_gamma(rows) == pytest.approx(expected, rel=1e-12)
    assert kernel.median_gamma(np.concatenate([rows, rows])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", STATIONARY)
def test_median_gamma_of_weighted_rows_is_that_of_repeated_rows(name):
    counts = RNG.integers(0, 4, size=len(X))
    repeated = np.repeat(X, counts, axis=0)
    kernel = as_kernel(name)
    assert kernel.median_gamma(X, counts.astype(float)) == kernel.median_gamma(repeated)
    assert kernel.median_gamma(X, counts.astype(float)) != kernel.median_gamma(X)


@pytest.mark.parametrize("name", STATIONARY)
def test_median_gamma_of_equal_rows_is_a_number(name):
    assert np.isfinite(as_kernel(name).median_gamma(np.ones((5, 2))))


def edit_similarity(x, z):
    return float(sum(a == b for a, b in zip(x, z, strict=False)) - abs(len(x) - len(z)))


WORDS = ["gattaca", "cat", "tag", "attic"]


def test_callable_is_called_for_each_pair_of_any_objects():
    kernel = as_kernel(edit_similarity)
    assert isinstance(kernel, PairwiseKernel)
    expected = [[edit_similarity(x, z) for z in WORDS[:2]] for x in WORDS]
    assert kernel.block(WORDS, WORDS[:2]).tolist() == expected
    assert kernel.diagonal(WORDS).tolist() == [7, 3, 3, 5]
    assert not kernel.positive_definite
    assert not kernel.takes_vectors


def test_block_kernel_gets_whole_blocks():
    calls = []

    def lengths(A, B):
        calls.append((len(A), len(B)))
        return np.array([[min(len(x), len(z)) for z in B] for x in A])

    kernel = BlockKernel(lengths, is_positive_definite=True)
    out = np.zeros((4, 2), dtype=np.float32)
    assert kernel.block(WORDS, WORDS[:2], out) is out
    assert calls == [(4, 2)]
    assert out.tolist() == [[7, 3], [3, 3], [3, 3], [5, 3]]
    assert kernel.diagonal(WORDS).tolist() == [7, 3, 3, 5]
    assert kernel.positive_definite
    assert not BlockKernel(lengths).positive_definite


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_function_that_returns_no_number_is_named_with_its_place(value):
    pairwise = PairwiseKernel(lambda x, z: value if (x, z) == (2.0, 5.0) else x * z)
    blockwise = BlockKernel(lambda A, B: np.where((A[:, None] == 2) & (B == 5), value, 1.0))
    for kernel in (pairwise, blockwise):
        with pytest.raises(InvalidInputError, match=r"row 1 of a block against row 2.*finite"):
            kernel.block(np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0]))


def test_block_kernel_of_one_pair_is_told_apart():
    kernel = BlockKernel(lambda A, B: 1.0)
    with pytest.raises(InvalidInputError, match=r"shape \(\).*without BlockKernel"):
        kernel.block(WORDS, WORDS)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "wide", None, True])
@pytest.mark.parametrize(
    ("make", "name"), [(RBF, "gamma"), (Laplacian, "gamma"), (Matern, "length_scale")]
)
def test_bandwidth_that_is_no_positive_number_is_refused_by_name(make, name, value):
    with pytest.raises(InvalidInputError, match=f"^{name}="):
        make(value).block(X, Z)


def test_unknown_smoothness_and_kernel_are_refused_with_what_there_is():
    with pytest.raises(InvalidInputError, match=r"nu=1.*0\.5, 1\.5 or 2\.5"):
        Matern(1.0, nu=1).block(X, Z)
    with pytest.raises(InvalidInputError, match=r"'gauss'.*'rbf'.*callable"):
        as_kernel("gauss")
    with pytest.raises(InvalidInputError, match=r"RBF.*or a kernel object"):
        as_kernel(RBF)  # the class, not a kernel
