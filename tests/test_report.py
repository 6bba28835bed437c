"""The table and the pictures: what they say, that labels can be read, and that files are whole."""

from __future__ import annotations

import builtins
import io
import itertools

import numpy as np
import pytest
from rich.console import Console

from scalekern.errors import InvalidInputError, MissingExtraError
from scalekern.report.table import best_row, bytes_text, comparison_table, comparison_text


def row(model, rmse, *seconds, n_train=1127, gap=None, note=""):
    return {
        "model": model,
        "rmse": rmse,
        "mae": 0.75 * rmse,
        "r2": 0.7,
        "fit_seconds": seconds[0],
        "predict_seconds": seconds[1],
        "model_bytes": 4_100_000,
        "gap_to_exact": gap,
        "n_train": n_train,
        "note": note,
    }


AIRFOIL = [
    row("exact", 3.640627, 0.21, 0.011, gap=0.0),
    row("linear", 4.537698, 0.0009, 0.0001, gap=0.4),
    row("knn", 3.710116, 0.0021, 0.009, gap=0.3),
    row("nystroem", 3.6511, 0.11, 0.008, gap=0.012),
    row("fourier", 3.69, 0.1, 0.009, gap=0.05),
]
FLIGHTS = [
    row("linear", 42.432, 0.3, 0.05, n_train=245_510),
    row("knn", 37.451, 1.1, 61.0, n_train=245_510, note="approximate"),
    row("nystroem", 39.613, 9.4, 1.6, n_train=245_510),
    row("fourier", 39.7, 9.1, 1.5, n_train=245_510),
    row("exact", 40.802, 8.2, 4.6, n_train=8000),
]
MODELS = ["exact", "linear", "knn", "nystroem", "fourier", "local"]
NEIGHBOURS = [row(model, 3.64 + 1e-4 * i, 0.2, 0.0) for i, model in enumerate(MODELS)]
EQUAL = [row(model, 3.64, 0.2, 0.1) for model in MODELS]


SIZED = [
    {**row("linear", 4.70, 0.001, 0.0001), "model_bytes": 48},
    {**row("knn", 3.26, 0.002, 0.012), "model_bytes": 54_000},
    {**row("local", 1.69, 0.7, 0.03), "model_bytes": 54_300},
    {**row("nystroem-250", 2.46, 0.045, 0.001), "model_bytes": 11_600},
    {**row("nystroem-500", 2.52, 0.125, 0.009), "model_bytes": 20_000},
    {**row("fourier-250", 2.76, 0.03, 0.01), "model_bytes": 7_100},
    {**row("fourier-500", 2.69, 0.08, 0.01), "model_bytes": 14_100},
    {**row("auto", 1.22, 9.2, 0.03), "model_bytes": 54_300},
]


def printed(rows, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(comparison_table(rows))
    return console.file.getvalue()


def line_of(text, name):
    return next(line for line in text.splitlines() if line.startswith(name))


@pytest.mark.parametrize("shown", [comparison_text, printed])
def test_the_table_has_six_digits_of_errors_and_stars_the_best(shown):
    text = shown(AIRFOIL)
    assert "3.64063*" in line_of(text, "exact")
    assert "4.53770" in line_of(text, "linear")
    assert text.count("*") == 1
    assert "4.1 MB" in line_of(text, "k-NN")
    assert "<0.001" in line_of(text, "linear")
    assert "0.110" in line_of(text, "Nyström")


def test_the_table_fits_a_terminal_of_80_columns():
    assert "…" not in printed(AIRFOIL)
    assert max(map(len, comparison_text(AIRFOIL).splitlines())) <= 80


def test_rows_may_come_in_any_order_and_lack_what_is_unknown():
    text = comparison_text([row("linear", 5.0, 1, 1), row("nystroem", 4.0, 1, 1, gap=0.1)])
    assert "*" in line_of(text, "Nyström")
    assert "–" in line_of(text, "linear")
    assert "gap" not in comparison_text(FLIGHTS[:2])
    assert "approximate" in line_of(comparison_text(FLIGHTS), "k-NN")


def test_columns_are_aligned():
    lines = comparison_text(AIRFOIL).splitlines()[2:]
    assert len({line.index(".") for line in lines}) == 1


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 0.0, 1e-12, 1e12])
def test_odd_errors_are_shown_not_raised(odd):
    rows = [row("exact", odd, 1, 1), row("linear", 3.0, 1, 1), row("knn", 2.0, 1, 1)]
    assert "linear" in printed(rows, width=200)
    if not np.isfinite(odd):
        assert best_row(rows) == 2


