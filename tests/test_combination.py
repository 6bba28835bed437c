"""approximation="nystroem+local": a global model and a local one of its residuals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import scalekern as sk
from scalekern.errors import UnsupportedError
from scalekern.kernels import RBF

RNG = np.random.default_rng(0)
X = RNG.uniform(0, 4, (1500, 2))
Y = 3 * np.sin(X[:, 0]) + 0.5 * np.sin(9 * X).sum(axis=1) + 0.02 * RNG.standard_normal(1500)
TRAIN, TEST = slice(0, 1200), slice(1200, 1500)
PARAMS = {
    "kernel": "rbf",
    "n_components": 20,
    "n_neighbors": 24,
    "random_state": 0,
    "gamma": 0.3,
    "alpha": 1e-3,
}


def rmse(model):
    return np.sqrt(np.mean((model.predict(X[TEST]) - Y[TEST]) ** 2))


@pytest.mark.parametrize("first", ["nystroem", "fourier"])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_local_model_of_what_a_global_one_leaves(first, outputs, weighted):
    y = Y if outputs == 1 else np.column_stack([Y, X[:, 1] ** 2])
    w = np.linspace(0.5, 2, 1200) if weighted else None
    model = sk.SimilarityRegressor(approximation=f"{first}+local", **PARAMS)
    model.fit(X[TRAIN], y[TRAIN], sample_weight=w)
    smooth = sk.SimilarityRegressor(approximation=first, **PARAMS)
    smooth.fit(X[TRAIN], y[TRAIN], sample_weight=w)
    left = y[TRAIN] - smooth.predict(X[TRAIN])
    open_ = PARAMS | {"gamma": "median", "alpha": "loo"}
    rest = sk.SimilarityRegressor(approximation="local", **open_)
    rest.fit(X[TRAIN], left, sample_weight=w)
    expected, std = rest.predict(X[TEST], return_std=True)
    mean, found = model.predict(X[TEST], return_std=True)
    np.testing.assert_allclose(mean, smooth.predict(X[TEST]) + expected, atol=1e-8)
    np.testing.assert_allclose(found, std, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X[TEST]), mean, atol=1e-12)
    assert model.report_["rest"]["n_neighbors"] == 24
    assert model.alpha_ == 1e-3


def test_it_beats_both_where_there_is_a_smooth_part_and_another():
    both, smooth, rest = (
        rmse(sk.SimilarityRegressor(approximation=name, **PARAMS | more).fit(X[TRAIN], Y[TRAIN]))
        for name, more in [
            ("nystroem+local", {}),
            ("nystroem", {}),
            ("local", {"gamma": "median", "alpha": "loo"}),
        ]
    )
    assert both < 0.5 * smooth
    assert both < 1.02 * rest


def test_it_is_saved_loaded_pickled_and_cloned(tmp_path):
    model = sk.SimilarityRegressor(
        approximation="nystroem+local", **PARAMS | {"kernel": "matern32"}
    )
    model.fit(X[TRAIN], Y[TRAIN])
    expected = model.predict(X[TEST], return_std=True)
    sk.save(model, tmp_path / "both")
    for other in (sk.load(tmp_path / "both"), pickle.loads(pickle.dumps(model))):
        for left, right in zip(other.predict(X[TEST], return_std=True), expected, strict=True):
            np.testing.assert_array_equal(left, right)
    again = clone(model).set_params(approximation="local").fit(X[TRAIN], Y[TRAIN])
    assert not hasattr(again, "rest_")
    model.set_params(approximation="nystroem").fit(X[TRAIN], Y[TRAIN])
    assert not hasattr(model, "rest_")


def test_a_length_that_the_kernel_brings_is_kept_for_both():
    model = sk.SimilarityRegressor(approximation="nystroem+local", **PARAMS | {"kernel": RBF(2.0)})
    model.fit(X[TRAIN], Y[TRAIN])
    assert model.report_["rest"]["length"] == pytest.approx((2 * 2.0) ** -0.5)
    assert model.kernel_.gamma == 2.0


def test_what_cannot_be_says_so():
    model = sk.SimilarityRegressor(approximation="nystroem+local", **PARAMS | {"kernel": "linear"})
    with pytest.raises(UnsupportedError, match="vectors"):
        model.fit(X[TRAIN], Y[TRAIN])
    model = sk.SimilarityRegressor(approximation="nystroem+local", **PARAMS)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(UnsupportedError, match=r"nystroem\+local"):
        model.fit(X[TRAIN], Y[TRAIN]).explain(X[:2])


def test_a_plan_names_both_parts():
    model = sk.SimilarityRegressor(approximation="nystroem+local", **PARAMS)
    steps = [step.what for step in sk.plan(X, Y, estimator=model).passes]
    assert "adding up the sums" in steps
    assert "looking at the residuals" in steps
