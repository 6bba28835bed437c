"""Rows added to and removed from fitted k-NN models: as if they had been fitted so."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError, ModelFormatError
from scalekern.neighbors import index_from_state
from scalekern.neighbors.altered import AlteredIndex

RNG = np.random.default_rng(7)
X, Q = RNG.normal(size=(900, 4)), RNG.normal(size=(70, 4))
Y = X[:, 0] + np.sin(3 * X[:, 1])
LABELS = np.array(["a", "b", "c"])[np.digitize(Y, [-0.5, 0.5])]


def fitted(n=600, **params):
    return KNeighborsRegressor(5, **params).fit(X[:n], Y[:n])


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_rows_added_are_as_if_fitted(algorithm, weights):
    model = fitted(500, algorithm=algorithm, weights=weights)
    model.add(X[500:560], Y[500:560]).add(X[560:600], Y[560:600])
    whole = fitted(600, algorithm=algorithm, weights=weights)
    np.testing.assert_allclose(model.predict(Q), whole.predict(Q), rtol=1e-12)
    for one, other in zip(model.kneighbors(Q), whole.kneighbors(Q), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    np.testing.assert_array_equal(model.kneighbors()[1], whole.kneighbors()[1])
    ours, theirs = (m.radius_neighbors_graph(Q, 1.0) for m in (model, whole))
    assert (ours != theirs).nnz == 0


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute", "ivf", "ivfpq", "hnsw"])
@pytest.mark.parametrize("gone", [range(0, 600, 7), range(100)])
def test_rows_removed_are_never_found_and_never_counted(algorithm, gone):
    gone = np.array(gone)
    model = fitted(algorithm=algorithm, target_recall=0.99, random_state=0).remove(gone)
    left = np.setdiff1d(np.arange(600), gone)
    exact = KNeighborsRegressor(5, algorithm="brute").fit(X[left], Y[left])
    queries = np.vstack([Q, X[gone[:40]]])
    distances, indices = model.kneighbors(queries)
    assert not np.isin(indices, gone).any()
    assert (indices >= 0).all()
    near = exact.kneighbors(queries)[0]
    assert (distances <= near[:, -1:] * (1 + 1e-9)).mean() > 0.95
    np.testing.assert_allclose(model.predict(queries), Y[indices].mean(axis=1), rtol=1e-12)


def test_numbers_stay_when_rows_come_and_go_and_the_index_is_built_anew():
    model = fitted()
    model.add(X[600:900], Y[600:900]).remove(np.arange(0, 900, 2))
    assert isinstance(model._index, AlteredIndex)
    assert model._index.n_added == 0  # half of it was removed, so it was built anew
    left = np.arange(1, 900, 2)
    exact = KNeighborsRegressor(5).fit(X[left], Y[left])
    np.testing.assert_array_equal(model.kneighbors(Q)[1], left[exact.kneighbors(Q)[1]])
    np.testing.assert_allclose(model.predict(Q), exact.predict(Q), rtol=1e-12)
    model.add(X[:10:2], Y[:10:2])
    assert model.kneighbors(X[:10:2], 1)[1][:, 0].tolist() == list(range(900, 905))


def test_many_rows_added_are_put_into_a_new_index():
    model = KNeighborsRegressor(3).fit(X[:100], Y[:100])
    more = np.repeat(X, 3, axis=0) + RNG.normal(size=(2700, 4))
    model.add(more[:900], np.zeros(900))
    assert model._index.n_added == 900
    model.add(more[900:1800], np.zeros(900))
    assert model._index.n_added == 0
    assert model.report_["rows"] == 1900
    whole = KNeighborsRegressor(3).fit(
        np.vstack([X[:100], more[:1800]]), np.concatenate([Y[:100], np.zeros(1800)])
    )
    np.testing.assert_allclose(model.predict(Q), whole.predict(Q), rtol=1e-12)


def test_labels_that_are_new_are_new_classes():
    model = KNeighborsClassifier(3).fit(X[:300], LABELS[:300])
    model.add(X[300:400], np.full(100, "B new"))
    together = np.concatenate([LABELS[:300], np.full(100, "B new")])
    whole = KNeighborsClassifier(3).fit(X[:400], together)
    np.testing.assert_array_equal(model.classes_, whole.classes_)
    np.testing.assert_allclose(model.predict_proba(Q), whole.predict_proba(Q))
    np.testing.assert_array_equal(model.predict(Q), whole.predict(Q))
    model.remove(np.arange(300, 400))
    old = KNeighborsClassifier(3).fit(X[:300], LABELS[:300])
    np.testing.assert_array_equal(model.predict(Q), old.predict(Q))


def test_texts_come_and_go():
    model = KNeighborsClassifier(1, metric="levenshtein").fit(["cat", "dog"], [0, 1])
    model.add(["cart", "dogs"], [2, 3])
    assert model.predict(["carts", "dogs", "at"]).tolist() == [2, 3, 0]
    assert model.remove([0, 3]).predict(["cat", "dogs"]).tolist() == [2, 1]


def test_rows_with_a_key_are_removed_by_it():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X[:300], columns=list("pqrs")).assign(
        y=Y[:300], key=[f"row {i}" for i in range(300)]
    )
    source = scalekern.rows(frame, target="y", key="key")
    model = KNeighborsRegressor(3).fit(source)
    model.remove(["row 5", "row 7"])
    query = frame[list("pqrs")].iloc[[5, 7]]
    assert not np.isin(model.kneighbors(query)[1], [5, 7]).any()
    assert "row 5" not in model.explain(query).row_id
    with pytest.raises(InvalidInputError, match=r"no row .*row 5"):
        model.remove(["row 5"])
    with pytest.raises(InvalidInputError, match="key"):
        model.add(frame[list("pqrs")], Y[:300])
    again = frame.iloc[:2].assign(key=["new 0", "new 1"])
    model.add(scalekern.rows(again, target="y", key="key"))
    assert model.explain(query, top=1).row_id.shape == (2, 1)


def test_a_changed_model_is_saved_pickled_and_explained(tmp_path):
    model = fitted().add(X[600:650], Y[600:650]).remove([3, 17, 601])
    scalekern.save(model, tmp_path / "m")
    expected = model.predict(Q)
    for other in (scalekern.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(Q), expected)
        other.remove([4])
        assert not (other.kneighbors(X[4:5])[1] == 4).any()
    why = model.explain(Q[:4])
    np.testing.assert_allclose(np.ravel(why.prediction), expected[:4])
    meta, arrays = model._index.state()
    for name, value in (("removed", arrays["removed"][:9]), ("0-numbers", np.arange(4))):
        with pytest.raises(ModelFormatError):
            index_from_state(meta, arrays | {name: value})


def test_what_cannot_be_added_or_removed_is_refused():
    model = fitted(10)
    for ids in ([10], [-1], ["3"]):
        with pytest.raises(InvalidInputError, match="the model has no row"):
            model.remove(ids)
    with pytest.raises(InvalidInputError, match="4 rows would be left"):
        model.remove(np.arange(6))
    model.remove([2])
    with pytest.raises(InvalidInputError, match="no row"):
        model.remove([2])
    with pytest.raises(InvalidInputError, match="were removed"):
        model.kneighbors()
    with pytest.raises(ValueError, match="features"):
        model.add(X[:3, :2], Y[:3])


def test_calibration_is_of_the_rows_it_was_made_with():
    model = fitted().calibrate(X[600:], Y[600:])
    model.predict_interval(Q)
    with pytest.raises(InvalidInputError, match="calibrate"):
        model.add(X[600:610], Y[600:610]).predict_interval(Q)
