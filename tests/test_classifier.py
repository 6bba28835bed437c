"""SimilarityClassifier: right classes, honest probabilities, every kind of label and row."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.scores import fit_calibration

KINDS = {
    "exact": {"approximation": "exact"},
    "nystroem": {"approximation": "nystroem", "n_components": 60},
    "fourier": {"approximation": "fourier", "n_components": 60},
    "sgd": {"approximation": "nystroem", "n_components": 60, "solver": "sgd"},
    "log_loss": {"approximation": "fourier", "n_components": 60, "loss": "log_loss"},
}


PLAIN = {"kernel": "rbf", "gamma": "median", "metric": "euclidean"}  # no model is tried


def classifier(kind="nystroem", **params):
    params = PLAIN | {"alpha": 0.1, "random_state": 0} | KINDS[kind] | params
    return sk.SimilarityClassifier(**params)


def odds_of(X):
    return np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] * X[:, 0], -0.5 + 0 * X[:, 0]]) * 2


def drawn(n, classes, seed=0):
    """Return rows, labels drawn from known probabilities, and those probabilities."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    z = np.exp(odds_of(X)[:, :classes])
    P = z / z.sum(axis=1, keepdims=True)
    labels = (rng.random(n)[:, None] > P.cumsum(axis=1)).sum(axis=1)
    return X, np.array(["cat", "dog", "eel"])[labels], P


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_near_those_that_labels_were_drawn_from(kind, classes):
    X, y, _ = drawn(900, classes)
    Xs, ys, P = drawn(1_500, classes, seed=1)
    fitted = classifier(kind).fit(X, y)
    assert fitted.classes_.tolist() == ["cat", "dog", "eel"][:classes]
    proba = fitted.predict_proba(Xs)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    rate = np.bincount(np.searchsorted(fitted.classes_, y)) / len(y)
    assert np.abs(proba - P).mean() < 0.45 * np.abs(rate - P).mean()
    best = (fitted.classes_[P.argmax(axis=1)] == ys).mean()
    assert (fitted.predict(Xs) == ys).mean() > best - 0.05


@pytest.mark.parametrize("kind", ["nystroem", "log_loss"])
@pytest.mark.parametrize("classes", [2, 3])
def test_predictions_decisions_and_probabilities_agree(kind, classes):
    X, y, _ = drawn(300, classes)
    fitted = classifier(kind).fit(X, y)
    odds, proba = fitted.decision_function(X), fitted.predict_proba(X)
    if classes == 2:
        assert odds.shape == (300,)
        np.testing.assert_allclose(np.log(proba[:, 1] / proba[:, 0]), odds, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[(odds > 0).astype(int)])
    else:
        assert odds.shape == (300, 3)
        np.testing.assert_allclose(
            np.log(proba[:, 1] / proba[:, 0]), odds[:, 1] - odds[:, 0], rtol=1e-6, atol=1e-9
        )
        np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[odds.argmax(axis=1)])
    np.testing.assert_array_equal(fitted.predict(X), fitted.classes_[proba.argmax(axis=1)])


def test_scores_are_those_of_the_regressor_on_indicators():
    X, y, _ = drawn(300, 3)
    fitted = classifier("exact").fit(X, y)
    Y = np.where(y[:, None] == fitted.classes_, 1.0, -1.0)
    regressor = sk.SimilarityRegressor(**PLAIN, approximation="exact", alpha=0.1, random_state=0)
    regressor.fit(X, Y)
    slope, offsets = fitted.calibration_[0], fitted.calibration_[1:]
    odds = slope * regressor.predict(X) + offsets
    np.testing.assert_allclose(fitted.decision_function(X), odds, rtol=1e-9, atol=1e-9)


def test_calibration_undoes_scores_that_are_too_good():
    # Interpolating scores are within 1e-3 of 1 on training rows; left out, they are far from it.
    X, y, _ = drawn(600, 2)
    Xs, ys, _ = drawn(2_000, 2, seed=1)
    fitted = classifier("exact", alpha=1e-6, gamma=5.0).fit(X, y)
    sure = fitted.predict_proba(Xs).max(axis=1)
    assert abs(sure.mean() - (fitted.predict(Xs) == ys).mean()) < 0.05


