"""NeighborsTransformer in scikit-learn's pipelines of precomputed graphs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import neighbors as theirs
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.datasets import make_blobs
from sklearn.manifold import TSNE, Isomap
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline

import scalekern
from scalekern import NeighborsTransformer
from scalekern.errors import InvalidInputError

X, LABELS = make_blobs(500, 6, centers=5, cluster_std=0.7, random_state=0)
NEW, _ = make_blobs(40, 6, centers=5, cluster_std=0.7, random_state=1)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_the_graph_is_that_of_scikit_learn(mode):
    ours = NeighborsTransformer(4, mode=mode).fit(X)
    known = theirs.KNeighborsTransformer(n_neighbors=4, mode=mode).fit(X)
    for rows in (X, NEW):
        one, other = ours.transform(rows), known.transform(rows)
        np.testing.assert_allclose(one.toarray(), other.toarray(), atol=1e-9)
        # A row's own zero is an entry, which tells it apart from rows that are not neighbours.
        np.testing.assert_array_equal(one.indptr, other.indptr)
    assert list(ours.get_feature_names_out()[:1]) == ["neighborstransformer0"]


def test_classification_on_the_graph_is_classification_on_the_rows():
    pipeline = make_pipeline(
        NeighborsTransformer(6), theirs.KNeighborsClassifier(5, metric="precomputed")
    ).fit(X, LABELS)
    known = theirs.KNeighborsClassifier(5).fit(X, LABELS)
    np.testing.assert_array_equal(pipeline.predict(NEW), known.predict(NEW))


def test_clusters_on_the_graph_are_clusters_on_the_rows():
    # With as many neighbours as the largest ball holds, DBSCAN sees all that it would see.
    known = DBSCAN(eps=1.5, min_samples=5).fit_predict(X)
    graph = NeighborsTransformer(200).fit_transform(X)
    found = DBSCAN(eps=1.5, min_samples=5, metric="precomputed").fit_predict(graph)
    np.testing.assert_array_equal(found, known)
    assert adjusted_rand_score(found, LABELS) > 0.9
    radius = (
        scalekern.KNeighborsRegressor()
        .fit(X, LABELS)
        .radius_neighbors_graph(X, 1.5, mode="distance")
    )
    again = DBSCAN(eps=1.5, min_samples=5, metric="precomputed").fit_predict(radius)
    np.testing.assert_array_equal(again, known)


def test_embeddings_take_the_graph():
    tsne = make_pipeline(
        NeighborsTransformer(65, random_state=0),
        TSNE(metric="precomputed", init="random", perplexity=20, max_iter=300, random_state=0),
    )
    flat = tsne.fit_transform(X)
    known = TSNE(init="random", perplexity=20, max_iter=300, random_state=0).fit_transform(X)

    def purity(points):
        near = theirs.NearestNeighbors(n_neighbors=5).fit(points).kneighbors(return_distance=False)
        return (LABELS[near] == LABELS[:, None]).mean()

    assert purity(flat) > purity(known) - 0.02


def test_isomap_on_the_graph_is_isomap_on_the_rows():
    one = np.random.default_rng(0).uniform(size=(150, 3))
    isomap = make_pipeline(NeighborsTransformer(20), Isomap(n_neighbors=20, metric="precomputed"))
    same = Isomap(n_neighbors=20).fit_transform(one)
    np.testing.assert_allclose(np.abs(isomap.fit_transform(one)), np.abs(same), atol=1e-6)


def test_it_is_saved_cloned_and_takes_other_things_than_vectors(tmp_path):
    words = ["cat", "cart", "dog", "dig"]
    model = clone(NeighborsTransformer(1, metric="levenshtein")).fit(words)
    scalekern.save(model, tmp_path / "graph")
    again = scalekern.load(tmp_path / "graph")
    expected = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    for one in (model, again):
        assert one.transform(words).toarray().tolist() == expected
        assert len(one.get_feature_names_out()) == 4
    with pytest.raises(InvalidInputError, match="mode='near'"):
        NeighborsTransformer(mode="near").fit(X)
