"""How the pictures look: a figure, its axes, the colour of each model, and how a file is written.

Apart from the pictures so that a model has one colour and one marker in all of them. Figures are
made without pyplot: no window, no global state, the same on a server.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalekern.errors import InvalidInputError, missing_extra
from scalekern.report.names import family_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, made to be told apart with any colour vision; with a marker as well.
COLOURS = {
    "exact": "#222222",
    "linear": "#767676",
    "knn": "#C27C00",
    "nystroem": "#0072B2",
    "fourier": "#007F5F",
    "local": "#B0467E",
    "auto": "#D55E00",
}
MARKERS = {
    "exact": "*", "linear": "s", "knn": "^", "nystroem": "o", "fourier": "D", "local": "v",
    "auto": "P",
}  # fmt: skip
INK, QUIET, FAINT = "#222222", "#6B6B6B", "#E4E4E4"
DPI = 150


def colour_of(model: str) -> str:
    """Return the colour that a model has in every picture."""
    return COLOURS.get(family_of(model), INK)


def marker_of(model: str) -> str:
    """Return the marker that a model has in every picture."""
    return MARKERS.get(family_of(model), "o")


def axes_to_draw_on(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """Return `ax`, or the axes of a new figure of `size` inches.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    if ax is not None:
        return ax
    return Figure(figsize=size, layout="constrained", facecolor="white").add_subplot()


def dress(ax: Axes, title: str, x_label: str, y_label: str) -> None:
    """Give axes their title and labels, and take away what does not inform."""
    ax.set_title(title, loc="left", fontsize=11.5, color=INK, pad=10)
    ax.set_xlabel(x_label, fontsize=10, color=INK)
    ax.set_ylabel(y_label, fontsize=10, color=INK)
    ax.tick_params(which="both", color=QUIET, labelcolor=QUIET, labelsize=9)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(QUIET)
    ax.grid(visible=True, which="major", color=FAINT, linewidth=0.8)
    ax.set_axisbelow(True)


def with_unit(text: str, unit: str | None) -> str:
    """Return an axis label with its unit in parentheses, if there is one."""
    if not unit:
        return text
    plain = unit if len(unit) <= 30 else f"{unit[:29]}…"
    return f"{text} ({plain})".replace("$", r"\$")  # which would begin a formula


def figure_of(ax: Axes) -> Any:
    """Return the whole figure, also for axes in a part of one."""
    return ax.figure.figure


def finish(ax: Axes, path: str | Path | None) -> Figure:
    """Write the picture if there is a path, and return its figure.

    Raises
    ------
    InvalidInputError
        If the file cannot be written, or its ending is no picture format.
    """
    figure = figure_of(ax)
    if path is None:
        return figure
    path = Path(path)
    kinds = figure.canvas.get_supported_filetypes()
    kind = path.suffix[1:].lower()
    if kind not in kinds:
        raise InvalidInputError(
            f"cannot write {path}: its name must end in one of {', '.join(sorted(kinds))}"
        )
    # Under another name first, so that a failure leaves no half a picture.
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        figure.savefig(unfinished, dpi=DPI, format=kind)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}; give a folder that exists and can "
            "be written"
        ) from error
    return figure
