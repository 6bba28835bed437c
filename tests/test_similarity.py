"""Similarity models: approximations meet the exact model, and what should not matter does not."""

from __future__ import annotations

import dense
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from strategies import ALPHAS, ANY_DATA, GAMMAS, KERNELS, training_sets, weights

import scalekern as sk
from scalekern.engine import plan
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import whitening
from scalekern.kernels import RBF, Matern, as_kernel

RNG = np.random.default_rng(31)
N = 150
X = RNG.normal(size=(N, 3))
Y = np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 7 + 0.1 * RNG.normal(size=N)
Y2 = np.column_stack([Y, np.cos(X[:, 1]) * 100])
NEW = RNG.normal(size=(40, 3))
Z = RNG.normal(size=(25, 3))
COUNTS = RNG.integers(0, 4, size=N)

NAMES = ["rbf", "laplacian", "matern12", "matern32", "matern52", "linear"]
MODELS = {
    "exact": {"approximation": "exact"},
    "nystroem": {"approximation": "nystroem", "landmarks": Z},
    "fourier": {"approximation": "fourier", "n_components": 30, "random_state": 3},
}
each_model = pytest.mark.parametrize("model", MODELS)


def similarity(model, **parameters):
    return sk.SimilarityRegressor(**{"gamma": 0.3, "alpha": 0.01} | MODELS[model] | parameters)


def kernel_of(name):
    return as_kernel(name).with_gamma(0.3)


# ----- one objective ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_nystroem_with_every_row_as_landmark_is_exact(name, alpha, intercept, weighted):
    weight = RNG.uniform(0.5, 2, size=N) if weighted else None
    common = {"kernel": name, "gamma": 0.3, "alpha": alpha, "fit_intercept": intercept}
    exact = sk.SimilarityRegressor(**common, approximation="exact").fit(X, Y, weight)
    nystroem = sk.SimilarityRegressor(
        **common, approximation="nystroem", landmarks=np.arange(N)
    ).fit(X, Y, weight)
    np.testing.assert_allclose(nystroem.predict(NEW), exact.predict(NEW), atol=1e-6)
    assert exact.report_["approximation"] == "exact"
    assert nystroem.report_["approximation"] == "nystroem"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize("intercept", [True, False])
def test_nystroem_with_m_landmarks_is_the_dense_formula(name, alpha, intercept):
    kernel = kernel_of(name)
    model = similarity("nystroem", kernel=kernel, alpha=alpha, fit_intercept=intercept).fit(X, Y2)
    a, b = dense.nystroem(kernel.block(X, Z), kernel.block(Z, Z), Y2, alpha, intercept=intercept)
    expected = kernel.block(NEW, Z) @ a + b
    np.testing.assert_allclose(model.predict(NEW), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["rbf", "laplacian", "linear"])
