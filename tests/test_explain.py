"""Explanations are the smoother's weights: they add up to the prediction, whatever the model."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from sklearn.neighbors import KNeighborsRegressor as SklearnNeighbors
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.cli import main
from scalekern.errors import InvalidInputError
from scalekern.report.explanation import explanation_text, plot_explanation
from scalekern.storage import model_bytes

rng = np.random.default_rng(0)
X = rng.standard_normal((150, 3))
Q = rng.standard_normal((6, 3))
Y = np.column_stack([np.sin(2 * X[:, 0]) + X[:, 1] + 5, X[:, 2] ** 2 - 3 * X[:, 0]])
Y += 0.1 * rng.standard_normal(Y.shape)
W = rng.integers(0, 4, 150).astype(float)

SIMILARITY = {
    "exact": {"approximation": "exact"},
    "pinv": {"approximation": "exact", "solver": "pinv"},
    "laplacian": {"approximation": "exact", "kernel": "laplacian"},
    "nystroem": {"approximation": "nystroem", "n_components": 40},
    "every row a landmark": {"approximation": "nystroem", "n_components": 150},
    "fourier": {"approximation": "fourier", "n_components": 50},
}


@pytest.mark.parametrize("alpha", ["loo", 1e-3])
@pytest.mark.parametrize("weight", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["vector", "two outputs"])
@pytest.mark.parametrize("params", SIMILARITY.values(), ids=SIMILARITY)
def test_weights_reproduce_the_prediction(params, y, intercept, weight, alpha):
    model = sk.SimilarityRegressor(alpha=alpha, fit_intercept=intercept, random_state=0, **params)
    model.fit(X, y, weight)
    rows = (X, y) if weight is None else (X, y, weight)
    why = model.explain(Q, rows)
    total = why.baseline + why.contribution.sum(axis=1)
    np.testing.assert_allclose(total, model.predict(Q), atol=1e-6)
    if intercept:
        mean = np.average(y, axis=0, weights=weight)
        np.testing.assert_allclose(why.baseline, mean, atol=1e-9)
        np.testing.assert_allclose(why.weight.sum(axis=1), 1.0, atol=1e-6)
    else:
        assert not np.any(why.baseline)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("params", SIMILARITY.values(), ids=SIMILARITY)
def test_weights_are_how_much_the_prediction_changes_with_a_target(params, intercept):
    model = sk.SimilarityRegressor(alpha=1e-2, fit_intercept=intercept, random_state=0, **params)
    w = W + 0.5
    why = model.fit(X, Y[:, 0], w).explain(Q, (X, Y[:, 0], w))
    before = model.predict(Q)
    for row in (3, 77):
        moved = Y[:, 0].copy()
        moved[row] += 1.0
        change = model.fit(X, moved, w).predict(Q) - before
        np.testing.assert_allclose(why.weight[why.row_id == row], change, atol=1e-6)


@pytest.mark.parametrize("weight", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["vector", "two outputs"])
def test_linear_weights_reproduce_the_prediction_on_any_scale(y, weight):
    scale, shift = np.array([1.0, 1e6, 1e-6]), np.array([0.0, 1e7, 3.0])
    Z, asked = X * scale + shift, Q * scale + shift
    model = sk.LinearRegressor().fit(Z, y, weight)
    why = model.explain(asked, (Z, y) if weight is None else (Z, y, weight))
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6)
    D = np.column_stack([np.ones(150), X])
    w = np.ones(150) if weight is None else weight
    hat = np.column_stack([np.ones(6), Q]) @ np.linalg.solve(D.T @ (w[:, None] * D), D.T * w)
    order = np.argsort(why.row_id, axis=1)
    np.testing.assert_allclose(np.take_along_axis(why.weight, order, axis=1), hat, atol=1e-6)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_weights_of_neighbours_equal_scikit_learns(weights):
    model = sk.KNeighborsRegressor(7, weights=weights).fit(X, Y)
    theirs = SklearnNeighbors(7, weights=weights).fit(X, np.eye(150)).predict(Q)
    why = model.explain(Q)
    found = np.zeros((6, 150))
    np.put_along_axis(found, why.row_id, why.weight, axis=1)
    np.testing.assert_allclose(found, theirs, atol=1e-12)
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-12)


def test_a_classifier_explains_its_probabilities_with_labels():
    labels = np.where(Y[:, 0] > 5, "above", "below")
    model = sk.KNeighborsClassifier(5, weights="distance").fit(X, labels)
    why = model.explain(Q)
    np.testing.assert_array_equal(why.target, labels[why.row_id])
    np.testing.assert_allclose(why.prediction, model.predict_proba(Q))
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-12)
    assert "above" in explanation_text(why)


def test_an_indefinite_similarity_of_texts_is_explained_and_saved(tmp_path):
    texts = ["".join(rng.choice(list("ACGT"), 8)) for _ in range(40)]
    y = np.array([text.count("A") for text in texts], dtype=float)

    def shared(a, b):
        return float(sum(p == q for p, q in zip(a, b, strict=True)) / 8 - 0.2 * (a[0] != b[0]))

    for approximation in ("exact", "nystroem"):
        model = sk.SimilarityRegressor(shared, alpha=0.1, approximation=approximation)
        model.fit(texts, y)
        sk.save(model, tmp_path / approximation)
        again = sk.load(tmp_path / approximation, kernel=shared)
        why = again.explain(texts[:3])
        np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6)
        np.testing.assert_allclose(why.weight, model.explain(texts[:3]).weight, atol=1e-12)


def test_the_kept_sample_leaves_the_share_of_other_rows():
    big = rng.standard_normal((3_000, 2))
    y = np.sin(big[:, 0])
    model = sk.SimilarityRegressor(approximation="nystroem", n_components=30, random_state=0)
    model.fit(big, y)
    why, full = model.explain(big[:2]), model.explain(big[:2], (big, y))
    assert why.weight.shape == (2, 1_000)
    assert full.weight.shape == (2, 3_000)
    for q in range(2):
        every = dict(zip(full.row_id[q], full.weight[q], strict=True))
        np.testing.assert_allclose(why.weight[q], [every[i] for i in why.row_id[q]], atol=1e-9)
        np.testing.assert_allclose(why.target[q], y[why.row_id[q]])
    total = why.baseline + why.contribution.sum(axis=1) + why.not_shown
    np.testing.assert_allclose(total, model.predict(big[:2]))
    assert ((why.share_not_shown > 0) & (why.share_not_shown < 1)).all()


def test_top_is_the_start_of_all():
    model = sk.SimilarityRegressor(approximation="fourier", n_components=40, random_state=0)
    model.fit(X, Y)
    full, top = model.explain(Q, (X, Y)), model.explain(Q, (X, Y), top=4)
    np.testing.assert_allclose(top.weight, full.weight[:, :4])
    np.testing.assert_array_equal(top.row_id, full.top(4).row_id)
    assert (np.diff(np.abs(full.weight), axis=1) <= 0).all()


@pytest.mark.parametrize("approximation", ["exact", "nystroem", "knn"])
def test_rows_are_named_by_their_key(approximation, tmp_path):
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y[:, 0], "id": np.arange(150) + 7_000})
    rows = sk.rows(table, target="y", key="id")
    model = sk.SimilarityRegressor(approximation=approximation, n_components=20, random_state=0)
    model = sk.KNeighborsRegressor(3) if approximation == "knn" else model
    pipeline = make_pipeline(sk.RowPreparer(), model).fit(rows)
    sk.save(pipeline, tmp_path / "model")
    prepare, last = (step for _, step in sk.load(tmp_path / "model").steps)
    why = last.explain(prepare.transform(rows), top=3)
    np.testing.assert_allclose(why.target, Y[why.row_id - 7_000, 0])


def test_partial_fit_explains_all_rows_so_far():
    model = sk.SimilarityRegressor(approximation="nystroem", n_components=40, random_state=0)
    for part in (slice(0, 60), slice(60, 150)):
        model.partial_fit(X[part], Y[part])
    why = model.explain(Q)
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6)
    np.testing.assert_allclose(why.target, Y[why.row_id])


def test_what_is_kept_to_explain_counts_as_the_model_and_is_reported():
    model = sk.SimilarityRegressor(approximation="nystroem", n_components=40, random_state=0)
    model.fit(X, Y[:, 0])
    kept = sum(np.asarray(v).nbytes for k, v in vars(model).items() if k.startswith("explain_"))
    assert model.report_["explain_bytes"] == kept < 8 * (1.5 * 40**2 + 150 * 5 + 100)
    assert kept < model_bytes(model) < kept + 8 * (40 * 4 + 200)


def test_rows_without_a_target_are_refused():
    model = sk.LinearRegressor().fit(X, Y)
    with pytest.raises(InvalidInputError, match="rows is neither"):
        model.explain(Q, X)


@pytest.mark.parametrize("y", [Y[:, 0], Y], ids=["vector", "two outputs"])
def test_the_picture_goes_from_the_baseline_to_the_prediction(y, tmp_path):
    model = sk.SimilarityRegressor(gamma=0.3).fit(X, y)
    why = model.explain(Q)
    figure = plot_explanation(why, query=2, path=tmp_path / "why.png")
    (ax,) = figure.axes
    bars = ax.patches
    assert len(bars) == 13
    np.testing.assert_allclose(bars[0].get_x(), np.ravel(why.baseline)[0])
    end = bars[-1].get_x() + bars[-1].get_width()
    np.testing.assert_allclose(end, why.prediction.reshape(6, -1)[2, 0])
    assert (tmp_path / "why.png").stat().st_size > 5_000


@pytest.mark.parametrize("model", ["nystroem", "knn"])
def test_the_command_explains_a_row_of_airfoil(airfoil, tmp_path, model):
    run = CliRunner()
    folder, out = str(tmp_path / "m"), str(tmp_path / "why.json")
    fit = ["fit", str(airfoil), "--target", "pressure", "--model", model, "-o", folder, "--quiet"]
    assert run.invoke(main, [*fit, "--n-components", "100", "--alpha", "0.001"]).exit_code == 0
    ask = ["neighbors", folder, str(airfoil), "--row", "17", "--top", "2000", "--json", out]
    train = ["--rows", str(airfoil), "--target", "pressure"]
    told = run.invoke(main, [*ask, *train, "--picture", str(tmp_path / "why.png")])
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "why.json").read_text())
    total = found["baseline"] + sum(row["contribution"] for row in found["neighbors"])
    assert total == pytest.approx(found["prediction"], abs=1e-6)
    assert "query" in told.output
    assert found["query"]["frequency"] == 1000.0
