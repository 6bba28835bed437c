"""An index to which rows were added, or from which some were taken, without building it anew.

Added rows are scanned beside it; removed ones stay where they are and are passed over. The numbers
of rows never change, whatever comes and goes. When that has grown to be slow is for the caller to
say, who builds a new index over what is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from scalekern.engine.statistic import under
from scalekern.errors import ModelFormatError
from scalekern.neighbors.base import (
    Distances,
    Indices,
    NeighborIndex,
    Restore,
    State,
    nearest_first,
    stored,
)
from scalekern.rows.base import stack_rows, take_rows

_SPARE = 8


@final
class AlteredIndex(NeighborIndex):
    """An index, rows added to it, and rows removed.

    Parameters
    ----------
    parts : list of (NeighborIndex, int64 array)
        Indices with the numbers of their rows: the one that was built, and one over added rows.
    removed : bool array of shape (n_numbers,)
        Which numbers are no longer there.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.neighbors import build_index
    >>> index = build_index(np.array([[0.0], [3.0], [10.0]]), n_neighbors=2).index
    >>> altered = AlteredIndex([(index, np.arange(3))], np.array([False, True, False]))
    >>> altered.search(np.array([[4.0]]), 2)
    (array([[4., 6.]]), array([[0, 2]]))
    """

    name: ClassVar[str] = "altered"

    def __init__(
        self, parts: list[tuple[NeighborIndex, Indices]], removed: NDArray[np.bool_]
    ) -> None:
        self.parts, self.removed = parts, removed
        self.exact = all(index.exact for index, _ in parts)
        self._dead = [removed[numbers] for _, numbers in parts]
        self.n_rows = sum(int((~dead).sum()) for dead in self._dead)

    @property
    def numbers(self) -> Indices:
        """The numbers of the rows that are there, ascending."""
        kept = [n[~dead] for (_, n), dead in zip(self.parts, self._dead, strict=True)]
        return np.sort(np.concatenate(kept))

    @property
    def rows(self) -> Any:
        """The rows that are there, in the order of their numbers."""
        kept, numbers = [], []
        for (index, own), dead in zip(self.parts, self._dead, strict=True):
            kept.append(take_rows(index.rows, np.flatnonzero(~dead)))
            numbers.append(own[~dead])
        return take_rows(stack_rows(kept), np.argsort(np.concatenate(numbers), kind="stable"))

    @property
    def n_added(self) -> int:
        """How many rows are scanned beside the index."""
        return sum(len(numbers) for _, numbers in self.parts[1:])

    @property
    def share_removed(self) -> float:
        """The share of the rows of the index that is passed over."""
        return float(self._dead[0].mean())

    @property
    def description(self) -> str:
        added = f", {self.n_added} rows added" if self.n_added else ""
        gone = f", {int(self.removed.sum())} removed" if self.removed.any() else ""
        return f"{self.parts[0][0].description}{added}{gone}"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        found = [
            _alive(index, numbers, dead, X, k)
            for (index, numbers), dead in zip(self.parts, self._dead, strict=True)
        ]
        distances, numbers = (np.hstack(part) for part in zip(*found, strict=True))
        return nearest_first(distances, numbers, k)

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        answers = [index.within(X, radius) for index, _ in self.parts]
        for of_query in zip(*answers, strict=True):
            near, numbers = [], []
            for (_, own), dead, (d, i) in zip(self.parts, self._dead, of_query, strict=True):
                near.append(d[~dead[i]])
                numbers.append(own[i[~dead[i]]])
            yield np.concatenate(near), np.concatenate(numbers)

    def state(self) -> State:
        metas: list[dict[str, Any]] = []
        arrays: dict[str, NDArray[Any]] = {"removed": self.removed}
        for place, (index, numbers) in enumerate(self.parts):
            meta, own = index.state()
            metas.append(meta)
            arrays |= {f"{place}-{name}": value for name, value in own.items()}
            arrays[f"{place}-numbers"] = numbers
        return {"name": self.name, "parts": metas}, arrays

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        restore: Restore | None = None,
    ) -> AlteredIndex:
        """Rebuild the parts, each with `restore`."""
        if restore is None:
            raise ModelFormatError("the stored neighbour index has parts that nothing can read")
        parts = []
        removed = np.asarray(stored(arrays, "removed"))
        for place, own in enumerate(stored(meta, "parts")):
            of_part = under(f"{place}-", arrays)
            numbers = np.asarray(of_part.pop("numbers", None))
            index = restore(own, of_part)
            whole = numbers.dtype == np.int64 and numbers.shape == (index.n_rows,)
            if not whole or numbers.min() < 0 or numbers.max() >= len(removed):
                raise ModelFormatError(
                    "the stored neighbour index has other numbers than rows; the model was altered"
                )
            parts.append((index, numbers))
        if removed.dtype != np.bool_ or not parts:
            raise ModelFormatError("the stored neighbour index was altered")
        return cls(parts, removed)


def with_rows(index: NeighborIndex, added: NeighborIndex) -> AlteredIndex:
    """Return the index with the rows of `added`, numbered on from those there ever were.

    `added` holds all rows that were added since the index was built; see `added_rows`.
    """
    altered = _altered(index)
    base, numbers = altered.parts[0]
    n = len(altered.removed)
    earlier = [own for _, own in altered.parts[1:]]
    n_earlier = sum(map(len, earlier))
    new = np.arange(n, n + added.n_rows - n_earlier)
    removed = np.concatenate([altered.removed, np.zeros(len(new), dtype=np.bool_)])
    return AlteredIndex([(base, numbers), (added, np.concatenate([*earlier, new]))], removed)


def added_rows(index: NeighborIndex, more: Any) -> Any:
    """Return all rows added so far, and `more`."""
    if not isinstance(index, AlteredIndex) or not index.n_added:
        return more
    return stack_rows([index.parts[1][0].rows, more])


def without_rows(index: NeighborIndex, numbers: Indices) -> AlteredIndex:
    """Return the index without the rows of the given numbers."""
    altered = _altered(index)
    removed = altered.removed.copy()
    removed[numbers] = True
    return AlteredIndex(altered.parts, removed)


def _altered(index: NeighborIndex) -> AlteredIndex:
    if isinstance(index, AlteredIndex):
        return index
    n = index.n_rows
    return AlteredIndex([(index, np.arange(n))], np.zeros(n, dtype=np.bool_))


def _alive(
    index: NeighborIndex, numbers: Indices, dead: NDArray[np.bool_], X: Any, k: int
) -> tuple[Distances, Indices]:
    """Return the nearest k rows of one part that are there; -1 where there are fewer.

    More are asked for until k of them are, or there are no more.
    """
    n, share = index.n_rows, float(dead.mean())
    wanted = min(n, k if share == 0 else int(k / max(1 - share, 0.5)) + _SPARE)
    found = np.full((len(X), k), np.inf), np.full((len(X), k), -1, dtype=np.int64)
    rest = np.arange(len(X))
    while len(rest):
        distances, indices = index.search(take_rows(X, rest), wanted)
        gone = (indices < 0) | dead[np.maximum(indices, 0)]
        own = np.where(gone, -1, numbers[np.maximum(indices, 0)])
        best = nearest_first(np.where(gone, np.inf, distances), own, min(k, wanted))
        width = best[1].shape[1]
        found[0][rest, :width], found[1][rest, :width] = best
        short = (~gone).sum(axis=1) < k
        exhausted = (indices < 0).any(axis=1) | (wanted == n)
        rest = rest[short & ~exhausted]
        wanted = min(n, 2 * wanted)
    return found