@pytest.mark.parametrize("solver", ["cholesky", "pinv"])
def test_exact_is_kernel_ridge(name, solver):
    gamma = {} if name == "linear" else {"gamma": 0.3}
    peer = KernelRidge(kernel=name, alpha=0.01, **gamma).fit(X, Y2, sample_weight=COUNTS + 0.5)
    model = similarity("exact", kernel=name, solver=solver, fit_intercept=False)
    model.fit(X, Y2, sample_weight=COUNTS + 0.5)
    np.testing.assert_allclose(model.predict(NEW), peer.predict(NEW), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solver", ["cholesky", "pinv"])
@pytest.mark.parametrize("weighted", [True, False])
def test_exact_with_an_intercept_solves_the_augmented_system(name, solver, weighted):
    kernel, weight = kernel_of(name), (COUNTS + 0.5 if weighted else None)
    model = similarity("exact", kernel=kernel, solver=solver).fit(X, Y2, sample_weight=weight)
    a, b = dense.exact(kernel.block(X, X), Y2, 0.01, weight)
    np.testing.assert_allclose(model.intercept_, b, rtol=1e-8)
    np.testing.assert_allclose(model.predict(NEW), kernel.block(NEW, X) @ a + b, rtol=1e-8)
    np.testing.assert_allclose(model.dual_coef_.sum(axis=0), 0, atol=1e-8)
    if solver == "cholesky":
        assert model.report_["factorization"] == "cholesky", "the system stays positive definite"
        assert model.report_["jitter"] == 0


def test_fourier_comes_to_the_exact_model():
    exact = similarity("exact", alpha=1.0).fit(X, Y).predict(NEW)
    gaps = []
    for D in (32, 128, 512):
        runs = [
            similarity("fourier", alpha=1.0, n_components=D, random_state=seed).fit(X, Y)
            for seed in range(6)
        ]
        gaps.append(np.sqrt(np.mean([(run.predict(NEW) - exact) ** 2 for run in runs])))
    slope = np.polyfit(np.log([32, 128, 512]), np.log(gaps), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.2)


@pytest.mark.parametrize("width", [1, 8, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_how_much_is_whitened_early_does_not_change_the_model(monkeypatch, width, dtype):
    rows = X.astype(dtype)
    expected = similarity("nystroem").fit(rows, Y).predict(NEW)
    monkeypatch.setattr(
        whitening,
        "_blocks",
        lambda L, _: [slice(i, min(i + width, len(L))) for i in range(0, len(L), width)],
    )
    found = similarity("nystroem").fit(rows, Y).predict(NEW)
    np.testing.assert_allclose(found, expected, atol=1e-8 if dtype == np.float64 else 2e-2)


# ----- what does not matter --------------------------------------------------------------------


@each_model
@pytest.mark.parametrize("intercept", [True, False])
def test_sample_weights_are_repeated_rows(model, intercept):
    rows, y = np.repeat(X, COUNTS, axis=0), np.repeat(Y2, COUNTS, axis=0)
    weighted = similarity(model, fit_intercept=intercept).fit(X, Y2, sample_weight=COUNTS)
    repeated = similarity(model, fit_intercept=intercept).fit(rows, y)
    np.testing.assert_allclose(weighted.predict(NEW), repeated.predict(NEW), rtol=1e-7, atol=1e-7)


@each_model
@pytest.mark.parametrize("gamma", ["median", 0.3])
def test_sample_weights_are_repeated_rows_where_gcv_chooses(model, gamma):
    alphas = {"alpha": "gcv", "gamma": gamma}
    rows, y = np.repeat(X, COUNTS, axis=0), np.repeat(Y, COUNTS)
    weighted = similarity(model, **alphas).fit(X, Y, sample_weight=COUNTS)
    repeated = similarity(model, **alphas).fit(rows, y)
    assert weighted.alpha_ == pytest.approx(repeated.alpha_, rel=1e-9)
    np.testing.assert_allclose(weighted.alphas_, repeated.alphas_, rtol=1e-9)
    # Repeated rows are repeated noise, which an exact model can fit at an alpha near rounding.
    sound = weighted.alphas_ > 1e-9 * weighted.alphas_.max()
    np.testing.assert_allclose(weighted.scores_[sound], repeated.scores_[sound], rtol=1e-5)
    if model != "exact":
        found, expected = weighted.predict(NEW), repeated.predict(NEW)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@each_model
@pytest.mark.parametrize("alpha", ["loo", "gcv", "cv", 0.01])
def test_rows_of_weight_zero_are_not_there(model, alpha):
    # The folds follow the row numbers, so the rows that are not there come last.
    rows, y = np.concatenate([X, NEW * 9]), np.concatenate([Y, np.full(40, 1e6)])
    weight = np.repeat([1.0, 0.0], [N, 40])
    found = similarity(model, alpha=alpha).fit(rows, y, sample_weight=weight)
    expected = similarity(model, alpha=alpha).fit(X, Y)
    np.testing.assert_allclose(found.predict(NEW), expected.predict(NEW), rtol=1e-7, atol=1e-7)


@each_model
def test_many_outputs_are_one_at_a_time(model):
    both = similarity(model).fit(X, Y2)
    for j in range(2):
        one = similarity(model).fit(X, Y2[:, j])
        assert one.predict(NEW).shape == (40,)
        np.testing.assert_allclose(both.predict(NEW)[:, j], one.predict(NEW), rtol=1e-9)


@each_model
def test_column_of_targets_stays_a_column(model):
    assert similarity(model).fit(X, Y[:, None]).predict(NEW).shape == (40, 1)


@each_model
@pytest.mark.parametrize("alpha", ["loo", "gcv", 0.01])
def test_order_of_rows_changes_nothing_but_rounding(model, alpha):
    order = RNG.permutation(N)
    straight = similarity(model, alpha=alpha).fit(X, Y)
    shuffled = similarity(model, alpha=alpha).fit(X[order], Y[order])
    np.testing.assert_allclose(shuffled.predict(NEW), straight.predict(NEW), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("model", ["nystroem", "fourier"])
@pytest.mark.parametrize("alpha", [0.01, "gcv", "cv", "loo"])
@pytest.mark.parametrize("cuts", [[N], [1, 2, 70, N]])
def test_partial_fit_over_blocks_is_fit(model, alpha, cuts):
    whole = similarity(model, alpha=alpha).fit(X, Y2, sample_weight=COUNTS)
    parts, low = similarity(model, alpha=alpha), 0
    for high in cuts:
        parts.partial_fit(X[low:high], Y2[low:high], sample_weight=COUNTS[low:high] + 0.0)
        low = high
        assert np.isfinite(parts.predict(NEW)).all()
    assert parts.alpha_ == pytest.approx(whole.alpha_, rel=1e-9)
    np.testing.assert_allclose(parts.predict(NEW), whole.predict(NEW), rtol=1e-7, atol=1e-7)
    assert parts.report_["rows"] == N


def test_fit_forgets_earlier_partial_fits():
    model = similarity("nystroem").partial_fit(X, Y * 1000).fit(X, Y)
    np.testing.assert_array_equal(model.predict(NEW), similarity("nystroem").fit(X, Y).predict(NEW))
    model.partial_fit(X, Y)
    again = similarity("nystroem").partial_fit(X, Y)
    np.testing.assert_array_equal(model.predict(NEW), again.predict(NEW))


def test_partial_fit_refuses_what_does_not_follow():
    model = similarity("nystroem").partial_fit(X, Y)
    with pytest.raises(InvalidInputError, match="2 outputs, but earlier calls had 1"):
        model.partial_fit(X, Y2)
    with pytest.raises(ValueError, match=r"2 features.*3 features"):
        model.partial_fit(X[:, :2], Y)
    with pytest.raises(InvalidInputError, match=r"alpha='cv'.*after the first"):
        model.set_params(alpha="cv").partial_fit(X, Y)
    with pytest.raises(AttributeError, match="partial_fit"):
        _ = similarity("exact").partial_fit


@each_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.01, "loo", "cv"])
def test_number_of_threads_does_not_change_a_bit(monkeypatch, model, dtype, alpha):
    for name in ("LEAST_CHUNK_ROWS", "MOST_CHUNK_ROWS", "TILE_ROWS"):
        monkeypatch.setattr(plan, name, 8)
    found = []
    for n_jobs in (1, 2, 3):
        fitted = similarity(model, alpha=alpha, n_jobs=n_jobs).fit(X.astype(dtype), Y)
        found.append(fitted.predict(NEW.astype(dtype)))
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


@each_model
def test_predictions_do_not_depend_on_the_rows_beside_them(model):
    fitted = similarity(model).fit(X, Y)
    one_by_one = np.concatenate([fitted.predict(row[None]) for row in NEW])
    np.testing.assert_allclose(one_by_one, fitted.predict(NEW), rtol=1e-11)


@each_model
def test_scale_of_the_targets_carries_over(model):
    small = similarity(model, alpha="loo").fit(X, Y).predict(NEW)
    large = similarity(model, alpha="loo").fit(X, 1e9 * Y - 1e10).predict(NEW)
    np.testing.assert_allclose((large + 1e10) / 1e9, small, rtol=1e-6)


@each_model
def test_float32_rows_give_nearly_the_same_model(model):
    wide = similarity(model).fit(X, Y).predict(NEW)
    found = similarity(model).fit(X.astype(np.float32), Y).predict(NEW.astype(np.float32))
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, wide, atol=2e-2)


# ----- choices ---------------------------------------------------------------------------------


def test_auto_is_exact_for_few_rows_and_nystroem_else(monkeypatch):
    assert sk.SimilarityRegressor().fit(X, Y).report_["approximation"] == "exact"
    monkeypatch.setattr("scalekern.estimators.outset.MOST_DENSE_ROWS", N - 1)
    assert sk.SimilarityRegressor().fit(X, Y).report_["approximation"] == "exact"
    given_landmarks = sk.SimilarityRegressor(landmarks=Z).fit(X, Y)
    assert given_landmarks.report_["approximation"] == "nystroem"
    monkeypatch.setattr("scalekern.estimators.outset.MOST_EXACT_ROWS", N - 1)
    assert sk.SimilarityRegressor().fit(X, Y).report_["approximation"] == "nystroem"


def test_gamma_cv_finds_a_bandwidth_at_least_as_good_as_the_median():
    rng = np.random.default_rng(2)
    rows = rng.uniform(-1, 1, size=(400, 2))
    y = np.sin(12 * rows[:, 0])  # much rougher than the distances between rows

    def error(gamma):
        model = sk.SimilarityRegressor(gamma=gamma).fit(rows[:200], y[:200])
        return np.mean((model.predict(rows[200:]) - y[200:]) ** 2)

    assert error("cv") < 0.5 * error("median")


@pytest.mark.parametrize("gamma", ["median", "scale", "cv"])
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_automatic_bandwidth_follows_the_units(gamma, factor):
    for metric in ("euclidean", "auto"):
        model = sk.SimilarityRegressor(gamma=gamma, metric=metric)
        one, other = clone(model).fit(X, Y), clone(model).fit(X * factor, Y)
        scaled = metric == "auto" and gamma == "cv"
        expected = one.kernel_.gamma / (1.0 if scaled else factor**2)
        assert other.kernel_.gamma == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(other.predict(NEW * factor), one.predict(NEW), rtol=1e-6)


def test_same_seed_is_the_same_model():
    def predicted(seed, approximation):
        model = sk.SimilarityRegressor(
            gamma=0.3,
            alpha=0.1,
            approximation=approximation,
            n_components=10,
            random_state=seed,
        )
        return model.fit(X, Y).predict(NEW)

    for approximation in ("nystroem", "fourier"):
        np.testing.assert_array_equal(predicted(4, approximation), predicted(4, approximation))
        assert (predicted(4, approximation) != predicted(5, approximation)).any()


# ----- scikit-learn ----------------------------------------------------------------------------


def test_grid_search_reaches_into_the_kernel():
    grid = {"model__kernel__nu": [0.5, 2.5], "model__alpha": [1e-3, 1e3]}
    pipeline = make_pipeline(StandardScaler(), sk.SimilarityRegressor(Matern(1.0)))
    pipeline.steps[1] = ("model", pipeline.steps[1][1])
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
    assert search.best_params_["model__alpha"] == 1e-3
    scores = search.cv_results_["mean_test_score"]
    assert len(set(scores)) == 4, "each setting must be a model of its own"
    best = search.best_estimator_
    by_hand = sk.SimilarityRegressor(
        Matern(1.0, nu=search.best_params_["model__kernel__nu"]), alpha=1e-3
    ).fit(StandardScaler().fit_transform(X), Y)
    rows = best[0].transform(NEW)
    np.testing.assert_array_equal(best.predict(NEW), by_hand.predict(rows))


@each_model
def test_clone_is_unfitted_and_fits_the_same(model):
    fitted = similarity(model, kernel=RBF(0.2)).fit(X, Y)
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(NEW)
    np.testing.assert_array_equal(copy.fit(X, Y).predict(NEW), fitted.predict(NEW))


def test_fit_leaves_parameters_and_data_alone():
    rows, y, kernel = X.copy(), Y.copy(), Matern()
    model = sk.SimilarityRegressor(kernel).fit(rows, y, sample_weight=COUNTS)
    assert kernel.length_scale is None
    assert model.get_params()["kernel"] is kernel
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize("approximation", ["exact", "nystroem"])
def test_strings_are_rows_too(approximation):
    words = [f"{a}{b}{c}" for a in "ab" for b in "cdef" for c in "ghijk"]
    y = np.array([word.count("a") + 2 * word.count("d") for word in words], dtype=float)

    def shared(x, z):
        return float(sum(a == b for a, b in zip(x, z, strict=True)))

    model = sk.SimilarityRegressor(
        shared, alpha=1e-6, approximation=approximation, n_components=30, random_state=0
    ).fit(words, y)
    np.testing.assert_allclose(model.predict(words), y, atol=1e-4)
    numbers = sk.SimilarityRegressor(
        shared, alpha=1e-6, approximation="nystroem", landmarks=[0, 7, 13, 21, 28, 34, 39]
    ).fit(words, y)
    assert len(numbers.landmarks_) <= 7


# ----- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["nystroem", "fourier"])
def test_solver_that_does_not_go_with_the_approximation_lists_those_that_do(model):
    with pytest.raises(
        UnsupportedError, match=r"pinv.*exact: .*pinv.*nystroem: cholesky.*fourier: cholesky"
    ):
        similarity(model, solver="pinv").fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"approximation": "best"}, r"approximation='best'.*'auto', 'exact', 'nystroem'"),
        ({"solver": "lu"}, r"solver='lu'.*'auto'.*'cholesky'.*'pinv'"),
        ({"fit_intercept": "yes"}, "fit_intercept='yes'.*True or False"),
        ({"n_components": 0}, "n_components=0"),
        ({"gamma": "auto"}, r"gamma='auto'.*'scale', 'median'.*'cv'"),
        ({"gamma": -1.0}, "gamma=-1"),
        ({"kernel": "gauss"}, "'gauss'.*'rbf'"),
        ({"kernel": "linear", "approximation": "fourier"}, "stationary"),
        ({"landmarks": "medoids", "approximation": "nystroem"}, "'medoids'.*'uniform'"),
    ],
)
def test_wrong_parameter_is_named_with_what_there_is(parameters, message):
    with pytest.raises(ValueError, match=message):
        sk.SimilarityRegressor(**parameters).fit(X, Y)


