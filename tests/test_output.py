"""Frames out: `set_output`, the index of pandas, and what is refused with advice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.errors import InvalidInputError
from scalekern.rows import RowSource

RNG = np.random.default_rng(13)
FRAME = pd.DataFrame(RNG.normal(size=(50, 2)), columns=["a", "b"], index=np.arange(50) + 1_000)
Y = FRAME["a"] - FRAME["b"] ** 2
TRANSFORMERS = {
    "Nystroem": sk.Nystroem(n_components=6, random_state=0),
    "FourierFeatures": sk.FourierFeatures(n_components=6, random_state=0),
    "RowPreparer": sk.RowPreparer(),
}
EACH = pytest.mark.parametrize("name", TRANSFORMERS)


def table():
    return sk.rows(pa.table({"a": FRAME["a"], "b": FRAME["b"], "y": Y}), target="y")


@EACH
def test_frames_keep_the_index_of_pandas(name):
    framed = clone(TRANSFORMERS[name]).set_output(transform="pandas")
    for out in (framed.fit_transform(FRAME), framed.fit(FRAME).transform(FRAME)):
        assert out.index.equals(FRAME.index)
        np.testing.assert_array_equal(out, clone(TRANSFORMERS[name]).fit(FRAME).transform(FRAME))


@EACH
@pytest.mark.parametrize(("library", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_the_setting_of_scikit_learn_is_followed(name, library, kind):
    with sklearn.config_context(transform_output=library):
        assert isinstance(clone(TRANSFORMERS[name]).fit_transform(FRAME), kind)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pipeline_on_rows_is_the_same_whatever_frames_are_asked_for(library):
    def predicted():
        model = make_pipeline(sk.RowPreparer(), sk.SimilarityRegressor(alpha=0.1))
        return model.fit(table()).predict(table())

    expected = predicted()
    with sklearn.config_context(transform_output=library):
        np.testing.assert_allclose(predicted(), expected, rtol=1e-12)  # memory of another order
    prepared = sk.RowPreparer().set_output(transform=library).fit_transform(table())
    assert isinstance(prepared, RowSource)
    assert prepared.n_outputs == 1


@pytest.mark.parametrize("name", ["Nystroem", "FourierFeatures"])
def test_features_of_rows_are_a_frame_where_one_is_asked_for(name):
    out = clone(TRANSFORMERS[name]).set_output(transform="pandas").fit_transform(table())
    expected = clone(TRANSFORMERS[name]).fit_transform(FRAME)
    np.testing.assert_allclose(out, expected, atol=1e-12)


def test_predictions_are_arrays_as_those_of_scikit_learn():
    with sklearn.config_context(transform_output="pandas"):
        for model in (sk.SimilarityRegressor(), sk.KNeighborsRegressor(), sk.LinearRegressor()):
            assert type(model.fit(FRAME, Y).predict(FRAME)) is np.ndarray


@pytest.mark.parametrize(
    "model", [sk.RowPreparer(), sk.SimilarityRegressor(), sk.KNeighborsRegressor(), sk.Nystroem()]
)
def test_arrays_with_texts_are_refused_with_what_to_do(model):
    mixed = np.array([[1.0, "x"], [2.0, "y"], [3.0, "x"]] * 4, dtype=object)
    with pytest.raises(InvalidInputError, match=r"infer_objects.*RowPreparer"):
        clone(model).fit(mixed, np.arange(12.0))
    frame = pd.DataFrame(mixed, columns=["a", "b"]).infer_objects()
    out = sk.RowPreparer().fit_transform(frame)
    assert out.shape == (12, 3)
    fitted = clone(model).fit(out, np.arange(12.0))
    with pytest.raises(InvalidInputError, match="infer_objects"):
        (fitted.transform if hasattr(fitted, "transform") else fitted.predict)(
            np.array([[1.0, "x", 0.0]], dtype=object)
        )


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "model", [sk.SimilarityClassifier(alpha=0.01, random_state=0), sk.KNeighborsClassifier(3)]
)
def test_target_means_of_labels_that_are_texts(model, n_classes):
    frame = FRAME.assign(c=RNG.choice(list("uvw"), 50))
    labels = np.where(frame["c"] == "u", "no", np.where(frame["a"] > 0, "yes", "maybe"))
    labels = np.where(labels == "maybe", "yes", labels) if n_classes == 2 else labels
    pipeline = make_pipeline(sk.RowPreparer(categories="target"), clone(model)).fit(frame, labels)
    assert (pipeline.predict(frame) == labels).mean() > 0.9
    assert pipeline[0].get_feature_names_out().shape == (3 if n_classes == 2 else 5,)
    if n_classes == 2:
        numbers = sk.RowPreparer(categories="target").fit_transform(frame, labels == "yes")
        texts = sk.RowPreparer(categories="target").fit_transform(frame, labels)
        np.testing.assert_array_equal(texts, numbers)


def test_labels_of_mixed_kinds_are_refused():
    frame = FRAME.assign(c="u")
    labels = np.array(["a", 1] * 25, dtype=object)
    with pytest.raises(InvalidInputError, match="mixes labels of text with others"):
        sk.RowPreparer(categories="target").fit(frame, labels)


# ---------------------------------------------------------------- rows far from the origin


@pytest.mark.parametrize("solver", ["cholesky", "sgd"])
def test_fourier_models_of_float32_rows_far_from_the_origin_are_those_of_float64(solver):
    rows = (RNG.normal(size=(400, 3)) * 8 + [1e6, -1e6, 3e5]).astype(np.float32)
    y = np.sin((rows[:, 0] - 1e6) / 8.0)
    model = sk.SimilarityRegressor(
        gamma=0.005, alpha=0.1, approximation="fourier", solver=solver, n_components=60,
        random_state=0,
    )  # fmt: skip
    wide = clone(model).fit(rows.astype(np.float64), y).predict(rows.astype(np.float64))
    np.testing.assert_allclose(clone(model).fit(rows, y).predict(rows), wide, atol=2e-3)


def test_a_fourier_model_of_more_features_than_rows_is_the_one_of_all_its_features():
    rows, y = FRAME.to_numpy(), Y.to_numpy()
    params = {"gamma": 0.3, "alpha": 0.1, "random_state": 0}
    few = sk.SimilarityRegressor(approximation="fourier", n_components=400, **params).fit(rows, y)
    features = sk.FourierFeatures(gamma=0.3, n_components=400, random_state=0).fit(rows)
    Phi = features.transform(rows)
    dense = sk.SimilarityRegressor("linear", alpha=0.1, approximation="exact").fit(Phi, y)
    np.testing.assert_allclose(few.predict(rows), dense.predict(Phi), atol=1e-9)
    why = few.explain(rows[:3])
    np.testing.assert_allclose(why.prediction, few.predict(rows[:3]), rtol=1e-6)
    added = why.baseline + why.contribution.sum(axis=1) + why.not_shown
    np.testing.assert_allclose(added, why.prediction, atol=1e-6)
    many = sk.SimilarityRegressor(approximation="fourier", n_components=20_000, **params)
    assert np.isfinite(many.fit(rows, y).predict(rows)).all()
