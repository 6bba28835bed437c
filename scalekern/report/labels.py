"""Names beside points and lines instead of a legend, so placed that none covers another.

Apart from the pictures because it is geometry in pixels: where a label fits is known only once the
axes have their size, and has nothing to do with what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.report.style import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Where a label may stand, best first: points (1/72 inch) from the marker, and how it is aligned.
NEAR = [
    (9, 0, "left", "center"),
    (-9, 0, "right", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (7, 7, "left", "bottom"),
    (7, -7, "left", "top"),
    (-7, 7, "right", "bottom"),
    (-7, -7, "right", "top"),
]
# Further away, a thin line leads back to the marker.
FAR = [
    (side * 14 * reach, rise * 14 * reach, "left" if side > 0 else "right", "center")
    for reach in (1.6, 2.6, 3.6, 4.6)
    for rise in (1, -1)
    for side in (1, -1)
]


def label_points(
    ax: Axes,
    xy: np.ndarray,
    texts: Sequence[str],
    colours: Sequence[str],
    size: float = 9.5,
    *,
    lines: Sequence[np.ndarray] = (),
) -> list[Any]:
    """Write a name beside each point, inside the frame and clear of other names, points and lines.

    Parameters
    ----------
    ax : matplotlib Axes
        With its final limits and scales.
    xy : array of shape (n, 2)
        In data coordinates.
    texts, colours : sequences of n str
    size : float, default=9.5
        Of the letters, in points.
    lines : sequence of arrays of shape (corners, 2), optional
        What is drawn through corners in data coordinates, which no name should stand on.

    Returns
    -------
    list of matplotlib Annotation
    """
    from matplotlib.patheffects import withStroke

    figure = figure_of(ax)
    figure.draw_without_rendering()  # settles the layout
    pixel = figure.dpi / 72
    markers = [_square(centre, 6 * pixel) for centre in ax.transData.transform(xy)]
    dots = [dot for line in lines for dot in _dots(ax.transData.transform(line), 3 * pixel)]
    taken = [*markers, *(_square(dot, pixel) for dot in dots)]
    placed: list[np.ndarray] = []
    labels = []
    halo = [withStroke(linewidth=2.5, foreground="white")]  # lines pass behind letters
    for point, text, colour in zip(xy, texts, colours, strict=True):
        label = ax.annotate(
            text, point, xytext=(0, 0), textcoords="offset points", fontsize=size, color=colour,
            path_effects=halo,
        )  # fmt: skip
        _move_to_best(label, _frame(ax), np.array([*taken, *placed]))
        placed.append(_box(label))
        labels.append(label)
    return labels


def _move_to_best(label: Any, frame: np.ndarray, taken: np.ndarray) -> None:
    """Move a label to the first place where it fits, or where it collides least."""
    costs = []
    for place in [*NEAR, *FAR]:
        _move(label, place)
        box = _box(label)
        costs.append(_outside(box, frame) + float(_overlaps(box, taken).sum()))
        if costs[-1] == 0:
            break
    best = int(np.argmin(costs))
    place = [*NEAR, *FAR][best]
    _move(label, place)
    if best >= len(NEAR):
        line = {"color": label.get_color(), "linewidth": 0.7, "alpha": 0.6}
        label.axes.annotate(
            "",
            label.xy,
            xytext=place[:2],
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "shrinkA": 0, "shrinkB": 4, **line},
        )


def _move(label: Any, place: tuple[float, float, str, str]) -> None:
    label.set_position(place[:2])
    label.set(horizontalalignment=place[2], verticalalignment=place[3])


def _box(label: Any) -> np.ndarray:
    """Return a label's left, bottom, right and top in pixels."""
    return np.asarray(label.get_window_extent().extents)


def _frame(ax: Axes) -> np.ndarray:
    return np.asarray(ax.get_window_extent().extents)


def _square(centre: np.ndarray, half: float) -> np.ndarray:
    return np.concatenate([centre - half, centre + half])


def _dots(corners: np.ndarray, apart: float) -> np.ndarray:
    """Return points along the lines from corner to corner, at most `apart` from each other."""
    steps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    counts = np.maximum(np.ceil(steps / apart).astype(int), 1)
    ends = zip(corners, corners[1:], counts, strict=False)
    return np.concatenate([np.linspace(a, b, count + 1) for a, b, count in ends])


def _overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the area that a box has in common with each of others, shape (n,)."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return np.asarray(np.maximum(sides, 0).prod(axis=1))


def _outside(box: np.ndarray, frame: np.ndarray) -> float:
    """Return the area of a box outside the frame; that is worse than covering something."""
    area = float(np.prod(box[2:] - box[:2]))
    return 10 * max(area - float(_overlaps(box, frame[None])[0]), 0.0)


def label_ends(
    ax: Axes, heights: Sequence[float], texts: Sequence[str], colours: Sequence[str]
) -> list[Any]:
    """Write names of lines to the right of the axes, at their heights, moved apart where needed.

    Parameters
    ----------
    ax : matplotlib Axes
        With its final limits and scales.
    heights : sequence of n floats
        Where each line ends, in data coordinates.
    texts, colours : sequences of n str

    Returns
    -------
    list of matplotlib Annotation
    """
    figure = figure_of(ax)
    figure.draw_without_rendering()
    low, high = _frame(ax)[[1, 3]]
    ends = ax.transData.transform([(ax.get_xlim()[1], height) for height in heights])[:, 1]
    wanted = (ends - low) / (high - low)
    apart = 13.5 * figure.dpi / 72 / (high - low)
    labels = []
    for text, colour, at, end in zip(texts, colours, _spread(wanted, apart), wanted, strict=True):
        leader = {"arrowstyle": "-", "color": colour, "linewidth": 0.7, "alpha": 0.6}
        labels.append(
            ax.annotate(
                text,
                (1.0, end),
                xytext=(1.035, at),
                xycoords="axes fraction",
                textcoords="axes fraction",
                fontsize=9.5,
                color=colour,
                va="center",
                annotation_clip=False,
                arrowprops={**leader, "shrinkA": 1, "shrinkB": 1, "relpos": (0, 0.5)},
            )
        )
    return labels


def _spread(wanted: np.ndarray, apart: float) -> np.ndarray:
    """Return heights at least `apart` from each other, in the same order, near the wanted ones.

    Least squares under an order is isotonic regression: less their rank times the distance, the
    heights only have to rise.
    """
    from sklearn.isotonic import isotonic_regression

    order = np.argsort(wanted, kind="stable")
    steps = apart * np.arange(len(wanted))
    spread = np.empty(len(wanted))
    spread[order] = isotonic_regression(wanted[order] - steps) + steps
    return spread
