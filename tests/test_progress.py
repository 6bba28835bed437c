"""Progress is shown for what takes long, on standard error, and is gone when it is done."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import scalekern as sk
from scalekern.engine import lines, progress
from scalekern.engine.drawing import table_of
from scalekern.engine.progress import Display, display, expect, progress_bar, step, whole


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(lines, "_clock", clock)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 3_600.0)  # tests draw when it is time
    monkeypatch.setenv("FORCE_COLOR", "1")  # a terminal, for rich
    monkeypatch.setenv("COLUMNS", "120")
    with sk.config_context(progress=True):
        yield clock


def shown():
    """Return what a look at the terminal now would show."""
    from rich.console import Console

    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        console.print(table_of(display.readable()))
    return capture.get()


def names():
    return [line.what for line in display.lines]


@pytest.fixture
def opened(monkeypatch):
    """Return the names of all lines that there are, shown or not, in their order."""
    found, add = [], Display.open

    def noted(self, line):
        found.append(line.what)
        add(self, line)

    monkeypatch.setattr(Display, "open", noted)
    return found


def test_what_is_quick_shows_nothing(clock, capsys):
    with progress_bar("reading", 100) as advance:
        advance(100)
        clock.passes(0.4)
        assert shown().strip() == ""
    assert capsys.readouterr() == ("", "")


def test_lines_are_drawn_once_the_first_has_taken_too_long(clock, monkeypatch):
    drawn = threading.Event()
    monkeypatch.setattr(display, "show", drawn.set)
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    with step("solving"):
        assert drawn.wait(60)


def test_a_pass_shows_what_is_done_and_the_time_left(clock):
    with progress_bar("reading", 100, unit="files") as advance:
        clock.passes(20)
        advance(40)
        assert "reading" in shown()
        assert "40/100 files" in shown()
        assert "0:00:30 left" in shown()


def test_what_reads_no_rows_shows_its_name_and_how_long_it_has_taken(clock):
    with step("solving the exact model"):
        clock.passes(3_725)
        assert "solving the exact model" in shown()
        assert "1:02:05 so far" in shown()


def test_it_is_seen_in_a_terminal_and_results_are_not_touched(clock, capsys):
    with step("solving"):
        clock.passes(5)
        display.show()
        display._drawn.refresh()
    found = capsys.readouterr()
    assert found.out == ""
    assert "solving" in found.err
    assert "0:00:05 so far" in found.err


def test_nothing_is_written_where_standard_error_is_no_terminal(clock, capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR")
    with step("solving"):
        clock.passes(5)
        display.show()
    assert capsys.readouterr() == ("", "")


def test_what_is_part_of_something_is_a_line_below_it(clock):
    with progress_bar("models", 6) as outer:
        outer(1)
        with progress_bar("adding up", 50) as inner:
            inner(25)
            clock.passes(1)
            assert [line.split()[0] for line in shown().splitlines()] == ["models", "adding"]
        assert names() == ["models"]
    assert names() == []


def test_a_line_for_the_whole_stays_and_there_is_one_only(clock):
    with whole("comparing"), whole("fitting"), step("solving"):
        assert names() == ["comparing", "solving"]
        with whole("fitting"):
            assert names() == ["comparing", "solving"]


def test_of_planned_steps_the_whole_shows_the_time_left(clock):
    with whole("fitting"):
        expect([("reading", 10.0), ("solving", 20.0), ("measuring", 5.0)])
        clock.passes(4)
        assert "about 0:00:31 left" in shown()
        with step("reading"):
            clock.passes(20)  # twice as long as planned, before the next step
        with step("solving"):
            clock.passes(8)
            # By the pace so far, of which five seconds are believed to be as planned.
            left = (24 + 5) / (10 + 5) * (20 + 5) - 8
            assert f"about 0:00:{int(left)} left" in shown().splitlines()[0]
            clock.passes(100)
            assert "about 0:00:09 left" in shown()
        with step("measuring"):
            clock.passes(1_000)
            assert "left" not in shown()


def test_steps_that_were_planned_and_not_needed_are_over(clock):
    with whole("fitting"):
        expect([("reading", 10.0), ("trying", 100.0), ("solving", 20.0)])
        clock.passes(1)
        with step("solving"), step("something else"):
            clock.passes(1)
            assert "about 0:00:07 left" in shown()


def test_what_is_part_of_a_planned_step_is_no_later_one(clock):
    with whole("fitting"):
        expect([("trying", 30.0), ("solving", 20.0)])
        with step("trying"), step("solving"):
            assert display.lines[0].left == 50


@pytest.mark.parametrize(
    "model",
    [
        sk.LinearRegressor(),
        sk.KNeighborsRegressor(algorithm="ivf"),
        sk.SimilarityRegressor(approximation="local"),
        sk.SimilarityRegressor(approximation="nystroem", n_components=20),
        sk.SimilarityRegressor("rbf", gamma="cv", approximation="fourier", solver="sgd"),
        sk.SimilarityRegressor("rbf", gamma="cv", metric="euclidean", solver="cg"),
    ],
)
def test_the_steps_of_a_plan_have_the_names_of_their_lines(clock, opened, model):
    model = model.fit(ROWS, ROWS[:, 0])
    for planned in sk.plan(ROWS, ROWS[:, 0], estimator=model).steps:
        if planned.what not in MAY_NOT_COME:
            assert any(line.startswith(planned.what) for line in opened), planned.what


MAY_NOT_COME = {f"pass {number} of at most 5" for number in range(2, 6)}


def test_nothing_is_shown_unless_asked_for(opened, capsys):
    X = np.random.default_rng(0).normal(size=(3_000, 2))
    sk.LinearRegressor().fit(X, X[:, 0]).predict(X)
    assert opened == []
    assert capsys.readouterr() == ("", "")


ROWS = np.random.default_rng(0).normal(size=(700, 3))


@pytest.mark.parametrize(
    ("model", "steps"),
    [
        (sk.SimilarityRegressor(), {"choosing the kernel", "learning the metric"}),
        (sk.SimilarityRegressor(approximation="exact"), {"solving the exact model"}),
        (
            sk.SimilarityRegressor("rbf", gamma="cv", metric="euclidean", approximation="nystroem"),
            {"choosing the bandwidth", "choosing the landmarks", "factoring the landmarks"},
        ),
        (
            sk.SimilarityRegressor(
                "rbf", gamma=1.0, alpha=0.1, solver="cg", approximation="exact", metric="euclidean"
            ),
            {"finding the coefficients", "the preconditioner"},
        ),
        (sk.SimilarityRegressor(approximation="local"), {"building the index"}),
        (
            sk.KNeighborsRegressor(algorithm="ivf", target_recall=0.9),
            {"building the index", "tuning the index to recall 0.9"},
        ),
        (sk.KNeighborsRegressor(algorithm="hnsw"), {"finishing the index"}),
    ],
)
def test_a_fit_names_the_work_that_reads_no_rows(clock, opened, model, steps):
    model.fit(ROWS, np.sin(ROWS).sum(axis=1))
    assert opened[0] == "fitting"
    assert steps <= set(opened)
    assert opened.count("fitting") == 1
    assert names() == []


def test_a_comparison_names_the_model_that_it_is_at(clock, opened):
    sk.compare(ROWS, ROWS[:, 0], models=["knn", "nystroem"], n_components=20)
    assert opened[0] == "comparing"
    assert {"fitting k-NN", "testing k-NN", "fitting Nyström"} <= set(opened)


def test_progress_changes_no_model(clock):
    y = np.sin(ROWS).sum(axis=1)
    model = sk.SimilarityRegressor(approximation="exact", random_state=0).fit(ROWS, y)
    with sk.config_context(progress=False):
        without = sk.SimilarityRegressor(approximation="exact", random_state=0).fit(ROWS, y)
    np.testing.assert_array_equal(model.dual_coef_, without.dual_coef_)


def test_fits_in_several_threads_share_the_display(clock):
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
    assert names() == []
    assert display._timer is None


def test_what_fails_takes_its_line_away(clock):
    def fail():
        with whole("fitting"), progress_bar("reading", 100) as advance:
            advance(1)
            display.show()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert names() == []
    assert display._drawn is None
    assert progress._outermost.get() is None
