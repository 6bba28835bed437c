"""Which model to take, by a stated rule on what was measured and counted, never on a clock.

It is apart from the comparison so that the rule can be read, quoted and tested on made-up tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.report.names import name_of
from scalekern.report.table import bytes_text

FEW = 30
"""Of fewer test rows the recommendation says that they are few."""
RULE = (
    "Take the models whose squared errors on the test rows cannot be told apart from those of the "
    "model with the smallest error: their mean is larger by at most two standard errors of the "
    "difference, row by row. Of these take the one that stores the fewest bytes. Seconds play no "
    "part, since they are those of one machine on one day."
)


@dataclass(frozen=True)
class Recommendation:
    """The model to take, and why.

    Attributes
    ----------
    model : str
    best : str
        The model with the smallest mean loss.
    within_noise : tuple of str
        The models that cannot be told apart from the best, itself among them, by rising loss.
    reason : str
        Sentences for people.
    """

    model: str
    best: str
    within_noise: tuple[str, ...]
    reason: str


def recommend(losses: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Recommendation:
    """Return the smallest model among those whose error is within noise of the smallest.

    Parameters
    ----------
    losses : mapping of str to array of shape (n_test,)
        The squared error of each model on each test row; the same rows for all.
    sizes : mapping of str to int
        Bytes of each model.

    Returns
    -------
    Recommendation

    Raises
    ------
    InvalidInputError
        If there are no models.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.report.recommend import recommend
    >>> losses = {"exact": np.array([1.0, 2.0, 3.0]), "linear": np.array([1.1, 1.9, 3.1])}
    >>> recommend(losses, {"exact": 9000, "linear": 16}).model
    'linear'
    """
    finite = {name: loss for name, loss in losses.items() if np.isfinite(loss).all()}
    if not finite:
        raise InvalidInputError("no model can be recommended, because none has finite errors")
    order = sorted(finite, key=lambda name: float(np.mean(finite[name])))
    best = order[0]
    close = tuple(name for name in order if within_noise(finite[name] - finite[best]))
    chosen = min(close, key=lambda name: sizes[name])
    return Recommendation(chosen, best, close, _reason(chosen, order, close, finite, sizes))


def on_front(costs: Sequence[float], errors: Sequence[float]) -> list[bool]:
    """Say of each model whether none is at least as good in cost and error, and better in one.

    Examples
    --------
    >>> from scalekern.report.recommend import on_front
    >>> on_front([1.0, 2.0, 3.0], [5.0, 6.0, 4.0])
    [True, False, True]
    """
    pairs = list(zip(costs, errors, strict=True))
    return [
        not any(c <= cost and e <= error and (c < cost or e < error) for c, e in pairs)
        for cost, error in pairs
    ]


def within_noise(difference: np.ndarray) -> bool:
    """Say whether the mean of paired differences is at most two standard errors above 0."""
    n = len(difference)
    noise = float(difference.std(ddof=1)) / np.sqrt(n) if n > 1 else 0.0
    return bool(difference.mean() <= 2 * noise)


def _reason(
    chosen: str,
    order: Sequence[str],
    close: Sequence[str],
    losses: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
) -> str:
    best, n = order[0], len(losses[order[0]])
    few = " But so few test rows hardly tell models apart; measure on more." if n < FEW else ""
    if len(order) == 1:
        return f"{_title(best)} is the only model that was fitted."
    rmse = {name: float(np.sqrt(np.mean(loss))) for name, loss in losses.items()}
    rows = f"{n:,} test row{'s' if n > 1 else ''}"
    first = f"{_title(best)} has the smallest error on {rows} (RMSE {rmse[best]:.4g})"
    if len(close) == 1:
        return (
            f"{first}, and every other model is worse by more than the noise of the test rows.{few}"
        )
    others = _listed([name_of(name) for name in close if name != best])
    verb = "is" if len(close) == 2 else "are"
    text = f"{first}; {others} {verb} not measurably worse, given the noise of the test rows."
    if chosen == best:
        size = bytes_text(sizes[best])
        return f"{text} Of these, {name_of(best)} is the smallest: it stores {size}.{few}"
    return (
        f"{text} Of these, {name_of(chosen)} (RMSE {rmse[chosen]:.4g}) is the smallest: it stores "
        f"{bytes_text(sizes[chosen])} against {bytes_text(sizes[best])}.{few}"
    )


def _title(model: str) -> str:
    name = name_of(model)
    return f"The {name} model" if name.islower() else name


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