def test_an_empty_table_says_so():
    with pytest.raises(InvalidInputError, match="at least one row"):
        comparison_text([])
    with pytest.raises(InvalidInputError, match="at least one row"):
        comparison_table([])


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_940, "999.9 kB"),
        (999_960, "1.0 MB"),
        (4_096_000, "4.1 MB"),
        (2.5e9, "2.5 GB"),
        (7e18, "7000000.0 TB"),
        (None, "–"),
    ],
)
def test_bytes_are_read_at_a_glance(size, text):
    assert bytes_text(size) == text


@pytest.fixture
def pictures():
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    from scalekern.report import pictures

    return pictures


def boxes(figure):
    """Return the frame of the axes and the box of each label, at the dots of the file."""
    from matplotlib.text import Text

    figure.set_dpi(150)
    figure.draw_without_rendering()
    (ax,) = figure.axes
    labels = [text for text in ax.texts if text.get_text()]
    # Of the letters alone: an annotation's own extent includes the line that leads to it.
    return ax.get_window_extent(), [Text.get_window_extent(label) for label in labels]


def runs_through(corners, box):
    """Say whether a line comes within a box, by half a pixel or more."""
    along = [np.linspace(a, b, 2_000) for a, b in itertools.pairwise(corners)]
    x, y = np.concatenate(along).T
    inside = (x > box.x0 + 0.5) & (x < box.x1 - 0.5) & (y > box.y0 + 0.5) & (y < box.y1 - 0.5)
    return bool(inside.any())


