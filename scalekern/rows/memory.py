"""Rows that are already in memory or in a memory map: dense, sparse, or objects of any kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import InvalidInputError
from scalekern.rows.base import Block, FoundRows, RowSource, slice_rows

HEAVIEST = 1e30


class ArraySource(FoundRows):
    """Rows of one array, CSR matrix, or list of objects; a dense block is a view.

    Parameters
    ----------
    X : ndarray of shape (n, d) of float32 or float64, CSR matrix, or list of n objects
    y : ndarray of shape (n,) or (n, n_outputs), optional
    weight : ndarray of shape (n,), optional
    feature_names : sequence of str, optional
    ids : ndarray of shape (n,), optional
        Row ids; the row numbers where not given.
    """

    def __init__(
        self,
        X: Any,
        y: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        feature_names: Sequence[str] | None = None,
        *,
        ids: np.ndarray | None = None,
        name: str = "X",
    ) -> None:
        self._X = X.tocsr() if sparse.issparse(X) else X
        vectors = not isinstance(X, list)
        self.n_rows = X.shape[0] if vectors else len(X)
        self.n_features = X.shape[1] if vectors else 0
        self.dtype = X.dtype if vectors else np.dtype(object)
        self.feature_names = None if feature_names is None else tuple(feature_names)
        self.name = name
        self._ids = ids
        self._y, self.target_is_vector = _as_columns(y, self.n_rows)
        self.n_outputs = 0 if self._y is None else self._y.shape[1]
        self._weight = _as_weight(weight, self.n_rows)
        self.has_weight = self._weight is not None

    def _block(self, start: int, stop: int) -> Block:
        return Block(
            X=slice_rows(self._X, start, stop),
            y=None if self._y is None else self._y[start:stop],
            weight=None if self._weight is None else self._weight[start:stop],
            start=start,
            ids=np.arange(start, stop) if self._ids is None else self._ids[start:stop],
        )

    def take(self, numbers: np.ndarray) -> Any:
        """Return the rows with the given numbers."""
        if isinstance(self._X, list):
            return [self._X[i] for i in numbers]
        return self._X[np.asarray(numbers)]

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the rows with the named features in the order asked for."""
        if self.feature_names is None or tuple(names) == self.feature_names:
            return self
        missing = [name for name in names if name not in self.feature_names]
        if missing:
            raise missing_columns(self.name, missing, self.feature_names)
        columns = [self.feature_names.index(name) for name in names]
        return ArraySource(
            self._X[:, columns], self._y, self._weight, names, ids=self._ids, name=self.name
        )


def missing_columns(where: str, missing: list[str], there: Sequence[str]) -> InvalidInputError:
    """Return the error for columns that a source lacks."""
    shown = ", ".join(repr(name) for name in list(there)[:20])
    more = "" if len(there) <= 20 else f" and {len(there) - 20} more"
    plural = "column" if len(missing) == 1 else "columns"
    names = ", ".join(repr(name) for name in missing)
    return InvalidInputError(f"{where} has no {plural} {names}; it has {shown}{more}")


def _as_columns(y: np.ndarray | None, n_rows: int) -> tuple[np.ndarray | None, bool]:
    if y is None:
        return None, True
    y = np.asarray(y, dtype=np.float64)
    if len(y) != n_rows:
        raise InvalidInputError(f"X has {n_rows} rows but y has {len(y)}; they must match")
    return y.reshape(n_rows, -1), y.ndim == 1


def _as_weight(weight: np.ndarray | None, n_rows: int) -> np.ndarray | None:
    if weight is None:
        return None
    try:
        weight = np.asarray(weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"sample_weight is not a list of numbers ({error})") from error
    if weight.ndim == 0:
        weight = np.full(n_rows, weight)
    return checked_weight(weight, n_rows, "sample_weight")


def checked_weight(weight: np.ndarray, n_rows: int, where: str, first_row: int = 0) -> np.ndarray:
    """Return the weights, or raise where they are not `n_rows` numbers from 0 to `HEAVIEST`.

    Those below its inverse count as 0: what is divided by them would be no number.
    """
    if weight.shape != (n_rows,):
        raise InvalidInputError(
            f"{where} has shape {weight.shape}; it must have one weight for each of {n_rows} rows"
        )
    bad = np.flatnonzero(~((weight >= 0) & (weight <= HEAVIEST)))
    if len(bad):
        raise InvalidInputError(
            f"{where} must be finite, at most {HEAVIEST:g} and not negative; "
            f"row {first_row + bad[0]} has {weight[bad[0]]}"
        )
    nothing = (weight > 0) & (weight < 1 / HEAVIEST)
    return np.where(nothing, 0.0, weight) if nothing.any() else weight
