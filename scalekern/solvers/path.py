"""How alpha is chosen: the candidates, and what `alpha` may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows.finite import LARGEST

PER_DECADE = 4
N_FOLDS = 5
LEAST_EIGENVALUE = 1e-100
ADVICE = (
    f"use 0, a number from {1 / LARGEST:g} to {LARGEST:g}, an array of them, 'loo', 'gcv' or 'cv'"
)


@dataclass(frozen=True)
class AlphaRule:
    """How alpha is to be found.

    Attributes
    ----------
    rule : {"fixed", "loo", "gcv", "cv"}
    candidates : float64 array or None
        None where they are to come from the spectrum.
    """

    rule: Literal["fixed", "loo", "gcv", "cv"]
    candidates: np.ndarray | None = None

    @property
    def n_folds(self) -> int:
        """The folds that the sums must be kept in."""
        return N_FOLDS if self.rule == "cv" else 1

    @property
    def smallest(self) -> float:
        """The smallest alpha that may be chosen; 0 where that is open."""
        return 0.0 if self.candidates is None else float(self.candidates.min())

    def path(self, largest: float, dtype: Any) -> np.ndarray:
        """Return the candidates, ascending: those given, or from rounding up to `largest`."""
        if self.candidates is not None:
            return self.candidates
        low = np.log10(np.finfo(dtype).eps) - (0 if dtype == np.float32 else -2)
        steps = round(-low * PER_DECADE) + 1
        # Of features that are all equal nothing is left but rounding, or nothing at all.
        return (largest if largest > LEAST_EIGENVALUE else 1.0) * np.logspace(low, 0, steps)


def alpha_rule(alpha: Any) -> AlphaRule:
    """Return the rule behind a parameter `alpha`: a number, an array, "loo", "gcv" or "cv".

    Raises
    ------
    InvalidInputError
        For anything else, or a negative or infinite number.
    """
    if isinstance(alpha, str):
        if alpha == "loo":
            return AlphaRule("loo")
        if alpha == "gcv":
            return AlphaRule("gcv")
        if alpha == "cv":
            return AlphaRule("cv")
        raise InvalidInputError(f"alpha={alpha!r}; {ADVICE}")
    try:
        values = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    good = (values == 0) | ((values >= 1 / LARGEST) & (values <= LARGEST))
    if values.ndim != 1 or not len(values) or not good.all():
        raise InvalidInputError(f"alpha={alpha!r}; {ADVICE}")
    single = np.ndim(alpha) == 0
    return AlphaRule("fixed" if single else "loo", np.unique(values))


def best(scores: np.ndarray) -> int:
    """Return the index of the smallest finite score; of equals the one of the largest alpha."""
    scores = np.where(np.isfinite(scores), scores, np.inf)
    if not np.isfinite(scores).any():
        return len(scores) - 1
    return int(len(scores) - 1 - np.argmin(scores[::-1]))


def quickest(alphas: np.ndarray, scores: np.ndarray, share: float, least: float = 0.0) -> int:
    """Return the index of the largest alpha whose score is the smallest but for a share of it.

    Of those that are at least `least`, or of the largest alone. Iterations are fewer for it.
    """
    scores = np.where(alphas >= min(least, alphas.max()), scores, np.inf)
    smallest = best(scores)
    good = np.isfinite(scores) & (scores <= (1.0 + share) * scores[smallest])
    return int(np.argmax(np.where(good, alphas, -np.inf))) if good.any() else smallest
