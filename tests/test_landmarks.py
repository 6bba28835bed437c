"""Searched landmarks and better random features: each is better than chance at what it is for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.kernel_approximation import PolynomialCountSketch

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features.clusters import cluster_means
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.kernels import RBF, Laplacian, Matern, Polynomial, RationalQuadratic

X = np.random.default_rng(5).normal(size=(120, 4))


def inner_products(transformer, rows=X):
    Phi = transformer.transform(rows).astype(np.float64)
    return Phi @ Phi.T


def kernel_error(kernel, D, seeds, sampling, rows):
    """The root mean squared error of kernel entries, over seeds."""
    K, squares = kernel.block(rows, rows), []
    for seed in range(seeds):
        model = sk.FourierFeatures(kernel, n_components=D, sampling=sampling, random_state=seed)
        squares.append(np.mean((inner_products(model.fit(rows), rows) - K) ** 2))
    return np.sqrt(np.mean(squares))


STATIONARY = {
    "rbf": RBF(0.25),
    "laplacian": Laplacian(0.3),
    "matern12": Matern(2.0, nu=0.5),
    "matern32": Matern(2.0, nu=1.5),
    "matern52": Matern(2.0, nu=2.5),
    "rational quadratic": RationalQuadratic(2.0, alpha=0.7),
    "sum": RBF(0.25) + 0.5 * Matern(1.0, nu=1.5),
    "product": RBF(0.1) * RationalQuadratic(2.0, alpha=1.5),
}


@pytest.mark.parametrize("name", STATIONARY)
def test_quasi_monte_carlo_beats_chance_for_every_stationary_kernel(name):
    plain, even = (
        kernel_error(STATIONARY[name], 1024, 8, sampling, X[:, :2])
        for sampling in ("random", "qmc")
    )
    assert even < 0.75 * plain
    # No bias: the error goes on falling, by 0.35 if by chance; a product is of two sequences.
    falls = kernel_error(STATIONARY[name], 8192, 4, "qmc", X[:, :2]) / even
    assert falls < (0.5 if name == "product" else 0.36)


def test_more_features_than_sobol_s_sequence_has_are_refused_with_what_to_do():
    wide = sparse.csr_matrix((3, 22_000))
    with pytest.raises(InvalidInputError, match="sampling='orthogonal'"):
        sk.FourierFeatures(gamma=1.0, n_components=2, sampling="qmc").fit(wide)
    with pytest.raises(InvalidInputError, match="'orthogonal', 'qmc', 'random'"):
        sk.FourierFeatures(gamma=1.0, sampling="sobol").fit(X)


POLYNOMIALS = [Polynomial(2, 0.5, 1.0), Polynomial(3, 0.3, 0.0), Polynomial(1), Polynomial(4, 0.2)]


def sketched(kernel, D, seed, rows):
    return inner_products(
        sk.FourierFeatures(kernel, n_components=D, random_state=seed).fit(rows), rows
    )


@pytest.mark.parametrize("kernel", POLYNOMIALS)
def test_tensor_sketches_are_unbiased_and_their_error_falls(kernel):
    rows, seeds = X[:40], 30
    K = kernel.block(rows, rows)
    found = {D: np.array([sketched(kernel, D, seed, rows) for seed in range(seeds)])
             for D in (64, 1024)}  # fmt: skip
    errors = {D: np.sqrt(np.mean((P - K) ** 2)) for D, P in found.items()}
    assert errors[1024] < 0.4 * errors[64]
    deviation = found[1024].std(axis=0) / np.sqrt(seeds)
    assert np.mean(np.abs(found[1024].mean(axis=0) - K) < 3 * deviation + 1e-9) > 0.95


@pytest.mark.parametrize("kernel", POLYNOMIALS[:2])
def test_tensor_sketches_err_as_scikit_learns(kernel):
    rows = X[:40]
    K, ours, theirs = kernel.block(rows, rows), [], []
    for seed in range(200):
        model = sk.FourierFeatures(kernel, n_components=256, random_state=seed).fit(rows)
        ours.append(np.mean((inner_products(model, rows) - K) ** 2))
        peer = PolynomialCountSketch(
            gamma=kernel.gamma, degree=kernel.degree, coef0=kernel.coef0, n_components=256,
            random_state=seed,
        )  # fmt: skip
        Phi = peer.fit_transform(rows)
        theirs.append(np.mean((Phi @ Phi.T - K) ** 2))
    # The mean is that of a few hapless collisions.
    assert np.median(ours) == pytest.approx(np.median(theirs), rel=0.3)


def test_a_model_on_a_tensor_sketch_is_nearly_the_exact_one(tmp_path):
    y = X[:, 0] * X[:, 1] + X[:, 2] ** 2
    params = {"kernel": Polynomial(2, 0.5), "alpha": 1e-2, "random_state": 0}
    model = sk.SimilarityRegressor(approximation="fourier", n_components=2_000, **params).fit(X, y)
    exact = sk.SimilarityRegressor(approximation="exact", **params).fit(X, y)
    assert np.std(model.predict(X) - exact.predict(X)) < 0.02 * y.std()
    sk.save(model, tmp_path / "m")
    np.testing.assert_array_equal(sk.load(tmp_path / "m").predict(X), model.predict(X))
    thin = sparse.csr_matrix(X)
    np.testing.assert_allclose(model.predict(thin), model.predict(X), atol=1e-9)


# ----- landmarks that are searched for -----------------------------------------------------------


def grouped(n=2_000, groups=30):
    """Rows in groups of very different sizes, which chance overlooks the small ones of."""
    rng = np.random.default_rng(9)
    share = 0.7 ** np.arange(groups)
    which = rng.choice(groups, size=n, p=share / share.sum())
    return 10 * rng.normal(size=(groups, 3))[which] + 0.1 * rng.normal(size=(n, 3))


def missed(landmarks, rows, m, seed=0):
    """The share of the kernel's trace that the landmarks miss."""
    model = sk.Nystroem(RBF(0.5), n_components=m, landmarks=landmarks, random_state=seed).fit(rows)
    return 1 - np.square(model.transform(rows)).sum(axis=1).mean()


