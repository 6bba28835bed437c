"""Some rows of another source, chosen block by block: for parts that are held out from a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from scalekern.rows.base import Block, RowSource, take_rows
from scalekern.rows.raw import RawSource


class SubsetSource(RowSource):
    """The rows of a source that a function chooses, numbered anew; their ids stay.

    Parameters
    ----------
    source : RowSource
    chooses : callable
        From a block to a bool array of shape (rows,); by ids, so that it does not matter how rows
        are cut into blocks.
    n_rows : int
        How many it chooses.
    """

    def __init__(
        self, source: RowSource, chooses: Callable[[Block], np.ndarray], n_rows: int
    ) -> None:
        self._source, self._chooses, self.n_rows = source, chooses, n_rows
        self.n_features, self.dtype = source.n_features, source.dtype
        self.feature_names, self.text_column = source.feature_names, source.text_column
        self.n_outputs, self.target_is_vector = source.n_outputs, source.target_is_vector
        self.has_weight, self.in_memory = source.has_weight, source.in_memory
        self.name = source.name

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield what is chosen of each block of the source, so up to `max_rows` at a time."""
        start = 0
        for block in self._source.blocks(max_rows):
            kept = np.flatnonzero(self._chooses(block))
            if not len(kept):
                continue
            yield replace(
                block,
                X=take_rows(block.X, kept),
                y=None if block.y is None else block.y[kept],
                weight=None if block.weight is None else block.weight[kept],
                start=start,
                ids=block.ids[kept],
            )
            start += len(kept)

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        return SubsetSource(self._source.select(names), self._chooses, self.n_rows)


class RawSubsetSource(SubsetSource, RawSource):
    """The chosen rows of a raw source."""

    _source: RawSource

    def __init__(
        self, source: RawSource, chooses: Callable[[Block], np.ndarray], n_rows: int
    ) -> None:
        super().__init__(source, chooses, n_rows)
        self.schema = source.schema

    def plain(self) -> RowSource:
        """Return the chosen rows as numbers, or raise naming the column that is none."""
        return SubsetSource(self._source.plain(), self._chooses, self.n_rows)

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        return subset_of(self._source.select(names), self._chooses, self.n_rows)


def subset_of(
    source: RowSource, chooses: Callable[[Block], np.ndarray], n_rows: int
) -> SubsetSource:
    """Return the `n_rows` rows that `chooses` takes; raw rows stay raw."""
    if isinstance(source, RawSource):
        return RawSubsetSource(source, chooses, n_rows)
    return SubsetSource(source, chooses, n_rows)
