"""Limits and ticks of axes: which range is shown, and which numbers are written beside it.

Apart from the pictures because all of them share it, and it knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDE = 4.0  # the ratio of errors above which their axis is logarithmic


def limit_costs(ax: Axes, costs: np.ndarray, text: Callable[[float], str]) -> None:
    """Show at least a decade and a half, whole decades marked by `text` of their number."""
    least, most = np.log10([costs.min(), costs.max()])
    middle, half = (least + most) / 2, max((most - least) / 2 + 0.35, 0.75)
    ax.set(xscale="log", xlim=(10 ** (middle - half), 10 ** (middle + half)))
    ax.xaxis.set_major_formatter(lambda value, _: text(value))


def limit_sizes(ax: Axes, sizes: np.ndarray) -> None:
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


def limit_errors(ax: Axes, errors: np.ndarray, margin: float) -> None:
    """Leave room above and below; logarithmic where one error dwarfs the others."""
    low, high = float(errors.min()), float(errors.max())
    if low > 0 and high / low > WIDE:
        ax.set(yscale="log", ylim=(low * (low / high) ** margin, high * (high / low) ** margin))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        if high / low < 100:  # too few whole decades to read the axis by
            ax.yaxis.set_minor_formatter(_some_minor)
        return
    room = max(high - low, 1e-3 * abs(high), 1e-12) * margin
    ax.set_ylim(low - room, high + room)


def _some_minor(value: float, _: object) -> str:
    """Write 2 and 5 between the decades, and nothing else."""
    digit = value / 10 ** np.floor(np.log10(value))
    return f"{value:g}" if np.isclose(digit, [2, 5]).any() else ""
