"""Categories: how often each occurs, and one column for each of the frequent ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.engine import Statistic
from scalekern.errors import InvalidInputError
from scalekern.features.column_base import Column, no_values
from scalekern.rows import Block

MOST_CATEGORIES = 1_000_000


class CategorySums(Statistic):
    """Sums for each category of a column, and for its missing values.

    Parameters
    ----------
    column : CategoryColumn
        Reads the categories of a block, and says what to sum over each.

    Attributes
    ----------
    texts : dict from str to int
        The row of `sums` of each category.
    sums : float64 array of shape (categories, *width)
    missing : float64 array of shape (width,)
    """

    def __init__(self, column: CategoryColumn) -> None:
        self._column = column
        self.texts: dict[str, int] = {}
        self.sums = self.missing = np.zeros(0)

    def update(self, block: Block) -> None:
        """Add one block of rows."""
        texts, codes = self._column.codes(block)
        part = CategorySums(self._column)
        summed = self._column.summed(block, codes, len(texts))
        part.texts = {text: i for i, text in enumerate(texts)}
        part.sums, part.missing = summed[:-1], summed[-1]
        self.merge(part)

    def merge(self, other: CategorySums) -> None:
        """Add the sums of other rows."""
        if not self.missing.size:
            self.texts, self.sums, self.missing = dict(other.texts), other.sums, other.missing
            return
        if not other.missing.size:
            return
        rows = [self.texts.setdefault(text, len(self.texts)) for text in other.texts]
        if len(self.texts) > MOST_CATEGORIES:
            raise InvalidInputError(
                f"column {self._column.name!r} has more than {MOST_CATEGORIES:,} different values: "
                "it identifies rows rather than groups of them; leave it out with "
                f"drop=[{self._column.name!r}] (--drop)"
            )
        sums = np.zeros((len(self.texts), *self.sums.shape[1:]))
        sums[: len(self.sums)] = self.sums
        sums[rows] += other.sums
        self.sums, self.missing = sums, self.missing + other.missing

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays; texts as UTF-8 and their lengths."""
        encoded = [text.encode() for text in self.texts]
        return {
            "bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
            "lengths": np.array([len(text) for text in encoded], dtype=np.int64),
            "sums": self.sums,
            "missing": self.missing,
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave."""
        data, ends = arrays["bytes"].tobytes(), np.cumsum(arrays["lengths"])
        starts = ends - arrays["lengths"]
        texts = [data[a:b].decode() for a, b in zip(starts, ends, strict=True)]
        self.texts = {text: i for i, text in enumerate(texts)}
        self.sums, self.missing = arrays["sums"], arrays["missing"]


class CategoryColumn(Column):
    """What encodings of categories share; a value is a category by its text."""

    kind = "a category"

    def statistic(self) -> CategorySums:
        """Return the empty sums that the column learns from."""
        return CategorySums(self)

    def summed(self, block: Block, codes: np.ndarray, n: int) -> np.ndarray:
        """Return the weights of the rows of each of `n` categories, and of missing values last."""
        weight = np.ones(len(block)) if block.weight is None else block.weight
        return np.bincount(np.where(codes < 0, n, codes), weights=weight, minlength=n + 1)

    def codes(self, block: Block) -> tuple[list[str], np.ndarray]:
        """Return the categories of a block, and the number of each row's; -1 where missing."""
        import pyarrow as pa

        encoded = self.arrow(block, pa.string()).dictionary_encode()
        codes = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False))
        self.check_missing(block, codes < 0)
        return encoded.dictionary.to_pylist(), codes

    def known(self, block: Block, categories: dict[str, int], other: int, missing: int) -> Any:
        """Return for each row the number of its category, or those of other and missing values."""
        texts, codes = self.codes(block)
        numbers = np.array([*(categories.get(text, other) for text in texts), missing])
        return numbers[codes]  # the code -1 takes the last


class OneHotColumn(CategoryColumn):
    """One output for each category: 1 where the row is of it, 0 elsewhere, not scaled.

    At most `max_categories` outputs: where there are more categories, the most frequent get theirs
    (of equally frequent ones the first by name) and the rest share `_other`. A category that was
    not there in `fit` is `_other`, or 0 in all outputs where there is no such output. Missing
    values are a category of their own, `_missing`, if there were some in `fit`.
    """

    def __init__(self, name: str, place: int, missing: str, max_categories: int = 32) -> None:
        super().__init__(name, place, missing)
        self.max_categories = max_categories

    def learn(self, sums: CategorySums) -> None:
        """Choose the categories that get an output."""
        counts = {text: float(sums.sums[i]) for text, i in sums.texts.items() if sums.sums[i] > 0}
        if not counts:
            raise no_values(self.name)
        self.n_missing = float(sums.missing)
        ranked = sorted(counts, key=lambda text: (-counts[text], text))
        room = self.max_categories - (self.n_missing > 0)
        self.has_other = len(ranked) > room
        kept = ranked[: max(0, room - 1)] if self.has_other else ranked
        self.n_categories = len(ranked)
        self._take(sorted(kept))
        self.spreads = [None] * len(self.suffixes)

    def encode(self, block: Block, out: np.ndarray) -> None:
        """Write a 1 in the output of each row's category."""
        unseen = len(self.categories) if self.has_other else -1
        missing = len(self.suffixes) - 1 if self.n_missing else unseen
        numbers = self.known(block, self._numbers, unseen, missing)
        out[:] = 0.0
        rows = np.flatnonzero(numbers >= 0)
        out[rows, numbers[rows]] = 1.0

    def describe(self) -> str:
        """Return in words what the column becomes."""
        rest = self.n_categories - len(self.categories)
        return f"{len(self.categories)} categories one-hot" + (
            f", {rest:,} others as one" if self.has_other else ""
        )

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was learned: values for JSON, and arrays."""
        values = {
            "has_other": self.has_other,
            "n_missing": self.n_missing,
            "n_categories": self.n_categories,
        }
        return values, {"categories": self.categories}

    def restore(self, values: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.has_other, self.n_missing = values["has_other"], values["n_missing"]
        self.n_categories = values["n_categories"]
        self._take(list(arrays["categories"]))

    def _take(self, categories: list[str]) -> None:
        self.categories = categories
        self._numbers = {text: i for i, text in enumerate(categories)}
        extra = (["_other"] if self.has_other else []) + (["_missing"] if self.n_missing else [])
        self.suffixes = [*(f"_{text}" for text in categories), *extra]
