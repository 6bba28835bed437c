"""Split-conformal intervals keep their promise: coverage, whatever the model and the noise."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.cli import main
from scalekern.errors import InvalidInputError
from scalekern.estimators.intervals import held_out

MODELS = {
    "exact": sk.SimilarityRegressor(gamma=1.0, alpha=0.1),
    "nystroem": sk.SimilarityRegressor(
        gamma=1.0, alpha=0.1, approximation="nystroem", n_components=10, random_state=0
    ),
    "fourier": sk.SimilarityRegressor(
        gamma=1.0, alpha=0.1, approximation="fourier", n_components=10, random_state=0
    ),
    "linear": sk.LinearRegressor(),
    "knn": sk.KNeighborsRegressor(5),
}


def draw(rng, n, outputs=1):
    X = rng.uniform(-2, 2, (n, 1))
    noise = rng.standard_normal((n, outputs)) * (0.1 + np.abs(X))
    y = np.sin(2 * X) + noise * np.arange(1, outputs + 1)
    return X, y if outputs > 1 else y[:, 0]


@pytest.mark.parametrize(("n", "coverage"), [(19, 0.9), (60, 0.9), (60, 0.5)])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_coverage_is_exact_on_repeated_draws(model, n, coverage):
    # Over draws of calibration and test rows the coverage is ceil((n + 1) coverage) / (n + 1):
    # not less (the promise), and not more (the intervals are no wider than they must be).
    rng = np.random.default_rng(5)
    model = clone(model).fit(*draw(rng, 60))
    draws = 400
    hits = 0
    X, y = draw(rng, draws * (n + 1))
    errors = np.abs(y - model.predict(X)).reshape(draws, n + 1)
    X, y = X.reshape(draws, n + 1, 1), y.reshape(draws, n + 1)
    for i in range(draws):
        model.calibration_residuals_ = np.sort(errors[i, :n])[:, None]
        hits += errors[i, n] <= model.interval_half_width(coverage)[0]
    expected = np.ceil((n + 1) * coverage) / (n + 1)
    spread = np.sqrt(expected * (1 - expected) / draws)
    assert abs(hits / draws - expected) < 3.5 * spread
    model.calibrate(X[-1, :n], y[-1, :n])
    lower, upper = model.predict_interval(X[-1], coverage)
    inside = (lower - 1e-9 <= y[-1]) & (y[-1] <= upper + 1e-9)
    np.testing.assert_array_equal(inside[n], errors[-1, n] <= (upper - lower)[0] / 2 + 1e-9)
    assert inside[:n].sum() == np.ceil((n + 1) * coverage)


def test_each_output_has_its_own_width():
    rng = np.random.default_rng(1)
    X, Y = draw(rng, 300, outputs=2)
    model = sk.LinearRegressor().fit(X[:100], Y[:100]).calibrate(X[100:], Y[100:])
    lower, upper = model.predict_interval(X, 0.8)
    errors = np.sort(np.abs(Y[100:] - model.predict(X[100:])), axis=0)
    np.testing.assert_allclose((upper - lower) / 2, np.tile(errors[160], (300, 1)))


def test_the_rank_does_not_suffer_from_floating_point():
    model = sk.LinearRegressor().fit([[0.0], [1.0]], [0.0, 0.0])
    model.calibrate(np.zeros((99, 1)), np.arange(1.0, 100.0))
    for coverage in (0.07, 0.29, 0.57, 0.9, 0.99):
        assert model.interval_half_width(coverage)[0] == pytest.approx(round(100 * coverage))


def test_too_few_rows_for_the_coverage_is_an_error_that_says_how_many():
    model = sk.LinearRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.raises(InvalidInputError, match="call calibrate"):
        model.predict_interval([[0.0]])
    model.calibrate(np.zeros((8, 1)), np.ones(8))
    with pytest.raises(InvalidInputError, match="at least 9 calibration rows and there are 8"):
        model.predict_interval([[0.0]], 0.9)
    model.calibrate(np.zeros((9, 1)), np.ones(9)).predict_interval([[0.0]], 0.9)
    for coverage in (0, 1, -0.1, 1.5, "0.9", None, True, float("nan")):
        with pytest.raises(InvalidInputError, match="coverage"):
            model.predict_interval([[0.0]], coverage)
    with pytest.raises(InvalidInputError, match="y has 2 outputs"):
        model.calibrate(np.zeros((9, 1)), np.ones((9, 2)))


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_intervals_are_saved_and_a_new_fit_discards_them(model, tmp_path):
    rng = np.random.default_rng(2)
    X, y = draw(rng, 80)
    model = clone(model).fit(X[:40], y[:40]).calibrate(X[40:], y[40:])
    expected = model.predict_interval(X, 0.8)
    sk.save(model, tmp_path / "model")
    np.testing.assert_array_equal(sk.load(tmp_path / "model").predict_interval(X, 0.8), expected)
    model.fit(X, y)
    with pytest.raises(InvalidInputError, match="call calibrate"):
        model.predict_interval(X)


def test_partial_fit_discards_the_calibration():
    X, y = draw(np.random.default_rng(2), 80)
    model = clone(MODELS["nystroem"]).partial_fit(X[:40], y[:40]).calibrate(X[40:], y[40:])
    model.predict_interval(X, 0.8)
    model.partial_fit(X[40:60], y[40:60])
    with pytest.raises(InvalidInputError, match="call calibrate"):
        model.predict_interval(X)


def test_rows_frames_and_arrays_calibrate_alike():
    X, y = draw(np.random.default_rng(3), 60)
    rows = sk.rows(pa.table({"x": X[:, 0], "y": y}), target="y")
    pipeline = make_pipeline(sk.RowPreparer(), sk.LinearRegressor()).fit(rows)
    prepare, last = (step for _, step in pipeline.steps)
    last.calibrate(prepare.transform(rows))
    by_rows = last.calibration_residuals_
    frame = pd.DataFrame({"x": X[:, 0]})
    last.calibrate(prepare.transform(frame), y)
    np.testing.assert_allclose(last.calibration_residuals_, by_rows)


def test_held_out_rows_do_not_depend_on_how_they_are_cut(tmp_path):
    table = pa.table({"x": np.arange(5_000.0), "y": np.arange(5_000.0)})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=700)
    parts = []
    for source in (sk.rows(table, target="y"), sk.rows(tmp_path / "a.parquet", target="y")):
        kept, out = held_out(source, 0.2)
        ids = [np.concatenate([b.ids for b in part.blocks(512)]) for part in (kept, out)]
        assert [len(i) for i in ids] == [kept.n_rows, out.n_rows]
        assert sorted(np.concatenate(ids)) == list(range(5_000))
        starts = [b.start for b in out.blocks(512)]
        assert starts == sorted(starts)
        np.testing.assert_array_equal(out.take(np.array([3, 0]))[:, 0], ids[1][[3, 0]])
        parts.append(ids[1])
    np.testing.assert_array_equal(*parts)
    assert abs(len(parts[0]) / 5_000 - 0.2) < 4 * np.sqrt(0.16 / 5_000)


def test_the_commands_write_lower_and_upper(tmp_path):
    X, y = draw(np.random.default_rng(4), 2_000)
    for name, part in (("train", slice(0, 1_000)), ("new", slice(1_000, 2_000))):
        pq.write_table(pa.table({"x": X[part, 0], "y": y[part]}), tmp_path / f"{name}.parquet")
    run, folder = CliRunner(), str(tmp_path / "model")
    fit = ["fit", str(tmp_path / "train.parquet"), "--target", "y", "--model", "knn"]
    told = run.invoke(main, [*fit, "--calibrate", "0.5", "-o", folder, "--json", "-"])
    report = json.loads(told.output)
    assert report["rows"] + report["calibration_rows"] == 1_000
    out = tmp_path / "p.parquet"
    predict = ["predict", folder, str(tmp_path / "new.parquet"), "-o", str(out), "--keep", "y"]
    told = run.invoke(main, [*predict, "--coverage", "0.8"])
    assert told.exit_code == 0, told.output
    table = pq.read_table(out).to_pandas()
    assert list(table) == ["y", "prediction", "lower", "upper"]
    inside = ((table.lower <= table.y) & (table.y <= table.upper)).mean()
    assert abs(inside - 0.8) < 4 * np.sqrt(0.16 / 1_000 + 0.16 / 500)
