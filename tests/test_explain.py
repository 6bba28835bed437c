"""Explanations are the smoother's weights: they add up to the prediction, whatever the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.neighbors import KNeighborsClassifier as SklearnVotes
from sklearn.neighbors import KNeighborsRegressor as SklearnNeighbors
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.approximations import explain_arrays
from scalekern.cli import main
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import (
    RBF,
    Cosine,
    Laplacian,
    Linear,
    Matern,
    Polynomial,
    RationalQuadratic,
)
from scalekern.report.explanation import explanation_text, plot_explanation
from scalekern.solvers.local import is_local
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
    # Chosen without the targets, of which "auto" and "cv" make use.
    params = {"kernel": "rbf", "gamma": "median"} | params
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
    model = sk.SimilarityRegressor(
        "rbf", gamma=0.5, approximation="nystroem", n_components=30, random_state=0
    ).fit(big, y)
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


def test_an_explanation_reads_as_its_first_query_s_strongest_rows():
    model = sk.SimilarityRegressor(gamma=0.5, random_state=0).fit(X, Y[:, 0])
    why = model.explain(Q, (X, Y[:, 0]))
    head, first, titles, *lines, end = repr(why).splitlines()
    assert head == "Explanation of 6 predictions by 150 training rows each"
    assert first == (
        f"the first: {why.prediction[0]:.4g}, from a baseline of {why.baseline:.4g} (target)"
    )
    assert titles.split() == ["row", "weight", "similarity", "target"]
    arrays = (why.row_id, why.weight, why.similarity, why.target)
    for place, line in enumerate(lines):
        found = [float(word) for word in line.split()]
        np.testing.assert_allclose(found, [array[0, place] for array in arrays], rtol=1e-3)
    assert (len(lines), end) == (5, "and 145 more rows")
    assert "more rows" not in repr(why.top(3))
    assert repr(why.top(0)) == "Explanation of 6 predictions by 0 training rows each"


def test_an_explanation_of_several_outputs_or_labels_is_as_short():
    two = sk.SimilarityRegressor(gamma=0.5, alpha=0.1, random_state=0).fit(X, Y)
    shown = repr(two.explain(Q[:1], (X, Y)))
    assert shown.startswith("Explanation of 1 prediction by")
    labels = np.where(Y[:, 0] > 5, "high", "low")
    votes = repr(sk.KNeighborsClassifier(3).fit(X, labels).explain(Q))
    assert "share of votes" in votes
    assert {"high", "low"} & set(votes.split())
    assert max(map(len, [*shown.splitlines(), *votes.splitlines()])) < 80


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
    with pytest.raises(InvalidInputError, match="rows is a "):
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
    options = [] if model == "knn" else ["--n-components", "100", "--alpha", "0.001"]
    assert run.invoke(main, [*fit, *options]).exit_code == 0
    ask = ["neighbors", folder, str(airfoil), "--row", "17", "--top", "2000", "--json", out]
    train = ["--rows", str(airfoil), "--target", "pressure"]
    told = run.invoke(main, [*ask, *train, "--picture", str(tmp_path / "why.png")])
    assert told.exit_code == 0, told.output
    found = json.loads((tmp_path / "why.json").read_text())
    total = found["baseline"] + sum(row["contribution"] for row in found["neighbors"])
    assert total == pytest.approx(found["prediction"], abs=1e-6)
    assert "query" in told.output
    assert found["query"]["frequency"] == 1000.0


# ------------------------------------------------------------------ every model, kernel and weight

KERNELS = {
    "rbf": RBF(0.5),
    "laplacian": Laplacian(0.5),
    "matern32": Matern(1.0, nu=1.5),
    "rational quadratic": RationalQuadratic(1.0),
    "linear": Linear(),
    "polynomial": Polynomial(2, 0.5),
    "cosine": Cosine(),
    "sum": RBF(0.5) + 2.0 * Linear(),
    "product": (1.0 + Linear()) * Polynomial(2, 0.3),
}
LOW_RANK = ("linear", "polynomial", "cosine", "product")
SPREAD = float(Y.std(axis=0).min())


@pytest.mark.parametrize("weight", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier", "local"])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_every_kernel_reproduces_the_prediction(kernel, approximation, weight):
    if approximation == "fourier" and not kernel.stationary:
        pytest.skip("no Fourier features")
    if approximation == "local" and not is_local(kernel):
        pytest.skip("no local models")
    model = sk.SimilarityRegressor(
        kernel, approximation=approximation, n_components=40, n_neighbors=12, random_state=0
    ).fit(X, Y, weight)
    why = model.explain(Q, (X, Y) if weight is None else (X, Y, weight))
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6 * SPREAD)
    np.testing.assert_allclose(why.weight.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("weight", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-4])
@pytest.mark.parametrize("name", [*LOW_RANK, "equal rows"])
def test_a_kernel_of_low_rank_is_explained_at_any_alpha(name, alpha, intercept, weight):
    Z = np.tile(X[:75], (2, 1)) if name == "equal rows" else X
    kernel = KERNELS.get(name, Laplacian(0.5))
    model = sk.SimilarityRegressor(
        kernel, approximation="exact", alpha=alpha, fit_intercept=intercept
    )
    why = model.fit(Z, Y[:, 0], weight).explain(Q)
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6 * SPREAD)


@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e-9, 1e-3])
def test_weights_of_the_linear_kernel_are_those_of_ridge_regression(alpha):
    collinear = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(150)])
    asked = np.column_stack([Q, Q[:, 0] + Q[:, 1], np.ones(6)])
    model = sk.SimilarityRegressor("linear", approximation="exact", alpha=alpha)
    why = model.fit(collinear, Y[:, 0]).explain(asked)
    U, s, Vt = np.linalg.svd(collinear - collinear.mean(axis=0), full_matrices=False)
    kept = s > 1e-9 * s[0]
    shrunk = np.divide(s, s**2 + alpha, out=np.zeros_like(s), where=kept)
    hat = 1 / 150 + (asked - collinear.mean(axis=0)) @ (Vt.T * shrunk) @ U.T
    found = np.take_along_axis(why.weight, np.argsort(why.row_id, axis=1), axis=1)
    np.testing.assert_allclose(found, hat, atol=1e-9)


@pytest.mark.parametrize("weight", [None, W + 0.5], ids=["", "weighted"])
@pytest.mark.parametrize("intercept", [True, False])
def test_local_weights_are_how_much_the_prediction_changes_with_a_target(intercept, weight):
    model = sk.SimilarityRegressor(
        approximation="local", n_neighbors=9, gamma=0.7, alpha=0.05, fit_intercept=intercept
    )
    why = model.fit(X, Y[:, 0], weight).explain(Q)
    found, before = np.zeros((6, 150)), model.predict(Q)
    np.put_along_axis(found, why.row_id, why.weight, axis=1)
    for row in np.unique(why.row_id[:2]):
        moved = Y[:, 0].copy()
        moved[row] += 1.0
        change = model.fit(X, moved, weight).predict(Q) - before
        np.testing.assert_allclose(found[:, row], change, atol=1e-9)


def test_local_rows_keep_their_keys_through_a_stored_model(tmp_path):
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y[:, 0], "id": np.arange(150) + 7_000})
    model = sk.SimilarityRegressor(approximation="local", n_neighbors=7)
    sk.save(model.fit(sk.rows(table, target="y", key="id")), tmp_path / "model")
    asked = pa.table({"a": Q[:, 0], "b": Q[:, 1]})
    why, again = model.explain(asked), sk.load(tmp_path / "model").explain(asked)
    np.testing.assert_allclose(why.target, Y[why.row_id - 7_000, 0])
    np.testing.assert_array_equal(again.row_id, why.row_id)
    np.testing.assert_allclose(again.weight, why.weight)


LABELS = {
    "two": np.where(Y[:, 0] > 5, "above", "below"),
    "three": np.array(["low", "middle", "high"])[np.digitize(Y[:, 0], [4.5, 5.5])],
}


@pytest.mark.parametrize("balance", [None, "balanced"])
@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier", "local"])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_a_similarity_classifier_is_explained_in_log_odds(labels, approximation, balance, tmp_path):
    model = sk.SimilarityClassifier(
        approximation=approximation, n_components=40, class_weight=balance, random_state=0
    ).fit(X, labels, W)
    sk.save(model, tmp_path / "model")
    odds = model.decision_function(Q)
    odds = np.column_stack([-odds, odds]) if odds.ndim == 1 else odds
    for each in (model, sk.load(tmp_path / "model")):
        why = each.explain(Q, (X, labels, W))
        np.testing.assert_allclose(why.prediction, odds)
        np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6)
        np.testing.assert_array_equal(why.target, labels[why.row_id])
        np.testing.assert_array_equal(why.classes, model.classes_)
        np.testing.assert_allclose(why.weight.sum(axis=1), 1.0, atol=1e-6)


def test_weights_of_a_classifier_are_those_of_kernel_ridge_on_indicators():
    model = sk.SimilarityClassifier(RBF(0.5), alpha=0.1, fit_intercept=False).fit(X, LABELS["two"])
    K = RBF(0.5).block(X, X)
    ours = np.linalg.solve(K + 0.1 * np.eye(150), RBF(0.5).block(X, Q)).T
    why = model.explain(Q)
    np.testing.assert_allclose(why.weight, np.take_along_axis(ours, why.row_id, 1), atol=1e-9)


def test_a_classifier_refuses_labels_that_it_does_not_know_and_the_logarithmic_loss():
    labels = LABELS["two"]
    model = sk.SimilarityClassifier(approximation="nystroem", n_components=20, random_state=0)
    with pytest.raises(InvalidInputError, match="labels that were not in fit"):
        model.fit(X, labels).explain(Q, (X, LABELS["three"]))
    model.set_params(loss="log_loss").fit(X, labels)
    with pytest.raises(UnsupportedError, match="squared_error"):
        model.explain(Q)


# Of scikit-learn: each row is a class of its own here, so that votes are weights of rows.
@pytest.mark.filterwarnings("ignore:The number of unique classes")
@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_votes_of_neighbours_equal_scikit_learns(weights):
    every = SklearnVotes(7, weights=weights).fit(X, np.arange(150)).predict_proba(Q)
    theirs = SklearnVotes(7, weights=weights).fit(X, LABELS["three"]).predict_proba(Q)
    why = sk.KNeighborsClassifier(7, weights=weights).fit(X, LABELS["three"]).explain(Q)
    np.testing.assert_allclose(why.weight, np.take_along_axis(every, why.row_id, 1), atol=1e-12)
    total = why.baseline + why.contribution.sum(axis=1)
    np.testing.assert_allclose(total, theirs, atol=1e-12)


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_sgd_is_explained_by_the_model_that_it_converges_to(approximation):
    params = {"approximation": approximation, "n_components": 30, "alpha": 0.1, "random_state": 0}
    solved = sk.SimilarityRegressor(**params).fit(X, Y[:, 0], W)
    model = sk.SimilarityRegressor(solver="sgd", **params).fit(X, Y[:, 0], W)
    with pytest.raises(InvalidInputError, match="rows="):
        model.explain(Q)
    why, other = (m.explain(Q, (X, Y[:, 0], W)) for m in (model, solved))
    np.testing.assert_allclose(why.weight, other.weight, atol=1e-9)
    assert np.abs(why.not_shown).max() < 1e-3 * SPREAD


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_too_many_components_to_keep_are_summed_again(approximation, monkeypatch):
    model = sk.SimilarityRegressor(
        approximation=approximation, n_components=60, alpha=0.1, random_state=0
    )
    kept = model.fit(X, Y).explain(Q, (X, Y))
    monkeypatch.setattr(explain_arrays, "MOST_COMPONENTS", 20)
    assert model.fit(X, Y).report_["explain_bytes"] == 0
    again = model.explain(Q, (X, Y))
    weights = [np.take_along_axis(w.weight, w.row_id.argsort(1), 1) for w in (again, kept)]
    np.testing.assert_allclose(*weights, atol=1e-6)
    np.testing.assert_allclose(again.not_shown, 0.0, atol=1e-6 * SPREAD)


def test_a_precomputed_kernel_is_explained_by_its_matrix():
    K, asked = RBF(0.5).block(X, X), RBF(0.5).block(Q, X)
    model = sk.SimilarityRegressor("precomputed", alpha=0.1).fit(K, Y[:, 0], W)
    with pytest.raises(InvalidInputError, match="rows="):
        model.explain(asked)
    why = model.explain(asked, (K, Y[:, 0], W))
    same = sk.SimilarityRegressor(RBF(0.5), alpha=0.1).fit(X, Y[:, 0], W).explain(Q)
    np.testing.assert_array_equal(why.row_id, same.row_id)
    np.testing.assert_allclose(why.weight, same.weight, atol=1e-9)
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6 * SPREAD)


@pytest.mark.parametrize("approximation", ["exact", "nystroem", "knn"])
def test_texts_are_explained_and_named_in_the_picture(approximation):
    pytest.importorskip("rapidfuzz")
    texts = ["".join(rng.choice(list("ACGT"), 10)) for _ in range(50)]
    texts += texts[:10]
    y = np.array([text.count("A") for text in texts], dtype=float)
    model = (
        sk.KNeighborsRegressor(5, metric="levenshtein")
        if approximation == "knn"
        else sk.SimilarityRegressor(
            "edit_distance", approximation=approximation, n_components=30, random_state=0
        )
    )
    why = model.fit(texts, y).explain(["ACGTACGTAA"], (texts, y))
    np.testing.assert_allclose(why.not_shown, 0.0, atol=1e-6 * y.std())
    found = [texts[i] for i in why.row_id[0]]
    assert found[0] in explanation_text(why, 0, {"text": found})
    (ax,) = plot_explanation(why, names=found).axes
    assert ax.get_yticklabels()[0].get_text().startswith(found[0])


def test_the_command_names_rows_by_key_and_shows_columns_as_they_are(tmp_path):
    table = pa.table({
        "colour": np.array(["red", "green"])[(X[:, 0] > 0).astype(int)], "b": X[:, 1],
        "y": Y[:, 0], "id": [f"r{i}" for i in range(150)],
    })  # fmt: skip
    pq.write_table(table, tmp_path / "t.parquet")
    file, folder, run = str(tmp_path / "t.parquet"), str(tmp_path / "m"), CliRunner()
    roles = ["--target", "y", "--key", "id"]
    fit = ["fit", file, *roles, "--model", "exact", "--categories", "onehot", "-o", folder]
    assert run.invoke(main, [*fit, "--quiet"]).exit_code == 0
    ask = ["neighbors", folder, file, "--row", "17", "--rows", file, *roles, "--json", "-"]
    told = run.invoke(main, [*ask, "--top", "150"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.output)
    total = found["baseline"] + sum(row["contribution"] for row in found["neighbors"])
    assert total == pytest.approx(found["prediction"], abs=1e-6)
    for row in found["neighbors"][:5]:
        number = int(row["row"][1:])
        assert row["colour"] == table["colour"][number].as_py()
        assert row["target"] == pytest.approx(Y[number, 0])
    assert found["query"]["colour"] == table["colour"][17].as_py()


def test_rows_of_texts_are_refused_as_images(tmp_path):
    table = pa.table({"code": ["a", "b"] * 20, "x": np.arange(40.0), "y": np.arange(40.0)})
    pq.write_table(table, tmp_path / "t.parquet")
    file, folder, run = str(tmp_path / "t.parquet"), str(tmp_path / "m"), CliRunner()
    fit = ["fit", file, "--target", "y", "--categories", "onehot", "-o", folder]
    assert run.invoke(main, fit).exit_code == 0
    ask = ["neighbors", folder, file, "--row", "0", "--rows", file, "--target", "y"]
    picture = ["--picture", str(tmp_path / "why.png"), "--image", "1x2"]
    wrong = run.invoke(main, [*ask, *picture], standalone_mode=False)
    assert isinstance(wrong.exception, InvalidInputError)
    assert "cannot be pixels" in str(wrong.exception)


def test_the_command_draws_rows_as_images(tmp_path):
    pixels = rng.integers(0, 255, (60, 12))
    columns = {f"p{i}": pixels[:, i] for i in range(12)} | {"label": np.arange(60) % 3}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    file, folder, run = str(tmp_path / "t.parquet"), str(tmp_path / "m"), CliRunner()
    source = sk.rows(file, target="label")
    model = sk.SimilarityClassifier(approximation="nystroem", n_components=20, random_state=0)
    sk.save(model.fit(source), folder)
    ask = ["neighbors", folder, file, "--row", "3", "--rows", file, "--target", "label"]
    picture = ["--picture", str(tmp_path / "why.png"), "--image"]
    told = run.invoke(main, [*ask, *picture, "3x4", "--top", "5"])
    assert told.exit_code == 0, told.output
    assert (tmp_path / "why.png").stat().st_size > 5_000
    assert "log-odds of class" in told.output
    assert "12 pixels" not in told.output
    wrong = run.invoke(main, [*ask, *picture, "5x5"])
    assert wrong.exit_code != 0
    assert "25 pixels, but a row has 12" in f"{wrong.output}{wrong.exception}"
    assert "HEIGHTxWIDTH" in run.invoke(main, [*ask, *picture, "0x4"]).output
    assert "needs --rows" in run.invoke(main, [*ask[:5], "--image", "3x4"]).output


def test_the_command_shows_texts_near_a_text(tmp_path):
    pytest.importorskip("rapidfuzz")
    texts = ["".join(np.random.default_rng(i).choice(list("ACGT"), 12)) for i in range(60)]
    table = pa.table({"dna": texts, "y": [float(text.count("A")) for text in texts]})
    file, folder, picture = (str(tmp_path / name) for name in ("t.parquet", "m", "why.png"))
    pq.write_table(table, file)
    source = sk.rows(file, target="y", features=["dna"])
    sk.save(sk.KNeighborsRegressor(4, metric="levenshtein").fit(source), folder)
    ask = ["neighbors", folder, file, "--row", "7", "--rows", file, "--target", "y"]
    told = CliRunner().invoke(main, [*ask, "--picture", picture])
    assert told.exit_code == 0, told.output
    first = next(line for line in told.output.splitlines() if line.strip().startswith("1 "))
    assert texts[7] in first  # it is itself a row that was fitted
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


@pytest.fixture(scope="module")
def dna(tmp_path_factory):
    """Forty sequences in a CSV file, each near one of two, with its family and a number."""
    pytest.importorskip("rapidfuzz")
    draw = np.random.default_rng(0)
    lines = ["sequence,family,number"]
    for i in range(40):
        letters = np.where(
            draw.uniform(size=40) < 0.2, "G", list("ACTT" * 10 if i % 2 else "CATA" * 10)
        )
        lines.append(f"{''.join(letters)},family {'AB'[i % 2]},{i % 2 + 0.01 * i}")
    file = tmp_path_factory.mktemp("dna") / "dna.csv"
    file.write_text("\n".join(lines) + "\n")
    return str(file)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("family", ["knn", "--metric", "levenshtein"]),
        ("number", ["knn", "--metric", "levenshtein"]),
        ("number", ["exact", "--kernel", "edit_distance", "--gamma", "0.1", "--alpha", "0.1"]),
    ],
)
def test_a_table_of_sequences_is_fitted_predicted_and_explained_by_commands(
    target, model, dna, tmp_path
):
    def run(*words):
        told = CliRunner().invoke(main, [*words])
        assert told.exit_code == 0, told.output
        return told.output

    folder, out, picture = (str(tmp_path / name) for name in ("m", "p.parquet", "why.png"))
    run("fit", dna, "--features", "sequence", "--target", target, "--model", *model, "-o", folder)
    run("predict", folder, dna, "-o", out, "--keep", target)
    table = pq.read_table(out)
    truth, predicted = (np.array(table[name].to_pylist()) for name in (target, "prediction"))
    if target == "family":
        np.testing.assert_array_equal(predicted, truth)
    else:
        assert np.corrcoef(predicted, truth)[0, 1] > 0.9
    ask = ["neighbors", folder, dna, "--row", "3", "--rows", dna, "--target", target]
    told = json.loads(run(*ask, "--top", "4", "--json", "-", "--picture", picture))
    texts = [line.split(",")[0] for line in Path(dna).read_text().splitlines()[1:]]
    assert told["query"]["sequence"] == texts[3]
    assert [row["sequence"] for row in told["neighbors"]] == [
        texts[row["row"]] for row in told["neighbors"]
    ]
    shown = run(*ask)
    assert texts[3][:20] in shown
    assert texts[3] not in shown  # of a long text the beginning
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_labels_of_numbers_columns_are_told_by_a_command(tmp_path):
    labels = np.array(["low", "high"])[(X[:, 0] > 0).astype(int)]
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "kind": labels})
    file, folder, out = (str(tmp_path / name) for name in ("t.parquet", "m", "p.parquet"))
    pq.write_table(table, file)
    fit = ["fit", file, "--target", "kind", "--model", "knn", "--n-neighbors", "1", "-o", folder]
    assert CliRunner().invoke(main, fit).exit_code == 0
    assert CliRunner().invoke(main, ["predict", folder, file, "-o", out]).exit_code == 0
    assert pq.read_table(out)["prediction"].to_pylist() == labels.tolist()
    told = CliRunner().invoke(
        main, ["neighbors", folder, file, "--row", "5", "--output-index", "0"]
    )
    assert f"share of votes of class {labels[5]}" in told.output
    wrong = CliRunner().invoke(main, [*fit[:-1], str(tmp_path / "n"), "--calibrate", "0.2"])
    assert "--calibrate cannot be used with the target" in wrong.output


def test_a_table_of_texts_must_say_which_column_they_are_in(dna, tmp_path):
    fit = ["fit", dna, "--target", "number", "--model", "knn", "--metric", "levenshtein"]
    told = CliRunner().invoke(main, [*fit, "-o", str(tmp_path / "m")])
    assert told.exit_code == 2
    assert "give exactly one with --features" in told.output
