"""The picture of a learned metric: how much each feature counts in the distance of two rows.

Beside the pictures of comparisons, which are of several models; this one is of a single one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.report.style import COLOURS, INK, axes_to_draw_on, dress, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 25


def plot_feature_relevances(
    model: Any,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    names: Sequence[str] | None = None,
) -> Figure:
    """Draw the shares of the features in a learned metric, the largest first.

    Parameters
    ----------
    model : fitted estimator
        With `feature_relevances_`, so fitted with metric="learned" where that gained something.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    names : sequence of str, optional
        Of the features; those the model was fitted with, or their numbers.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If the model has learned no metric, or names do not fit it, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    shares = getattr(model, "feature_relevances_", None)
    if shares is None:
        raise InvalidInputError(
            f"this {type(model).__name__} has no learned metric to draw; fit it with "
            "metric='learned' (report_['metric'] is 'none' where none was better than the columns "
            "as they are)"
        )
    if names is None:
        names = getattr(model, "feature_names_in_", [f"feature {i}" for i in range(len(shares))])
    if len(names) != len(shares):
        raise InvalidInputError(
            f"names has {len(names)} entries, but the model has {len(shares)} features"
        )
    order = np.argsort(-shares, kind="stable")[:MOST_BARS]
    rest = 1.0 - shares[order].sum()
    labels, values = [str(names[i]) for i in order], [float(shares[i]) for i in order]
    if len(shares) > MOST_BARS:
        labels, values = [*labels, f"{len(shares) - MOST_BARS} others"], [*values, float(rest)]
    ax = axes_to_draw_on(ax, (7.2, 1.4 + 0.28 * len(values)))
    places = np.arange(len(values))[::-1]
    ax.barh(places, values, height=0.7, color=COLOURS["nystroem"])
    ax.set_yticks(places, labels)
    for place, value in zip(places, values, strict=True):
        ax.annotate(
            f"{value:.1%}", (value, place), (4, 0), textcoords="offset points",
            va="center", fontsize=9, color=INK,
        )  # fmt: skip
    ax.set_xlim(0, 1.12 * max(values))
    dress(ax, "What the learned metric looks at", "Share of the squared distance of two rows", "")
    ax.grid(visible=False, axis="y")
    return finish(ax, path)
