"""What more time would buy: how the error fell as components doubled, and where that leads.

Apart from the recommendation, which weighs what was measured; this goes on beyond it, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.report.names import family_of, name_of
from scalekern.report.recommend import within_noise


@dataclass(frozen=True)
class Trend:
    """How a family's error went with its components.

    Attributes
    ----------
    model : str
        "nystroem" or "fourier".
    sizes : tuple of int
        Ascending; the last two are what the others are about.
    rmse : tuple of float
    gain : float
        What the RMSE would fall by with `more` components, at most: the last gain for a doubling,
        less by the share by which it was less than the one before.
    more : int
        Twice the largest size, but of landmarks no more than training rows.
    times : float
        How many times the work of the largest that is, counted: m (m + 2 d) for each row.
    is_noise : bool
        Whether the last gain is within what the test rows can show.
    floor : float or None
        The exact model's RMSE, which the family comes to as components grow.
    """

    model: str
    sizes: tuple[int, ...]
    rmse: tuple[float, ...]
    gain: float
    more: int
    times: float
    is_noise: bool
    floor: float | None

    def __str__(self) -> str:
        (first, last), name = self.sizes[-2:], name_of(self.model)
        before, after = self.rmse[-2:]
        text = f"{name}: from {first:,} to {last:,} components the RMSE went from {before:.4g} to "
        if self.is_noise:
            return (
                f"{text}{after:.4g}, a difference within the noise of the test rows. More "
                "components would buy nothing here."
            )
        if self.more == last:
            return f"{text}{after:.4g}. Every training row is a landmark now: there are no more."
        coming = f"{self.more:,} would come to about {after - self.gain:.4g}"
        end = "" if self.floor is None else f"; the exact model has {self.floor:.4g}"
        work = f"{self.times:.1f} times the work"
        return f"{text}{after:.4g}. If that goes on, {coming} for {work}{end}."


def trends(comparison: Any) -> list[Trend]:
    """Return the trend of each family that was fitted at several sizes.

    Examples
    --------
    >>> import numpy as np, scalekern
    >>> from scalekern.report.more_time import trends
    >>> X = np.random.default_rng(0).uniform(0, 6, (200, 1))
    >>> table = scalekern.compare(X, np.sin(X[:, 0]), models=["nystroem"], n_components=[2, 4, 8])
    >>> [(trend.model, trend.sizes) for trend in trends(table)]
    [('nystroem', (2, 4, 8))]
    """
    families: dict[str, list[Any]] = {}
    for result in comparison.fitted:
        if family_of(result.model) != result.model and result.n_components:
            families.setdefault(family_of(result.model), []).append(result)
    return [
        _trend(comparison, family, sorted(results, key=lambda result: result.n_components))
        for family, results in families.items()
        if len({result.n_components for result in results}) > 1
    ]


def _trend(comparison: Any, family: str, results: list[Any]) -> Trend:
    sizes = np.array([result.n_components for result in results], dtype=float)
    rmse = np.array([result.rmse for result in results])
    doublings = np.diff(np.log2(sizes))
    gains = -np.diff(rmse) / doublings
    shrinking = float(np.clip(gains[-1] / gains[-2], 0, 1)) if _fell_twice(gains) else 1.0
    m, d = int(sizes[-1]), comparison.data.n_columns if comparison.data else 0
    more = max(m, min(2 * m, results[-1].n_train)) if family == "nystroem" else 2 * m
    gain = max(float(gains[-1]), 0.0) * shrinking * float(np.log2(more / m))
    floor = comparison.exact_rmse
    if floor is not None:
        gain = min(gain, max(float(rmse[-1]) - floor, 0.0))
    losses = [(comparison.predictions[r.model] - comparison.y_test) ** 2 for r in results[-2:]]
    return Trend(
        family,
        tuple(int(size) for size in sizes),
        tuple(float(error) for error in rmse),
        gain,
        more,
        more * (more + 2 * d) / (m * (m + 2 * d)),
        within_noise(losses[0] - losses[1]),
        floor,
    )


def _fell_twice(gains: np.ndarray) -> bool:
    return len(gains) > 1 and bool((gains[-2:] > 0).all())
