"""The oracle is what the article says, and the fast models come to the article's own numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import MinMaxScaler

import scalekern as sk
from scalekern import reference

RNG = np.random.default_rng(11)
X = RNG.normal(size=(40, 3))
Y = np.sin(X).sum(axis=1)
NEW = RNG.normal(size=(15, 3))

EXACT, LINEAR, KNN = 3.6406268, 4.5376975, 3.7101162


def rmse(predicted, y):
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def test_distance_and_similarity_are_numpys():
    x, z = X[0], X[1]
    assert reference.euclidean_distance(x, z) == pytest.approx(np.linalg.norm(x - z), rel=1e-15)
    expected = np.exp(-0.7 * np.sum((x - z) ** 2))
    assert reference.rbf_similarity(x, z, gamma=0.7) == pytest.approx(expected, rel=1e-14)


def test_knn_regressor_equals_scikit_learns():
    peer = KNeighborsRegressor(4, algorithm="brute").fit(X, Y)
    np.testing.assert_allclose(reference.knn_regressor(X, Y, NEW, k=4), peer.predict(NEW))


def test_knn_classifier_equals_scikit_learns():
    labels = np.where(Y > 0.5, "high", np.where(Y < -0.5, "low", "middle"))
    peer = KNeighborsClassifier(5, algorithm="brute").fit(X, labels)
    assert reference.knn_classifier(X, labels, NEW) == peer.predict(NEW).tolist()


def test_tie_of_votes_goes_to_the_smallest_label():
    rows, labels = [[0.0], [0.1], [5.0]], ["b", "a", "c"]
    assert reference.knn_classifier(rows, labels, [[0.0]], k=2) == ["a"]


def test_knn_takes_any_objects_and_distance():
    words, values = ["aa", "aaaa", "a"], [2.0, 4.0, 1.0]
    found = reference.knn_regressor(
        words, values, ["aaaaa"], k=1, distance=lambda x, z: abs(len(x) - len(z))
    )
    assert found.tolist() == [4.0]


@pytest.mark.parametrize("outputs", [1, 2])
def test_similarity_regressor_equals_kernel_ridge(outputs):
    y = Y if outputs == 1 else np.column_stack([Y, X[:, 0]])
    oracle = reference.SimilarityRegressor(reference.rbf_similarity, alpha=0.1).fit(X, y)
    peer = KernelRidge(kernel="rbf", gamma=1.0, alpha=0.1).fit(X, y)
    np.testing.assert_allclose(oracle.predict(NEW), peer.predict(NEW), atol=1e-11)


def test_similarity_regressor_uses_the_pseudo_inverse_of_an_indefinite_matrix():
    def similarity(x, z):
        return float(x @ z) - 2.0

    oracle = reference.SimilarityRegressor(similarity, alpha=0.0).fit(X, Y)
    K = X @ X.T - 2.0
    assert np.linalg.eigvalsh(K)[0] < -1
    np.testing.assert_allclose(oracle.weights_, np.linalg.lstsq(K, Y, rcond=1e-12)[0], atol=1e-9)


@pytest.fixture(scope="module")
def article(airfoil):
    """The article's split and scaling."""
    table = pd.read_csv(airfoil)
    parts = train_test_split(
        table.drop(columns="pressure").to_numpy(dtype=np.float64),
        table["pressure"].to_numpy(),
        test_size=0.25,
        random_state=69,
    )
    X_train, X_test, y_train, y_test = parts
    scaler = MinMaxScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test


def test_oracle_comes_to_the_articles_errors(article):
    X_train, X_test, y_train, y_test = article
    model = reference.SimilarityRegressor(reference.rbf_similarity, alpha=1e-6)
    predicted = model.fit(X_train, y_train).predict(X_test)
    assert rmse(predicted, y_test) == pytest.approx(EXACT, abs=1e-5)
    nearest = reference.knn_regressor(X_train, y_train, X_test, k=5)
    assert rmse(nearest, y_test) == pytest.approx(KNN, abs=1e-5)


@pytest.mark.parametrize("solver", ["pinv", "cholesky"])
def test_exact_model_comes_to_the_articles_error(article, solver):
    X_train, X_test, y_train, y_test = article
    model = sk.SimilarityRegressor(
        gamma=1.0, alpha=1e-6, approximation="exact", solver=solver, fit_intercept=False
    ).fit(X_train, y_train)
    assert rmse(model.predict(X_test), y_test) == pytest.approx(EXACT, abs=1e-5)


def test_exact_model_of_float32_rows_comes_near_the_articles_error(article):
    X_train, X_test, y_train, y_test = article
    model = sk.SimilarityRegressor(gamma=1.0, alpha=1e-6, fit_intercept=False)
    model.fit(X_train.astype(np.float32), y_train)
    assert rmse(model.predict(X_test.astype(np.float32)), y_test) == pytest.approx(EXACT, abs=2e-2)


def test_linear_model_comes_to_the_articles_error(article):
    X_train, X_test, y_train, y_test = article
    model = sk.LinearRegressor().fit(X_train, y_train)
    assert rmse(model.predict(X_test), y_test) == pytest.approx(LINEAR, abs=1e-5)
    peer = LinearRegression().fit(X_train, y_train)
    np.testing.assert_allclose(model.coef_, peer.coef_, rtol=1e-9)


def test_knn_comes_to_the_articles_error(article):
    X_train, X_test, y_train, y_test = article
    model = sk.KNeighborsRegressor(5).fit(X_train, y_train)
    assert rmse(model.predict(X_test), y_test) == pytest.approx(KNN, abs=1e-5)


def test_compare_comes_to_the_articles_table(airfoil):
    table = pd.read_csv(airfoil)
    comparison = sk.compare(
        table.drop(columns="pressure").astype(float),
        table["pressure"],
        test_size=0.25,
        random_state=69,
        scaler="minmax",
        gamma=1.0,
        alpha=1e-6,
        fit_intercept=False,
        n_neighbors=5,
        models=["exact", "linear", "knn"],
    )
    errors = {row["model"]: row["rmse"] for row in comparison.rows()}
    expected = {"exact": EXACT, "linear": LINEAR, "knn": KNN}
    assert errors == pytest.approx(expected, abs=1e-5)
