"""A random sample that merges: the rows whose hashed ids are smallest.

Which rows are chosen depends on the seed and their ids only, so arrays, files and clusters choose
the same ones, whatever the order in which they are read.
"""

from __future__ import annotations

import hashlib
from copy import copy
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.engine.statistic import Statistic
from scalekern.rows import Block
from scalekern.rows.base import stack_rows, take_rows


def hash_ids(ids: np.ndarray, seed: int) -> np.ndarray:
    """Return a uint64 for each id, random-looking and the same on every machine.

    Integers go through the finaliser of SplitMix64 (Steele, Lea and Flood 2014); other ids through
    BLAKE2 of their text.
    """
    ids = np.asarray(ids)
    if ids.dtype.kind in "iub":
        z = ids.astype(np.int64).view(np.uint64)
    else:
        digests = [hashlib.blake2b(str(x).encode(), digest_size=8).digest() for x in ids]
        z = np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)
    start = (0x9E3779B97F4A7C15 * (2 * seed + 1)) & 0xFFFFFFFFFFFFFFFF
    z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def shifted(ids: np.ndarray, first_row: int) -> np.ndarray:
    """Return ids that are row numbers as those that follow `first_row` earlier rows."""
    return ids + first_row if first_row and np.asarray(ids).dtype.kind in "iu" else ids


class HashSample(Statistic):
    """The `size` rows with the smallest hashes, in the order of their hashes.

    Parameters
    ----------
    size, seed : int
    first_row : int, default=0
        Added to row numbers, where the rows of a source continue those of earlier ones.

    Attributes
    ----------
    X : rows, as a block's X
    numbers : int64 array
        Their row numbers in the whole source.
    ids : array of shape (size,)
        Their keys, or row numbers.
    y : float64 array of shape (size, n_outputs) or None
    weight : float64 array of shape (size,) or None
    """

    def __init__(self, size: int, seed: int, first_row: int = 0) -> None:
        self.size, self.seed, self._first_row = size, seed, first_row
        self.hashes = np.zeros(0, dtype=np.uint64)
        self.numbers = np.zeros(0, dtype=np.int64)
        self.ids: np.ndarray = self.numbers
        self.X: Any = None
        self.y: np.ndarray | None = None
        self.weight: np.ndarray | None = None

    def update(self, block: Block) -> None:
        """Add one block of rows, of which those of positive weight may be chosen."""
        ids = shifted(block.ids, self._first_row)
        hashes = hash_ids(ids, self.seed)
        start = self._first_row + block.start
        numbers = np.arange(start, start + len(block))
        kept = _smallest(hashes, numbers, self.size, block.weight)
        part = HashSample(self.size, self.seed)
        part.hashes, part.numbers, part.ids = hashes[kept], numbers[kept], ids[kept]
        part.X = take_rows(block.X, kept)
        part.y = None if block.y is None else block.y[kept]
        part.weight = None if block.weight is None else block.weight[kept]
        self.merge(part)

    def merge(self, other: HashSample) -> None:
        """Keep the smallest of both."""
        if self.X is None:
            self._take(other.hashes, other.numbers, other.ids, other.X, other.y, other.weight)
            return
        if other.X is None:
            return
        hashes = np.concatenate([self.hashes, other.hashes])
        numbers = np.concatenate([self.numbers, other.numbers])
        kept = _smallest(hashes, numbers, self.size, None)
        self._take(
            hashes[kept],
            numbers[kept],
            np.concatenate([self.ids, other.ids])[kept],
            take_rows(stack_rows([self.X, other.X]), kept),
            _both(self.y, other.y, kept),
            _both(self.weight, other.weight, kept),
        )

    def part(self, rows: np.ndarray) -> HashSample:
        """Return some of the sample's rows, by their places in it."""
        part = HashSample(self.size, self.seed)
        part._take(
            self.hashes[rows],
            self.numbers[rows],
            self.ids[rows],
            take_rows(self.X, rows),
            None if self.y is None else self.y[rows],
            None if self.weight is None else self.weight[rows],
        )
        return part

    def first(self, size: int) -> HashSample:
        """Return the rows of the `size` smallest hashes, or all if there are fewer."""
        return self.part(np.arange(min(size, len(self.numbers))))

    def over(self, X: Any) -> HashSample:
        """Return the sample with its rows in other coordinates."""
        new = copy(self)
        new.X = X
        return new

    def _take(self, hashes: Any, numbers: Any, ids: Any, X: Any, y: Any, weight: Any) -> None:
        self.hashes, self.numbers, self.ids = hashes, numbers, ids
        self.X, self.y, self.weight = X, y, weight

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sample as plain arrays."""
        arrays = {"hashes": self.hashes, "numbers": self.numbers, "ids": self.ids}
        optional = {"X": self.X, "y": self.y, "weight": self.weight}
        if sparse.issparse(self.X):
            names = ("data", "indices", "indptr", "shape")
            optional |= {"X": None} | {f"X.{name}": getattr(self.X, name) for name in names}
        if isinstance(self.X, list):
            objects = np.empty(len(self.X), dtype=object)
            objects[:] = self.X
            optional |= {"X": None, "X.objects": objects}
        return arrays | {k: np.asarray(v) for k, v in optional.items() if v is not None}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sample that `arrays` gave."""
        X, y, weight = (arrays.get(name) for name in ("X", "y", "weight"))
        if "X.indptr" in arrays:
            parts = (arrays["X.data"], arrays["X.indices"], arrays["X.indptr"])
            X = sparse.csr_matrix(parts, shape=tuple(arrays["X.shape"]))
        if "X.objects" in arrays:
            X = arrays["X.objects"].tolist()
        self._take(arrays["hashes"], arrays["numbers"], arrays["ids"], X, y, weight)


def _smallest(
    hashes: np.ndarray, numbers: np.ndarray, size: int, weight: np.ndarray | None
) -> np.ndarray:
    usable = np.arange(len(hashes)) if weight is None else np.flatnonzero(weight > 0)
    if len(usable) > 4 * size:
        largest = np.partition(hashes[usable], size - 1)[size - 1]
        usable = usable[hashes[usable] <= largest]
    return usable[np.lexsort((numbers[usable], hashes[usable]))][:size]


def _both(a: np.ndarray | None, b: np.ndarray | None, kept: np.ndarray) -> np.ndarray | None:
    return None if a is None or b is None else np.concatenate([a, b])[kept]
