"""Standard deviations are those of the Gaussian process whose mean the model is."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as theirs

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import RBF, EditDistance

RNG = np.random.default_rng(2)
N = 120
X = RNG.normal(size=(N, 2))
Y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2]) + 0.1 * RNG.normal(size=(N, 2))
W = RNG.integers(1, 4, size=N).astype(float)
XS = RNG.normal(size=(50, 2)) * 2
ALPHA = 0.05


def model(approximation, **params):
    params = {"kernel": RBF(0.5), "alpha": ALPHA, "landmarks": X, "n_components": N} | params
    return sk.SimilarityRegressor(approximation=approximation, random_state=0, **params)


def process(y, amplitude):
    """scikit-learn's process with the kernel and noise fixed."""
    kernel = theirs.ConstantKernel(amplitude) * theirs.RBF(1.0)
    kernel += theirs.WhiteKernel(amplitude * ALPHA)
    return GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(X, y)


@pytest.mark.parametrize(
    ("approximation", "solver"),
    [("exact", "cholesky"), ("exact", "pinv"), ("exact", "cg"), ("nystroem", "cholesky"),
     ("nystroem", "cg")],
)  # fmt: skip
def test_with_every_row_it_is_scikit_learns_process(approximation, solver):
    fitted = model(approximation, solver=solver, fit_intercept=False, tol=1e-16).fit(X, Y)
    mean, std = fitted.predict(XS, return_std=True)
    for j in range(2):
        expected, deviation = process(Y[:, j], fitted.amplitude_[j]).predict(XS, return_std=True)
        np.testing.assert_allclose(mean[:, j], expected, atol=1e-6)
        np.testing.assert_allclose(std[:, j], deviation, rtol=1e-4)


@pytest.mark.parametrize("approximation", ["exact", "nystroem"])
def test_the_amplitude_is_the_likeliest(approximation):
    s2 = model(approximation, fit_intercept=False).fit(X, Y[:, 0]).amplitude_[0]
    best = process(Y[:, 0], s2).log_marginal_likelihood_value_
    for factor in (0.9, 1.1):
        assert process(Y[:, 0], factor * s2).log_marginal_likelihood_value_ < best


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("approximation", ["exact", "nystroem"])
def test_an_intercept_is_a_constant_of_boundless_variance(approximation, weighted):
    w = W if weighted else np.ones(N)
    fitted = model(approximation).fit(X, Y[:, 0], sample_weight=w)
    mean, std = fitted.predict(XS, return_std=True)
    huge = 1e6
    K = RBF(0.5).block(X, X) + huge + np.diag(ALPHA / w)
    k = RBF(0.5).block(XS, X) + huge
    variance = 1 + huge - np.einsum("ij,ji->i", k, np.linalg.solve(K, k.T)) + ALPHA
    np.testing.assert_allclose(mean, k @ np.linalg.solve(K, Y[:, 0]), atol=1e-4)
    np.testing.assert_allclose(std, np.sqrt(fitted.amplitude_[0] * variance), rtol=1e-4)


def test_models_on_features_know_less_far_from_their_landmarks():
    fitted = model("nystroem", landmarks=X[:20]).fit(X, Y[:, 0])
    exact = model("exact").fit(X, Y[:, 0])
    near, far = (m.predict([[0.0, 0.0], [9.0, 9.0]], return_std=True)[1] for m in (fitted, exact))
    assert near[1] > 3 * near[0]
    assert near[1] / np.sqrt(fitted.amplitude_[0]) == pytest.approx(
        far[1] / np.sqrt(exact.amplitude_[0]), rel=0.05
    )


def test_fourier_features_converge_to_the_exact_process():
    def spread(approximation, D=1):
        fitted = model(approximation, n_components=D, fit_intercept=False).fit(X, Y[:, 0])
        return fitted.predict(XS, return_std=True)[1] / np.sqrt(fitted.amplitude_[0])

    exact = spread("exact")
    errors = [np.abs(spread("fourier", D) - exact).max() for D in (64, 4_096)]
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier"])
def test_intervals_cover_new_targets_at_the_rate_they_claim(approximation):
    rng = np.random.default_rng(8)
    rows = rng.uniform(-2, 2, size=(1_200, 2))
    y = np.sin(2 * rows[:, 0]) + rows[:, 1] + 0.3 * rng.normal(size=1_200)
    fitted = sk.SimilarityRegressor(approximation=approximation, n_components=200, random_state=0)
    mean, std = fitted.fit(rows[:600], y[:600]).predict(rows[600:], return_std=True)
    covered = np.mean(np.abs(y[600:] - mean) < 1.645 * std)
    assert 0.86 < covered < 0.94
    assert fitted.amplitude_[0] * fitted.alpha_ == pytest.approx(0.09, rel=0.3)


@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier"])
def test_they_survive_saving(approximation, tmp_path):
    fitted = model(approximation).fit(X, Y)
    sk.save(fitted, tmp_path / "m")
    again = sk.load(tmp_path / "m").predict(XS, return_std=True)
    np.testing.assert_allclose(again, fitted.predict(XS, return_std=True), rtol=1e-12)


def test_what_has_none_says_what_has():
    texts = sk.SimilarityRegressor(EditDistance(), approximation="exact")
    texts.fit(["a", "b", "ab"], [0.0, 1.0, 2.0])
    with pytest.raises(UnsupportedError, match="positive definite"):
        texts.predict(["a"], return_std=True)
    descended = model("nystroem", solver="sgd").fit(X, Y)
    with pytest.raises(InvalidInputError, match="solver='cholesky'"):
        descended.predict(XS, return_std=True)
    exact = model("exact").fit(X, Y)
    with sk.config_context(memory_limit=100_000), pytest.raises(InvalidInputError, match="GB"):
        exact.predict(XS, return_std=True)


def test_a_constant_target_has_no_spread():
    for approximation in ("exact", "nystroem"):
        _, std = model(approximation).fit(X, np.full(N, 2.0)).predict(XS, return_std=True)
        np.testing.assert_allclose(std, 0.0, atol=1e-6)
