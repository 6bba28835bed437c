"""Inner products, and L1 and L-infinity in lists and graphs, against NumPy and SciPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.neighbors import build_index, index_from_state

RNG = np.random.default_rng(1)
X, Q = RNG.normal(size=(3000, 8)) * RNG.uniform(0.1, 5, (3000, 1)), RNG.normal(size=(80, 8))


@pytest.mark.parametrize("algorithm", ["auto", "brute", "ivf", "ivfpq", "ivfsq", "hnsw"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_inner_products_are_found(algorithm, dtype):
    rows, queries = X.astype(dtype), 100 * Q.astype(dtype)
    built = build_index(
        rows, metric="inner_product", algorithm=algorithm, n_neighbors=6, target_recall=0.9
    )
    distances, indices = built.index.search(queries, 6)
    products = queries.astype(float) @ rows.astype(float).T
    best = -np.sort(-products, axis=1)[:, :6]
    np.testing.assert_allclose(-distances, np.take_along_axis(products, indices, 1), rtol=1e-9)
    if built.index.exact:
        np.testing.assert_allclose(-distances, best, rtol=1e-9)
    else:
        found = (-distances >= best[:, -1:] * (1 - 1e-9)).mean()
        assert found > 0.75  # queries that are no rows find less than rows do
        assert built.recall >= 0.9
    meta, state = built.index.state()
    again = index_from_state(json.loads(json.dumps(meta)), state)
    for one, other in zip(again.search(queries, 6), (distances, indices), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "cosine"])
@pytest.mark.parametrize("size", [6e-220, 5e-324])
def test_rows_whose_squares_are_no_numbers_are_searched(metric, size):
    rows = np.zeros((40, 3))
    rows[-1, 2] = size
    distances, _ = build_index(rows, metric=metric, algorithm="brute").index.search(rows, 4)
    assert np.isfinite(distances).all()
    assert not distances[:-1, 0].any()


@settings(max_examples=50, deadline=None)
@given(rows=arrays(float, (40, 3), elements=st.integers(-4, 4).map(float) | st.floats(-1e3, 1e3)))
def test_exact_inner_products_are_exact_on_any_rows(rows):
    index = build_index(rows, metric="inner_product", algorithm="brute").index
    distances, _ = index.search(rows, 4)
    expected = -np.sort(-(rows @ rows.T), axis=1)[:, :4]
    np.testing.assert_allclose(-distances, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("metric", ["manhattan", "chebyshev"])
@pytest.mark.parametrize("algorithm", ["ivf", "hnsw"])
def test_lists_and_graphs_answer_for_l1_and_the_largest_difference(metric, algorithm):
    built = build_index(X, metric=metric, algorithm=algorithm, n_neighbors=6, target_recall=0.95)
    distances, indices = built.index.search(X[:300], 6)
    exact = cdist(X[:300], X, {"manhattan": "cityblock"}.get(metric, metric))
    np.testing.assert_allclose(distances, np.take_along_axis(exact, indices, 1), rtol=1e-12)
    recall = (distances <= np.sort(exact, axis=1)[:, 5:6] * (1 + 1e-9)).mean()
    assert recall > 0.93
    assert built.recall >= 0.95
    meta, state = built.index.state()
    again = index_from_state(json.loads(json.dumps(meta)), state)
    np.testing.assert_array_equal(again.search(X[:300], 6)[1], indices)
    with pytest.raises(UnsupportedError, match="algorithm='brute'"):
        built.index.within(X[:2], 1.0)


def test_the_estimators_take_inner_products(tmp_path):
    y = X[:, 0] > 0
    model = KNeighborsClassifier(5, metric="inner_product").fit(X, y)
    scalekern.save(model, tmp_path / "m")
    votes = y[np.argsort(-(Q @ X.T), axis=1)[:, :5]].mean(axis=1)
    for one in (model, scalekern.load(tmp_path / "m")):
        np.testing.assert_allclose(one.predict_proba(Q)[:, 1], votes)
    for weights in ("distance", "kernel"):
        with pytest.raises(InvalidInputError, match="metric='inner_product'"):
            KNeighborsRegressor(weights=weights, metric="inner_product").fit(X, X[:, 0])
    why = model.explain(Q[:3], top=2)
    best = -np.sort(-(Q[:3] @ X.T), axis=1)
    assert np.isin(np.round(why.similarity, 9), np.round(best[:, :5], 9)).all()
