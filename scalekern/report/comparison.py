"""What `compare` returns: the table, the predictions, the models, and the one to take.

Apart from `compare`, which makes it, because the report and the pictures only read it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from scalekern.approximations.certificate import Gap, rms_interval
from scalekern.features import RowPreparer
from scalekern.report.measured import Result
from scalekern.report.names import family_of
from scalekern.report.recommend import Recommendation, recommend


@dataclass(frozen=True)
class Data:
    """What was compared on, for the report.

    Attributes
    ----------
    train, test : str
        Where the rows come from, such as a file; "" for arrays.
    n_train, n_test : int
    n_columns : int
        Before the preparation; 0 of objects.
    columns : tuple of str or None
        Their names.
    target : str or None
    weighted : bool
    """

    train: str
    test: str
    n_train: int
    n_test: int
    n_columns: int
    columns: tuple[str, ...] | None
    target: str | None
    weighted: bool


@dataclass
class Comparison:
    """What `compare` returns.

    Attributes
    ----------
    results : list of Result
    predictions : dict of float64 arrays
        Of each model, on the test rows.
    y_test : float64 array
    kernel, alpha : str, float
        What the similarity models shared; of the exact model where it ran.
    models : dict of fitted estimators
        Of scaled rows.
    preparer : RowPreparer or None
        The scaling; None for objects, which have no columns to scale.
    left_out : dict of str
        Models that were not tried, and why.
    settings : dict
        The parameters of `compare`.
    data : Data or None
    call : str
        The call of `compare` as code.
    certificates : dict of Gap
        Where the exact model was not fitted on the same rows, what `gap_to_exact` of the largest
        Nyström and Fourier model says.
    """

    results: list[Result]
    predictions: dict[str, np.ndarray]
    y_test: np.ndarray
    kernel: str
    alpha: float
    models: dict[str, Any] = field(default_factory=dict, repr=False)
    preparer: RowPreparer | None = field(default=None, repr=False)
    left_out: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    data: Data | None = None
    call: str = ""
    certificates: dict[str, Gap] = field(default_factory=dict, repr=False)

    @property
    def fitted(self) -> list[Result]:
        """The rows of the table whose models could be fitted."""
        return [result for result in self.results if result.rmse is not None]

    @property
    def best(self) -> str:
        """The name of the model with the smallest error."""
        return min(self.fitted, key=lambda result: result.rmse or 0.0).model

    @property
    def recommended(self) -> Recommendation:
        """The model to take: within noise of the smallest error, the one of fewest bytes."""
        losses = {name: (values - self.y_test) ** 2 for name, values in self.predictions.items()}
        sizes = {result.model: result.model_bytes or 0 for result in self.fitted}
        return recommend(losses, sizes)

    def curves(self) -> list[dict[str, Any]]:
        """Return model, n_components and rmse of the families that were fitted at several sizes."""
        sized = [result for result in self.fitted if family_of(result.model) != result.model]
        return [
            {"model": family_of(r.model), "n_components": r.n_components, "rmse": r.rmse}
            for r in sized
        ]

    @property
    def exact_rmse(self) -> float | None:
        """The error of the exact model of the same rows, or None where there is none."""
        exact = next((r for r in self.fitted if r.model == "exact"), None)
        if exact is None or exact.n_train < max(r.n_train for r in self.fitted):
            return None
        return exact.rmse

    def gap_interval(self, name: str) -> tuple[float, float, float] | None:
        """Return the gap of a model to the exact one, and its 95% confidence interval.

        Over test rows like these where the exact model was fitted; of the largest subproblems that
        could be solved where it was not; None where neither is known.
        """
        if name in self.certificates:
            found = self.certificates[name]
            return float(found.gap[-1]), float(found.low[-1]), float(found.high[-1])
        exact, scale = self.predictions.get("exact"), float(self.y_test.std())
        if exact is None or self.exact_rmse is None or scale == 0:
            return None
        return rms_interval((self.predictions[name] - exact) / scale)

    def pipeline(self, name: str) -> Pipeline:
        """Return a fitted model with the scaling before it, to predict with or to save."""
        steps = [] if self.preparer is None else [("prepare", self.preparer)]
        return Pipeline([*steps, ("model", self.models[name])])

    def rows(self) -> list[dict[str, Any]]:
        """Return the table as a list of dicts."""
        return [asdict(result) for result in self.results]

    def to_json(self) -> str:
        """Return the table as JSON text."""
        return json.dumps(self.rows(), indent=2)

    def to_html(
        self,
        path: str | Path | None = None,
        *,
        title: str | None = None,
        target: str | None = None,
        unit: str | None = None,
        command: str | None = None,
    ) -> str:
        """Return the whole comparison as one HTML page that needs nothing else, to send around.

        Parameters
        ----------
        path : path, optional
            Write the page there, whole or not at all.
        title : str, optional
        target, unit : str, optional
            What is predicted, and in what.
        command : str, optional
            What made the comparison; by default the call of `compare`.

        Returns
        -------
        str

        Raises
        ------
        InvalidInputError
            If the file cannot be written, or is a folder.
        MissingExtraError
            If matplotlib is not installed.

        Examples
        --------
        >>> import numpy as np, scalekern
        >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
        >>> table = scalekern.compare(X, np.sin(X[:, 0]), models=["exact", "linear"])
        >>> page = table.to_html(title="Waves")  # table.to_html("report.html") writes it
        >>> page.splitlines()[0], "<h1>Waves</h1>" in page
        ('<!DOCTYPE html>', True)
        """
        from scalekern.report.page import comparison_page, write_page

        page = comparison_page(self, title=title, target=target, unit=unit, command=command)
        if path is not None:
            write_page(path, page)
        return page

    def __str__(self) -> str:
        from scalekern.report.table import comparison_text

        return comparison_text(self.rows())
