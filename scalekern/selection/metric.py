"""metric="learned": in which directions rows differ, as far as the target can tell.

A model's average gradient outer product says along which directions its predictions change. Its
root is a linear map of the inputs, in which the next model is fitted, and so on. Every round must
earn its place on rows held out; models and their errors are `Trial`s, built beside this file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LEAST_GAIN, LEAST_ERRORS = 0.02, 2.0
"""A map is kept for a held-out squared error lower by this share, and by so many standard errors:
the best of many rounds is lower by one where there is nothing to learn."""
MOST_ROUNDS = 24
PATIENCE, SLOW = 3, 5
"""Rounds without an error lower than all before, and rounds that together gain no more than one
standard error: noisy targets need many small steps, few rows end them."""
FULL_ROUNDS = 2
"""Whole matrices are tried so often, and on where the last was taken."""
WIDE = 64
"""Of wider rows few directions are kept, and scales are not tried where a matrix was taken."""
LEAST_EIGENVALUE = 1e-6
CLIPPED_AT = 0.95
"""Longer gradients are cut to this quantile of their lengths."""


class Trial(ABC):
    """A model in one map of the inputs, with its errors on rows held out.

    Attributes
    ----------
    errors : float64 array of shape (rows,)
        Weighted squared errors of the rows held out.
    """

    errors: np.ndarray

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what was chosen for the model."""

    @abstractmethod
    def refine(self) -> None:
        """Choose the settings with more care, and take the errors anew."""

    @abstractmethod
    def outer_product(self) -> np.ndarray:
        """Return the gradient outer product in the coordinates of the map."""


@dataclass(frozen=True)
class LearnedMetric:
    """A linear map of the inputs.

    Attributes
    ----------
    map : float64 array of shape (d,) or (d, d)
        Rows x become x * map, or x @ map.
    trial : Trial
        The model in it.
    kind : {"none", "scaled", "robust", "principal", "diagonal", "full"}
        Where the map comes from.
    report : dict
    """

    map: np.ndarray
    trial: Trial
    kind: str
    report: dict[str, Any] = field(default_factory=dict)


MakeTrial = Callable[[np.ndarray, Trial | None], Trial]
Narrow = Callable[[np.ndarray], np.ndarray]


def learn_metric(
    make_trial: MakeTrial,
    starts: Sequence[tuple[str, np.ndarray]],
    *,
    narrow: Narrow = lambda transform: transform,
) -> LearnedMetric:
    """Return the map with the least held-out error, or the first start if none is better.

    Parameters
    ----------
    make_trial : callable
        From a map and the trial before to the trial in that map.
    starts : sequence of (str, array of shape (d,) or (d, k))
        Names and scales, or fewer columns, to begin from; the first is what remains without a gain.
    narrow : callable
        From a full matrix to one without the directions that hardly matter.

    References
    ----------
    Radhakrishnan, Beaglehole, Pandit and Belkin (2024), Mechanism for feature learning in neural
    networks and backpropagation-free machine learning models.
    """
    best, tried = best_start(make_trial, starts)
    last, misses, lows = best, 0, [best.trial.errors]
    for number in range(1, MOST_ROUNDS + 1):
        candidates = [
            LearnedMetric(new, make_trial(new, last.trial), kind)
            for kind, new in _roots(last, narrow, full=number <= FULL_ROUNDS or last.kind == "full")
        ]
        tried += [_noted(candidate, number) for candidate in candidates]
        if not candidates:
            break
        last = candidates[0]
        for candidate in candidates[1:]:  # a matrix must be better than scales to be taken
            last = candidate if is_better(candidate.trial.errors, last.trial.errors) else last
        last.trial.refine()
        best = last if is_better(last.trial.errors, best.trial.errors) else best
        lower = last.trial.errors.mean() < lows[-1].mean()
        misses = 0 if lower else misses + 1
        lows.append(last.trial.errors if lower else lows[-1])
        slow = number >= SLOW and not is_better(lows[-1], lows[-1 - SLOW], 0.0, 1.0)
        if misses == PATIENCE or slow:
            break
    report = {"metric": best.kind, "metric_rounds": tried, "metric_settings": best.trial.settings}
    return LearnedMetric(best.map, best.trial, best.kind, report)


