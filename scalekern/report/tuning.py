"""The measured curve of an approximate index: what each setting finds, and the work it takes.

Separate from the other pictures because it is of an index and needs no test rows: all that is drawn
was measured in `fit` and is kept, and saved, with the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalekern.errors import InvalidInputError
from scalekern.report.style import COLOURS, INK, MARKERS, QUIET, axes_to_draw_on, dress, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_KINDS = {
    "ivfpq": ("lists of four-bit codes", "nystroem"),
    "ivfsq": ("lists of byte codes", "fourier"),
    "ivf": ("lists of rows", "knn"),
    "hnsw": ("graph", "local"),
    "factory": ("FAISS index", "linear"),
}
_NAMES = {"excess_error": "error above that of exact neighbours", "recall": "recall"}


class TuningDisplay:
    """Recall, or error, against counted work: every setting tried, and the one chosen.

    Parameters
    ----------
    tuning : list of dict
        `tuning_` of a fitted k-NN estimator.
    target : float
        What was asked for.
    chosen : dict
        The line of `tuning` that was taken.
    value : {"recall", "excess_error"}, default="recall"
        What was tuned to.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import KNeighborsRegressor
    >>> X = np.random.default_rng(0).normal(size=(2000, 10))
    >>> model = KNeighborsRegressor(algorithm="ivf", random_state=0).fit(X, X[:, 0])
    >>> display = TuningDisplay.from_estimator(model)
    >>> display.ax_.get_ylabel()
    'recall'
    """

    def __init__(
        self,
        tuning: Sequence[dict[str, Any]],
        *,
        target: float,
        chosen: dict[str, Any],
        value: str = "recall",
    ) -> None:
        self.tuning = list(tuning)
        self.target = target
        self.chosen = chosen
        self.value = value

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, path: str | Path | None = None
    ) -> TuningDisplay:
        """Draw the curve of a fitted `KNeighborsRegressor` or `KNeighborsClassifier`.

        Parameters
        ----------
        estimator : fitted estimator
        ax : matplotlib Axes, optional
        path : path, optional
            Also write the picture.

        Returns
        -------
        TuningDisplay

        Raises
        ------
        InvalidInputError
            If its index is exact, and so was not tuned.
        """
        tuning = getattr(estimator, "tuning_", [])
        if not tuning:
            raise InvalidInputError(
                f"this {type(estimator).__name__} has no tuning to draw: "
                f"{getattr(estimator, 'index_description_', 'it is not fitted')}"
            )
        value = "excess_error" if estimator.target_error is not None else "recall"
        target = estimator.target_recall if value == "recall" else estimator.target_error
        display = cls(tuning, target=target, chosen=estimator.tuned_, value=value)
        display.plot(ax=ax, path=path)
        return display

    def plot(self, ax: Axes | None = None, path: str | Path | None = None) -> Figure:
        """Draw on `ax`, or on new axes.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        path : path, optional
            Also write the picture.

        Returns
        -------
        matplotlib Figure
        """
        ax = self.ax_ = axes_to_draw_on(ax, (6.4, 4.2))
        for (kind, candidates), lines in self._curves().items():
            name, colour = _KINDS.get(kind, (kind, "exact"))
            more = "" if candidates is None else f", {candidates} candidates"
            ax.plot(
                [line["work"] / 1e3 for line in lines],
                [line[self.value] for line in lines],
                marker=MARKERS[colour],
                color=COLOURS[colour],
                alpha=1.0 if (kind, candidates) == _curve_of(self.chosen) else 0.35,
                markersize=4,
                linewidth=1.2,
                label=f"{name}{more}",
            )
        self._mark(ax)
        dress(ax, "Settings tried", "counted work of a query (microseconds)", _NAMES[self.value])
        ax.set_xscale("log")
        ax.legend(fontsize=8, frameon=False, labelcolor=INK)
        self.figure_ = finish(ax, path)
        return self.figure_

    def _curves(self) -> dict[tuple[str, int | None], list[dict[str, Any]]]:
        curves: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
        for line in self.tuning:
            curves.setdefault(_curve_of(line), []).append(line)
        return curves

    def _mark(self, ax: Axes) -> None:
        ax.axhline(self.target, color=QUIET, linewidth=0.9, linestyle="--")
        work, value = self.chosen["work"] / 1e3, self.chosen[self.value]
        ax.plot([work], [value], marker="o", markersize=11, fillstyle="none", color=INK)
        knob = next(n for n in ("nprobe", "efSearch", "setting") if n in self.chosen)
        ax.annotate(
            f"{knob} {self.chosen[knob]}",
            (work, value),
            textcoords="offset points",
            xytext=(10, -12),
            fontsize=9,
            color=INK,
        )


def _curve_of(line: dict[str, Any]) -> tuple[str, int | None]:
    return str(line["index"]), line.get("candidates")
