"""gamma="cv" and kernel="auto": the kernel of the smallest leave-one-out error on a sample.

Bandwidths are multiples of the median heuristic's, which is itself among them, so on the sample the
choice is never worse. Multiples on a fixed grid, coarse steps first, make the choice independent
of rounding and so of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.features.survey import (
    BANDWIDTH_ROWS,
    Survey,
    by_median,
    median_gamma,
    resolve_kernel,
)
from scalekern.kernels import Kernel, as_kernel
from scalekern.kernels.radial import RadialKernel
from scalekern.selection.closed_form import LeftOut, left_out_errors
from scalekern.solvers.path import AlphaRule

FAMILIES = ("rbf", "matern52", "matern32", "matern12")
"""From the smoothest to the roughest."""
WORSE = 1.01
"""Times the smallest squared error, and no more, a smoother family may have."""
FINE = 4
"""Steps of the grid in a factor of 4 of gamma."""
COARSE = tuple(range(-4 * FINE, 4 * FINE + 1, FINE))
FEW_ROWS = 200
LAST = 2
"""Families that are still in when rows are `BANDWIDTH_ROWS`."""


@dataclass
class _Search:
    """The bandwidths tried for one family, by their places on the grid, on some rows."""

    family: Kernel
    engine: Engine
    rule: AlphaRule
    seen: Survey
    n_rows: int
    medians: dict[str, float]
    tried: dict[int, LeftOut] = field(default_factory=dict)

    def at(self, place: int) -> Kernel:
        factor = 4.0 ** (place / FINE)
        if not isinstance(self.family, RadialKernel):
            return by_median(self.family, self.seen, factor)
        # One median for all radial families, whose distances are the same.
        if "gamma" not in self.medians:
            self.medians["gamma"] = median_gamma(self.family, self.seen)
        return self.family.with_gamma(factor * self.medians["gamma"])

    @property
    def place(self) -> int:
        """The best so far; of equals the smoothest."""
        return min(self.tried, key=lambda place: (self.tried[place].error, place))

    @property
    def best(self) -> LeftOut:
        return self.tried[self.place]

    def look(self, places: tuple[int, ...]) -> None:
        new = [place for place in places if place not in self.tried]
        kernels = [self.at(place) for place in new]
        found = left_out_errors(self.engine, kernels, self.rule, self.seen, self.n_rows)
        self.tried |= dict(zip(new, found, strict=True))

    def refine(self, step: int) -> None:
        """Halve the steps around the best until they are the grid's."""
        while step:
            self.look((self.place - step, self.place + step))
            if self.place in (min(self.tried), max(self.tried)) and abs(self.place) < 5 * FINE:
                continue
            step //= 2

    def on(self, n_rows: int) -> _Search:
        return _Search(self.family, self.engine, self.rule, self.seen, n_rows, self.medians)


def select_kernel(
    engine: Engine, kernel: Any, gamma: Any, rule: AlphaRule, seen: Survey
) -> tuple[Kernel, dict[str, Any]]:
    """Return the kernel with its bandwidth, and a report of the candidates where there were some.

    Parameters
    ----------
    engine : Engine
    kernel : str, callable or Kernel
        "auto" is the best of `FAMILIES`, or RBF where gamma is a number.
    gamma : float, "scale", "median" or "cv"
    rule : AlphaRule
        The alphas that the final model may choose.
    seen : Survey
    """
    if isinstance(kernel, str) and kernel == "auto":
        if not isinstance(gamma, str):
            return resolve_kernel("rbf", gamma, seen), {}
        return _best_family(engine, gamma, rule, seen)
    chosen = as_kernel(kernel)
    if not (isinstance(gamma, str) and gamma == "cv"):
        return resolve_kernel(chosen, gamma, seen), {}
    if not chosen.needs_gamma:
        return chosen, {}
    search = _best_bandwidth(_Search(chosen, engine, rule, seen, FEW_ROWS, {}))
    return search.at(search.place), _report(search)


def without_bandwidth(kernel: Kernel) -> Kernel:
    """Return a kernel of the same family whose bandwidth is open.

    Examples
    --------
    >>> from scalekern.kernels import Matern
    >>> without_bandwidth(Matern(2.0, nu=2.5))
    Matern(nu=2.5)
    """
    name = "length_scale" if "length_scale" in kernel.get_params(deep=False) else "gamma"
    return clone(kernel).set_params(**{name: None})


@step("choosing the bandwidth")
def _best_bandwidth(search: _Search) -> _Search:
    search.look(COARSE)
    search.refine(FINE // 2)
    return _more_rows(search)


@step("choosing the kernel")
def _best_family(
    engine: Engine, gamma: str, rule: AlphaRule, seen: Survey
) -> tuple[Kernel, dict[str, Any]]:
    """Return the best family: all on few rows, the best of them on more."""
    families = [as_kernel(name) for name in FAMILIES]
    if gamma != "cv":
        kernels = [resolve_kernel(family, gamma, seen) for family in families]
        found = left_out_errors(engine, kernels, rule, seen, BANDWIDTH_ROWS)
        first = int(np.argmin([left.error for left in found]))
        return kernels[first], {"kernel_scores": _scores(kernels, found)}
    medians: dict[str, float] = {}
    searches = [_Search(family, engine, rule, seen, FEW_ROWS, medians) for family in families]
    for search in searches:
        search.look(COARSE[2:-2])
        search.refine(FINE // 2)
    searches.sort(key=lambda search: search.best.error)
    last = [_more_rows(search) for search in searches[:LAST]]
    best = _smoothest(last, families)
    scored = [*last, *searches[LAST:]]
    kernels = [search.at(search.place) for search in scored]
    scores = _scores(kernels, [search.best for search in scored])
    return best.at(best.place), {"kernel_scores": scores} | _report(best)


def _smoothest(searches: list[_Search], families: list[Kernel]) -> _Search:
    """Return the smoothest of those that are hardly worse than the best.

    Its eigenvalues fall the fastest: landmarks, features and iterations do more for it.
    """
    most = WORSE * min(search.best.error for search in searches)
    good = [search for search in searches if search.best.error <= most]
    return min(good, key=lambda search: families.index(search.family))


def _more_rows(search: _Search) -> _Search:
    """Go on with half of the rows, since all would cost as much as a fit for each candidate."""
    size = min(BANDWIDTH_ROWS, len(search.seen.sample.numbers) // 2)
    if size <= search.n_rows:
        return search
    more = search.on(size)
    more.look((search.place, 0))
    more.refine(1)
    return more


def _report(search: _Search) -> dict[str, Any]:
    places = sorted(search.tried)
    return {
        "gamma_rows": min(search.n_rows, len(search.seen.sample.numbers)),
        "gamma_factors": [4.0 ** (place / FINE) for place in places],
        "gammas": [_gamma_of(search.at(place)) for place in places],
        "gamma_errors": [search.tried[place].error for place in places],
    }


def _scores(kernels: list[Kernel], found: list[LeftOut]) -> dict[str, float]:
    return {repr(k): left.error for k, left in zip(kernels, found, strict=True)}


def _gamma_of(kernel: Kernel) -> float | None:
    """Return the bandwidth as a gamma; None for a combination, which may have several."""
    parameters = kernel.get_params(deep=False)
    length = parameters.get("length_scale")
    return parameters.get("gamma") if length is None else 1.0 / (2.0 * length**2)
