"""Neighbour indices of rows on a cluster: each worker indexes runs of rows, and keeps none.

What a worker built comes back as arrays, one shard after another, and goes to files that are
mapped: so the rows need not fit into the memory of any process. Neighbours are found in all shards
(`neighbors.shards`).
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.engine import Engine
from scalekern.errors import InvalidInputError, RecallWarning
from scalekern.neighbors.build import BuiltIndex
from scalekern.neighbors.kinds import kind_for_rows
from scalekern.neighbors.shards import Shard, ShardedIndex
from scalekern.neighbors.stored import index_from_state
from scalekern.rows import Block, RowSource
from scalekern.rows.base import dense_rows, take_rows

SHARD_BYTES = 64 << 20
LEAST_ROWS, MOST_ROWS = 65_536, 1 << 20
Build = Callable[[np.ndarray, np.ndarray], BuiltIndex]


@dataclass(frozen=True)
class IndexedRows:
    """All rows of positive weight in an index, with what rides along.

    Attributes
    ----------
    built : BuiltIndex
        Of a `ShardedIndex`; its recall is the mean of the shards', by their rows.
    y : float64 array of shape (n, n_outputs), mapped
    weight : float64 array of shape (n,)
    numbers : int64 array of shape (n,)
        Of the rows in the source.
    ids : array of shape (n,)
    """

    built: BuiltIndex
    y: np.ndarray
    weight: np.ndarray
    numbers: np.ndarray
    ids: np.ndarray


def indexes_in_shards(engine: Engine, source: RowSource) -> bool:
    """Return whether rows are indexed where they are: vectors, and on a cluster."""
    return engine.local is not engine and source.n_features > 0


def shard_rows(source: RowSource) -> int:
    """Return the rows of a shard, which depend on nothing but their size."""
    row_bytes = max(1, source.n_features) * np.dtype(source.dtype).itemsize
    return max(LEAST_ROWS, min(SHARD_BYTES // row_bytes, MOST_ROWS))


def shard_algorithm(
    algorithm: str, source: RowSource, metric: str, target_recall: float, expected: int | None
) -> str:
    """Return the algorithm of every shard: "auto" is decided by all rows where that is exact."""
    n, d = source.n_rows, source.n_features
    kind = kind_for_rows(algorithm, n, d, metric, target_recall, expected)
    exact = {"flat": "brute", "pairs": "brute", "kd_tree": "kd_tree"}
    return exact.get(kind, algorithm) if algorithm == "auto" else algorithm


def index_in_shards(engine: Engine, source: RowSource, build: Build) -> IndexedRows:
    """Index all rows of positive weight, a run of them at a time, on the workers.

    Parameters
    ----------
    engine : Engine
    source : RowSource
        Of vectors.
    build : callable
        From rows and their targets to a `BuiltIndex`; it is sent to the workers.
    """
    spool = _Spool(source.n_outputs)

    def of_block(block: Block) -> _Made | None:
        kept = _kept(block)
        if not len(kept):
            return None
        X = dense_rows(take_rows(block.X, kept))
        y = np.zeros((len(X), 0)) if block.y is None else block.y[kept]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", RecallWarning)
            built = build(X, y)
        texts = [str(w.message) for w in caught if issubclass(w.category, RecallWarning)]
        return _Made(*built.index.state(), built, texts)

    try:
        engine.map_blocks(source, of_block, spool.add, "indexing", shard_rows(source))
        return spool.result()
    except BaseException:
        spool.remove()
        raise


def _kept(block: Block) -> np.ndarray:
    return np.arange(len(block)) if block.weight is None else np.flatnonzero(block.weight > 0)


class _Made:
    """A shard on its way: its state, and what was found out in building it."""

    def __init__(self, meta: Any, arrays: Any, built: BuiltIndex, texts: list[str]) -> None:
        self.meta, self.arrays, self.warnings = meta, arrays, texts
        self.exact, self.recall = built.index.exact, built.recall
        self.description, self.tuning, self.tuned = built.description, built.tuning, built.tuned


class _Spool:
    """A temporary folder that shards are written to as they come."""

    def __init__(self, n_outputs: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="scalekern-index-", dir=_temporary()))
        self._targets = (self._folder / "targets").open("wb")
        self._n_outputs = n_outputs
        self._shards: list[Shard] = []
        self._made: list[_Made] = []
        self._beside: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, block: Block, made: _Made | None) -> None:
        """Write a shard, with the targets of its rows."""
        if made is None:
            return
        kept, number = _kept(block), len(self._shards)
        arrays = {name: self._mapped(f"{number}.{name}", v) for name, v in made.arrays.items()}
        self._shards.append(Shard(made.meta, arrays, index_from_state))
        made.arrays = {}
        self._made.append(made)
        if block.y is not None:
            self._targets.write(np.ascontiguousarray(block.y[kept], dtype=np.float64).data)
        weight = np.ones(len(kept)) if block.weight is None else block.weight[kept]
        self._beside.append((weight, block.start + kept, block.ids[kept]))

    def _mapped(self, name: str, values: Any) -> np.ndarray:
        file = self._folder / f"{name}.npy"
        np.save(file, values, allow_pickle=False)
        array: np.ndarray = np.load(file, mmap_mode="r" if np.size(values) else None)
        return array

    def result(self) -> IndexedRows:
        """Return the index over all that was written; its files are removed when it is dropped."""
        self._targets.close()
        if not self._shards:
            raise InvalidInputError("every sample weight is zero; at least one must be above 0")
        made, words = self._made, dict.fromkeys(one.description for one in self._made)
        exact = all(one.exact for one in made)
        index = ShardedIndex(self._shards, exact=exact, words="; ".join(list(words)[:2]))
        weakref.finalize(index, shutil.rmtree, self._folder, ignore_errors=True)
        for text in dict.fromkeys(text for one in made for text in one.warnings[:1]):
            warnings.warn(f"in a shard: {text}", RecallWarning, stacklevel=4)
        lengths = np.array([len(numbers) for _, numbers, _ in self._beside])
        recall = float(lengths @ [one.recall for one in made] / lengths.sum())
        tuning = [{"shard": i} | line for i, one in enumerate(made) for line in one.tuning]
        built = BuiltIndex(index, recall, index.description, tuning, made[0].tuned)
        weight, numbers, ids = (np.concatenate(parts) for parts in zip(*self._beside, strict=True))
        return IndexedRows(built, self._all_targets(len(numbers)), weight, numbers, ids)

    def _all_targets(self, n: int) -> np.ndarray:
        shape = (n, self._n_outputs)
        if not self._n_outputs:
            return np.zeros(shape)
        return np.memmap(self._folder / "targets", np.float64, "r", shape=shape)

    def remove(self) -> None:
        """Remove the folder."""
        self._targets.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _temporary() -> str | None:
    from dask import config

    return config.get("temporary-directory", None)
