"""Several indices, each over a run of the rows, that answer as one.

The rows nearest to a query are among those that each shard finds nearest, so the shards' answers
are merged by distance: of exact shards what comes out is exact. A shard is kept as metadata and
arrays, most of them mapped from files, and becomes an index when it is first searched.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import InvalidInputError, ModelFormatError
from scalekern.neighbors.base import (
    Distances,
    FloatArray,
    Indices,
    NeighborIndex,
    Restore,
    State,
    nearest_first,
    stored,
)
from scalekern.rows import Block, RowSource
from scalekern.rows.base import FoundRows

_opening = threading.Lock()


@dataclass
class Shard:
    """An index over a run of rows, as it is stored.

    Attributes
    ----------
    meta, arrays : dict
        What `NeighborIndex.state` gave, "rows" among the arrays.
    restore : callable
        Makes the index of them.
    """

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    restore: Restore
    _index: NeighborIndex | None = field(default=None, repr=False)

    @property
    def rows(self) -> FloatArray:
        """The rows, without opening the index."""
        return np.asarray(stored(self.arrays, "rows"))

    @property
    def index(self) -> NeighborIndex:
        """The index, opened once in each process."""
        if self._index is None:
            with _opening:
                if self._index is None:
                    self._index = self.restore(self.meta, self.arrays)
        return self._index

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_index": None}


@final
class ShardedIndex(NeighborIndex):
    """The shards of all rows, in order.

    Parameters
    ----------
    shards : sequence of Shard
    words : str
        What describes them.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.neighbors import build_index, index_from_state
    >>> parts = [np.array([[0.0], [3.0]]), np.array([[5.0], [4.0]])]
    >>> states = [build_index(X, n_neighbors=1).index.state() for X in parts]
    >>> index = ShardedIndex([Shard(*state, index_from_state) for state in states], exact=True)
    >>> index.search(np.array([[4.0]]), 3)
    (array([[0., 1., 1.]]), array([[3, 1, 2]]))
    """

    name: ClassVar[str] = "shards"

    def __init__(self, shards: Sequence[Shard], *, exact: bool, words: str = "") -> None:
        self._shards, self._words = list(shards), words
        self.exact = exact
        lengths = [len(shard.rows) for shard in self._shards]
        self._starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.n_rows = int(self._starts[-1])
        self.rows = ShardRows([shard.rows for shard in self._shards], self._starts)

    @property
    def description(self) -> str:
        many = f"{len(self._shards)} shard{'s' * (len(self._shards) != 1)}"
        return f"{many} of {self._words or 'several indices'}"

    def _search(self, X: Any, k: int) -> tuple[Distances, Indices]:
        best: tuple[Distances, Indices] | None = None
        for shard, start in zip(self._shards, self._starts.tolist(), strict=False):
            near, numbers = shard.index.search(X, k)
            numbers = np.where(numbers < 0, -1, numbers + start)
            if best is not None:
                near = np.concatenate([best[0], near], axis=1)
                numbers = np.concatenate([best[1], numbers], axis=1)
            best = nearest_first(near, numbers, k)
        assert best is not None
        return best

    def _within(self, X: Any, radius: float) -> Iterator[tuple[Distances, Indices]]:
        parts = [shard.index.within(X, radius) for shard in self._shards]
        for found in zip(*parts, strict=True):
            near, numbers = zip(*found, strict=True)
            moved = [own + start for own, start in zip(numbers, self._starts, strict=False)]
            yield np.concatenate(near), np.concatenate(moved)

    def state(self) -> State:
        meta = {
            "name": self.name,
            "exact": self.exact,
            "words": self._words,
            "shards": [shard.meta for shard in self._shards],
        }
        arrays = {
            f"{number}.{name}": values
            for number, shard in enumerate(self._shards)
            for name, values in shard.arrays.items()
        }
        return meta, arrays

    @classmethod
    def from_state(
        cls,
        meta: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        restore: Restore | None = None,
    ) -> ShardedIndex:
        """Rebuild the shards, each with `restore`, when they are searched."""
        parts: list[dict[str, Any]] = [{} for _ in stored(meta, "shards")]
        for name, values in arrays.items():
            number, _, own = name.partition(".")
            if not number.isdigit() or int(number) >= len(parts):
                raise ModelFormatError(f"the model has {name!r}, which is of none of its shards")
            parts[int(number)][own] = values
        if restore is None or not parts:
            raise ModelFormatError("the model says that its index has shards, and has none")
        shards = [Shard(m, p, restore) for m, p in zip(meta["shards"], parts, strict=True)]
        for shard in shards:
            # Numbers of rows that do not agree would move those of the shards behind.
            if len(shard.rows) != stored(shard.meta, "n"):
                raise ModelFormatError("a shard does not have the rows that the model says")
        return cls(shards, exact=bool(stored(meta, "exact")), words=str(meta.get("words", "")))


class ShardRows(FoundRows):
    """The rows of all shards, for those who ask for them by number or go over them."""

    def __init__(self, parts: list[FloatArray], starts: Indices) -> None:
        self._parts, self._starts = parts, starts
        self.n_rows, self.n_features = int(starts[-1]), parts[0].shape[1]
        self.shape, self.dtype = (self.n_rows, self.n_features), parts[0].dtype

    def __len__(self) -> int:
        return self.n_rows

    def __getitem__(self, numbers: NDArray[np.int64]) -> FloatArray:
        """Return rows by an array of numbers of any shape."""
        wanted = np.asarray(numbers)
        found = np.empty((wanted.size, self.n_features), self.dtype)
        owner = np.searchsorted(self._starts, wanted.ravel(), side="right") - 1
        for i in np.unique(owner):
            own = owner == i
            found[own] = self._parts[i][wanted.ravel()[own] - self._starts[i]]
        return found.reshape(*wanted.shape, self.n_features)

    def _block(self, start: int, stop: int) -> Block:
        ids = np.arange(start, stop)
        return Block(self[ids], None, None, start, ids)

    def select(self, names: Sequence[str]) -> RowSource:
        """Raise: rows of an index have no names."""
        raise InvalidInputError(f"rows of an index have no names, so not {list(names)}")
