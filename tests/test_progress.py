"""Progress is shown for what takes long, on standard error, and is gone when it is done."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import scalekern as sk
from scalekern.engine import progress
from scalekern.engine.progress import progress_bar


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    monkeypatch.setenv("COLUMNS", "120")


def test_a_quick_pass_shows_nothing(capsys):
    with sk.config_context(progress=True), progress_bar("reading", 100) as advance:
        advance(100)
    assert capsys.readouterr() == ("", "")


def test_a_slow_pass_shows_what_is_done_and_the_time_left(impatient, capsys):
    with sk.config_context(progress=True), progress_bar("reading", 100, unit="files") as advance:
        advance(40)
        progress._display._bars.refresh()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "reading" in shown.err
    assert "40/100" in shown.err
    assert "files" in shown.err
    assert ":" in shown.err  # hours, minutes, seconds left


def test_a_pass_within_a_pass_is_a_line_of_the_same_display(impatient, capsys):
    with sk.config_context(progress=True), progress_bar("models", 6) as outer:
        outer(1)
        with progress_bar("adding up", 50) as inner:
            inner(25)
            assert len(progress._display._bars.tasks) == 2
        assert len(progress._display._bars.tasks) == 1
    assert progress._display._bars is None


def test_nothing_is_shown_unless_asked_for(impatient, capsys):
    X = np.random.default_rng(0).normal(size=(3_000, 2))
    sk.LinearRegressor().fit(X, X[:, 0]).predict(X)
    assert capsys.readouterr() == ("", "")


def test_fits_in_several_threads_share_the_display(impatient):
    X = np.random.default_rng(0).normal(size=(9_000, 2))

    def fit(seed):
        with sk.config_context(progress=True):
            model = sk.SimilarityRegressor(
                "rbf", gamma=1.0, metric="euclidean", approximation="nystroem", n_components=20,
                random_state=seed,
            )  # fmt: skip
            return model.fit(X, X[:, 0]).predict(X[:1])

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(fit, range(4)))
    assert len(found) == 4
    assert progress._display._bars is None


def test_a_pass_that_fails_takes_its_bar_away(impatient):
    def fail():
        with sk.config_context(progress=True), progress_bar("reading", 100) as advance:
            advance(1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert progress._display._bars is None
