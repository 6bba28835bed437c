"""The pictures of a comparison: error against time, error against components, and predictions.

Each is one function that takes plain numbers and gives a matplotlib Figure, so that it can be drawn
anew from a JSON file without a model. matplotlib is loaded only here, when a picture is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.report.labels import label_ends, label_points
from scalekern.report.style import (
    FAINT,
    INK,
    MARKERS,
    QUIET,
    axes_to_draw_on,
    colour_of,
    dress,
    figure_of,
    finish,
    with_unit,
)
from scalekern.report.table import NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 3000  # rows up to which each is drawn as a point
WIDE = 4.0  # the ratio of errors above which their axis is logarithmic


def plot_error_against_time(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    unit: str | None = None,
) -> Figure:
    """Draw each model as a point: its error against the seconds it took to fit and predict.

    Parameters
    ----------
    rows : sequence of mappings
        One a model, with `model`, `rmse`, `fit_seconds`, `predict_seconds` and if known `n_train`,
        which is written beside models that were fitted on fewer rows than others.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    unit : str, optional
        Of the target.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If no row has a finite error, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    ax = axes_to_draw_on(ax, (7.2, 4.6))
    rows = [row for row in rows if np.isfinite(row["rmse"])]
    if not rows:
        raise InvalidInputError("there is nothing to draw: no row has a finite rmse")
    seconds = [max(row["fit_seconds"] + row["predict_seconds"], 1e-4) for row in rows]
    xy = np.column_stack([seconds, [row["rmse"] for row in rows]])
    for (x, y), row in zip(xy, rows, strict=True):
        model = row["model"]
        size = 13 if MARKERS.get(model) == "*" else 8
        style: dict[str, Any] = {
            "color": colour_of(model),
            "markeredgecolor": "white",
            "markersize": size,
        }
        ax.plot(x, y, MARKERS.get(model, "o"), **style, zorder=3)
    dress(
        ax,
        "Error against time: further down and to the left is better",
        "Time to fit and predict (seconds, logarithmic)",
        with_unit("RMSE on test rows", unit),
    )
    _limit_times(ax, xy[:, 0])
    _limit_errors(ax, xy[:, 1], margin=0.16)
    label_points(ax, xy, _names(rows), [colour_of(row["model"]) for row in rows])
    return finish(ax, path)


def plot_error_against_components(
    curves: Sequence[Mapping[str, Any]],
    exact_rmse: float | None = None,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    references: Mapping[str, float] | None = None,
    unit: str | None = None,
) -> Figure:
    """Draw the error of approximations against their size, and the exact model they approach.

    Parameters
    ----------
    curves : sequence of mappings
        With `model` ("nystroem", "fourier"), `n_components` and `rmse`; a number each, or arrays
        for a whole curve. Those of the same model are joined.
    exact_rmse : float, optional
        Of the exact model: the dashed line.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    references : mapping of str to float, optional
        The RMSE of other models ("linear", "knn"), as light lines.
    unit : str, optional
        Of the target.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If there is no curve, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    ax = axes_to_draw_on(ax, (7.6, 4.6))
    lines = _joined(curves)
    ends: list[tuple[float, str, str]] = []
    for model, error in (references or {}).items():
        ax.axhline(error, color=colour_of(model), linewidth=1, alpha=0.45, zorder=1)
        ends.append((error, NAMES.get(model, model), colour_of(model)))
    if exact_rmse is not None:
        ax.axhline(exact_rmse, color=colour_of("exact"), linewidth=1.4, linestyle=(0, (5, 3)))
        ends.append((exact_rmse, NAMES["exact"], colour_of("exact")))
    for model, (sizes, errors) in lines.items():
        style: dict[str, Any] = {"color": colour_of(model), "marker": MARKERS.get(model, "o")}
        ax.plot(
            sizes, errors, **style, markersize=5.5, linewidth=1.8, markeredgecolor="white", zorder=3
        )
        ends.append((float(errors[-1]), NAMES.get(model, model), colour_of(model)))
    dress(
        ax,
        "Error against components: the dashed line is the exact model"
        if exact_rmse is not None
        else "Error against components",
        "Landmarks or random features (number, logarithmic)",
        with_unit("RMSE on test rows", unit),
    )
    every_size = np.unique(np.concatenate([sizes for sizes, _ in lines.values()]))
    _limit_sizes(ax, every_size)
    drawn = [end[0] for end in ends] + [error for _, errors in lines.values() for error in errors]
    _limit_errors(ax, np.asarray(drawn), margin=0.08)
    label_ends(ax, *zip(*ends, strict=True))
    return finish(ax, path)


def plot_predictions(
    y: Any,
    predicted: Any,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    title: str = "Predictions against actual values",
    x_label: str = "Actual",
    y_label: str = "Predicted",
    unit: str | None = None,
) -> Figure:
    """Draw predictions against the truth, or those of an approximation against the exact model's.

    Up to 3,000 rows are points; more are counted in hexagons, with a logarithmic colour scale. Both
    axes show the middle 99% of all values; how many rows lie beyond is written in the corner.

    Parameters
    ----------
    y, predicted : array-like of shape (n,)
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    title, x_label, y_label : str
        Say here what is drawn against what.
    unit : str, optional
        Of both.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the two are empty or of different lengths, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    y, predicted = np.asarray(y, dtype=float).ravel(), np.asarray(predicted, dtype=float).ravel()
    if y.shape != predicted.shape or not len(y):
        raise InvalidInputError(
            f"y has {len(y)} values and predicted {len(predicted)}; give as many of both, at least "
            "one"
        )
    ax = axes_to_draw_on(ax, (6.2, 5.2))
    low, high = _middle(y, predicted)
    inside = (np.minimum(y, predicted) >= low) & (np.maximum(y, predicted) <= high)
    dress(ax, title, with_unit(x_label, unit), with_unit(y_label, unit))
    if len(y) <= FEW:
        style: dict[str, Any] = {"color": colour_of("nystroem"), "alpha": 0.5, "markeredgewidth": 0}
        ax.plot(y[inside], predicted[inside], "o", markersize=4.5, **style)
    else:
        _hexagons(ax, y[inside], predicted[inside], (low, high))
    ax.plot([low, high], [low, high], color=INK, linewidth=1, linestyle=(0, (5, 3)))
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    if not inside.all():
        text = f"{np.sum(~inside):,} of {len(y):,} rows lie outside"
        ax.text(0.98, 0.02, text, transform=ax.transAxes, ha="right", fontsize=8.5, color=QUIET)
    return finish(ax, path)


