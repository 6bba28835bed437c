"""Labels of several outputs, predicted from the same neighbours, against scikit-learn's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import neighbors as theirs

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError
from scalekern.report.explanation import explanation_text

RNG = np.random.default_rng(8)
X, QUERIES = RNG.normal(size=(300, 4)), RNG.normal(size=(50, 4))
KINDS = {
    "numbers": np.column_stack([X[:, 0] > 0, (X[:, 1] > 0) + 2 * (X[:, 2] > 0.5)]).astype(int),
    "texts": np.column_stack(
        [
            np.where(X[:, 0] > 0, "up", "down"),
            np.array(["a", "b", "c"])[np.digitize(X[:, 1], [0, 1])],
        ]
    ),
    "indicator": (X[:, :3] > 0.3).astype(int),
}


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("kind", KINDS)
def test_several_outputs_are_those_of_scikit_learn(kind, weights):
    y = KINDS[kind]
    ours = KNeighborsClassifier(5, weights=weights).fit(X, y)
    known = theirs.KNeighborsClassifier(5, weights=weights, algorithm="brute").fit(X, y)
    assert isinstance(ours.classes_, list)
    for own, other in zip(ours.classes_, known.classes_, strict=True):
        np.testing.assert_array_equal(own, other)
    proba, expected = ours.predict_proba(QUERIES), known.predict_proba(QUERIES)
    assert len(proba) == y.shape[1]
    for own, other in zip(proba, expected, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-12, atol=1e-15)
    got = ours.predict(QUERIES)
    np.testing.assert_array_equal(got, known.predict(QUERIES))
    assert got.dtype == y.dtype
    assert ours.outputs_2d_


def test_one_column_is_one_output():
    with pytest.warns(UserWarning, match="column-vector"):
        model = KNeighborsClassifier(5).fit(X, KINDS["numbers"][:, :1])
    assert not model.outputs_2d_
    assert model.predict(QUERIES).shape == (50,)


def test_a_model_of_several_outputs_is_stored_and_pickled(tmp_path):
    model = KNeighborsClassifier(3).fit(X, KINDS["texts"])
    scalekern.save(model, tmp_path / "m")
    for other in (scalekern.load(tmp_path / "m"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.predict(QUERIES), model.predict(QUERIES))
        assert [list(c) for c in other.classes_] == [["down", "up"], ["a", "b", "c"]]


def test_rows_with_several_labels_come_and_go():
    y = KINDS["texts"]
    model = KNeighborsClassifier(3).fit(X[:200], y[:200])
    model.add(X[200:], y[200:]).remove(np.arange(50))
    whole = KNeighborsClassifier(3).fit(X[50:], y[50:])
    np.testing.assert_array_equal(model.predict(QUERIES), whole.predict(QUERIES))
    with pytest.raises(InvalidInputError, match=r"1 columns? of labels, and the model predicts 2"):
        model.add(X[:2], y[:2, 0])


def test_frames_of_several_targets_and_blocks_of_predictions():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    frame[["s", "t"]] = KINDS["numbers"]
    source = scalekern.rows(frame, target=["s", "t"])
    model = KNeighborsClassifier(5).fit(source)
    expected = KNeighborsClassifier(5).fit(X, KINDS["numbers"]).predict(QUERIES)
    asked = pandas.DataFrame(QUERIES, columns=list("abcd"))
    np.testing.assert_array_equal(model.predict(asked), expected)
    parts = []
    model.predict_blocks(scalekern.rows(asked), lambda _, part: parts.append(part))
    np.testing.assert_array_equal(np.concatenate(parts), expected)


def test_tuning_to_the_error_takes_the_mean_of_the_outputs():
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(3000, 12)).astype(np.float32)
    y = (Z[:, :2] > 0).astype(int)
    model = KNeighborsClassifier(5, algorithm="ivf", target_error=0.05, random_state=0).fit(Z, y)
    assert model.tuned_["excess_error"] <= 0.05
    alone = KNeighborsClassifier(5, algorithm="ivf", target_error=0.05, random_state=0)
    assert alone.fit(Z, y[:, 0]).tuned_["excess_error"] != model.tuned_["excess_error"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_output_is_explained_as_by_a_classifier_of_it_alone(kind):
    Y = KINDS[kind]
    model = KNeighborsClassifier(5, weights="distance").fit(X, Y)
    for j in range(Y.shape[1]):
        why = model.explain(QUERIES, output=j)
        alone = KNeighborsClassifier(5, weights="distance").fit(X, Y[:, j]).explain(QUERIES)
        for name in ("row_id", "weight", "target", "baseline", "prediction", "contribution"):
            np.testing.assert_array_equal(getattr(why, name), getattr(alone, name))
        np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-12)
        assert explanation_text(why) == explanation_text(alone)


def test_one_output_of_a_regressor_is_explained_alone():
    Y = np.column_stack([X[:, 0], X[:, 1] ** 2])
    model = KNeighborsRegressor(4).fit(X, Y)
    why, both = model.explain(QUERIES, output=1), model.explain(QUERIES)
    np.testing.assert_array_equal(why.contribution, both.contribution[..., 1])
    np.testing.assert_array_equal(why.prediction, both.prediction[:, 1])


def test_an_explanation_is_of_an_output_that_there_is():
    model = KNeighborsClassifier(3).fit(X, KINDS["numbers"])
    with pytest.raises(InvalidInputError, match="has 2 outputs; name the one"):
        model.explain(QUERIES)
    for wrong in (2, -1, "first"):
        with pytest.raises(InvalidInputError, match=f"output={wrong!r}"):
            model.explain(QUERIES, output=wrong)
