"""Displays of one fitted model, as scikit-learn's: made from it or from plain numbers.

Each holds what it shows as attributes, and draws it by the functions of the pictures; apart from
them because a picture needs no model. Without `ax` they draw by pyplot, as scikit-learn's do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.explanation import Explanation
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.streaming import last_step
from scalekern.report.display import Display
from scalekern.report.explanation import explanation_text, plot_explanation
from scalekern.report.pictures import (
    plot_alpha_path,
    plot_predictions,
)
from scalekern.storage.registry import steps_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ApproximationErrorDisplay(Display):
    """Predictions of an approximate model against those of the exact one.

    Parameters
    ----------
    exact, approximate : array of shape (n,)
        Predictions of the same rows.
    name : str, default="approximation"
    unit : str, optional
        Of the target.

    Attributes
    ----------
    difference_ : float
        The root mean squared difference, in units of the target.
    ax_, figure_ : matplotlib Axes and Figure

    Raises
    ------
    MissingExtraError
        By `plot`, where matplotlib is not installed.

    Examples
    --------
    >>> import matplotlib; matplotlib.use("Agg")
    >>> import numpy as np
    >>> from scalekern import ApproximationErrorDisplay, SimilarityRegressor
    >>> X = np.linspace(0, 6, 80)[:, None]
    >>> exact = SimilarityRegressor(gamma=1.0, alpha=0.1, approximation="exact")
    >>> few = SimilarityRegressor(gamma=1.0, alpha=0.1, approximation="nystroem",
    ...                           n_components=4, random_state=0)
    >>> models = [model.fit(X, np.sin(X[:, 0])) for model in (exact, few)]
    >>> display = ApproximationErrorDisplay.from_estimator(models[1], X, exact=models[0])
    >>> display.difference_ > 0, display.ax_.get_xlabel()
    (True, "Exact model's prediction")
    """

    _size = (6.2, 5.2)

    def __init__(
        self, exact: Any, approximate: Any, *, name: str = "approximation", unit: str | None = None
    ) -> None:
        self.exact = np.ravel(np.asarray(exact, dtype=float))
        self.approximate = np.ravel(np.asarray(approximate, dtype=float))
        if self.exact.shape != self.approximate.shape or not len(self.exact):
            raise InvalidInputError(
                f"exact has {len(self.exact)} predictions and approximate "
                f"{len(self.approximate)}; give equally many of both, at least one"
            )
        self.name, self.unit = name, unit
        self.difference_ = float(np.sqrt(np.mean((self.exact - self.approximate) ** 2)))

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, exact: Any, ax: Axes | None = None, **options: Any
    ) -> Self:
        """Predict with two fitted models, and draw.

        Parameters
        ----------
        estimator : fitted regressor
        X : array, frame or rows
            What both predict.
        exact : fitted regressor
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        **options
            `name` and `unit`, as of the class.

        Returns
        -------
        ApproximationErrorDisplay
        """
        return cls.from_predictions(exact.predict(X), estimator.predict(X), ax=ax, **options)

    @classmethod
    def from_predictions(
        cls, exact: Any, approximate: Any, *, ax: Axes | None = None, **options: Any
    ) -> Self:
        """Draw predictions that are already made.

        Parameters
        ----------
        exact, approximate : array of shape (n,)
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        **options
            `name` and `unit`, as of the class.

        Returns
        -------
        ApproximationErrorDisplay

        Raises
        ------
        InvalidInputError
            If there are not as many of both, or none.

        Examples
        --------
        >>> import matplotlib; matplotlib.use("Agg")
        >>> from scalekern import ApproximationErrorDisplay
        >>> display = ApproximationErrorDisplay.from_predictions([1.0, 2.0], [1.0, 2.5])
        >>> round(display.difference_, 3)
        0.354
        """
        return cls(exact, approximate, **options).plot(ax)

    def _draw(self, ax: Axes) -> None:
        title = f"{self.name} against exact: RMS difference {self.difference_:.3g}"
        plot_predictions(
            self.exact,
            self.approximate,
            ax=ax,
            title=title.replace("$", r"\$"),
            x_label="Exact model's prediction",
            y_label="Approximate prediction",
            unit=self.unit,
        )


class AlphaPathDisplay(Display):
    """The validation error of each alpha that a model tried, and the one that it chose.

    Parameters
    ----------
    alphas, scores : array of shape (n_alphas,)
    alpha : float
        The chosen one.

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
    >>> from scalekern import AlphaPathDisplay, SimilarityRegressor
    >>> X = np.linspace(0, 6, 80)[:, None]
    >>> model = SimilarityRegressor(gamma=1.0).fit(X, np.sin(X[:, 0]))
    >>> AlphaPathDisplay.from_estimator(model).alpha == model.alpha_
    True
    >>> display = AlphaPathDisplay(model.alphas_, model.scores_, model.alpha_).plot()
    >>> display.figure_ is display.ax_.figure
    True
    """

    _size = (7.2, 4.4)

    def __init__(self, alphas: Any, scores: Any, alpha: float) -> None:
        self.alphas, self.scores, self.alpha = np.ravel(alphas), np.ravel(scores), alpha

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the path of a fitted model, or of a pipeline that ends in one.

        Parameters
        ----------
        estimator : fitted estimator or pipeline
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.

        Returns
        -------
        AlphaPathDisplay

        Raises
        ------
        UnsupportedError
            If alpha was given, so that there is no path.
        """
        last = steps_of(estimator)[-1]
        check_is_fitted(last)
        model = getattr(last, "model_", last)  # a classifier's scores are a model's
        if getattr(model, "alphas_", None) is None:
            raise UnsupportedError(
                f"{type(last).__name__} has tried no path of alphas: alpha was given as a number, "
                "or the model has none; fit a similarity model with alpha='loo', 'gcv', 'cv' or an "
                "array"
            )
        return cls(model.alphas_, model.scores_, model.alpha_).plot(ax)

    def _draw(self, ax: Axes) -> None:
        plot_alpha_path(self.alphas, self.scores, self.alpha, ax=ax)


