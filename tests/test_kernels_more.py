"""Rational quadratic, polynomial, cosine and precomputed kernels; sums and products of kernels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process import kernels as gp
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import cosine_similarity, polynomial_kernel
from sklearn.model_selection import GridSearchCV, cross_val_score

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import (
    RBF,
    Constant,
    Cosine,
    EditDistance,
    Laplacian,
    Linear,
    Matern,
    PairwiseKernel,
    Polynomial,
    Precomputed,
    Product,
    RationalQuadratic,
    Sum,
    as_kernel,
    kernel_names,
)

RNG = np.random.default_rng(7)
X, Z = RNG.normal(size=(60, 5)), RNG.normal(size=(23, 5))
Y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2]

AGAINST_SCIKIT_LEARN = [
    (RationalQuadratic(1.3, 0.7), gp.RationalQuadratic(1.3, 0.7)),
    (RationalQuadratic(0.4, 25.0), gp.RationalQuadratic(0.4, 25.0)),
    (Polynomial(), polynomial_kernel),
    (Polynomial(4, 0.3, 0.5), lambda A, B: polynomial_kernel(A, B, 4, 0.3, 0.5)),
    (Polynomial(2, 1.5, 0), lambda A, B: polynomial_kernel(A, B, 2, 1.5, 0)),
    (Cosine(), cosine_similarity),
    (2.0 * RBF(0.3) + Constant(0.5),
     gp.ConstantKernel(2.0) * gp.RBF((2 * 0.3) ** -0.5) + gp.ConstantKernel(0.5)),
    (RBF(0.3) * Matern(1.5, nu=2.5), gp.RBF((2 * 0.3) ** -0.5) * gp.Matern(1.5, nu=2.5)),
    ((Linear() + 1) * RationalQuadratic(2.0), gp.DotProduct(1.0) * gp.RationalQuadratic(2.0)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kernel", "theirs"), AGAINST_SCIKIT_LEARN, ids=lambda k: None if callable(k) else repr(k)
)
def test_blocks_and_diagonals_are_those_of_scikit_learn(kernel, theirs):
    K = theirs(X, Z)
    np.testing.assert_allclose(kernel.block(X, Z), K, rtol=1e-12, atol=1e-12)
    out = np.full(K.shape, np.nan)
    assert kernel.block(X, Z, out) is out
    np.testing.assert_allclose(out, K, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(X), np.diag(theirs(X, X)), rtol=1e-12)
    sparse_block = kernel.block(sparse.csr_matrix(X), sparse.csr_matrix(Z))
    np.testing.assert_allclose(sparse_block, K, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kernel", [k for k, _ in AGAINST_SCIKIT_LEARN], ids=repr)
def test_float32_rows_give_float32_tiles_near_the_float64_ones(kernel):
    block = kernel.block(X.astype(np.float32), Z.astype(np.float32))
    K = kernel.block(X, Z)
    assert block.dtype == np.float32
    np.testing.assert_allclose(block, K, atol=2e-5 * np.abs(K).max())


def test_a_row_of_zeros_has_no_cosine_and_large_values_have_one():
    rows = np.array([[0.0, 0.0], [3e30, 4e30]], dtype=np.float32)
    expected = [[0.0, 0.0], [0.0, 1.0]]
    np.testing.assert_allclose(Cosine().block(rows, rows), expected, rtol=1e-6)
    assert Cosine().diagonal(rows).tolist() == [0.0, 1.0]


def test_gamma_of_a_rational_quadratic_is_that_of_its_length_scale():
    opened = RationalQuadratic(alpha=2.0).with_gamma(0.125)
    np.testing.assert_allclose(opened.block(X, Z), gp.RationalQuadratic(2.0, 2.0)(X, Z), rtol=1e-12)


def test_the_polynomial_kernel_takes_gamma_from_the_estimator_as_kernel_ridge_does():
    ours = {"fit_intercept": False, "alpha": 0.3}
    for gamma, theirs in ((0.2, 0.2), ("median", None)):
        model = sk.SimilarityRegressor(Polynomial(2), gamma=gamma, **ours).fit(X, Y)
        ridge = KernelRidge(kernel="polynomial", degree=2, gamma=theirs, alpha=0.3).fit(X, Y)
        np.testing.assert_allclose(model.predict(Z), ridge.predict(Z), rtol=1e-8)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (RationalQuadratic(1.0, alpha=0.0), "alpha=0.0"),
        (RationalQuadratic(-1.0), "length_scale=-1.0"),
        (Polynomial(degree=0), "degree=0"),
        (Polynomial(degree=2.5), "degree=2.5"),
        (Polynomial(coef0=np.inf), "coef0=inf"),
        (Polynomial(gamma=-1.0), "gamma=-1.0"),
        (Polynomial(degree=400, gamma=1e3), "too large for float64"),
        (Constant(np.nan) * RBF(1.0), "value=nan"),
    ],
)
def test_a_bad_parameter_is_named(kernel, message):
    with pytest.raises(InvalidInputError, match=message):
        kernel.block(X, Z)


# Combinations

PARTS = [RBF(0.3), Laplacian(0.2), RationalQuadratic(1.0, 0.5), Linear(), Polynomial(2), Cosine(),
         Constant(0.7)]  # fmt: skip


@pytest.mark.parametrize("combine", [Sum, Product])
def test_sums_and_products_of_positive_definite_kernels_are_positive_definite(combine):
    for i, first in enumerate(PARTS):
        for second in PARTS[i:]:
            kernel = combine(first, second)
            assert kernel.positive_definite
            e = np.linalg.eigvalsh(kernel.block(X, X))
            assert e[0] > -1e-12 * e[-1], kernel


def test_tags_of_a_combination_follow_from_its_parts():
    indefinite, texts = Polynomial(coef0=-1.0), EditDistance(0.1)
    assert not (RBF(1.0) + indefinite).positive_definite
    assert not (-1.0 * RBF(1.0)).positive_definite
    assert (2.0 * RBF(1.0) * Matern(1.0)).stationary
    assert not (RBF(1.0) + Linear()).stationary
    assert not (-1.0 * RBF(1.0)).stationary
    assert (2.0 * RBF(1.0)).takes_vectors
    assert not (2.0 * texts).takes_vectors
    assert (texts + RBF(1.0)).takes_vectors  # texts alone would not do
    assert (RBF() * Linear()).needs_gamma
    assert not (RBF(1.0) * Linear()).needs_gamma


def test_an_indefinite_combination_has_a_negative_eigenvalue_that_the_tag_admits():
    kernel = RBF(1.0) + -0.9 * RBF(0.1)
    assert not kernel.positive_definite
    assert np.linalg.eigvalsh(kernel.block(X, X))[0] < -0.1


def test_formulas_of_numbers_and_kernels_read_as_they_are_written():
    kernel = 2.0 * (RBF(gamma=0.5) + Linear()) + 1
    assert repr(kernel) == "2.0 * (RBF(gamma=0.5) + Linear()) + 1.0"
    assert repr(np.float64(2.0) * RBF(gamma=0.5)) == "2.0 * RBF(gamma=0.5)"
    assert repr(RBF(gamma=0.5) * np.float32(2.0)) == "RBF(gamma=0.5) * 2.0"
    for other in ("rbf", None, True, np.ones(2)):
        with pytest.raises(TypeError):
            RBF() + other
        with pytest.raises(TypeError):
            other * RBF()


def test_nested_parameters_are_set_cloned_and_searched():
    kernel = RBF(0.1) + 2.0 * Matern(1.0)
    assert kernel.get_params()["k2__k2__length_scale"] == 1.0
    kernel.set_params(k1__gamma=0.4, k2__k1__value=3.0)
    assert repr(clone(kernel)) == "RBF(gamma=0.4) + 3.0 * Matern(length_scale=1.0)"
    model = sk.SimilarityRegressor(RBF() + Linear(), alpha=0.1)
    grid = {"kernel__k1__gamma": [1e-6, 0.3, 30.0], "kernel__k2": [Linear(), Constant(1.0)]}
    search = GridSearchCV(model, grid).fit(X, Y)
    by_hand = [
        cross_val_score(sk.SimilarityRegressor(RBF(g) + k, alpha=0.1), X, Y).mean()
        for g in grid["kernel__k1__gamma"] for k in grid["kernel__k2"]
    ]  # fmt: skip
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], by_hand, rtol=1e-9)


def test_an_open_bandwidth_is_chosen_for_each_part_by_its_own_distances():
    median = {"gamma": "median"}
    model = sk.SimilarityRegressor(2.0 * RBF() + Laplacian() * Matern(0.7), **median).fit(X, Y)
    for part, name in ((model.kernel_.k1.k2, "rbf"), (model.kernel_.k2.k1, "laplacian")):
        alone = sk.SimilarityRegressor(name, **median).fit(X, Y).kernel_
        assert part.gamma == alone.gamma
    assert model.kernel_.k2.k2.length_scale == 0.7
    number = sk.SimilarityRegressor(RBF() + Laplacian(), gamma=0.3).fit(X, Y).kernel_
    assert (number.k1.gamma, number.k2.gamma) == (0.3, 0.3)


def test_gamma_by_cross_validation_scales_the_parts_together():
    model = sk.SimilarityRegressor(RBF() + RationalQuadratic(), gamma="cv").fit(X, Y)
    median = sk.SimilarityRegressor(RBF() + RationalQuadratic(), gamma="median").fit(X, Y).kernel_
    errors = model.report_["gamma_errors"]
    factor = model.report_["gamma_factors"][int(np.argmin(errors))]
    assert len(set(errors)) > 1
    np.testing.assert_allclose(model.kernel_.k1.gamma, factor * median.k1.gamma)
    np.testing.assert_allclose(
        model.kernel_.k2.length_scale, median.k2.length_scale / np.sqrt(factor)
    )


def test_a_sum_of_the_same_kernel_is_twice_the_kernel_in_every_model():
    rows = X[::4]
    for how in ("exact", "nystroem"):
        settings = {"alpha": 0.1, "approximation": how, "landmarks": rows}
        twice = sk.SimilarityRegressor(RBF(0.2) + RBF(0.2), **settings).fit(X, Y)
        scaled = sk.SimilarityRegressor(2.0 * RBF(0.2), **settings).fit(X, Y)
        half = sk.SimilarityRegressor(RBF(0.2), **settings | {"alpha": 0.05}).fit(X, Y)
        np.testing.assert_allclose(twice.predict(Z), scaled.predict(Z), rtol=1e-9)
        np.testing.assert_allclose(scaled.predict(Z), half.predict(Z), rtol=1e-9)
    fourier = {"approximation": "fourier", "random_state": 0, "n_components": 100}
    scaled = sk.SimilarityRegressor(2.0 * RBF(0.2), alpha=0.1, **fourier).fit(X, Y)
    half = sk.SimilarityRegressor(RBF(0.2), alpha=0.05, **fourier).fit(X, Y)
    np.testing.assert_allclose(scaled.predict(Z), half.predict(Z), rtol=1e-9)


STATIONARY = [
    RationalQuadratic(1.5, 0.6),
    2.0 * RBF(0.1) + Laplacian(0.2),
    RBF(0.05) * Matern(3.0) * 0.5,
    RationalQuadratic(2.0) * (RBF(0.1) + 1.0),
]


@pytest.mark.parametrize("kernel", STATIONARY, ids=repr)
def test_fourier_errors_fall_with_the_square_root_of_the_number_of_features(kernel):
    K = kernel.block(X, Z)
    sizes = np.array([50, 200, 800, 3200])
    errors = []
    for D in sizes:
        draws = []
        for seed in range(6):
            maps = sk.FourierFeatures(kernel, n_components=D, random_state=seed).fit(X)
            draws.append(np.mean((maps.transform(X) @ maps.transform(Z).T - K) ** 2))
        errors.append(np.sqrt(np.mean(draws)))
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert -0.6 < slope < -0.4
    assert errors[-1] < 0.02 * K.max()


def test_kernels_that_are_not_stationary_have_no_fourier_features():
    for kernel in ("linear", "cosine", RBF(1.0) + Linear(), -1.0 * RBF(1.0)):
        with pytest.raises(UnsupportedError, match=r"stationary.*'rational_quadratic'"):
            sk.FourierFeatures(kernel).fit(X)


def test_a_combination_names_the_part_that_does_not_take_the_rows():
    with pytest.raises(UnsupportedError, match=r"RBF\(gamma=1.0\) takes rows of numbers.*str"):
        (PairwiseKernel(lambda x, z: 1.0) * RBF(1.0)).block(["a"], ["b"])


# Precomputed

G, G_ZX = RBF(0.3).block(X, X), RBF(0.3).block(Z, X)


@pytest.mark.parametrize("solver", ["pinv", "cholesky"])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_matrix, np.float32])
def test_a_precomputed_gram_matrix_is_the_kernel_itself(solver, container):
    settings = {"alpha": 0.1, "solver": solver}
    model = sk.SimilarityRegressor("precomputed", **settings).fit(container(G), Y)
    same = sk.SimilarityRegressor("rbf", gamma=0.3, **settings).fit(X, Y)
    tolerance = 1e-4 if container is np.float32 else 1e-9
    predicted = model.predict(container(G_ZX))
    np.testing.assert_allclose(predicted, same.predict(Z), rtol=tolerance, atol=tolerance)


def test_rows_of_weight_zero_drop_out_of_a_precomputed_model():
    weight = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1.0 + np.arange(len(X)) % 2)
    kept = np.flatnonzero(weight)
    model = sk.SimilarityRegressor("precomputed", alpha=0.1).fit(G, Y, weight)
    alone = sk.SimilarityRegressor("precomputed", alpha=0.1)
    alone.fit(G[np.ix_(kept, kept)], Y[kept], weight[kept])
    assert len(model.dual_coef_) == len(kept)
    np.testing.assert_allclose(model.predict(G_ZX), alone.predict(G_ZX[:, kept]), rtol=1e-9)


def test_cross_validation_cuts_rows_and_columns_of_a_precomputed_matrix():
    for kernel in ("precomputed", Precomputed()):
        ours = cross_val_score(sk.SimilarityRegressor(kernel, alpha=0.1), G, Y)
        same = cross_val_score(sk.SimilarityRegressor("rbf", gamma=0.3, alpha=0.1), X, Y)
        np.testing.assert_allclose(ours, same, rtol=1e-9)


def test_auto_is_exact_for_a_precomputed_matrix_of_any_size(monkeypatch):
    monkeypatch.setattr("scalekern.estimators.outset.MOST_DENSE_ROWS", 10)
    model = sk.SimilarityRegressor("precomputed").fit(G, Y)
    assert model.report_["approximation"] == "exact"
    assert "precomputed" in model.report_["why"]


def test_what_a_precomputed_matrix_cannot_do_is_refused_with_what_works():
    works = "works in SimilarityRegressor with approximation='exact'"
    with pytest.raises(UnsupportedError, match=works):
        sk.SimilarityRegressor("precomputed", approximation="nystroem").fit(G, Y)
    with pytest.raises(UnsupportedError, match=works):
        sk.SimilarityRegressor(Precomputed() + RBF(1.0)).fit(G, Y)
    with pytest.raises(UnsupportedError, match=works):
        sk.Nystroem("precomputed", n_components=5).fit(G)
    with pytest.raises(UnsupportedError, match=works):
        sk.SimilarityRegressor("precomputed").partial_fit(G, Y)
    with pytest.raises(UnsupportedError, match="approximation='nystroem'"):
        sk.SimilarityRegressor("precomputed", approximation="fourier").fit(G, Y)
    with pytest.raises(UnsupportedError, match=r"SimilarityRegressor.'precomputed'"):
        sk.compare(G, Y, kernel="precomputed")
    with pytest.raises(InvalidInputError, match=r"\(60, 23\), but must be square"):
        sk.SimilarityRegressor("precomputed").fit(G_ZX.T, Y)
    with pytest.raises(ValueError, match="expecting 60 features"):
        sk.SimilarityRegressor("precomputed").fit(G, Y).predict(G_ZX[:, :5])
    crooked = G.copy()
    crooked[3, 7] += 0.5
    with pytest.raises(InvalidInputError, match="not symmetric: rows 3 and 7"):
        sk.SimilarityRegressor("precomputed").fit(crooked, Y)


# Names and storage


def test_every_short_name_is_a_kernel_of_its_own():
    kernels = [as_kernel(name) for name in kernel_names()]
    assert {"rational_quadratic", "polynomial", "cosine", "precomputed", "edit_distance"} < set(
        kernel_names()
    )
    assert len({repr(kernel) for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize(
    "kernel",
    [
        "rational_quadratic",
        "polynomial",
        "cosine",
        2.0 * RBF() + Matern(1.0, nu=2.5) * (Linear() + np.float64(0.5)),
        Polynomial(2, 0.3, 0.5) + RationalQuadratic(2.0, 0.4),
    ],
    ids=repr,
)
@pytest.mark.parametrize("approximation", ["exact", "nystroem"])
def test_a_stored_model_predicts_the_same_bits(tmp_path, kernel, approximation):
    model = sk.SimilarityRegressor(kernel, approximation=approximation, n_components=20)
    model.fit(X, Y)
    sk.save(model, tmp_path / "model")
    loaded = sk.load(tmp_path / "model")
    assert repr(loaded.kernel_) == repr(model.kernel_)
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded.predict(Z), model.predict(Z))


def test_stored_precomputed_and_fourier_models_predict_the_same_bits(tmp_path):
    model = sk.SimilarityRegressor("precomputed", alpha=0.1).fit(G, Y)
    sk.save(model, tmp_path / "gram")
    np.testing.assert_array_equal(sk.load(tmp_path / "gram").predict(G_ZX), model.predict(G_ZX))
    model = sk.SimilarityRegressor(
        3.0 * RationalQuadratic(), approximation="fourier", n_components=50
    ).fit(X, Y)
    sk.save(model, tmp_path / "fourier")
    np.testing.assert_array_equal(sk.load(tmp_path / "fourier").predict(Z), model.predict(Z))


def test_a_function_inside_a_stored_combination_comes_back_through_load(tmp_path):
    def near(x, z):
        return float(np.exp(-np.abs(x - z).sum()))

    model = sk.SimilarityRegressor(PairwiseKernel(near) + 1.0, alpha=0.1).fit(X, Y)
    sk.save(model, tmp_path / "model")
    loaded = sk.load(tmp_path / "model", kernel=near)
    np.testing.assert_array_equal(loaded.predict(Z), model.predict(Z))


def test_compare_leaves_fourier_out_where_the_kernel_is_not_stationary():
    table = sk.compare(X, Y, kernel=Linear() + RBF(), n_components=20)
    assert [row["model"] for row in table.rows()] == ["exact", "linear", "knn", "nystroem", "auto"]
    with pytest.raises(UnsupportedError, match=r"'fourier'.*not a stationary kernel"):
        sk.compare(X, Y, kernel="cosine", models=["exact", "fourier"])
