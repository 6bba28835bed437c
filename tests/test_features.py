"""Nyström features have the inner products of the formula; Fourier features come to the kernel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import NystroemMap, whitening
from scalekern.kernels import RBF, Laplacian, Linear, Matern

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 4))
Z = RNG.normal(size=(15, 4))
KERNELS = {
    "rbf": RBF(0.2),
    "laplacian": Laplacian(0.3),
    "matern12": Matern(2.0, nu=0.5),
    "matern52": Matern(2.0, nu=2.5),
}


def nystroem_gram(kernel, landmarks, rows=X):
    """K_nm K_mm^+ K_mn, dense."""
    K_nm = kernel.block(rows, landmarks)
    return K_nm @ np.linalg.pinv(kernel.block(landmarks, landmarks), hermitian=True) @ K_nm.T


def inner_products(transformer, rows=X):
    Phi = transformer.transform(rows).astype(np.float64)
    return Phi @ Phi.T


@pytest.mark.parametrize("name", KERNELS)
def test_nystroem_with_m_landmarks_is_the_dense_formula(name):
    kernel = KERNELS[name]
    model = sk.Nystroem(kernel, landmarks=Z).fit(X)
    assert model.transform(X).shape == (120, 15)
    np.testing.assert_allclose(inner_products(model), nystroem_gram(kernel, Z), atol=1e-11)


@pytest.mark.parametrize("name", KERNELS)
def test_nystroem_with_every_row_as_landmark_is_the_kernel(name):
    kernel = KERNELS[name]
    model = sk.Nystroem(kernel, landmarks=np.arange(len(X))).fit(X)
    np.testing.assert_allclose(inner_products(model), kernel.block(X, X), atol=1e-9)


def test_landmarks_that_are_drawn_are_rows_and_follow_the_seed():
    model = sk.Nystroem(RBF(0.2), n_components=20, random_state=1).fit(X)
    drawn = {tuple(row) for row in model.landmarks_}
    assert len(drawn) == 20
    assert drawn <= {tuple(row) for row in X}
    again = sk.Nystroem(RBF(0.2), n_components=20, random_state=1).fit(X)
    other = sk.Nystroem(RBF(0.2), n_components=20, random_state=2).fit(X)
    np.testing.assert_array_equal(model.transform(X), again.transform(X))
    assert {tuple(row) for row in other.landmarks_} != drawn
    np.testing.assert_allclose(
        inner_products(model), nystroem_gram(RBF(0.2), model.landmarks_), atol=1e-10
    )


def test_uniform_landmarks_are_drawn_uniformly():
    rows = np.arange(60.0)[:, None]
    times = np.zeros(60)
    for seed in range(200):
        model = sk.Nystroem(RBF(1.0), n_components=15, random_state=seed).fit(rows)
        times[model.landmarks_[:, 0].astype(int)] += 1
    # Each row is drawn 50 times on average, with a standard deviation of about 6.
    assert times.sum() == 200 * 15
    assert times.min() > 50 - 5 * 6.2
    assert times.max() < 50 + 5 * 6.2


def test_row_numbers_and_rows_are_the_same_landmarks():
    numbers = np.array([4, 100, 17])
    by_number = sk.Nystroem(RBF(0.2), landmarks=numbers).fit(X)
    by_row = sk.Nystroem(RBF(0.2), landmarks=X[numbers]).fit(X)
    np.testing.assert_array_equal(by_number.transform(X), by_row.transform(X))
    frame = sk.Nystroem(RBF(0.2), landmarks=pd.DataFrame(X[numbers])).fit(X)
    np.testing.assert_allclose(frame.transform(X), by_row.transform(X), atol=1e-14)


def test_landmark_that_is_there_twice_changes_nothing():
    once = sk.Nystroem(RBF(0.2), landmarks=Z).fit(X)
    twice = sk.Nystroem(RBF(0.2), landmarks=np.concatenate([Z, Z[:5], Z[:5]])).fit(X)
    assert twice.transform(X).shape == (120, 15)
    np.testing.assert_allclose(inner_products(twice), inner_products(once), atol=1e-11)


def test_kernel_of_low_rank_gives_as_few_features():
    model = sk.Nystroem(Linear(), landmarks=X[:30]).fit(X)
    assert model.transform(X).shape == (120, 4)
    np.testing.assert_allclose(inner_products(model), X @ X.T, atol=1e-11)


@pytest.mark.parametrize("rows", [np.zeros((6, 2)), np.ones((6, 2)), np.ones((1, 1))])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_rows_that_are_all_equal_give_finite_features(rows, kernel):
    Phi = sk.Nystroem(kernel, random_state=0).fit_transform(rows)
    expected = rows @ rows.T if kernel == "linear" else np.ones((len(rows), len(rows)))
    np.testing.assert_allclose(Phi @ Phi.T, expected, atol=1e-12)


def test_indefinite_callable_keeps_the_positive_part():
    def similarity(x, z):
        return float(x @ z) - 0.5 * float(np.abs(x - z).sum())

    model = sk.Nystroem(similarity, landmarks=Z).fit(X)
    K_nm = np.array([[similarity(x, z) for z in Z] for x in X])
    e, V = np.linalg.eigh(np.array([[similarity(x, z) for z in Z] for x in Z]))
    assert e[0] < -1
    positive = e > 0
    part = K_nm @ V[:, positive]
    expected = part / e[positive] @ part.T
    assert model.transform(X).shape[1] == positive.sum()
    np.testing.assert_allclose(inner_products(model), expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [1e-3, 1e-2, 1e-1])
def test_smooth_kernel_keeps_its_digits(dtype, gamma):
    rows = X.astype(dtype)
    model = sk.Nystroem(RBF(gamma), landmarks=np.arange(len(X))).fit(rows)
    assert len(model._map.whitening.blocks) > 1, "the case that block elimination is for"
    error = np.abs(inner_products(model, rows) - RBF(gamma).block(X, X)).max()
    # The cutoffs are 1e-9 and 1e-14 of an eigenvalue of about 100; float32 tiles have 1e-7 each.
    assert error < (2e-5 if dtype == np.float32 else 1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [1, 7, 1000])
def test_blocks_of_the_elimination_do_not_change_the_features(monkeypatch, dtype, width):
    rows, kernel = X.astype(dtype), RBF(0.3)
    expected = nystroem_gram(kernel, Z)

    def cut(L, _dtype):
        return [slice(i, min(i + width, len(L))) for i in range(0, len(L), width)]

    monkeypatch.setattr(whitening, "_blocks", cut)
    feature_map = NystroemMap(kernel, Z.astype(dtype), dtype)
    assert len(feature_map.whitening.blocks) == -(-15 // width)
    Phi = feature_map(rows).astype(np.float64)
    np.testing.assert_allclose(Phi @ Phi.T, expected, atol=1e-12 if dtype == np.float64 else 3e-5)
    # The unfinished tile, finished late, and the whole factor at once are the same features.
    late = feature_map.unfinished(rows).astype(np.float64) @ feature_map.whitening.finish
    np.testing.assert_allclose(late, Phi, atol=1e-12 if dtype == np.float64 else 1e-5)
    at_once = kernel.block(X, feature_map.Z.astype(np.float64)) @ feature_map.whitening.inverse
    np.testing.assert_allclose(at_once, Phi, atol=1e-11 if dtype == np.float64 else 1e-5)


def test_cutoff_leaves_out_directions():
    full = sk.Nystroem(RBF(0.05), landmarks=X[:40]).fit(X)
    short = sk.Nystroem(RBF(0.05), landmarks=X[:40], cutoff=1e-3).fit(X)
    assert 1 < short.transform(X).shape[1] < full.transform(X).shape[1]


# ----- Fourier ---------------------------------------------------------------------------------


def kernel_error(kernel, D, seeds, *, sampling="orthogonal", rows=X):
    """The root mean squared error of kernel entries, over seeds."""
    K, squares = kernel.block(rows, rows), []
    for seed in range(seeds):
        model = sk.FourierFeatures(
            kernel, n_components=D, sampling=sampling, random_state=seed
        ).fit(rows)
        squares.append(np.mean((inner_products(model, rows) - K) ** 2))
    return np.sqrt(np.mean(squares))


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("sampling", ["orthogonal", "random"])
def test_fourier_error_falls_as_one_over_the_root_of_the_features(name, sampling):
    sizes = 2 ** np.arange(6, 13)
    errors = [kernel_error(KERNELS[name], D, 6, sampling=sampling) for D in sizes]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.08)
    # One cosine has a variance of at most 1/2.
    assert errors[-1] < np.sqrt(1.0 / sizes[-1])


def test_orthogonal_features_beat_plain_ones():
    rows = RNG.normal(size=(80, 16))
    kernel = RBF(1 / 32)
    orthogonal = kernel_error(kernel, 256, 10, rows=rows)
    plain = kernel_error(kernel, 256, 10, sampling="random", rows=rows)
    assert orthogonal**2 < 0.5 * plain**2


@pytest.mark.parametrize("d", [3, 7, 50_000])  # of 50,000 a square matrix would not fit in memory
def test_frequencies_of_a_run_of_d_are_orthogonal(d):
    drawn = RBF(0.5).frequencies(7, d, np.random.default_rng(0))
    assert drawn.shape == (d, 7)
    for start in range(0, 7, d):
        run = drawn[:, start : start + d]
        products = run.T @ run
        np.testing.assert_allclose(products, np.diag(np.diag(products)), atol=1e-9)
    lengths = np.square(drawn).sum(axis=0)
    assert lengths.mean() == pytest.approx(d, rel=0.5)


@pytest.mark.parametrize("D", [1, 2, 7])
def test_number_of_fourier_features_is_rounded_up_to_even(D):
    model = sk.FourierFeatures(gamma=0.1, n_components=D, random_state=0).fit(X)
    assert model.transform(X).shape == (120, D + D % 2)
    assert model.frequencies_.shape == (4, (D + 1) // 2)


def test_a_row_has_unit_length_in_fourier_features():
    model = sk.FourierFeatures(gamma=0.1, n_components=50, random_state=0).fit(X)
    np.testing.assert_allclose(np.diag(inner_products(model)), 1.0, rtol=1e-12)


def test_fourier_features_refuse_a_kernel_without_a_spectral_density():
    with pytest.raises(UnsupportedError, match=r"stationary.*'rbf', 'laplacian', 'matern12'"):
        sk.FourierFeatures("linear").fit(X)


# ----- both, as transformers -------------------------------------------------------------------

TRANSFORMERS = {
    "nystroem": sk.Nystroem(gamma=0.2, n_components=8, random_state=0),
    "fourierfeatures": sk.FourierFeatures(gamma=0.2, n_components=8, random_state=0),
}
both = pytest.mark.parametrize("name", TRANSFORMERS)


@both
def test_feature_names_are_those_of_scikit_learn(name):
    model = TRANSFORMERS[name].fit(X)
    assert model.get_feature_names_out().tolist() == [f"{name}{i}" for i in range(8)]


@both
@pytest.mark.parametrize(("library", "frame"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_set_output_gives_frames(name, library, frame):
    expected = TRANSFORMERS[name].fit(X).transform(X)
    model = sk.Nystroem if name == "nystroem" else sk.FourierFeatures
    model = model(gamma=0.2, n_components=8, random_state=0).set_output(transform=library)
    found = model.fit_transform(X)
    assert isinstance(found, frame)
    assert list(found.columns) == [f"{name}{i}" for i in range(8)]
    np.testing.assert_array_equal(found.to_numpy(), expected)


@both
def test_float32_rows_give_float32_features(name):
    wide = TRANSFORMERS[name].fit(X).transform(X)
    found = TRANSFORMERS[name].fit(X.astype(np.float32)).transform(X.astype(np.float32))
    assert wide.dtype == np.float64
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, wide @ wide.T, atol=2e-5)


@both
def test_tile_dtype_of_the_configuration_is_kept_to(name):
    with sk.config_context(tile_dtype="float32"):
        assert TRANSFORMERS[name].fit(X).transform(X).dtype == np.float32


@both
def test_sparse_rows_have_the_features_of_dense_ones(name):
    thin = X * (X > 0)
    model = TRANSFORMERS[name].fit(sparse.csr_matrix(thin))
    dense = TRANSFORMERS[name].fit(thin).transform(thin)
    np.testing.assert_allclose(model.transform(sparse.csr_matrix(thin)), dense, atol=1e-10)


@pytest.mark.parametrize(
    ("landmarks", "message"),
    [
        ("medoids", r"'medoids'.*'uniform'"),
        (np.ones((3, 9)), r"\(3, 9\).*\(m, 4\)"),
        (np.full((2, 4), np.nan), "missing or infinite"),
        ([0, 120], "row number 120.*120 rows"),
        ([-1], "row number -1"),
        (np.ones((0, 4)), r"\(0, 4\)"),
        (np.array([0.5, 1.5]), r"\(2,\)"),
    ],
)
def test_landmarks_that_do_not_fit_are_refused(landmarks, message):
    with pytest.raises(InvalidInputError, match=message):
        sk.Nystroem(gamma=1.0, landmarks=landmarks).fit(X)


@both
@pytest.mark.parametrize("value", [0, -3, 2.5, True, "many"])
def test_number_of_components_is_a_whole_number_above_zero(name, value):
    model = type(TRANSFORMERS[name])(gamma=1.0, n_components=value)
    with pytest.raises(InvalidInputError, match="n_components="):
        model.fit(X)


@both
@pytest.mark.parametrize("value", [0, -1.0, np.nan, "auto", None, [1.0], True])
def test_gamma_that_is_no_bandwidth_is_refused(name, value):
    with pytest.raises(InvalidInputError, match="gamma="):
        type(TRANSFORMERS[name])(gamma=value).fit(X)


@pytest.mark.parametrize("cutoff", [0.0, 0.5, 0.999])
def test_any_cutoff_leaves_a_feature(cutoff):
    Phi = sk.Nystroem(RBF(1e-4), landmarks=np.arange(20), cutoff=cutoff).fit_transform(X)
    assert Phi.shape[1] >= 1
    assert np.isfinite(Phi).all()


@pytest.mark.parametrize("value", [-0.1, 1.0, np.nan, "small", True])
def test_cutoff_that_is_no_share_is_refused(value):
    with pytest.raises(InvalidInputError, match="cutoff="):
        sk.Nystroem(gamma=1.0, cutoff=value).fit(X)


def test_gamma_scale_is_that_of_support_vector_machines():
    model = sk.Nystroem(gamma="scale").fit(X)
    assert model.kernel_.gamma == pytest.approx(1 / (4 * X.var()), rel=1e-12)


def test_gamma_median_is_of_the_rows():
    model = sk.Nystroem(gamma="median").fit(X)
    assert model.kernel_.gamma == pytest.approx(RBF().median_gamma(X), rel=1e-12)
