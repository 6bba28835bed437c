"""The picture of a certificate: the gap to the exact model against the rows of the subproblems.

Apart from the estimators, which give plain arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scalekern.approximations.certificate import Gap
from scalekern.report.labels import label_points
from scalekern.report.style import COLOURS, QUIET, axes_to_draw_on, dress, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_gap(found: Gap, path: str | Path | None = None, ax: Axes | None = None) -> Figure:
    """Draw the gap to the exact model with its 95% confidence interval.

    Parameters
    ----------
    found : Gap
        From `gap_to_exact` of a model.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    ax = axes_to_draw_on(ax, (6.4, 4.2))
    ends = found.size, found.low, found.high
    reach = np.maximum([found.gap - found.low, found.high - found.gap], 0.0)
    ax.errorbar(
        found.size, found.gap, reach, fmt="o-", color=COLOURS["nystroem"], capsize=4, zorder=3
    )
    dress(
        ax,
        "Gap to the exact model, solved on parts of the rows",
        "Training rows of each part (logarithmic)",
        "Gap to exact (standard deviations of the target)",
    )
    ax.set_xscale("log")
    ax.set_xticks(found.size, [f"{n:,}" for n in found.size])
    ax.minorticks_off()
    ax.set_xlim(found.size[0] / 1.3, found.size[-1] * 1.5)
    ax.set_ylim(0, 1.15 * max(found.high.max(), 1e-14))
    points = np.column_stack([found.size, found.gap])
    bars = [np.array([[x, low], [x, high]]) for x, low, high in zip(*ends, strict=True)]
    texts, colours = [f"{gap:.2g}" for gap in found.gap], [QUIET] * len(points)
    label_points(ax, points, texts, colours, lines=[points, *bars])
    return finish(ax, path)
