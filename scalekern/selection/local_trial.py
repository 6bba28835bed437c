"""Local models as trials: leave-one-out errors and gradients in one map of the inputs.

The neighbours of every row that is asked about are found once; settings are then searched for
around those that served last, a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.kernels.radial import RadialKernel
from scalekern.neighbors import build_index, without_itself
from scalekern.rows import ArraySource, Block
from scalekern.selection.metric import CLIPPED_AT, Trial, mapped
from scalekern.solvers.gradients import GradientOuterProduct, lengths_of, local_gradients
from scalekern.solvers.local import (
    Neighborhoods,
    exponents,
    rescaled,
    similarities,
    solve_gram,
)

BLOCK_BYTES = 1 << 21
SHORT_ROWS = 1_000
"""How long gradients are is looked at on so many rows first."""
FACTORS = 2.0 ** np.arange(-2, 8)
ALPHAS = 10.0 ** np.arange(-8.0, 3.0)
COARSE = [(i, j) for i in (1, 3, 5) for j in (2, 4, 6, 8)]
"""Places of the factors and alphas tried first; then the best one's neighbours, as they improve."""


@dataclass(frozen=True)
class TrialRows:
    """Rows to try models on, in the order of their hashes.

    Attributes
    ----------
    X : float64 array of shape (n, d)
    y : float64 array of shape (n, t)
        Each output of mean 0 and variance 1.
    weight : float64 array of shape (n,) or None
    n_scored : int
        The first rows are those that errors are taken of,
    n_sloped : int
        the next ones those of the gradients. All are neighbours of all.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    n_scored: int
    n_sloped: int


@dataclass(frozen=True)
class _Part:
    """Some neighbourhoods, with exponents for lengths of their radius."""

    hoods: Neighborhoods
    E: np.ndarray
    y: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class _Indexed:
    """An index of the rows from `first` on, for `k` neighbours beside the query."""

    index: Any
    first: int
    k: int


class LocalTrial(Trial):
    """Local models in one map of the inputs.

    Attributes
    ----------
    place : tuple of int
        Those of the factor and of alpha on their grids.
    kernel, n_neighbors : as given

    Parameters
    ----------
    engine : Engine
    rows : TrialRows
    transform : float64 array of shape (d,) or (d, d)
    kernel : RadialKernel
    n_neighbors : int
    before : LocalTrial, optional
        Where to start looking for settings.
    """

    place: tuple[int, int]

    def __init__(
        self,
        engine: Engine,
        rows: TrialRows,
        transform: np.ndarray,
        kernel: RadialKernel,
        n_neighbors: int,
        before: Trial | None = None,
    ) -> None:
        self._engine, self._rows, self.kernel = engine, rows, kernel
        self.n_neighbors = self._k = min(n_neighbors, len(rows.X) - 1)
        self._Z = mapped(rows.X, transform)
        self._all = self._indexed(0)
        self._known: dict[tuple[int, int], np.ndarray] = {}
        self._parts = self._prepared()
        self._look([before.place] if isinstance(before, LocalTrial) else COARSE)

    @property
    def settings(self) -> dict[str, Any]:
        """What was chosen."""
        return {
            "factor": self.factor,
            "alpha": self.alpha,
            "n_neighbors": self.n_neighbors,
            "kernel": repr(self.kernel),
        }

    @property
    def factor(self) -> float:
        """What multiplies the distance to the last neighbour."""
        return float(FACTORS[self.place[0]])

    @property
    def alpha(self) -> float:
        """The penalty."""
        return float(ALPHAS[self.place[1]])

    def outer_product(self) -> np.ndarray:
        """Return the gradient outer product of the rows after those that errors are taken of.

        Those are not among the neighbours, either: wide rows leave gradients room enough to learn
        the targets that the map is then judged by.
        """
        low = self._rows.n_scored
        self._teachers = self._indexed(low)
        part = self._source(low, low + self._rows.n_sloped)
        few = self._source(low, low + min(self._rows.n_sloped, SHORT_ROWS))
        lengths: list[np.ndarray] = []
        self._map(few, lambda b: lengths_of(self._gradients(b, low)), lengths.append)
        longest = float(np.quantile(np.concatenate(lengths), CLIPPED_AT))
        d = self._Z.shape[1]

        def make() -> GradientOuterProduct:
            return GradientOuterProduct(lambda b: self._gradients(b, low), d, longest)

        what, many = "gradients of local models", self._block_rows
        return np.asarray(self._engine.reduce(part, make, what, many).M)

    def refine(self) -> None:
        """Go to better factors and alphas, a step at a time, until there are none."""
        while True:
            i, j = self.place
            around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            missing = [place for place in around if place not in self._known and _inside(place)]
            if not missing:
                return
            self._look(missing)

    def _look(self, places: Sequence[tuple[int, int]]) -> None:
        """Take the errors at some places, and go to the best known."""
        found: list[np.ndarray] = []

        def errors(block: Block) -> np.ndarray:
            part = self._parts[block.X[0]]
            return np.stack(
                [
                    part.weight * np.square(self._predict(part, place) - part.y).mean(axis=1)
                    for place in places
                ]
            )

        # Passes over what is prepared go through the engine, too, for its threads.
        parts = ArraySource(list(range(len(self._parts))))
        self._engine.map_blocks(
            parts, errors, lambda _, e: found.append(e), "choosing lengths", max_rows=1
        )
        self._known.update(zip(places, np.concatenate(found, axis=1), strict=True))
        self.place = min(self._known, key=lambda place: (self._known[place].mean(), place))
        self.errors = self._known[self.place]

    def _prepared(self) -> list[_Part]:
        """Return the neighbourhoods of the rows that errors are taken of."""
        parts: list[_Part] = []

        def prepare(block: Block) -> _Part:
            hoods = self._around(block, 0, self._all)
            weight = np.ones(len(block)) if block.weight is None else block.weight
            E = exponents(self.kernel, hoods, hoods.radius)
            return _Part(hoods, E, np.asarray(block.y), weight)

        self._map(self._source(0, self._rows.n_scored), prepare, parts.append)
        return parts

    def _predict(self, part: _Part, place: tuple[int, int]) -> np.ndarray:
        E = rescaled(self.kernel, part.E, float(FACTORS[place[0]]))
        K = similarities(self.kernel, E)
        return solve_gram(K, part.hoods, float(ALPHAS[place[1]]), centre=True).prediction

    def _gradients(self, block: Block, first: int) -> np.ndarray:
        hoods = self._around(block, first, self._teachers)
        lengths = self.factor * hoods.radius
        return local_gradients(self.kernel, hoods, lengths, self.alpha, centre=True)

    def _source(self, low: int, high: int) -> ArraySource:
        rows = self._rows
        weight = None if rows.weight is None else rows.weight[low:high]
        return ArraySource(self._Z[low:high], rows.y[low:high], weight)

    @property
    def _block_rows(self) -> int:
        """Rows whose matrices fit in the cache together."""
        return max(1, BLOCK_BYTES // (8 * (self._k + 1) * (self._k + 1 + self._Z.shape[1])))

    def _map(
        self, source: ArraySource, function: Callable[[Block], Any], sink: Callable[[Any], None]
    ) -> None:
        self._engine.map_blocks(
            source, function, lambda _, part: sink(part), "fitting local models", self._block_rows
        )

    def _indexed(self, first: int) -> _Indexed:
        k = min(self._k, len(self._Z) - first - 1)
        index = build_index(self._Z[first:], n_neighbors=k + 1, target_recall=1.0).index
        return _Indexed(index, first, k)

    def _around(self, block: Block, first: int, among: _Indexed) -> Neighborhoods:
        """Return the neighbours of the rows from `first` on, without the rows themselves."""
        own = np.arange(first + block.start, first + block.start + len(block))
        distances, indices = among.index.search(block.X, among.k + 1)
        indices, distances = without_itself(own, indices + among.first, distances)
        radius = distances[:, -1]
        weight = self._rows.weight
        return Neighborhoods(
            block.X,
            self._Z[indices],
            self._rows.y[indices],
            np.where(radius > 0, radius, 1.0),
            None if weight is None else weight[indices],
        )


def _inside(place: tuple[int, int]) -> bool:
    return 0 <= place[0] < len(FACTORS) and 0 <= place[1] < len(ALPHAS)
