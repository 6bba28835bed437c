"""Neighbours as graphs and within a radius, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError
from scalekern.neighbors import build_index

RNG = np.random.default_rng(5)
X, Q = RNG.normal(size=(600, 4)), RNG.normal(size=(40, 4))


@pytest.mark.parametrize("mode", ["connectivity", "distance"])
@pytest.mark.parametrize("queries", [None, Q])
@pytest.mark.parametrize(
    ("algorithm", "metric"), [("kd_tree", "euclidean"), ("brute", "cosine"), ("auto", "canberra")]
)
def test_graphs_are_those_of_scikit_learn(algorithm, metric, queries, mode):
    model = KNeighborsRegressor(4, algorithm=algorithm, metric=metric).fit(X, X[:, 0])
    known = NearestNeighbors(n_neighbors=4, algorithm="brute", metric=metric).fit(X)
    ours, theirs = (m.kneighbors_graph(queries, mode=mode) for m in (model, known))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=1e-8)
    radius = 1.0 if metric == "euclidean" else 0.2
    ours = model.radius_neighbors_graph(queries, radius, mode=mode)
    theirs = known.radius_neighbors_graph(queries, radius, mode=mode)
    np.testing.assert_allclose(ours.toarray(), theirs.toarray(), atol=1e-8)


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute", "ivf", "ivfpq", "hnsw"])
@pytest.mark.parametrize("radius", [0.0, 0.7, 50.0])
def test_all_rows_within_a_radius_are_found_by_every_index(algorithm, radius):
    index = build_index(X, algorithm=algorithm, n_neighbors=3).index
    queries = np.vstack([Q, X[:5]])
    exact = cdist(queries, X)
    for row, (distances, numbers) in zip(exact, index.within(queries, radius), strict=True):
        assert set(numbers) == set(np.flatnonzero(row <= radius))
        assert (np.diff(distances) >= 0).all()
        np.testing.assert_allclose(distances, row[numbers], rtol=1e-12)


def test_texts_within_a_radius():
    words = ["cat", "cart", "carton", "dog"]
    model = KNeighborsClassifier(1, metric="levenshtein").fit(words, [0, 1, 2, 3])
    distances, indices = model.radius_neighbors(["cat", "emu"], 1)
    assert [list(numbers) for numbers in indices] == [[0, 1], []]
    assert distances[0].tolist() == [0.0, 1.0]
    assert model.radius_neighbors(radius=1, return_distance=False)[0].tolist() == [1]


def test_a_radius_must_be_given_and_be_one():
    model = KNeighborsRegressor().fit(X, X[:, 0])
    with pytest.raises(InvalidInputError, match="radius is missing"):
        model.radius_neighbors(Q)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(InvalidInputError, match="at least 0"):
            model.radius_neighbors(Q, wrong)
    with pytest.raises(InvalidInputError, match="mode='near'"):
        model.kneighbors_graph(Q, mode="near")
