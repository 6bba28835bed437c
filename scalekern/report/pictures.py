"""The pictures of a comparison: error against time, error against components, and predictions.

Each is one function that takes plain numbers and gives a matplotlib Figure, so that it can be drawn
anew from a JSON file without a model. matplotlib is loaded only here, when a picture is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.report.labels import label_ends, label_points
from scalekern.report.limits import limit_costs, limit_errors, limit_sizes
from scalekern.report.names import family_of, name_of, rows_noted
from scalekern.report.recommend import on_front
from scalekern.report.style import (
    FAINT,
    INK,
    QUIET,
    axes_to_draw_on,
    colour_of,
    dress,
    figure_of,
    finish,
    marker_of,
    with_unit,
)
from scalekern.report.table import bytes_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FEW = 3000  # rows up to which each is drawn as a point


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
    seconds = [_seconds(row) for row in rows]
    title = "Error against time: further down and to the left is better"
    label = "Time to fit and predict (seconds, logarithmic)"
    return _plot_error_against(rows, seconds, path, ax, title, label, unit, "{:g}".format)


def plot_error_against_size(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    unit: str | None = None,
) -> Figure:
    """Draw each model as a point: its error against the bytes that it stores.

    Parameters
    ----------
    rows : sequence of mappings
        One a model, with `model`, `rmse`, `model_bytes` and if known `n_train`.
    path, ax, unit : as in `plot_error_against_time`

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
    sizes = [row["model_bytes"] for row in rows]
    title = "Error against memory: further down and to the left is better"
    label = "Size of the model (logarithmic)"
    return _plot_error_against(rows, sizes, path, ax, title, label, unit, _round_bytes)


def _plot_error_against(
    rows: Sequence[Mapping[str, Any]],
    costs: Sequence[float | None],
    path: str | Path | None,
    ax: Axes | None,
    title: str,
    x_label: str,
    unit: str | None,
    text: Callable[[float], str],
) -> Figure:
    ax = axes_to_draw_on(ax, (7.2, 4.6))
    known = [
        (row, max(float(cost), 1e-4))
        for row, cost in zip(rows, costs, strict=True)
        if row["rmse"] is not None and np.isfinite(row["rmse"]) and cost is not None
    ]
    if not known:
        raise InvalidInputError("there is nothing to draw: no row has a finite rmse")
    rows = [row for row, _ in known]
    xy = np.array([[cost, row["rmse"]] for row, cost in known])
    for (x, y), row in zip(xy, rows, strict=True):
        marker, colour = marker_of(row["model"]), colour_of(row["model"])
        size = 13 if marker == "*" else 8
        ax.plot(x, y, marker, color=colour, markeredgecolor="white", markersize=size, zorder=3)
    dress(ax, title, x_label, with_unit("RMSE on test rows", unit))
    limit_costs(ax, xy[:, 0], text)
    limit_errors(ax, xy[:, 1], margin=0.16)
    lines = _connect(ax, xy, [row["model"] for row in rows])
    colours = [colour_of(row["model"]) for row in rows]
    label_points(ax, xy, _names(rows), colours, lines=lines)
    return finish(ax, path)


def _connect(ax: Axes, xy: np.ndarray, models: Sequence[str]) -> list[np.ndarray]:
    """Draw the Pareto front as light steps, join the sizes of one family; return these lines."""
    from matplotlib.collections import LineCollection

    drawn = []
    front = xy[on_front(*xy.T)]
    front = front[np.argsort(front[:, 0])]
    if len(front) > 1:
        corners = np.column_stack([front[1:, 0], front[:-1, 1]])
        steps = np.empty((2 * len(front) - 1, 2))
        steps[::2], steps[1::2] = front, corners
        style: dict[str, Any] = {"colors": QUIET, "linestyles": (0, (1, 2)), "alpha": 0.8}
        ax.add_collection(LineCollection([steps], linewidths=1.0, zorder=1, **style))
        drawn.append(steps)
    for family in dict.fromkeys(map(family_of, models)):
        own = xy[[family_of(model) == family for model in models]]
        if len(own) > 1:
            lines = LineCollection([own], colors=colour_of(family), linewidths=1.0, alpha=0.5)
            ax.add_collection(lines)
            drawn.append(own)
    return drawn


