"""What all displays share: drawing on given axes or on new ones, as scikit-learn's displays do.

Apart from them, since those of models and those of comparisons stand in modules of their own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

from scalekern.errors import missing_extra
from scalekern.report.style import figure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Display(ABC):
    """What all displays share: `plot`, and after it `ax_` and `figure_`."""

    _size = (7.2, 4.6)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.

        Returns
        -------
        self
            With `ax_` and `figure_`.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        """
        self.ax_ = self._new_axes() if ax is None else ax
        self.figure_ = figure_of(self.ax_)
        self._draw(self.ax_)
        return self

    def _new_axes(self) -> Axes:
        try:
            from matplotlib import pyplot as plt
        except ImportError:
            raise missing_extra("matplotlib", "plot") from None
        return plt.subplots(figsize=self._size, layout="constrained")[1]

    @abstractmethod
    def _draw(self, ax: Axes) -> None: ...