def apart(one, other):
    """Say whether boxes share no more than the rounding of a pixel."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return min(width, height) <= 1.0


@pytest.mark.parametrize("rows", [AIRFOIL, FLIGHTS, NEIGHBOURS, EQUAL, AIRFOIL[:1]])
def test_names_of_points_neither_overlap_nor_leave_the_frame(pictures, rows, tmp_path):
    figure = pictures.plot_error_against_time(rows, tmp_path / "time.png", unit="minutes")
    frame, labels = boxes(figure)
    assert len(labels) == len(rows)
    assert all(apart(*pair) for pair in itertools.combinations(labels, 2))
    for box in labels:
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0
        assert box.y1 <= frame.y1


@pytest.mark.parametrize("rows", [AIRFOIL, FLIGHTS, SIZED])
def test_no_line_runs_through_a_name(pictures, rows):
    from matplotlib.collections import LineCollection

    plots = [pictures.plot_error_against_time, pictures.plot_error_against_size]
    for plot in plots if rows is SIZED else plots[:1]:
        figure = plot(rows)
        _, labels = boxes(figure)
        (ax,) = figure.axes
        lines = [path for one in ax.collections if isinstance(one, LineCollection)
                 for path in one.get_segments()]  # fmt: skip
        assert lines
        for line in lines:
            assert not any(runs_through(ax.transData.transform(line), box) for box in labels)


def test_points_stand_at_error_and_seconds(pictures):
    (ax,) = pictures.plot_error_against_time(AIRFOIL).axes
    drawn = [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines]
    expected = [(r["fit_seconds"] + r["predict_seconds"], r["rmse"]) for r in AIRFOIL]
    np.testing.assert_allclose(drawn, expected)
    assert ax.get_xscale() == "log"


def test_a_model_fitted_on_fewer_rows_says_so(pictures):
    (ax,) = pictures.plot_error_against_time(FLIGHTS).axes
    texts = [text.get_text() for text in ax.texts]
    assert "exact (8,000 rows)" in texts
    assert "linear" in texts


SIZES = [10, 100, 1000]
CURVES = [
    {"model": "nystroem", "n_components": SIZES, "rmse": [5.0, 4.0, 3.65]},
    {"model": "fourier", "n_components": SIZES, "rmse": [6.0, 4.5, 3.66]},
]


@pytest.mark.parametrize("worst", [6.0, 1e5])
def test_names_of_lines_neither_overlap_nor_leave_the_picture(pictures, worst, tmp_path):
    curves = [CURVES[0], {**CURVES[1], "rmse": [worst, 4.5, 3.66]}]
    references = {"linear": 4.5, "knn": 3.655}
    path = tmp_path / "components.png"
    figure = pictures.plot_error_against_components(curves, 3.64, path, references=references)
    frame, labels = boxes(figure)
    assert len(labels) == 5
    assert all(apart(*pair) for pair in itertools.combinations(labels, 2))
    assert all(box.x0 >= frame.x1 for box in labels)
    assert all(box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in labels)


def test_single_points_and_whole_curves_draw_the_same_lines(pictures):
    points = [
        {"model": curve["model"], "n_components": size, "rmse": rmse}
        for curve in CURVES
        for size, rmse in zip(curve["n_components"], curve["rmse"], strict=True)
    ]
    whole = pictures.plot_error_against_components(CURVES).axes[0].lines
    joined = pictures.plot_error_against_components(points[::-1]).axes[0].lines
    colours = {line.get_color(): line.get_xydata() for line in joined}
    for line in whole:
        np.testing.assert_array_equal(line.get_xydata(), colours[line.get_color()])


def test_the_exact_model_is_a_dashed_line_at_its_error(pictures):
    (ax,) = pictures.plot_error_against_components(CURVES, 3.64).axes
    (dashed,) = [line for line in ax.lines if line.is_dashed()]
    assert set(dashed.get_ydata()) == {3.64}


def test_a_model_has_the_same_colour_in_every_picture(pictures):
    (time,) = pictures.plot_error_against_time(AIRFOIL).axes
    (size,) = pictures.plot_error_against_components(CURVES, 3.64).axes

    def colours(ax):
        return {text.get_text(): text.get_color() for text in ax.texts if text.get_text()}

    shared = colours(time).keys() & colours(size).keys()
    assert shared == {"exact", "Nyström", "Fourier"}
    assert all(colours(time)[name] == colours(size)[name] for name in shared)


@pytest.mark.parametrize("n", [1, 376, 20_000])
def test_every_prediction_is_drawn_or_counted_as_outside(pictures, n):
    rng = np.random.default_rng(0)
    y = rng.gumbel(0, 30, n)
    figure = pictures.plot_predictions(y, 0.5 * y + rng.normal(0, 3, n))
    ax = figure.axes[0]
    outside = sum(int(text.get_text().split()[0].replace(",", "")) for text in ax.texts)
    if n > pictures.FEW:
        drawn = ax.collections[0].get_array().sum()
        assert 0 < outside < 0.02 * n
    else:
        drawn = len(ax.lines[0].get_xdata())
    assert drawn + outside == n
    assert ax.get_xlim() == ax.get_ylim()


def test_constant_predictions_can_be_drawn(pictures, tmp_path):
    pictures.plot_predictions(np.zeros(5000), np.zeros(5000), tmp_path / "zero.png")


def test_files_are_png_at_150_dots_and_nothing_else_is_left(pictures, tmp_path):
    from matplotlib.image import imread

    pictures.plot_error_against_time(AIRFOIL, tmp_path / "time.png")
    assert [file.name for file in tmp_path.iterdir()] == ["time.png"]
    height, width = imread(tmp_path / "time.png").shape[:2]
    assert (width, height) == (7.2 * 150, 4.6 * 150)


def test_pictures_can_be_drawn_on_given_axes(pictures):
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    axes = figure.subplots(1, 3)
    assert pictures.plot_error_against_time(AIRFOIL, ax=axes[0]) is figure
    assert pictures.plot_error_against_components(CURVES, 3.64, ax=axes[1]) is figure
    assert pictures.plot_predictions([1, 2], [1, 2], ax=axes[2]) is figure
    part = Figure().subfigures(1, 2)[0]
    assert pictures.plot_error_against_time(AIRFOIL, ax=part.subplots()) is part.figure


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(pictures, tmp_path):
    with pytest.raises(InvalidInputError, match=r"nowhere.*folder that exists"):
        pictures.plot_error_against_time(AIRFOIL, tmp_path / "nowhere" / "time.png")
    with pytest.raises(InvalidInputError, match=r"time\.doc.*png"):
        pictures.plot_error_against_time(AIRFOIL, tmp_path / "time.doc")
    assert not list(tmp_path.iterdir())


def test_nothing_to_draw_is_an_error(pictures):
    with pytest.raises(InvalidInputError, match="finite rmse"):
        pictures.plot_error_against_time([row("exact", float("nan"), 1, 1)])
    with pytest.raises(InvalidInputError, match="at least one curve"):
        pictures.plot_error_against_components([], 3.64)
    with pytest.raises(InvalidInputError, match="3 values and predicted 2"):
        pictures.plot_predictions([1, 2, 3], [1, 2])


def test_without_matplotlib_the_error_has_the_command(monkeypatch):
    from scalekern.report import pictures

    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"pip install 'scalekern\[plot\]'"):
        pictures.plot_error_against_time(AIRFOIL)
