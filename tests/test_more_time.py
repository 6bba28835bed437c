"""What a comparison says beyond its table: the gap's interval, and what more time would buy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import scalekern as sk
from scalekern.report import sections
from scalekern.report.comparison import Comparison
from scalekern.report.measured import Result
from scalekern.report.more_time import trends

Y = np.zeros(1_000)


def compared(errors, exact=None, n_train=1_000):
    """A comparison of Nyström models of 100, 200, 400, ... components whose errors are given."""
    results, predictions = [], {}
    noise = np.random.default_rng(0).choice([-1.0, 1.0], 1_000)
    for k, error in enumerate(errors):
        name = f"nystroem-{100 * 2**k}"
        results.append(Result(name, error, error, 0.5, 1.0, 0.0, 8, None, n_train, "", 100 * 2**k))
        predictions[name] = error * noise
    if exact is not None:
        results.append(Result("exact", exact, exact, 0.5, 1.0, 0.0, 8, 0.0, n_train))
        predictions["exact"] = exact * noise
    return Comparison(results, predictions, Y, "RBF()", 1.0)


def test_gains_go_on_shrinking_as_they_did():
    (trend,) = trends(compared([10.0, 6.0, 4.0]))
    assert (trend.gain, trend.times) == (pytest.approx(1.0), 4.0)
    assert not trend.is_noise
    assert "800 would come to about 3 for 4.0 times the work" in str(trend)


def test_nothing_is_gained_beyond_the_exact_model():
    (trend,) = trends(compared([10.0, 6.0, 4.0], exact=3.9))
    assert trend.gain == pytest.approx(0.1)
    assert str(trend).endswith("the exact model has 3.9.")


@pytest.mark.parametrize("errors", [[10.0, 6.0, 6.0], [10.0, 6.0, 6.5]])
def test_where_the_last_doubling_gained_nothing_the_next_is_not_advised(errors):
    (trend,) = trends(compared(errors))
    assert trend.gain == 0.0
    assert trend.is_noise
    assert "More components would buy nothing here" in str(trend)


def test_no_more_landmarks_are_proposed_than_there_are_rows():
    (trend,) = trends(compared([10.0, 6.0, 4.0], n_train=600))
    assert trend.more == 600
    assert (trend.gain, trend.times) == (pytest.approx(np.log2(1.5)), 2.25)
    assert "600 would come to about 3.4" in str(trend)
    (trend,) = trends(compared([10.0, 6.0, 4.0], n_train=400))
    assert (trend.more, trend.gain, trend.times) == (400, 0.0, 1.0)
    assert "Every training row is a landmark now" in str(trend)
    results = [replace(r, model=r.model.replace("nystroem", "fourier"))
               for r in compared([10.0, 6.0, 4.0], n_train=400).results]  # fmt: skip
    known = compared([10.0, 6.0, 4.0])
    named = {key.replace("nystroem", "fourier"): p for key, p in known.predictions.items()}
    (waves,) = trends(replace(known, results=results, predictions=named))
    assert waves.more == 800


def test_one_size_has_no_trend():
    assert trends(compared([10.0])) == []


@pytest.fixture(scope="module")
def waves():
    X = np.random.default_rng(0).uniform(0, 6, (400, 1))
    return X, np.sin(X[:, 0])


def test_the_gap_lies_within_its_interval_and_is_that_of_the_table(waves):
    table = sk.compare(*waves, models=["exact", "nystroem"], n_components=4)
    gap, low, high = table.gap_interval("nystroem")
    (row,) = (row for row in table.rows() if row["model"] == "nystroem")
    assert low < gap < high
    assert gap == pytest.approx(row["gap_to_exact"])
    assert table.certificates == {}


def test_an_exact_model_of_a_sample_leaves_a_certificate(waves):
    names = ["exact", "nystroem", "linear"]
    table = sk.compare(*waves, models=names, n_components=[4, 8], exact_rows=50)
    assert list(table.certificates) == ["nystroem-8"]
    gap, low, high = table.gap_interval("nystroem-8")
    assert low <= gap <= high
    assert table.gap_interval("nystroem-4") is None
    assert "from 4 to 8 components" in sections.more_time(table)
    assert "both solved on each" in sections.gap_table(table)


def test_no_certificate_is_made_where_nobody_asked_for_the_exact_model(waves):
    assert sk.compare(*waves, models=["nystroem"], n_components=8).certificates == {}
