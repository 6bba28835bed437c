"""What an index was tuned to: by recall, by error, by hand; kept, saved and drawn."""

from __future__ import annotations

import numpy as np
import pytest

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError
from scalekern.report.tuning import TuningDisplay


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    centres = 3 * rng.normal(size=(40, 24))
    y = rng.integers(40, size=24_000)
    return (centres[y] + rng.normal(size=(24_000, 24))).astype(np.float32), y % 7


def test_auto_meets_the_recall_on_fresh_queries(rows):
    X, y = rows
    for target in (0.9, 0.95):
        model = KNeighborsClassifier(10, target_recall=target, random_state=0)
        model.fit(X[:22_000], y[:22_000])
        found = model.kneighbors(X[22_000:], return_distance=False)
        brute = KNeighborsClassifier(10, algorithm="brute").fit(X[:22_000], y[:22_000])
        true = brute.kneighbors(X[22_000:], return_distance=False)
        recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(found, true, strict=True)])
        assert not model.report_["exact"]
        assert model.recall_ >= target
        assert recall > target - 0.01


def test_predictions_are_those_of_the_neighbours_found(rows):
    X, y = rows
    model = KNeighborsClassifier(7, random_state=0).fit(X[:22_000], y[:22_000])
    found = model.kneighbors(X[22_000:], return_distance=False)
    votes = np.stack([(y[found] == c).mean(axis=1) for c in model.classes_], axis=1)
    np.testing.assert_allclose(model.predict_proba(X[22_000:]), votes, atol=1e-12)


def test_tuning_to_the_error_keeps_the_accuracy_and_says_what_it_cost(rows):
    X, y = rows
    model = KNeighborsClassifier(5, algorithm="ivf", target_error=0.02, random_state=0)
    model.fit(X[:22_000], y[:22_000])
    assert model.tuned_["excess_error"] <= 0.02
    exact = KNeighborsClassifier(5, algorithm="brute").fit(X[:22_000], y[:22_000])
    errors = [1 - m.score(X[22_000:], y[22_000:]) for m in (model, exact)]
    assert errors[0] <= errors[1] * 1.02 + 0.01
    careful = KNeighborsClassifier(5, algorithm="ivf", target_recall=0.999, random_state=0)
    assert careful.fit(X[:22_000], y[:22_000]).tuned_["work"] >= model.tuned_["work"]


def test_the_error_of_a_regression_is_measured_with_its_weights(rows):
    X, _ = rows
    y = X[:, 0] + X[:, 1] ** 2
    model = KNeighborsRegressor(
        5, algorithm="ivf", weights="distance", target_error=0.05, random_state=0
    ).fit(X[:5000], y[:5000])
    assert model.tuned_["excess_error"] <= 0.05
    errors = [trial["excess_error"] for trial in model.tuning_]
    assert errors == sorted(errors, reverse=True)


def test_the_curve_is_kept_saved_and_drawn(rows, tmp_path):
    X, y = rows
    model = KNeighborsClassifier(10, random_state=0).fit(X, y)
    assert model.tuned_ in model.tuning_
    assert model.tuned_["recall"] == model.recall_
    scalekern.save(model, tmp_path / "model")
    again = scalekern.load(tmp_path / "model")
    assert (again.tuning_, again.tuned_) == (model.tuning_, model.tuned_)
    np.testing.assert_array_equal(again.predict(X[:100]), model.predict(X[:100]))
    display = TuningDisplay.from_estimator(again, path=tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5_000
    drawn = [x for line in display.ax_.lines for x in np.atleast_1d(line.get_xdata())]
    assert model.tuned_["work"] / 1e3 in drawn
    assert f"nprobe {model.tuned_['nprobe']}" in [t.get_text() for t in display.ax_.texts]


def test_an_exact_index_has_no_curve(rows):
    model = KNeighborsClassifier(algorithm="brute").fit(rows[0][:100], rows[1][:100])
    with pytest.raises(InvalidInputError, match="flat scan"):
        TuningDisplay.from_estimator(model)


def test_expert_settings_and_few_queries_go_through_the_estimators(rows):
    X, y = rows
    by_hand = KNeighborsClassifier(
        algorithm="hnsw", search_parameters={"efSearch": 33}, random_state=0
    ).fit(X[:3000], y[:3000])
    assert by_hand.tuned_["efSearch"] == 33
    few = KNeighborsClassifier(expected_queries=50).fit(X, y)
    assert few.report_["exact"]
    with pytest.raises(InvalidInputError, match="expected_queries=0"):
        KNeighborsClassifier(expected_queries=0).fit(X, y)
    with pytest.raises(InvalidInputError, match="target_error=-1"):
        KNeighborsClassifier(target_error=-1).fit(X, y)
