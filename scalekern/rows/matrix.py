"""Rows of a matrix on disk, read as needed: Zarr arrays and groups, compressed in chunks.

As in a `.npz` file, a group has a matrix X and one array for each other column; the columns of X
are called "0", "1", and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, missing_extra
from scalekern.rows.base import Block, FoundRows, RowSource, empty_error
from scalekern.rows.cutting import recut
from scalekern.rows.finite import not_finite
from scalekern.rows.memory import checked_weight, missing_columns
from scalekern.rows.tables import Columns

BAND_BYTES = 16 << 20
MARKS = ("zarr.json", ".zarray", ".zgroup")
_PLAIN = "fiub"


@dataclass(frozen=True)
class Matrices:
    """A matrix, and arrays of one value a row beside it.

    Attributes
    ----------
    X : array-like of shape (n, d), cut by slices of rows
    others : dict of array-likes of shape (n,)
    name : str
    """

    X: Any
    others: dict[str, Any]
    name: str

    @property
    def column_names(self) -> list[str]:
        """The names of all columns."""
        return [*map(str, range(self.X.shape[1])), *self.others]

    @property
    def band_rows(self) -> int:
        """Whole chunks of rows, of some megabytes, so that no chunk is unpacked twice in a pass."""
        row_bytes = max(1, self.X.shape[1] * self.X.dtype.itemsize)
        chunk = max(1, int(self.X.chunks[0]))
        return max(1, BAND_BYTES // (row_bytes * chunk)) * chunk


def is_zarr(data: Any) -> bool:
    """Return whether `data` is a Zarr array or group, or the path of one."""
    if isinstance(data, (str, Path)):
        path = Path(data)
        return path.suffix == ".zarr" or any((path / mark).is_file() for mark in MARKS)
    return type(data).__module__.partition(".")[0] == "zarr"


def open_zarr(data: Any) -> Matrices:
    """Return what a Zarr array or group holds.

    Raises
    ------
    InvalidInputError
        If it cannot be read, or is not a matrix with arrays of as many rows.
    """
    try:
        import zarr
    except ImportError as error:
        raise missing_extra("zarr", "zarr") from error
    name = str(data) if isinstance(data, (str, Path)) else "the Zarr array"
    if isinstance(data, (str, Path)):
        try:
            data = zarr.open(str(data), mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise InvalidInputError(f"{name} cannot be read as Zarr ({error})") from error
    others: dict[str, Any] = {}
    if isinstance(data, zarr.Group):
        others = dict(data.arrays())
        if "X" not in others:
            raise InvalidInputError(f"{name} has no array 'X'; it has {sorted(others)}")
        data = others.pop("X")
    for label, array, shape in (
        ("X", data, None),
        *((k, v, (data.shape[0],)) for k, v in others.items()),
    ):
        if array.dtype.kind not in _PLAIN:
            raise InvalidInputError(f"array {label!r} of {name} is {array.dtype}, not numbers")
        if shape is None and array.ndim != 2:
            raise InvalidInputError(f"{name} has the shape {array.shape}; give (rows, columns)")
        if shape is not None and array.shape != shape:
            raise InvalidInputError(
                f"array {label!r} of {name} has shape {array.shape}; it needs {shape}"
            )
    return Matrices(data, others, name)


class MatrixSource(FoundRows):
    """Rows of matrices.

    Parameters
    ----------
    data : Matrices
    columns : Columns
    dtype : numpy dtype, optional
        float32 where X is float32, else float64.
    missing_ok : bool, default=False
        Whether features may be missing, for a `RowPreparer`.
    """

    in_memory = False

    def __init__(
        self, data: Matrices, columns: Columns, dtype: Any = None, *, missing_ok: bool = False
    ) -> None:
        self._data, self._columns, self._asked = data, columns, dtype
        self._missing_ok = missing_ok
        self.name, self.n_rows = data.name, int(data.X.shape[0])
        if not self.n_rows:
            raise empty_error(self.name)
        single = data.X.dtype in (np.float32, np.float16)
        single &= all(name not in data.others for name in columns.features)
        kept = (np.float32 if single else np.float64) if dtype is None else dtype
        self.dtype, self.feature_names = np.dtype(kept), columns.features
        self.n_features, self.n_outputs = len(columns.features), len(columns.targets)
        self.target_names = columns.targets
        self.target_is_vector = self.n_outputs == 1
        self.has_weight = columns.weight is not None

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the rows in order; whole chunks are read at a time."""
        return recut(super().blocks(self._data.band_rows), max_rows)

    def _block(self, start: int, stop: int) -> Block:
        matrix = np.asarray(self._data.X[start:stop])
        chosen = self._columns
        X = self._values(
            matrix, chosen.features, start, stop, self.dtype, check=not self._missing_ok
        )
        y = w = None
        if chosen.targets:
            y = self._values(matrix, chosen.targets, start, stop, np.dtype(np.float64))
        if chosen.weight is not None:
            w = self._values(matrix, (chosen.weight,), start, stop, np.dtype(np.float64))[:, 0]
            w = checked_weight(w, len(w), f"column {chosen.weight!r} of {self.name}", start)
        ids = np.arange(start, stop)
        if chosen.key is not None:
            ids = self._column(matrix, chosen.key, start, stop)
        return Block(X, y, w, start, ids)

    def _column(self, matrix: np.ndarray, name: str, start: int, stop: int) -> np.ndarray:
        other = self._data.others.get(name)
        return matrix[:, int(name)] if other is None else np.asarray(other[start:stop])

    def _values(
        self,
        matrix: np.ndarray,
        names: Sequence[str],
        start: int,
        stop: int,
        dtype: np.dtype,
        *,
        check: bool = True,
    ) -> np.ndarray:
        values = np.empty((stop - start, len(names)), dtype)
        for j, name in enumerate(names):
            values[:, j] = self._column(matrix, name, start, stop)
            message = not_finite(
                f"column {name!r} of {self.name}", values[:, j], start, missing_ok=not check
            )
            if message is not None:
                raise InvalidInputError(message)
        return values

    def checked(self, *, missing_ok: bool) -> MatrixSource:
        """Return the same rows, with or without a check for missing values."""
        return MatrixSource(self._data, self._columns, self._asked, missing_ok=missing_ok)

    def select(self, names: Sequence[str]) -> RowSource:
        """Return the same rows with the features `names`, in that order."""
        missing = [name for name in names if name not in self._data.column_names]
        if missing:
            raise missing_columns(self.name, missing, self._data.column_names)
        columns = replace(self._columns, features=tuple(names))
        return MatrixSource(self._data, columns, self._asked, missing_ok=self._missing_ok)