def _seconds(row: Mapping[str, Any]) -> float | None:
    times = row["fit_seconds"], row["predict_seconds"]
    return None if None in times else sum(times)


def _round_bytes(size: float) -> str:
    return bytes_text(size).replace(".0 ", " ")


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
        ends.append((error, name_of(model), colour_of(model)))
    if exact_rmse is not None:
        ax.axhline(exact_rmse, color=colour_of("exact"), linewidth=1.4, linestyle=(0, (5, 3)))
        ends.append((exact_rmse, name_of("exact"), colour_of("exact")))
    for model, (sizes, errors) in lines.items():
        style: dict[str, Any] = {"color": colour_of(model), "marker": marker_of(model)}
        ax.plot(
            sizes, errors, **style, markersize=5.5, linewidth=1.8, markeredgecolor="white", zorder=3
        )
        ends.append((float(errors[-1]), name_of(model), colour_of(model)))
    dress(
        ax,
        "Error against components: the dashed line is the exact model"
        if exact_rmse is not None
        else "Error against components",
        "Landmarks or random features (number, logarithmic)",
        with_unit("RMSE on test rows", unit),
    )
    every_size = np.unique(np.concatenate([sizes for sizes, _ in lines.values()]))
    limit_sizes(ax, every_size)
    drawn = [end[0] for end in ends] + [error for _, errors in lines.values() for error in errors]
    limit_errors(ax, np.asarray(drawn), margin=0.08)
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
            f"y has {len(y)} values and predicted {len(predicted)}; give equally many of both, at "
            "least one"
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


def plot_alpha_path(
    alphas: Any,
    scores: Any,
    alpha: float,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    title: str = "Error along the path of alpha",
) -> Figure:
    """Draw the validation error of each alpha that was tried, and the one that was chosen.

    Parameters
    ----------
    alphas, scores : array-like of shape (n_alphas,)
        Scores are mean squared errors of rows that were left out.
    alpha : float
        The one that was chosen.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If no alpha above 0 has a finite score.
    MissingExtraError
        If matplotlib is not installed.
    """
    tried, errors = np.ravel(alphas), np.ravel(scores)
    drawn = (tried > 0) & np.isfinite(errors)
    if not drawn.any():
        raise InvalidInputError("there is nothing to draw: no alpha above 0 has a finite score")
    order = np.argsort(tried[drawn], kind="stable")
    tried, errors = tried[drawn][order], errors[drawn][order]
    ax = axes_to_draw_on(ax, (7.2, 4.4))
    colour = colour_of("nystroem")
    ax.plot(tried, errors, "o-", color=colour, markersize=4, linewidth=1.6, zorder=3)
    dress(ax, title, "alpha (logarithmic)", "Mean squared error of rows left out")
    ax.set_xscale("log")
    limit_errors(ax, errors, margin=0.1)
    if alpha > 0:
        ax.axvline(alpha, color=INK, linewidth=1.1, linestyle=(0, (5, 3)), zorder=2)
        right = np.searchsorted(tried, alpha) < 0.7 * len(tried)
        ax.annotate(
            f"chosen: {alpha:.3g}",
            (alpha, 0.96),
            xycoords=ax.get_xaxis_transform(),
            xytext=(6 if right else -6, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top",
            fontsize=9.5,
            color=INK,
        )
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
    found = []
    for row, note in zip(rows, rows_noted(rows), strict=True):
        name = name_of(row["model"])
        if family_of(row["model"]) != row["model"] and not _is_largest(row, rows):
            name = name.rpartition(" ")[2]  # the line leads to the full name
        found.append(f"{name}{note}")
    return found


def _is_largest(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> bool:
    own = [r["model"] for r in rows if family_of(r["model"]) == family_of(row["model"])]
    return row["model"] == own[-1]


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


def _middle(y: np.ndarray, predicted: np.ndarray) -> tuple[float, float]:
    """Return limits of the middle 99% of both, a little widened; all of them where few."""
    share = 0.0 if len(y) <= FEW else 0.005
    both = np.concatenate([y, predicted])
    low, high = np.quantile(both[np.isfinite(both)], [share, 1 - share])
    room = 0.03 * (high - low) or 1.0
    return float(low - room), float(high + room)
