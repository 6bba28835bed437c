"""Hard data: every model gives finite answers, or a clear error of this package; never a warning.

Each case is one way in which real data is hard; each runs in float64 and float32.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone, is_classifier

import scalekern as sk
from scalekern.errors import RecallWarning, ScalekernError

N, D = 60, 3


def heavy_tailed(rng):
    # The kurtosis of the third column is near 60, the most that so many rows can have.
    return rng.standard_t(1, size=(N, D)) * np.array([1.0, 10.0, 0.0]) + spiked(rng)


def spiked(rng):
    X = 1e-3 * rng.normal(size=(N, D))
    X[7, 2] = 1e4
    return X


ROWS = {
    "plain": lambda rng: rng.normal(size=(N, D)),
    "duplicated": lambda rng: rng.normal(size=(6, D))[np.arange(N) % 6],
    "all equal": lambda rng: np.full((N, D), 3.0),
    "all zero": lambda rng: np.zeros((N, D)),
    "constant columns": lambda rng: rng.normal(size=(N, D)) * [0.0, 1.0, 0.0] + [5.0, 0.0, 0.1],
    "scales": lambda rng: rng.normal(size=(N, D)) * [1e-6, 1.0, 1e6],
    "heavy tails": heavy_tailed,
    "one spike": spiked,
    "offset": lambda rng: rng.normal(size=(N, D)) + 1e6,
    "huge": lambda rng: rng.normal(size=(N, D)) * 1e36,
    "one huge row": lambda rng: np.vstack([rng.normal(size=(N - 1, D)), np.full((1, D), 1e36)]),
    "tiny": lambda rng: rng.normal(size=(N, D)) * 1e-36,
    "denormal": lambda rng: rng.integers(-9, 9, size=(N, D)) * 1e-44,
    "largest": lambda rng: np.sign(rng.normal(size=(N, D))) * 1e38,
    "one row": lambda rng: rng.normal(size=(1, D)),
    "two rows": lambda rng: rng.normal(size=(2, D)),
    "one column": lambda rng: rng.normal(size=(N, 1)),
    "more columns than rows": lambda rng: rng.normal(size=(20, 90)),
}
TARGETS = {
    "constant": lambda y: np.full(len(y), 7.0),
    "zero": lambda y: np.zeros(len(y)),
    "far from 0": lambda y: y + 1e12,
    "huge": lambda y: y * 1e69,
    "tiny": lambda y: y * 1e-200,
    "one spike": lambda y: np.where(np.arange(len(y)) == 3, 1e9, y),
}
SAME = {"random_state": 0}
MODELS = {
    "linear": sk.LinearRegressor(),
    "exact": sk.SimilarityRegressor(approximation="exact"),
    "exact, cv": sk.SimilarityRegressor("matern32", approximation="exact", gamma="cv", alpha="cv"),
    "pinv": sk.SimilarityRegressor(approximation="exact", solver="pinv", alpha="gcv"),
    "nystroem": sk.SimilarityRegressor(approximation="nystroem", n_components=20, **SAME),
    "m = n": sk.SimilarityRegressor(
        "laplacian", approximation="nystroem", n_components=N, alpha="gcv", **SAME
    ),
    "fourier": sk.SimilarityRegressor(approximation="fourier", n_components=20, **SAME),
    "fourier, cv": sk.SimilarityRegressor(
        "matern52", approximation="fourier", n_components=100, gamma="scale", alpha="cv", **SAME
    ),
    "sgd": sk.SimilarityRegressor(
        approximation="nystroem", solver="sgd", n_components=20, batch_size=16, **SAME
    ),
    "fourier, sgd": sk.SimilarityRegressor(
        approximation="fourier", solver="sgd", n_components=20, batch_size=16, **SAME
    ),
    "local": sk.SimilarityRegressor(approximation="local", n_neighbors=5, **SAME),
    "polynomial": sk.SimilarityRegressor("polynomial", approximation="exact"),
    "cosine": sk.SimilarityRegressor("cosine", approximation="nystroem", n_components=20, **SAME),
    "knn": sk.KNeighborsRegressor(1, weights="distance"),
    "knn, scan": sk.KNeighborsRegressor(1, algorithm="brute"),
    "classifier": sk.SimilarityClassifier(approximation="exact", **SAME),
    "log loss": sk.SimilarityClassifier(loss="log_loss", n_components=20, batch_size=16, **SAME),
    "knn classes": sk.KNeighborsClassifier(1),
}
SIMILARITIES = [name for name, model in MODELS.items() if isinstance(model, sk.SimilarityRegressor)]
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32])
ALL_MODELS = pytest.mark.parametrize("name", MODELS)


def target_of(X, rng):
    span = np.ptp(X[:, 0].astype(float)) or 1.0
    return np.sin(3 * X[:, 0].astype(float) / span) + 0.1 * rng.normal(size=len(X))


def held_to(model, X, y, weight=None, other=None):
    """Fit and predict; return predictions, finite as they must be, or None for a clear error."""
    y = (y > np.median(y)).astype(int) if is_classifier(model) else y
    more = {} if weight is None else {"sample_weight": weight}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RecallWarning)
        try:
            model.fit(X, y, **more)
            found = model.predict(X if other is None else other)
        except ScalekernError:
            return None
        except ValueError as error:
            # A single class is refused in scikit-learn's words.
            if "class" not in str(error):
                raise
            return None
    assert np.isfinite(found).all()
    if is_classifier(model):
        assert np.isfinite(model.predict_proba(X)).all()
    return found


@DTYPES
@ALL_MODELS
@pytest.mark.parametrize("kind", ROWS)
def test_hard_rows(kind, name, dtype):
    rng = np.random.default_rng(5)
    X = ROWS[kind](rng).astype(dtype)
    y = target_of(X, rng)
    found = held_to(clone(MODELS[name]), X, y)
    if found is not None and name != "polynomial" and not is_classifier(MODELS[name]):
        assert np.abs(found).max() < 1e3 * np.abs(y).max()


@DTYPES
@ALL_MODELS
def test_rows_far_from_all_that_were_fitted(name, dtype):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(N, D)).astype(dtype)
    far = np.vstack([X[:3], X[:3] * 1e9, np.full((1, D), -1e30), np.full((1, D), 1e36)])
    held_to(clone(MODELS[name]), X, target_of(X, rng), other=far.astype(dtype))


@DTYPES
@ALL_MODELS
@pytest.mark.parametrize("kind", TARGETS)
def test_hard_targets(kind, name, dtype):
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, D)).astype(dtype)
    y = TARGETS[kind](target_of(X, rng))
    found = held_to(clone(MODELS[name]), X, y)
    if kind in ("constant", "zero") and not is_classifier(MODELS[name]):
        np.testing.assert_allclose(found, y, atol=1e-4 * np.abs(y).max())
    if kind == "far from 0" and not is_classifier(MODELS[name]):
        np.testing.assert_allclose(found - 1e12, y - 1e12, atol=20)


@DTYPES
@pytest.mark.parametrize("name", SIMILARITIES)
@pytest.mark.parametrize("alpha", [1e-12, 1e3])
@pytest.mark.parametrize("kind", ["duplicated", "scales", "huge"])
def test_any_penalty(kind, alpha, name, dtype):
    rng = np.random.default_rng(8)
    X = ROWS[kind](rng).astype(dtype)
    held_to(clone(MODELS[name]).set_params(alpha=alpha), X, target_of(X, rng))


@DTYPES
@pytest.mark.parametrize("name", [n for n in MODELS if not n.startswith("knn")])
@pytest.mark.parametrize("zeros", ["none", "half", "all but two", "all but one", "all"])
def test_zero_weights(zeros, name, dtype):
    rng = np.random.default_rng(9)
    X = rng.normal(size=(N, D)).astype(dtype)
    weight = rng.random(N) + 0.1
    kept = {"none": N, "half": N // 2, "all but two": 2, "all but one": 1, "all": 0}[zeros]
    weight[kept:] = 0
    found = held_to(clone(MODELS[name]), X, target_of(X, rng), weight)
    if zeros == "all":
        assert found is None


@DTYPES
@pytest.mark.parametrize("name", [*SIMILARITIES, "linear", "knn", "knn, scan"])
def test_a_thousand_outputs(name, dtype):
    rng = np.random.default_rng(10)
    X = rng.normal(size=(N, D)).astype(dtype)
    y = X @ rng.normal(size=(D, 1_000)) * 10.0 ** rng.integers(-9, 9, size=1_000)
    found = held_to(clone(MODELS[name]), X, y)
    assert found.shape == (N, 1_000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier", "local"])
def test_kurtosis_in_the_thousands_is_borne_and_beaten(approximation, dtype):
    rng = np.random.default_rng(5)
    X = rng.standard_t(1.0, size=(4_000, 3)) ** 3 * [1.0, 1e-6, 1e6]
    X[:, 2] += 1e6 * rng.normal(size=4_000)
    y = np.tanh(X[:, 0]) + 0.1 * rng.normal(size=4_000)
    spread = X - X.mean(axis=0)
    assert (np.mean(spread**4, axis=0) / np.mean(spread**2, axis=0) ** 2 > 1_000).all()
    train, test = slice(0, 3_500), slice(3_500, None)
    few = {"alpha": 1.0} if approximation == "exact" else {"n_components": 200}
    model = sk.SimilarityRegressor(
        "rbf", gamma="median", approximation=approximation, random_state=0, **few
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model.fit(X[train].astype(dtype), y[train]).predict(X[test].astype(dtype))
    assert np.isfinite(found).all()
    assert np.mean((found - y[test]) ** 2) < 1.1 * np.var(y[test])