def best_start(
    make_trial: MakeTrial, starts: Sequence[tuple[str, np.ndarray]]
) -> tuple[LearnedMetric, list[dict[str, Any]]]:
    """Return the best of the starts, the first if none is better, and what each came to."""
    best: LearnedMetric | None = None
    tried = []
    for name, scales in starts:
        trial = make_trial(scales, None if best is None else best.trial)
        candidate = LearnedMetric(scales, trial, name)
        candidate.trial.refine()
        tried.append(_noted(candidate, 0))
        best = candidate if best is None or _preferred(candidate, best) else best
    assert best is not None
    return best, tried


def _preferred(new: LearnedMetric, old: LearnedMetric) -> bool:
    """Return whether a start is taken: what has fewer columns need not be better as well."""
    if new.map.ndim > old.map.ndim:
        return not is_better(old.trial.errors, new.trial.errors)
    return is_better(new.trial.errors, old.trial.errors)


def is_better(
    new: np.ndarray,
    old: np.ndarray,
    least_gain: float = LEAST_GAIN,
    least_errors: float = LEAST_ERRORS,
) -> bool:
    """Return whether squared errors of the same rows are lower, by more than their own noise.

    Lower by the share `least_gain` in the mean, and by `least_errors` standard errors, of the
    squares or of their roots: a few large squares can hide what most rows show.
    """
    if old.mean() - new.mean() <= least_gain * old.mean():
        return False
    size = old.max()  # of squares, whose own squares may be no numbers
    old, new = old / size, new / size
    return any(
        gains.mean() > least_errors * gains.std() / np.sqrt(len(gains))
        for gains in (old - new, np.sqrt(old) - np.sqrt(new))
    )


def mapped(X: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Return rows in the coordinates of a map, float64."""
    return np.asarray(X * transform if transform.ndim == 1 else X @ transform, dtype=np.float64)


def relevances(transform: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Return the share of each feature in the squared distance of two rows drawn at random.

    Parameters
    ----------
    transform : float64 array of shape (d,) or (d, d)
    variance : float64 array of shape (d,)
        Of the features; what features share by correlation is not counted.
    """
    transform = transform / (np.abs(transform).max(initial=0.0) or 1.0)
    squares = transform**2 if transform.ndim == 1 else np.square(transform).sum(axis=1)
    share = squares * variance
    total = share.sum()
    return np.asarray(share / total if total > 0 else np.full(len(share), 1.0 / len(share)))


def _roots(last: LearnedMetric, narrow: Narrow, *, full: bool) -> list[tuple[str, np.ndarray]]:
    """Return the maps that the gradients of a trial call for, scales first."""
    S = last.map
    M = last.trial.outer_product()
    M = S[:, None] * M * S if S.ndim == 1 else S @ M @ S.T
    diagonal = np.diag(M)
    if not np.isfinite(M).all() or diagonal.max(initial=0.0) <= 0:
        return []
    floor = LEAST_EIGENVALUE
    roots = []
    if last.map.ndim == 1 or len(M) <= WIDE:
        roots.append(("diagonal", np.sqrt(np.maximum(diagonal / diagonal.max(), floor))))
    if full and len(M) > 1:
        e, V = np.linalg.eigh(M)
        # In its own axes, widest first: a KD-tree splits along few of them.
        roots.append(("full", narrow((V * np.sqrt(np.maximum(e / e[-1], floor)))[:, ::-1])))
    return roots


def _noted(metric: LearnedMetric, number: int) -> dict[str, Any]:
    error = float(np.sqrt(metric.trial.errors.mean()))
    return {"round": number, "kind": metric.kind, "error": error}
