"""Columns with heavy tails are given curves, where rows held out ask for it."""

from __future__ import annotations

import numpy as np
import pytest

import scalekern as sk
from scalekern.features.curves import normal_scores

QUICK = {"kernel": "rbf", "n_neighbors": 16, "random_state": 0}
"""One kernel, and small neighbourhoods for the models that are tried."""


def tails(n=400, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n, 3))
    X = np.column_stack([Z[:, 0], np.exp(2.5 * Z[:, 1]), np.exp(2.5 * Z[:, 2])])
    return X.astype(dtype), np.sin(2 * Z[:, 0]) + np.tanh(Z[:, 1]) + 0.5 * Z[:, 2]


def rmse(model, X, y):
    return float(np.sqrt(np.mean((model.predict(X) - y) ** 2)))


def fitted(**params):
    X, y = tails()
    return sk.SimilarityRegressor(**QUICK, **params).fit(X, y)


@pytest.fixture(scope="module")
def model():
    return fitted(approximation="nystroem", n_components=100)


def test_heavy_tails_cost_next_to_nothing(model):
    X, y = tails(seed=1)
    straight = fitted(approximation="nystroem", n_components=100, metric="euclidean")
    assert model.curved_features_.tolist() == [1, 2] == model.report_["curved_features"]
    assert rmse(model, X, y) < 0.25 * rmse(straight, X, y)


def test_a_target_that_is_a_line_in_a_heavy_column_keeps_the_column_as_it_is():
    X, _ = tails()
    y = X[:, 1] + X[:, 0]
    model = sk.SimilarityRegressor(**QUICK, approximation="local").fit(X, y)
    assert normal_scores(X).columns.tolist() == [1, 2]
    assert not hasattr(model, "curved_features_")


@pytest.mark.parametrize("seed", [1, 2])
def test_columns_whose_values_are_what_counts_stay_as_they_are(seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (400, 3))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 / 4 + 0.1 * rng.standard_normal(400)
    assert normal_scores(X) is not None
    model = sk.SimilarityRegressor(**QUICK, approximation="nystroem", n_components=50).fit(X, y)
    assert not hasattr(model, "curved_features_")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curves_keep_order_units_and_dtype(dtype):
    rng = np.random.default_rng(0)
    x = np.exp(3 * rng.standard_normal(5_000)).astype(dtype)
    X = np.column_stack([x, rng.standard_normal(5_000).astype(dtype), x > 500])
    curves = normal_scores(X)
    out = curves(X)
    assert curves.columns.tolist() == [0]
    assert out.dtype == X.dtype
    assert (out[:, 1:] == X[:, 1:]).all()
    order = np.argsort(x)
    assert (np.diff(out[order, 0]) >= 0).all()
    np.testing.assert_allclose(out[:, 0].std(), x.std(), rtol=0.02)
    np.testing.assert_allclose(out[order, 0] / x.std(), _normal_deviates(5_000), atol=0.05)
    beyond = np.array([[-1e30, 0, 0], [1e30, 0, 0]], dtype=dtype)
    assert curves(beyond)[:, 0].tolist() == [out[:, 0].min(), out[:, 0].max()]


def _normal_deviates(n):
    from scipy.stats import norm

    return np.clip(norm.ppf((np.arange(n) + 0.5) / n), -4, 4)


def test_equal_values_share_the_middle_of_their_ranks():
    x = np.concatenate([np.zeros(900), np.exp(np.linspace(0, 9, 100))])[:, None]
    out = normal_scores(x)(x)[:, 0]
    (at_zero,) = set(out[:900])
    np.testing.assert_allclose(at_zero / x.std(), -0.1257, atol=1e-3)  # the deviate of 0.45


@pytest.mark.parametrize("x", [np.zeros(99), np.repeat([0.0, 1e200], [98, 1]), np.eye(99)[0]])
def test_columns_of_one_or_two_values_have_no_curve(x):
    assert normal_scores(x[:, None]) is None


def test_a_saved_model_predicts_and_explains_as_before(model, tmp_path):
    X, _ = tails(40, seed=2)
    sk.save(model, tmp_path / "model")
    again = sk.load(tmp_path / "model")
    assert (again.predict(X) == model.predict(X)).all()
    found = model.explain(X)
    np.testing.assert_allclose(
        found.baseline + found.contribution.sum(axis=1), model.predict(X), atol=1e-6
    )


