"""What a fit decided before it began, whoever decided it: the record, and the best of several."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalekern.approximations.base import Approximation
from scalekern.features.curves import Curves
from scalekern.features.survey import Survey
from scalekern.selection.metric import is_better


@dataclass
class Choice:
    """What was decided.

    Attributes
    ----------
    approximation : Approximation
    kernel, gamma : as the parameters of the estimator
    n_neighbors : int
    input_map : float64 array of shape (d,) or (d, k), or None
    curves : Curves or None
        Of columns, before the map.
    report : dict
    errors : float64 array of shape (rows,)
        Squared errors on rows held out, where there was a choice.
    seen : Survey or None
        Of the rows, where models were tried.
    start : (float, float) or None
        The length factor and alpha of local models that were tried.
    tried_rows : int
        How many rows of the sample `errors` took, if not all that can be tried.
    """

    approximation: Approximation
    kernel: Any
    gamma: Any
    n_neighbors: int
    input_map: np.ndarray | None = None
    curves: Curves | None = None
    relevances: np.ndarray | None = None
    report: dict[str, Any] = field(default_factory=dict)
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    seen: Survey | None = None
    start: tuple[float, float] | None = None
    tried_rows: int = 0


def best_of(found: list[Choice]) -> Choice:
    """Return the choice of the least errors; a later one must be better by more than noise."""
    best = found[0]
    for other in found[1:]:
        best = other if is_better(other.errors, best.errors) else best
    return best
