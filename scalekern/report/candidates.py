"""The models that a comparison fits: which ones, at which sizes, with which parameters.

Apart from `compare`, which measures them, so that what is left out has one place and a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scalekern.estimators import KNeighborsRegressor, LinearRegressor, SimilarityRegressor
from scalekern.features.parameters import check_choice
from scalekern.kernels import Kernel
from scalekern.report.names import NAMES, key_of
from scalekern.report.possible import impossible_models, refuse
from scalekern.rows import RowSource

MODELS = tuple(NAMES)
SIZED = ("nystroem", "fourier")
MOST_EXACT_ROWS = 10_000


@dataclass(frozen=True)
class Candidate:
    """A model to fit: its key in the comparison, its family and its number of components."""

    key: str
    family: str
    size: int


@dataclass
class Factory:
    """Makes the unfitted model of a candidate; similarity models share what is in `shared`.

    "auto" takes nothing of it: it is the model with nothing set.
    """

    shared: dict[str, Any]
    own: dict[str, Any]
    fit_intercept: bool
    n_neighbors: dict[str, int]
    metric: str
    seed: int
    n_jobs: int | None

    def __call__(self, candidate: Candidate) -> Any:
        """Return the model."""
        family = candidate.family
        common: dict[str, Any] = {"random_state": self.seed, "n_jobs": self.n_jobs}
        if family == "linear":
            return LinearRegressor(n_jobs=self.n_jobs)
        if family == "auto":
            return SimilarityRegressor(**common)
        if family == "knn":
            return KNeighborsRegressor(self.n_neighbors[family], metric=self.metric, **common)
        return SimilarityRegressor(
            approximation=family,
            n_components=candidate.size,
            n_neighbors=self.n_neighbors.get(family, 32),
            fit_intercept=self.fit_intercept,
            **(self.own if family == "local" else self.shared),
            **common,
        )


def chosen_models(
    models: Any, train: RowSource, exact_rows: int | None, kernel: Kernel
) -> tuple[list[str], dict[str, str]]:
    """Return the families to fit, and those left out by default with the reasons.

    Raises
    ------
    InvalidInputError
        For an unknown name.
    UnsupportedError
        For one that was asked for and cannot be fitted on these rows.
    """
    impossible = impossible_models(train, kernel)
    if models is not None:
        names = [models] if isinstance(models, str) else models
        checked = list(dict.fromkeys(check_choice("models", name, MODELS) for name in names))
        refuse(checked, impossible, [name for name in MODELS if name not in impossible])
        return checked, {}
    left_out = dict(impossible)
    if train.has_weight:
        left_out.setdefault("knn", "it cannot use sample weights")
    if exact_rows is None and train.n_rows > MOST_EXACT_ROWS:
        left_out["exact"] = (
            f"there are more than {MOST_EXACT_ROWS:,} training rows; exact_rows (--exact-rows) "
            "fits it on a random sample"
        )
    return [name for name in MODELS if name not in left_out], left_out


def candidates_of(families: Sequence[str], sizes: Sequence[int]) -> list[Candidate]:
    """Return the models to fit, in the order of the table."""
    return [
        Candidate(key_of(family, size if len(tried) > 1 else None), family, size)
        for family in families
        for tried in (sizes if family in SIZED else sizes[-1:],)
        for size in tried
    ]


def in_fitting_order(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the exact model first, and larger sizes before smaller: the first to fit chooses."""
    families = list(dict.fromkeys(candidate.family for candidate in candidates))
    return sorted(
        candidates, key=lambda c: (c.family != "exact", families.index(c.family), -c.size)
    )