def test_calibration_finds_the_logistic_model_that_made_the_labels():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((20_000, 3))
    z = 1.7 * scores + [0.5, 0.0, -0.5]
    labels = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    found = fit_calibration(scores, labels, np.ones(len(labels)))
    np.testing.assert_allclose(found[0], 1.7, atol=0.06)
    np.testing.assert_allclose(found[1:] - found[2], [0.5, 0.0, -0.5], atol=0.08)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scores_to_calibrate_on_that_come_with_the_fit_are_those_of_a_fit_without_the_rows(
    fit_intercept,
):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1_100, 2))
    labels = (rows[:, 0] + rng.normal(size=1_100) > 0) + (rows[:, 1] > 1).astype(int)
    one, other = (
        sk.SimilarityClassifier(
            "rbf", gamma=0.5, alpha=0.3, approximation="exact", solver=solver, tol=1e-10,
            fit_intercept=fit_intercept, class_weight="balanced", random_state=0,
        ).fit(rows, labels)
        for solver in ("cg", "cholesky")
    )  # fmt: skip
    np.testing.assert_allclose(one.calibration_, other.calibration_, rtol=1e-4, atol=1e-4)
    assert one.report_["calibration"] == other.report_["calibration"]


@pytest.mark.parametrize("kind", ["exact", "nystroem", "log_loss"])
def test_class_weight_is_a_weight_of_rows(kind):
    X, y, _ = drawn(500, 2)
    rare = (y == "cat") | (np.arange(500) % 5 == 0)
    X, y = X[rare], y[rare]
    by_row = np.where(y == "dog", 3.0, 1.0)
    given = classifier(kind, class_weight={"dog": 3.0}).fit(X, y)
    rows = classifier(kind).fit(X, y, by_row)
    np.testing.assert_allclose(given.predict_proba(X), rows.predict_proba(X), rtol=1e-9)
    plain, even = (classifier(kind, class_weight=w).fit(X, y) for w in (None, "balanced"))
    assert (even.predict(X) == "dog").sum() > (plain.predict(X) == "dog").sum()
    n, share = len(y), (y == "dog").mean()
    same = classifier(kind).fit(X, y, np.where(y == "dog", 0.5 / share, 0.5 / (1 - share)))
    assert n == len(y)
    np.testing.assert_allclose(even.predict_proba(X), same.predict_proba(X), rtol=1e-7)


def test_rows_of_weight_0_and_their_classes_do_not_count():
    X, y, _ = drawn(300, 3)
    weight = (y != "eel").astype(float)
    fitted = classifier("exact").fit(X, y, weight)
    assert fitted.classes_.tolist() == ["cat", "dog"]
    without = classifier("exact").fit(X[weight > 0], y[weight > 0])
    # Folds are dealt by row number, so only the scores are the same, not their calibration.
    scores = [m.model_.predict(X) for m in (fitted, without)]
    np.testing.assert_allclose(*scores, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", ["nystroem", "log_loss"])
def test_rows_from_files_give_what_arrays_give(tmp_path, kind):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    X, y, _ = drawn(400, 3)
    numbers = np.searchsorted(["cat", "dog", "eel"], y) * 10
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "label": numbers})
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=150)
    files = classifier(kind).fit(sk.rows(str(tmp_path), target="label"))
    arrays = classifier(kind).fit(X, numbers)
    assert files.classes_.tolist() == [0, 10, 20]
    close = 1e-9 if kind == "nystroem" else 0.1  # the order of files is shuffled in longer runs
    there = files.predict_proba(sk.rows(str(tmp_path), features=["a", "b"]))
    np.testing.assert_allclose(there, arrays.predict_proba(X), atol=close)


