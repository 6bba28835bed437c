"""An explained prediction of images: the query, and the training rows that speak for it.

Apart from the bars of `explanation`, because bars say how much and these say why.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.approximations.explanation import Explanation
from scalekern.errors import InvalidInputError
from scalekern.report.explanation import cell, outcome, single_output, steps_of
from scalekern.report.style import INK, QUIET, axes_to_draw_on, finish

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 6


def plot_explanation_images(
    why: Explanation,
    asked: Any,
    shown: Any,
    shape: tuple[int, int],
    query: int = 0,
    path: str | Path | None = None,
    *,
    output: int | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the query and the strongest training rows as grey images, with what each adds.

    Parameters
    ----------
    why : Explanation
    asked : array of shape (height * width,)
        The query's pixels.
    shown : array of shape (n_images, height * width)
        Those of its first training rows, in the order of `why`.
    shape : (int, int)
        Height and width.
    query : int, default=0
        Which query of `why`.
    path : path, optional
        Write the picture there.
    output : int, optional
        Which output or class; by default the first, or the class of the highest prediction.
    title : str, optional

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If a row has not height * width pixels, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    asked, shown = np.asarray(asked, dtype=float), np.asarray(shown, dtype=float)
    if asked.size != shape[0] * shape[1]:
        raise InvalidInputError(
            f"images of {shape[0]} x {shape[1]} are {shape[0] * shape[1]} pixels, but a row has "
            f"{asked.size} columns"
        )
    output = single_output(why, query, output)
    steps = steps_of(why, query, output)
    lines = -(-(len(shown) + 1) // COLUMNS)
    first = axes_to_draw_on(None, (1.55 * COLUMNS, 0.75 + 2.15 * lines))
    figure: Any = first.figure
    first.remove()
    grid = figure.subplots(lines, COLUMNS, squeeze=False).ravel()
    for ax in grid:
        ax.set_axis_off()
    low, high = min(asked.min(), shown.min()), max(asked.max(), shown.max())
    for j, image in enumerate([asked, *shown]):
        grid[j].imshow(image.reshape(shape), cmap="gray_r", vmin=low, vmax=high)
        if j:
            kind = "target" if why.classes is None else "class"
            text = f"row {why.row_id[query, j - 1]}\n"
            target = cell(np.asarray(why.target[query, j - 1]).tolist())
            text += f"{kind} {target}, adds {steps[j - 1]:+.3g}"
            grid[j].text(0.5, -0.04, text, transform=grid[j].transAxes, ha="center",
                         va="top", fontsize=8.5, color=QUIET)  # fmt: skip
    grid[0].set_title("the query", fontsize=9.5, color=INK)
    figure.suptitle(
        f"{title or 'The training rows that weigh most'}\n{outcome(why, query, output)}; from "
        f"the baseline {cell(float(np.ravel(why.baseline)[output]))} each row adds its part",
        fontsize=10.5, color=INK, x=0.01, ha="left",
    )  # fmt: skip
    return finish(grid[0], path)