@pytest.mark.parametrize("landmarks", ["kmeans", "rpcholesky"])
def test_searched_landmarks_miss_less_of_rows_in_uneven_groups(landmarks):
    rows = grouped()
    chance = np.mean([missed("uniform", rows, 60, s) for s in range(4)])
    assert np.mean([missed(landmarks, rows, 60, s) for s in range(4)]) < 0.6 * chance


def test_pivoted_cholesky_stops_at_the_rank_and_its_factor_is_the_nystroem_kernel():
    rows = np.repeat(X[:9], 50, axis=0)
    model = sk.Nystroem(RBF(0.5), n_components=100, landmarks="rpcholesky", random_state=0).fit(
        rows
    )
    assert len(model.landmarks_) == 9
    factor = pivoted_cholesky(RBF(0.5), X, 30, seed=1)
    C = RBF(0.5).block(X, X[factor.pivots])
    expected = C @ np.linalg.solve(C[factor.pivots], C.T)
    np.testing.assert_allclose(factor.F.T @ factor.F, expected, atol=1e-8)
    np.testing.assert_allclose(factor.left, 1 - np.diag(expected), atol=1e-8)


def test_pivoted_cholesky_is_as_good_as_drawing_one_at_a_time():
    rows, K = grouped(400), None
    K = RBF(0.5).block(rows, rows)

    def one_at_a_time(seed):
        rng, R = np.random.default_rng(seed), K.copy()
        for _ in range(20):
            d = np.maximum(np.diag(R), 0)
            i = rng.choice(len(R), p=d / d.sum())
            R = R - np.outer(R[i], R[i]) / R[i, i]
        return np.trace(R)

    ours = [pivoted_cholesky(RBF(0.5), rows, 20, seed=s).left.sum() for s in range(40)]
    assert np.mean(ours) == pytest.approx(np.mean([one_at_a_time(s) for s in range(40)]), rel=0.1)