def _hexagons(ax: Axes, y: np.ndarray, predicted: np.ndarray, limits: tuple[float, float]) -> None:
    from matplotlib.colors import LogNorm

    hexagons = ax.hexbin(
        y, predicted, gridsize=55, extent=(*limits, *limits), mincnt=1, cmap="Blues"
    )
    most = max(float(np.max(np.asarray(hexagons.get_array()))), 2.0)
    hexagons.set_norm(LogNorm(most**-0.2, most))  # from below 1, so that one row is not yet white
    bar = figure_of(ax).colorbar(hexagons, ax=ax, shrink=0.85, pad=0.02, format="{x:,.0f}")
    bar.ax.set_ylim(1, most)
    bar.set_label("Rows in a hexagon (logarithmic)", fontsize=9.5, color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(which="both", color=FAINT, labelcolor=QUIET, labelsize=8.5)


def _names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to write beside each model, with its rows where it had fewer than others."""
    most = max(row.get("n_train") or 0 for row in rows)
    names = [NAMES.get(row["model"], str(row["model"])) for row in rows]
    return [
        f"{name} ({row['n_train']:,} rows)" if 0 < (row.get("n_train") or 0) < most else name
        for name, row in zip(names, rows, strict=True)
    ]


def _joined(curves: Sequence[Mapping[str, Any]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return sizes and errors by model, by rising size."""
    if not curves:
        raise InvalidInputError("there is nothing to draw: give at least one curve")
    joined = {}
    for model in dict.fromkeys(curve["model"] for curve in curves):
        own = [curve for curve in curves if curve["model"] == model]
        sizes = np.concatenate([np.ravel(curve["n_components"]) for curve in own])
        rmse = np.concatenate([np.ravel(curve["rmse"]) for curve in own])
        order = np.argsort(sizes, kind="stable")
        joined[model] = (sizes[order], rmse[order])
    return joined


def _limit_times(ax: Axes, seconds: np.ndarray) -> None:
    """Show at least a decade and a half, whole decades marked with plain numbers."""
    least, most = np.log10([seconds.min(), seconds.max()])
    middle, half = (least + most) / 2, max((most - least) / 2 + 0.35, 0.75)
    ax.set(xscale="log", xlim=(10 ** (middle - half), 10 ** (middle + half)))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _limit_sizes(ax: Axes, sizes: np.ndarray) -> None:
    """Mark the sizes that were tried, not more than fit."""
    ax.set_xscale("log")
    ax.set_xlim(sizes[0] / 1.15, sizes[-1] * 1.08)
    room = np.ptp(np.log10(sizes)) / 12
    marked = [sizes[-1]]
    for size in sizes[-2::-1]:
        if np.log10(marked[-1] / size) > room:
            marked.append(size)
    ax.set_xticks(marked, [f"{size:,.0f}" for size in marked])
    ax.set_xticks([], minor=True)


def _limit_errors(ax: Axes, errors: np.ndarray, margin: float) -> None:
    """Leave room above and below; logarithmic where one error dwarfs the others."""
    low, high = float(errors.min()), float(errors.max())
    if low > 0 and high / low > WIDE:
        ax.set(yscale="log", ylim=(low * (low / high) ** margin, high * (high / low) ** margin))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        return
    room = max(high - low, 1e-3 * abs(high), 1e-12) * margin
    ax.set_ylim(low - room, high + room)


def _middle(y: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Return limits of the middle 99% of both, a little widened; all of them where few."""
    share = 0.0 if len(y) <= FEW else 0.005
    both = np.concatenate([y, predicted])
    low, high = np.quantile(both[np.isfinite(both)], [share, 1 - share])
    room = 0.03 * (high - low) or 1.0
    return float(low - room), float(high + room)
