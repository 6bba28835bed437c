"""Display classes: what they draw is what the models have, on new axes or given ones."""

from __future__ import annotations

import builtins

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scalekern as sk
from scalekern.errors import InvalidInputError, MissingExtraError, UnsupportedError

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")

RNG = np.random.default_rng(5)
X = RNG.uniform(-3, 3, size=(120, 2))
Y = np.sin(X[:, 0]) * X[:, 1] + 0.1 * RNG.standard_normal(120)
EXACT = sk.SimilarityRegressor(gamma=0.5, approximation="exact")
FEW = sk.SimilarityRegressor(
    gamma=0.5, alpha=0.1, approximation="nystroem", n_components=9, random_state=0
)


@pytest.fixture
def ax():
    from matplotlib.figure import Figure

    return Figure(layout="constrained").add_subplot()


@pytest.fixture(autouse=True)
def close_figures():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def table():
    return sk.compare(X, Y, n_components=[8, 32], alpha=0.1, gamma=0.5)


def drawn(ax):
    return np.concatenate([line.get_xydata() for line in ax.lines if line.get_marker() != "None"])


def test_approximate_predictions_stand_against_the_exact_ones(ax):
    exact, few = EXACT.fit(X, Y), FEW.fit(X, Y)
    display = sk.ApproximationErrorDisplay.from_estimator(few, X, exact=exact, ax=ax, unit="m")
    expected = np.column_stack([exact.predict(X), few.predict(X)])
    np.testing.assert_array_equal(drawn(ax), expected)
    rms = np.sqrt(np.mean((expected[:, 0] - expected[:, 1]) ** 2))
    assert display.difference_ == pytest.approx(rms, rel=1e-12)
    assert f"{rms:.3g}" in ax.get_title(loc="left")
    assert ax.get_xlabel() == "Exact model's prediction (m)"
    same = sk.ApproximationErrorDisplay.from_predictions(*expected.T)
    assert same.difference_ == display.difference_
    with pytest.raises(InvalidInputError, match="3 predictions and approximate 2"):
        sk.ApproximationErrorDisplay([1, 2, 3], [1, 2])


@pytest.mark.parametrize("cost", ["seconds", "bytes"])
def test_errors_stand_at_their_cost(cost, table, ax):
    sk.ErrorCostDisplay.from_comparison(table, cost=cost, ax=ax)
    expected = [
        (r.fit_seconds + r.predict_seconds if cost == "seconds" else r.model_bytes, r.rmse)
        for r in table.results
    ]
    np.testing.assert_allclose(drawn(ax), expected)
    assert ax.get_xscale() == "log"
    texts = {text.get_text() for text in ax.texts}
    assert {"exact", "k-NN", "Nyström 32", "8", "Fourier 32"} <= texts
    with pytest.raises(InvalidInputError, match="'seconds', 'bytes'"):
        sk.ErrorCostDisplay(table.rows(), cost="money")


def test_a_model_that_was_not_fitted_is_not_drawn(ax):
    with sk.config_context(memory_limit=200_000):
        kernel = sk.BlockKernel(lambda X, Z: X @ Z.T)  # may be indefinite: no way around its matrix
        table = sk.compare(X, Y, models=["exact", "linear", "knn"], kernel=kernel)
    sk.ErrorCostDisplay.from_comparison(table, ax=ax)
    assert len(drawn(ax)) == 2


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: make_pipeline(StandardScaler(), m)])
def test_the_alpha_path_is_that_of_the_model(wrap, ax):
    model = wrap(sk.SimilarityRegressor(gamma=0.5)).fit(X, Y)
    last = model[-1] if hasattr(model, "steps") else model
    display = sk.AlphaPathDisplay.from_estimator(model, ax=ax)
    order = np.argsort(last.alphas_)
    order = order[np.isfinite(last.scores_[order])]
    np.testing.assert_array_equal(
        drawn(ax), np.column_stack([last.alphas_[order], last.scores_[order]])
    )
    (mark,) = [line for line in ax.lines if line.get_marker() == "None"]
    assert set(mark.get_xdata()) == {last.alpha_}
    assert display.alpha == last.alpha_


def test_a_classifier_has_its_alpha_path_and_a_given_alpha_has_none(ax):
    labels = np.where(Y > 0, "up", "down")
    model = sk.SimilarityClassifier(gamma=0.5).fit(X, labels)
    display = sk.AlphaPathDisplay.from_estimator(model, ax=ax)
    np.testing.assert_array_equal(display.scores, model.model_.scores_)
    with pytest.raises(UnsupportedError, match=r"no path of alpha.*alpha='loo'"):
        sk.AlphaPathDisplay.from_estimator(FEW.fit(X, Y))


@pytest.mark.parametrize("model", [EXACT, FEW, sk.KNeighborsRegressor(4)])
def test_bars_lead_from_the_baseline_to_the_prediction(model, ax):
    pipeline = make_pipeline(StandardScaler(), model).fit(X, Y)
    display = sk.ExplanationDisplay.from_estimator(pipeline, X[:3], query=2, ax=ax, most=5)
    why = display.explanation
    bars = [(bar.get_x(), bar.get_width()) for bar in ax.patches]
    np.testing.assert_allclose(
        [width for _, width in bars][: len(why.contribution[2][:5])], why.contribution[2][:5]
    )
    assert bars[0][0] == pytest.approx(float(why.baseline))
    assert sum(bars[-1]) == pytest.approx(pipeline.predict(X[:3])[2], rel=1e-6)


def test_components_are_those_of_the_comparison_and_of_clones(table, ax):
    display = sk.ComponentsDisplay.from_comparison(table, ax=ax)
    assert display.exact_rmse == next(r.rmse for r in table.results if r.model == "exact")
    expected = {(r.n_components, r.rmse) for r in table.results if r.n_components}
    assert {tuple(point) for point in drawn(ax)} == expected
    alone = sk.ComponentsDisplay.from_estimator(
        FEW, X[:90], Y[:90], X[90:], Y[90:], n_components=[5, 30]
    )
    for curve in alone.curves:
        model = FEW.set_params(n_components=curve["n_components"]).fit(X[:90], Y[:90])
        error = model.predict(X[90:]) - Y[90:]
        assert curve["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-12)
    FEW.set_params(n_components=9)
    one = sk.compare(X, Y, models=["linear"])
    with pytest.raises(InvalidInputError, match=r"n_components=\[125, 250, 500\]"):
        sk.ComponentsDisplay.from_comparison(one)


def test_without_axes_a_display_draws_by_pyplot_and_can_be_drawn_again(table, ax):
    from matplotlib import pyplot as plt

    display = sk.ErrorCostDisplay.from_comparison(table)
    assert plt.fignum_exists(display.figure_.number)
    first = display.ax_
    assert display.plot(ax) is display
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    np.testing.assert_array_equal(drawn(first), drawn(ax))


def test_without_matplotlib_the_error_has_the_command(monkeypatch, table):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalekern\[plot\]'"):
        sk.ErrorCostDisplay.from_comparison(table)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalekern\[plot\]'"):
        table.to_html()