@pytest.mark.parametrize("kind", ["exact", "fourier", "log_loss"])
def test_a_stored_classifier_comes_back(tmp_path, kind):
    X, y, _ = drawn(200, 3)
    for labels in (y, y.astype(object), np.searchsorted(["cat", "dog", "eel"], y)):
        fitted = classifier(kind).fit(X, labels)
        sk.save(fitted, tmp_path / "model")
        back = sk.load(tmp_path / "model")
        np.testing.assert_array_equal(back.predict_proba(X), fitted.predict_proba(X))
        np.testing.assert_array_equal(back.predict(X), fitted.predict(X))
        assert back.report_ == fitted.report_
        import shutil

        shutil.rmtree(tmp_path / "model")


def test_two_rows_are_enough_and_one_class_is_not():
    fitted = classifier("exact").fit([[0.0], [1.0]], ["a", "b"])
    assert fitted.predict([[0.0], [1.0]]).tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="2 classes or more"):
        classifier("exact").fit([[0.0], [1.0]], ["a", "a"])


def test_what_does_not_go_together_is_refused_with_what_would():
    X, y, _ = drawn(60, 2)
    with pytest.raises(UnsupportedError, match="use approximation='nystroem' or 'fourier'"):
        classifier("exact", loss="log_loss").fit(X, y)
    with pytest.raises(InvalidInputError, match="'squared_error', 'log_loss'"):
        classifier(loss="hinge").fit(X, y)
    with pytest.raises(InvalidInputError, match="cow"):
        classifier(class_weight={"cow": 2.0}).fit(X, y)
    with pytest.raises(InvalidInputError, match="class_weight"):
        classifier(class_weight="even").fit(X, y)


def images(folder, name, n):
    file = folder / "fashion-mnist" / f"{name}-images-idx3-ubyte.gz"
    assert file.is_file(), f"SCALEKERN_DATA is set, but there is no {file}"
    with gzip.open(file) as stream:
        X = np.frombuffer(stream.read(16 + 784 * n), np.uint8, offset=16).reshape(n, 784)
    with gzip.open(folder / "fashion-mnist" / f"{name}-labels-idx1-ubyte.gz") as stream:
        y = np.frombuffer(stream.read(8 + n), np.uint8, offset=8)
    return X.astype(np.float32) / 255, y


def test_fashion_mnist_is_told_apart(data_folder):
    X, y = images(data_folder, "train", 2_500)
    Xs, ys = images(data_folder, "t10k", 1_000)
    fitted = classifier("nystroem", kernel="rbf", gamma="median", n_components=300).fit(X, y)
    proba = fitted.predict_proba(Xs)
    hit = fitted.predict(Xs) == ys
    assert hit.mean() > 0.80
    assert abs(proba.max(axis=1).mean() - hit.mean()) < 0.05


def test_where_no_row_with_a_weight_is_left_out_there_is_no_calibration():
    X = np.random.default_rng(0).standard_normal((2_500, 2))
    weight = np.arange(2_500) < 2
    model = sk.SimilarityClassifier("rbf", gamma=1.0, alpha=0.1, approximation="exact")
    model.fit(X, np.arange(2_500) % 2, sample_weight=weight)
    assert model.report_["calibration"] == "none: too few rows"
    assert np.isfinite(model.predict_proba(X[:3])).all()


def test_labels_may_be_texts_of_numpy_and_of_python():
    labels = np.array([np.str_("a"), "b"] * 15, dtype=object)
    rows = np.random.default_rng(0).standard_normal((30, 2))
    assert sk.KNeighborsClassifier(1).fit(rows, labels).predict(rows).tolist() == labels.tolist()


@pytest.mark.parametrize("estimator", [sk.SimilarityClassifier(), sk.KNeighborsClassifier()])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "b", None] * 10, r"10 missing labels \(first at row 2\)"),
        (np.array(["a", "b", float("nan")] * 10, dtype=object), "10 missing labels"),
        (np.array(["a", "b", pd.NA] * 10, dtype=object), r"missing labels \(first at row 2\)"),
        (np.array(["a", "b", 3] * 10, dtype=object), "mixes labels of the types"),
    ],
)
def test_labels_that_are_missing_or_mixed_are_refused_by_row(estimator, labels, message):
    with pytest.raises(InvalidInputError, match=message):
        estimator.fit(np.random.default_rng(0).standard_normal((30, 2)), labels)