def test_cluster_means_are_a_fixed_point_that_weights_move():
    rows = grouped(600, 8)
    means = cluster_means(rows, None, 5)
    labels = ((rows[:, None] - means) ** 2).sum(-1).argmin(1)
    for j in np.unique(labels):
        np.testing.assert_allclose(means[j], rows[labels == j].mean(0), atol=1e-9)
    start = ((rows[:, None] - rows[:5]) ** 2).sum(-1).min(1).sum()
    assert ((rows[:, None] - means) ** 2).sum(-1).min(1).sum() < start
    weight = np.random.default_rng(0).integers(1, 4, size=600)
    order = np.concatenate([np.arange(5), 5 + np.arange(595)])
    again = cluster_means(np.repeat(rows[order], weight[order], axis=0), None, 5)
    assert again.shape == means.shape
    np.testing.assert_allclose(
        cluster_means(rows + 1e6, None, 5), cluster_means(rows, None, 5) + 1e6, atol=1e-4
    )


@pytest.mark.parametrize("landmarks", ["kmeans", "rpcholesky"])
def test_models_on_searched_landmarks_fit_and_do_not_depend_on_threads(landmarks, tmp_path):
    rows = grouped(1_500)
    y = np.sin(rows[:, 0]) + rows[:, 1]
    models = [
        sk.SimilarityRegressor(gamma=0.1, approximation="nystroem", n_components=40,
                               landmarks=landmarks, random_state=0, n_jobs=n_jobs).fit(rows, y)
        for n_jobs in (1, 2)
    ]  # fmt: skip
    np.testing.assert_array_equal(models[0].predict(rows), models[1].predict(rows))
    assert np.std(models[0].predict(rows) - y) < 0.2 * y.std()
    sk.save(models[0], tmp_path / "m")
    np.testing.assert_array_equal(sk.load(tmp_path / "m").predict(rows), models[0].predict(rows))
    part = sk.SimilarityRegressor(gamma=0.1, approximation="nystroem", n_components=40,
                                  landmarks=landmarks, random_state=0)  # fmt: skip
    assert np.isfinite(part.partial_fit(rows[:800], y[:800]).partial_fit(rows[800:], y[800:])
                       .predict(rows)).all()  # fmt: skip


def test_objects_have_pivots_but_no_means():
    words = ["".join(np.random.default_rng(i).choice(list("abc"), 6)) for i in range(80)]
    model = sk.Nystroem("edit_distance", n_components=5, landmarks="kmeans")
    with pytest.raises(UnsupportedError, match="'uniform' or 'rpcholesky'"):
        model.fit(words)
    with pytest.raises(UnsupportedError, match=r"positive definite.*'uniform'"):
        model.set_params(landmarks="rpcholesky").fit(words)


@pytest.mark.parametrize("landmarks", ["kmeans", "rpcholesky"])
def test_sparse_rows_have_searched_landmarks(landmarks):
    thin = sparse.csr_matrix(X * (X > 0))
    model = sk.Nystroem(gamma=0.5, n_components=10, landmarks=landmarks, random_state=0)
    assert np.isfinite(model.fit_transform(thin)).all()


def test_landmarks_may_be_objects_of_any_length():
    objects = [list(range(1 + i % 4)) for i in range(40)]

    def kernel(a, b):
        return float(min(len(a), len(b)))

    models = [
        sk.SimilarityRegressor(kernel, alpha=0.1, approximation="nystroem", landmarks=landmarks)
        for landmarks in (objects[:4], np.arange(4))
    ]
    first, second = (model.fit(objects, np.arange(40.0)).predict(objects) for model in models)
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_pivoted_cholesky_bears_a_diagonal_that_rounding_has_made_too_large():
    rows = sparse.csr_array(np.repeat([[0.3, -1.7, 0.4]], 20, axis=0))
    factor = pivoted_cholesky(Matern(1e-5, nu=0.5), rows, 5, seed=0)
    np.testing.assert_allclose(factor.F.T @ factor.F, 1.0, rtol=1e-6)
