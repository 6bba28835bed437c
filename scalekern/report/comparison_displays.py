"""Displays of several models: their errors against what they cost, and against their components.

Apart from the displays of one fitted model, for these draw the rows of a comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import clone

from scalekern.errors import InvalidInputError
from scalekern.report.comparison import Comparison
from scalekern.report.display import Display
from scalekern.report.pictures import (
    plot_error_against_components,
    plot_error_against_size,
    plot_error_against_time,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ErrorCostDisplay(Display):
    """The error of each compared model against what it costs, with the Pareto front.

    Parameters
    ----------
    rows : sequence of mappings
        Of `Comparison.rows()`; models without errors are not drawn.
    cost : {"seconds", "bytes"}, default="seconds"
        Time to fit and predict, or the size of the model.
    unit : str, optional
        Of the target.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    MissingExtraError
        By `plot`, where matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np, scalekern
    >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
    >>> table = scalekern.compare(X, np.sin(X[:, 0]), models=["exact", "linear"])
    >>> display = scalekern.ErrorCostDisplay.from_comparison(table, cost="bytes")
    >>> display.ax_.get_xlabel()
    'Size of the model (logarithmic)'
    """

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], *, cost: str = "seconds", unit: str | None = None
    ) -> None:
        if cost not in ("seconds", "bytes"):
            raise InvalidInputError(f"cost={cost!r}; choose one of 'seconds', 'bytes'")
        self.rows, self.cost, self.unit = list(rows), cost, unit

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, *, ax: Axes | None = None, **options: Any
    ) -> Self:
        """Draw what `scalekern.compare` returned.

        Parameters
        ----------
        comparison : Comparison
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        **options
            `cost` and `unit`, as of the class.

        Returns
        -------
        ErrorCostDisplay
        """
        return cls(comparison.rows(), **options).plot(ax)

    def _draw(self, ax: Axes) -> None:
        plot = plot_error_against_time if self.cost == "seconds" else plot_error_against_size
        plot(self.rows, ax=ax, unit=self.unit)


class ComponentsDisplay(Display):
    """The error of approximations against their number of components.

    Parameters
    ----------
    curves : sequence of mappings
        With `model`, `n_components` and `rmse`, as from `Comparison.curves()`.
    exact_rmse : float, optional
        Of the exact model, which they approach.
    unit : str, optional
        Of the target.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    MissingExtraError
        By `plot`, where matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from scalekern import ComponentsDisplay, SimilarityRegressor
    >>> X = np.linspace(0, 6, 80)[:, None]
    >>> y = np.sin(X[:, 0])
    >>> model = SimilarityRegressor(gamma=1.0, alpha=0.1, approximation="nystroem", random_state=0)
    >>> display = ComponentsDisplay.from_estimator(
    ...     model, X[::2], y[::2], X[1::2], y[1::2], n_components=[2, 8, 32])
    >>> [curve["n_components"] for curve in display.curves]
    [2, 8, 32]
    """

    _size = (7.6, 4.6)

    def __init__(
        self,
        curves: Sequence[Mapping[str, Any]],
        exact_rmse: float | None = None,
        *,
        unit: str | None = None,
    ) -> None:
        self.curves, self.exact_rmse, self.unit = list(curves), exact_rmse, unit

    @classmethod
    def from_comparison(
        cls, comparison: Comparison, *, ax: Axes | None = None, unit: str | None = None
    ) -> Self:
        """Draw a comparison of several sizes: of ``compare(..., n_components=[125, 250])``.

        Parameters
        ----------
        comparison : Comparison
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        unit : str, optional
            Of the target.

        Returns
        -------
        ComponentsDisplay

        Raises
        ------
        InvalidInputError
            If there is one size only.

        Examples
        --------
        >>> import matplotlib; matplotlib.use("Agg")
        >>> import numpy as np, scalekern
        >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
        >>> table = scalekern.compare(
        ...     X, np.sin(X[:, 0]), models=["exact", "nystroem"], n_components=[5, 20])
        >>> display = scalekern.ComponentsDisplay.from_comparison(table)
        >>> display.exact_rmse == table.exact_rmse
        True
        """
        curves = comparison.curves()
        if not curves:
            raise InvalidInputError(
                "the comparison has only one size of each model, and a curve needs several; pass "
                "compare(..., n_components=[125, 250, 500])"
            )
        return cls(curves, comparison.exact_rmse, unit=unit).plot(ax)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        X_test: Any,
        y_test: Any,
        *,
        n_components: Sequence[int],
        exact_rmse: float | None = None,
        ax: Axes | None = None,
        unit: str | None = None,
    ) -> Self:
        """Fit a clone of a regressor at each size, measure it on the test rows, and draw.

        Parameters
        ----------
        estimator : SimilarityRegressor
        X, X_test : array or frame of shape (n, d)
        y, y_test : array of shape (n,)
        n_components : sequence of int
        exact_rmse : float, optional
            Of the exact model, which they approach.
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        unit : str, optional
            Of the target.

        Returns
        -------
        ComponentsDisplay
        """
        curves = []
        for size in n_components:
            model = clone(estimator).set_params(n_components=size).fit(X, y)
            error = np.ravel(model.predict(X_test)) - np.ravel(np.asarray(y_test, dtype=float))
            rmse = float(np.sqrt(np.mean(error**2)))
            name = model.report_["approximation"]
            curves.append({"model": name, "n_components": size, "rmse": rmse})
        return cls(curves, exact_rmse, unit=unit).plot(ax)

    def _draw(self, ax: Axes) -> None:
        plot_error_against_components(self.curves, self.exact_rmse, ax=ax, unit=self.unit)
