"""A certificate says how far an approximation is from the exact model, and is right about it."""

from __future__ import annotations

from itertools import pairwise

import dense
import numpy as np
import pytest
from matplotlib.text import Text

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import RBF
from scalekern.report.gap import plot_gap

RNG = np.random.default_rng(4)
N = 1_200
X = RNG.normal(size=(N, 2))
Y = np.column_stack([np.sin(2 * X[:, 0]), X[:, 1] ** 2]) + 0.1 * RNG.normal(size=(N, 2))
W = RNG.uniform(0.5, 2.0, size=N)
XS = RNG.normal(size=(300, 2))


def model(approximation="nystroem", **params):
    params = {"kernel": RBF(0.7), "alpha": 0.1, "n_components": 40, "random_state": 0} | params
    return sk.SimilarityRegressor(approximation=approximation, **params)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_the_gap_is_that_of_both_models_fitted_on_the_same_parts(approximation, fit_intercept):
    fitted = model(approximation, fit_intercept=fit_intercept).fit(X, Y, sample_weight=W)
    found = fitted.gap_to_exact(XS, rows=(X[:400], Y[:400], W[:400]))
    assert found.size.tolist() == [25, 50, 100]
    order = np.random.default_rng(400).permutation(400)
    squares = []
    variance = (W[:400] @ (Y[:400] - W[:400] @ Y[:400] / W[:400].sum()) ** 2).sum() / W[:400].sum()
    for part in order.reshape(4, 100):
        K = RBF(0.7).block(X[part], X[part])
        a, b = dense.exact(K, Y[part], 0.1, W[part], intercept=fit_intercept)
        exact = RBF(0.7).block(XS, X[part]) @ a + b
        given = {"landmarks": fitted.landmarks_} if approximation == "nystroem" else {}
        again = model(approximation, fit_intercept=fit_intercept, **given)
        near = again.fit(X[part], Y[part], sample_weight=W[part]).predict(XS)
        squares.append(((exact - near) ** 2).sum(axis=1).mean() / variance)
    assert found.gap[-1] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
    assert (found.low <= found.gap).all()
    assert (found.gap <= found.high).all()


def test_the_gap_of_the_sample_kept_tells_that_of_all_rows_within_a_factor():
    fitted = model(n_components=25).fit(X, Y[:, 0])
    exact = model("exact").fit(X, Y[:, 0])
    true = np.sqrt(np.mean((fitted.predict(XS) - exact.predict(XS)) ** 2)) / Y[:, 0].std()
    found = fitted.gap_to_exact(XS, rows=(X, Y[:, 0]))
    assert 0.3 * true < found.gap[-1] < 3 * true
    assert 0.2 * true < fitted.gap_to_exact(XS).gap[-1] < 3 * true


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_gap_and_trace_error_fall_with_the_components(approximation):
    found = [model(approximation, n_components=m).fit(X, Y).gap_to_exact(XS) for m in (10, 60, 300)]
    gaps, traces = [f.gap[-1] for f in found], [f.trace_error for f in found]
    assert gaps[0] > 2 * gaps[1] > 2 * gaps[2]
    assert traces[0] > traces[1] > traces[2]


def test_with_every_row_as_landmark_there_is_no_gap():
    fitted = model(landmarks=X[:200], n_components=200).fit(X[:200], Y[:200])
    found = fitted.gap_to_exact(X[:200], rows=(X[:200], Y[:200]))
    assert found.gap.max() < 1e-6
    assert found.trace_error < 1e-8


def test_the_trace_error_is_that_of_the_gram_matrix():
    fitted = model().fit(X, Y)
    Z = fitted.landmarks_
    k = RBF(0.7).block(XS, Z)
    missed = RBF(0.7).block(XS, XS) - k @ np.linalg.pinv(RBF(0.7).block(Z, Z), rcond=1e-13) @ k.T
    norm = np.abs(np.linalg.eigvalsh(missed)).sum() / len(XS)
    found = fitted.gap_to_exact(XS)
    assert found.trace_error == pytest.approx(norm, rel=1e-3)
    assert found.trace_low <= found.trace_error <= found.trace_high


def test_objects_and_saved_models_have_it(tmp_path):
    words = ["".join(RNG.choice(list("abcd"), size=5)) for _ in range(300)]
    y = np.array([w.count("a") for w in words], dtype=float)
    texts = sk.SimilarityRegressor("edit_distance", approximation="nystroem", n_components=20,
                                   alpha=0.1, random_state=0)  # fmt: skip
    assert np.isfinite(texts.fit(words, y).gap_to_exact(words[:50]).gap).all()
    fitted = model().fit(X, Y)
    sk.save(fitted, tmp_path / "m")
    again = sk.load(tmp_path / "m").gap_to_exact(XS)
    np.testing.assert_allclose(again.gap, fitted.gap_to_exact(XS).gap, rtol=1e-9)


def test_what_cannot_say_how_far_it_is_says_why():
    with pytest.raises(UnsupportedError, match="use 'nystroem' or 'fourier'"):
        model("exact").fit(X[:50], Y[:50]).gap_to_exact(XS)
    few = model().fit(X[:30], Y[:30])
    with pytest.raises(InvalidInputError, match="30 training rows"):
        few.gap_to_exact(XS)
    descended = model(solver="sgd").fit(X, Y)
    with pytest.raises(InvalidInputError, match="keeps nothing"):
        descended.gap_to_exact(XS)
    assert descended.gap_to_exact(XS, rows=(X, Y)).gap[-1] < 1


def test_the_picture_shows_every_size(tmp_path):
    found = model().fit(X, Y).gap_to_exact(XS)
    figure = plot_gap(found, tmp_path / "gap.png")
    assert (tmp_path / "gap.png").stat().st_size > 5_000
    ax = figure.axes[0]
    labels = [t.get_text() for t in ax.get_xticklabels()]
    assert labels == [f"{n:,}" for n in found.size]
    # No line, of gaps or of an interval, runs through a number.
    figure.draw_without_rendering()
    numbers = [text for text in ax.texts if text.get_text()]
    assert [text.get_text() for text in numbers] == [f"{gap:.2g}" for gap in found.gap]
    intervals = np.column_stack([found.size, found.low, found.size, found.high]).reshape(-1, 2, 2)
    for corners in [np.column_stack([found.size, found.gap]), *intervals]:
        ends = ax.transData.transform(corners)
        dots = np.concatenate([np.linspace(a, b, 500) for a, b in pairwise(ends)])
        for box in (Text.get_window_extent(text) for text in numbers):
            inside = (dots > [box.x0 + 0.5, box.y0 + 0.5]) & (dots < [box.x1 - 0.5, box.y1 - 0.5])
            assert not inside.all(axis=1).any()
