"""Whatever the shapes, dtypes, memory orders and parameters, every model keeps its promises.

Those of exact, Nyström and Fourier models by direct solutions are in test_similarity.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ALPHAS, ANY_DATA, COMBINATIONS, GAMMAS, laid_out, tables, training_sets

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError

QUICK = settings(ANY_DATA, max_examples=25)


@QUICK
@given(st.data())
def test_local_models_are_finite_and_the_same_in_every_layout(data):
    X, y = data.draw(training_sets())
    model = sk.SimilarityRegressor(
        data.draw(st.sampled_from(["rbf", "laplacian", "matern32"])),
        gamma=data.draw(GAMMAS), alpha=data.draw(ALPHAS), approximation="local",
        n_neighbors=min(len(X), data.draw(st.integers(1, 8))), random_state=0,
        fit_intercept=data.draw(st.booleans()),
    )  # fmt: skip
    expected = model.fit(X, y).predict(X)
    assert np.isfinite(expected).all()
    found = model.fit(data.draw(laid_out(X)), y).predict(X)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9 * np.abs(y).max())


@QUICK
@given(st.data())
def test_sgd_is_finite_and_not_far_outside_the_targets(data):
    X, y = data.draw(training_sets())
    model = sk.SimilarityRegressor(
        "rbf", gamma=data.draw(GAMMAS), alpha=data.draw(ALPHAS), solver="sgd",
        approximation=data.draw(st.sampled_from(["nystroem", "fourier"])),
        n_components=data.draw(st.integers(1, 20)), batch_size=data.draw(st.integers(1, 300)),
        max_iter=data.draw(st.integers(1, 3)), random_state=0,
    )  # fmt: skip
    found = model.fit(data.draw(laid_out(X)), y).predict(X)
    assert found.shape == y.shape
    assert np.isfinite(found).all()
    centre = y.mean(axis=0)
    assert np.abs(found - centre).max() <= 20 * np.abs(y - centre).max() + 1e-3 * np.abs(y).max()


@QUICK
@given(st.data())
def test_probabilities_are_probabilities_and_predictions_their_largest(data):
    X, y = data.draw(training_sets())
    n_classes = data.draw(st.integers(2, 4))
    labels = np.argsort(np.argsort(y if y.ndim == 1 else y[:, 0])) % n_classes
    if len(set(labels.tolist())) < 2:
        return
    names = np.array(["d", "c", "b", "a"])[labels]
    loss = data.draw(st.sampled_from(["squared_error", "log_loss"]))
    approximation = data.draw(
        st.sampled_from(["nystroem", "fourier"] + ["exact"] * (loss == "squared_error"))
    )
    model = sk.SimilarityClassifier(
        gamma=data.draw(GAMMAS), alpha=data.draw(ALPHAS), loss=loss, approximation=approximation,
        class_weight=data.draw(st.sampled_from([None, "balanced"])), n_components=10,
        random_state=0,
    ).fit(data.draw(laid_out(X)), names)  # fmt: skip
    shares = model.predict_proba(X)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-12)
    best = shares[np.arange(len(X)), np.searchsorted(model.classes_, model.predict(X))]
    np.testing.assert_allclose(best, shares.max(axis=1), atol=1e-12)


@QUICK
@given(st.data())
def test_combined_kernels_are_the_combination_of_their_tiles(data):
    X, _ = data.draw(training_sets())
    kernel = data.draw(COMBINATIONS).with_median_gamma(X.astype(np.float64))
    K = kernel.block(X.astype(np.float64), X.astype(np.float64))
    scale = np.abs(K).max() or 1.0
    np.testing.assert_allclose(kernel.diagonal(X.astype(np.float64)), np.diag(K),
                               atol=1e-7 * scale)  # fmt: skip
    if kernel.positive_definite:
        assert np.linalg.eigvalsh(0.5 * (K + K.T)).min() > -1e-7 * scale * len(X)


@QUICK
@given(st.data())
def test_models_on_combined_kernels_are_finite_or_say_what_works(data):
    X, y = data.draw(training_sets())
    kernel = data.draw(COMBINATIONS)
    model = sk.SimilarityRegressor(
        kernel, gamma=data.draw(GAMMAS), alpha=data.draw(ALPHAS), n_components=10, random_state=0,
        approximation=data.draw(st.sampled_from(["exact", "nystroem", "fourier"])),
    )  # fmt: skip
    try:
        found = model.fit(X, y).predict(X)
    except UnsupportedError as error:
        message, found = str(error), None
    if found is not None:
        assert np.isfinite(found).all()
        return
    assert model.approximation == "fourier"
    assert not kernel.stationary
    assert "'rbf'" in message


@QUICK
@given(tables(), st.sampled_from(["standard", "minmax", "none"]),
       st.sampled_from(["onehot", "target"]), st.sampled_from(["mean", "median"]))  # fmt: skip
def test_prepared_tables_are_finite_numbers_with_a_name_for_each(
    drawn, scaler, categories, missing
):
    frame, y = drawn
    preparer = sk.RowPreparer(scaler, categories=categories, missing=missing)
    try:
        learned = preparer.fit_transform(frame, y)
    except InvalidInputError as error:
        message, learned = str(error), None
    if learned is None:
        assert "no value" in message or "missing" in message
        return
    again = preparer.transform(frame)
    assert learned.shape == again.shape == (len(frame), len(preparer.get_feature_names_out()))
    assert np.isfinite(learned).all()
    assert np.isfinite(again).all()
    assert len(set(preparer.get_feature_names_out())) == again.shape[1]
    one_by_one = [preparer.transform(frame.iloc[i : i + 1]) for i in range(len(frame))]
    np.testing.assert_array_equal(np.concatenate(one_by_one), again)
    if categories == "onehot":
        np.testing.assert_array_equal(learned, again)