class ExplanationDisplay(Display):
    """The training rows that lead from the baseline to one prediction, the strongest on top.

    As text, a table of them.

    Parameters
    ----------
    explanation : Explanation
        What `explain` of a model returned.
    query : int, default=0
        Which of its queries.
    output : int, default=0
        Which output, or class of a classifier.
    most : int, default=12
        How many rows get a bar.
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
    >>> from scalekern import ExplanationDisplay, KNeighborsRegressor
    >>> model = KNeighborsRegressor(2).fit([[0.0], [1.0], [5.0]], [1.0, 3.0, 9.0])
    >>> display = ExplanationDisplay.from_estimator(model, [[0.4]])
    >>> display.explanation.row_id.tolist()
    [[0, 1]]
    >>> print(display)
    rank  row  weight  similarity  target  contribution
    ...
    """

    def __init__(
        self,
        explanation: Explanation,
        *,
        query: int = 0,
        output: int = 0,
        most: int = 12,
        unit: str | None = None,
    ) -> None:
        self.explanation = explanation
        self.query, self.output, self.most, self.unit = query, output, most, unit
        self._size = (8.0, 2.0 + 0.33 * min(most + 1, explanation.weight.shape[1] + 1))

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, rows: Any = None, ax: Axes | None = None, **options: Any
    ) -> Self:
        """Explain the predictions for some rows, and draw one.

        Parameters
        ----------
        estimator : fitted estimator or pipeline
        X : array, frame or rows of shape (n, d), or objects
        rows : rows, optional
            Training rows to take the explanation from, as in `explain` of the model.
        ax : matplotlib Axes, optional
            Draw there instead of on a new figure.
        **options
            `query`, `output`, `most` and `unit`, as of the class.

        Returns
        -------
        ExplanationDisplay
        """
        model, queries = last_step(estimator, X)
        if rows is not None:
            rows = last_step(estimator, rows)[1]
        return cls(model.explain(queries, rows), **options).plot(ax)

    def __str__(self) -> str:
        return explanation_text(self.explanation.top(self.most), self.query)

    def _draw(self, ax: Axes) -> None:
        options: dict[str, Any] = {"output": self.output, "most": self.most, "unit": self.unit}
        plot_explanation(self.explanation, self.query, ax=ax, **options)
