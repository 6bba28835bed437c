"""What one column of a table becomes: the contract that each kind of column keeps.

A kind says which sums it needs of a pass, what it learns from them, and how it writes the columns
of numbers for a block. `RowPreparer` runs the pass and knows no kind by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from scalekern.engine import HashSample, Moments, Statistic
from scalekern.engine.statistic import under
from scalekern.errors import InvalidInputError
from scalekern.rows import Block
from scalekern.rows.column_types import as_plain
from scalekern.rows.conversion import numpy_of
from scalekern.rows.finite import TOO_LARGE, usable
from scalekern.rows.raw import RawRows

MEDIAN_ROWS = 4_000
MEDIAN_SEED = 0x3ED1A


class Spread(NamedTuple):
    """What scaling needs to know of an output."""

    mean: float
    variance: float
    low: float
    high: float


class Column(ABC):
    """One column of a table, and the numbers it becomes.

    Parameters
    ----------
    name : str
        For messages.
    place : int
        Which column of a block's X it is.
    missing : {"error", "mean", "median"}

    Attributes
    ----------
    suffixes : list of str
        One for each output; its name is the column's and the suffix.
    spreads : list of Spread or None
        One for each output; None for those that are not scaled.
    """

    kind: str
    suffixes: Sequence[str]
    spreads: Sequence[Spread | None]

    def __init__(self, name: str, place: int, missing: str) -> None:
        self.name, self.place, self.missing = name, place, missing

    @abstractmethod
    def statistic(self) -> Statistic:
        """Return the empty sums that the column learns from."""

    @abstractmethod
    def learn(self, sums: Any) -> None:
        """Take what is to be known from the sums of all rows."""

    @abstractmethod
    def encode(self, block: Block, out: np.ndarray) -> None:
        """Write the numbers of a block, shape (rows, outputs), before they are scaled."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was learned: values for JSON, and arrays."""

    @abstractmethod
    def restore(self, values: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `state` gave."""

    def for_new_rows(self) -> Column:
        """Return the column as it meets rows that it was not learned from."""
        return self

    def describe(self) -> str:
        """Return in words what happens to the column; nothing where it is only scaled."""
        return ""

    def arrow(self, block: Block, plain: Any = None) -> Any:
        """Return the values of a block as an Arrow array, of the plain type `plain` if given."""
        import pyarrow as pa

        if isinstance(block.X, RawRows):
            column = block.X.table.column(self.place)
        else:
            column = pa.array(np.ascontiguousarray(self._dense(block)), from_pandas=True)
        try:
            return as_plain(column, column.type if plain is None else plain)
        except pa.ArrowException as error:
            raise InvalidInputError(
                f"column {self.name!r} of {self._place_of(block, 0)[0]} is {column.type}, but was "
                f"{self.kind} when the model was fitted ({str(error).splitlines()[0]}); correct "
                "the value, or convert the column"
            ) from error

    def floats(self, block: Block) -> np.ndarray:
        """Return the values of a block as finite float64, missing ones as NaN, or raise."""
        import pyarrow as pa

        if isinstance(block.X, RawRows):
            array = self.arrow(block)
            if not (pa.types.is_null(array.type) or array.type in (pa.int64(), pa.float64())):
                raise self._wrong_type(block, array.type)
            array = array.cast(pa.float64(), safe=False)
            values = np.asarray(numpy_of(array), dtype=np.float64)
        else:
            values = np.asarray(self._dense(block), dtype=np.float64)
        missing, infinite = np.isnan(values), np.isinf(values)
        if infinite.any():
            raise self._bad(block, infinite, "infinite", "correct it or drop the row")
        large = ~(missing | usable(values))
        if large.any():
            raise self._bad(block, large, "too large", TOO_LARGE)
        self.check_missing(block, missing)
        return values

    def check_missing(self, block: Block, missing: np.ndarray) -> None:
        """Raise for the first missing value, where none are allowed."""
        if self.missing == "error" and missing.any():
            cure = "fill it in, drop the row, or use missing='mean' (--missing mean)"
            raise self._bad(block, missing, "missing", cure)

    def _wrong_type(self, block: Block, kind: Any) -> InvalidInputError:
        return InvalidInputError(
            f"column {self.name!r} of {self._place_of(block, 0)[0]} is {kind}, but was "
            f"{self.kind} when the model was fitted; convert it to that type"
        )

    def _bad(self, block: Block, bad: np.ndarray, what: str, cure: str) -> InvalidInputError:
        file, row = self._place_of(block, int(np.flatnonzero(bad)[0]))
        article = "an" if what[0] in "aeiou" else "a"
        return InvalidInputError(
            f"column {self.name!r} of {file} has {article} {what} value at row {row}; {cure}"
        )

    def _dense(self, block: Block) -> np.ndarray:
        X = block.X[:, [self.place]]
        return (X.toarray() if hasattr(X, "toarray") else X)[:, 0]

    @staticmethod
    def _place_of(block: Block, number: int) -> tuple[str, int]:
        if isinstance(block.X, RawRows):
            return block.X.where(number)
        return "X", block.start + number


class NumberSums(Statistic):
    """Moments of the values that are there, how many are not, and a sample for the median.

    Parameters
    ----------
    read : callable
        From a block to its values, float64, missing ones as NaN.
    median : bool
        Whether to draw the sample: the 4,000 rows with a value whose hashed ids are smallest.
    """

    def __init__(self, read: Callable[[Block], np.ndarray], *, median: bool) -> None:
        self._read, self._median = read, median
        self.moments, self.sample = Moments("X"), HashSample(MEDIAN_ROWS, MEDIAN_SEED)
        self.missing = 0.0

    def update(self, block: Block) -> None:
        """Add one block of rows."""
        values = self._read(block)
        there = ~np.isnan(values)
        weight = block.weight
        if not there.all():
            # A row of weight 0 is passed over by both sums.
            weight = np.where(there, 1.0 if weight is None else weight, 0.0)
            self.missing += len(there) - there.sum()
            values = np.where(there, values, 0.0)
        part = replace(block, X=values[:, None], y=None, weight=weight)
        self.moments.update(part)
        if self._median:
            self.sample.update(replace(part, weight=there.astype(float)))

    def merge(self, other: NumberSums) -> None:
        """Add the sums of other rows."""
        self.moments.merge(other.moments)
        self.sample.merge(other.sample)
        self.missing += other.missing

    def spread(self) -> Spread:
        """Return mean, variance and range."""
        m = self.moments
        return Spread(*(float(v[0]) for v in (m.mean, m.variance, m.low, m.high)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays."""
        parts = {"moments": self.moments.arrays()}
        if self.sample.X is not None:
            parts["sample"] = self.sample.arrays()
        flat = {f"{part}.{k}": v for part, arrays in parts.items() for k, v in arrays.items()}
        return flat | {"missing": np.array(self.missing)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave."""
        self.missing = float(arrays["missing"])
        self.moments.restore(under("moments.", arrays))
        sample = under("sample.", arrays)
        if sample:
            self.sample.restore(sample)


def no_values(name: str) -> InvalidInputError:
    """Return the error for a column in which everything is missing."""
    return InvalidInputError(
        f"every value of column {name!r} is missing; leave it out with drop=[{name!r}] (--drop)"
    )