def test_parts_add_up_to_the_model_of_all_rows():
    X, y = tails()
    parts = sk.SimilarityRegressor(**QUICK, approximation="nystroem", n_components=100)
    for part in (slice(0, 360), slice(360, None)):
        parts.partial_fit(X[part], y[part])
    assert parts.curved_features_.tolist() == [1, 2]
    assert rmse(parts, X, y) < 0.2 * y.std()


def test_landmarks_that_are_rows_go_through_the_curves():
    X, y = tails()
    model = fitted(approximation="nystroem", landmarks=X[:200])
    assert hasattr(model, "curved_features_")
    assert rmse(model, X, y) < 0.1 * y.std()


def test_blocks_on_dask_go_through_the_curves(model):
    da = pytest.importorskip("dask.array")
    X, y = tails()
    on_dask = sk.SimilarityRegressor(**QUICK, approximation="nystroem", n_components=100).fit(
        da.from_array(X, chunks=(150, 3)), da.from_array(y, chunks=150)
    )
    np.testing.assert_allclose(on_dask.predict(X), model.predict(X), rtol=1e-9, atol=1e-9)


def test_a_classifier_is_calibrated_in_the_curves():
    X, y = tails()
    Q, truth = tails(600, seed=1)
    model = sk.SimilarityClassifier(**QUICK).fit(X, y > 0)
    assert hasattr(model.model_, "curved_features_")
    chances = model.predict_proba(Q)[:, 1]
    assert np.mean((chances > 0.5) == (truth > 0)) > 0.93
    for low, high in ((0.0, 0.2), (0.8, 1.0)):
        chosen = (chances >= low) & (chances <= high)
        assert abs(np.mean(truth[chosen] > 0) - chances[chosen].mean()) < 0.05


def test_few_rows_are_scaled_and_curved_as_many_are():
    X, y = tails(200)
    few = sk.SimilarityRegressor(**QUICK).fit(X, y)
    assert few.curved_features_.tolist() == [1, 2]
    assert rmse(few, *tails(seed=1)) < 0.35 * y.std()


def test_units_of_a_column_of_few_rows_do_not_matter():
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((150, 3))
    y = np.sin(Z[:, 0]) + Z[:, 1]
    errors = []
    for units in (np.ones(3), np.array([1, 1, 1e4])):
        model = sk.SimilarityRegressor(**QUICK).fit(Z[:100] * units, y[:100])
        errors.append(rmse(model, Z[100:] * units, y[100:]))
    assert errors[1] < 1.1 * errors[0] + 1e-3


def test_units_that_mean_something_stay():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 8)) * np.array([1, 1, *[1e-3] * 6])
    model = sk.SimilarityRegressor(**QUICK).fit(X, np.sin(3 * X[:, 0]) * X[:, 1])
    assert model.report_["metric"] == "as they are"
    assert not hasattr(model, "input_map_")


def test_a_classifier_is_calibrated_on_landmarks_in_the_curves():
    X, y = tails(200)
    curves = normal_scores(X)
    on_curves, by_hand = (
        sk.SimilarityClassifier(**QUICK, approximation="nystroem", landmarks=rows[:40]).fit(
            rows, y > 0
        )
        for rows in (X, curves(X))
    )
    assert on_curves.model_.curved_features_.tolist() == [1, 2]
    np.testing.assert_allclose(on_curves.calibration_, by_hand.calibration_, rtol=1e-6)


@pytest.mark.parametrize("weighted", [1, 5, 60])
def test_of_many_rows_few_may_have_a_weight(weighted):
    X, y = tails(400)
    weight = np.arange(400) < weighted
    model = sk.SimilarityRegressor(**QUICK).fit(X, y, sample_weight=weight)
    alone = sk.SimilarityRegressor(**QUICK).fit(X[weight], y[weight])
    np.testing.assert_allclose(model.predict(X), alone.predict(X), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_bandwidth_of_few_rows_in_the_curves_is_of_all_of_them(weighted):
    X, y = tails(100)
    weight = np.random.default_rng(1).random(100) if weighted else None
    params = {"kernel": "rbf", "gamma": "scale", "approximation": "exact"}
    learned = sk.SimilarityRegressor(**params, metric="learned").fit(X, y, sample_weight=weight)
    Z = normal_scores(X)(X) * learned.input_map_
    by_hand = sk.SimilarityRegressor(**params).fit(Z, y, sample_weight=weight)
    np.testing.assert_allclose(learned.kernel_.length, by_hand.kernel_.length, rtol=1e-9)