# ----- any data --------------------------------------------------------------------------------


@settings(ANY_DATA, max_examples=150)
@given(
    data=training_sets(),
    kernel=KERNELS,
    gamma=GAMMAS,
    alpha=ALPHAS,
    approximation=st.sampled_from(["auto", "exact", "nystroem", "fourier"]),
    intercept=st.booleans(),
    draw=st.data(),
)
def test_predictions_are_always_finite(data, kernel, gamma, alpha, approximation, intercept, draw):
    rows, y = data
    if kernel == "linear" and approximation == "fourier":
        approximation = "nystroem"
    if kernel == "linear" and gamma == "cv":
        gamma = "median"
    weight = draw.draw(weights(len(rows)))
    model = sk.SimilarityRegressor(
        kernel,
        gamma=gamma,
        alpha=alpha,
        approximation=approximation,
        fit_intercept=intercept,
        n_components=draw.draw(st.sampled_from([1, 7, 1000])),
        random_state=0,
        n_jobs=1,
    ).fit(rows, y, sample_weight=weight)
    found = model.predict(rows)
    assert found.shape == y.shape
    assert np.isfinite(found).all()
    assert np.isfinite(model.predict(rows * 30 - 7)).all()
    assert np.isfinite(model.alpha_)
    assert model.alpha_ >= 0


@settings(ANY_DATA, max_examples=60)
@given(data=training_sets(), intercept=st.booleans(), exponent=st.integers(-6, 3))
def test_a_fit_is_never_worse_than_the_mean(data, intercept, exponent):
    rows, y = data
    y = y.reshape(len(rows), -1)
    model = sk.SimilarityRegressor(
        gamma="median", alpha=10.0**exponent, approximation="exact", fit_intercept=intercept
    ).fit(rows, y)
    centre = y.mean(axis=0) if intercept else 0.0
    worst = np.sum((y - centre) ** 2)
    left = np.sum((y - model.predict(rows)) ** 2)
    assert left <= worst * (1 + 1e-5) + 1e-9 * np.sum(y**2)


@pytest.mark.parametrize("solver", ["auto", "cg"])
@pytest.mark.parametrize("kernel", ["rbf", "matern12", "polynomial"])
def test_of_rows_that_are_all_equal_the_mean_is_predicted(kernel, solver):
    rng = np.random.default_rng(0)
    X, y = np.repeat(rng.standard_normal((1, 3)), 100, axis=0), rng.standard_normal(100)
    for rows in (X, sparse.csr_array(X)):
        model = sk.SimilarityRegressor(
            kernel, approximation="exact", solver=solver, random_state=0
        ).fit(rows, y)
        queries = np.vstack([X[:1], X[:1] + 1])
        np.testing.assert_allclose(model.predict(queries), y.mean(), rtol=1e-6)


def test_rows_nearly_equal_are_still_told_apart():
    z = np.linspace(-1, 1, 100)[:, None]
    model = sk.SimilarityRegressor("linear", approximation="exact").fit(1 + 1e-4 * z, z[:, 0])
    np.testing.assert_allclose(model.predict(1 + 1e-4 * z), z[:, 0], atol=1e-5)
