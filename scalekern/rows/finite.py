"""Where a value is that is no number to compute with, in words: missing, infinite or out of range.

scikit-learn says only that there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import InvalidInputError

LARGEST = 1e70
"""The largest value of a row, target or weight: its fourth power is a number too."""
TOO_LARGE = (
    f"values above {LARGEST:g} have no squares to compute with; divide them all by a constant, or "
    "drop the row"
)


def usable(values: np.ndarray) -> np.ndarray:
    """Say which values are there, finite, and not too large to compute with."""
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        return np.abs(values) <= LARGEST
    return np.isfinite(values)


@contextmanager
def located(**checked: Any) -> Iterator[None]:
    """Turn the error of a check into one that names the row and column of the bad value.

    Parameters
    ----------
    **checked : arrays
        What is checked inside the `with` block, by its name.
    """
    try:
        # The sums by which scikit-learn looks for infinite values may themselves be infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            yield
    except ValueError as error:
        for name, values in checked.items():
            message = not_finite(name, values)
            if message is not None:
                raise InvalidInputError(message) from error
        raise


def not_finite(
    name: str, values: Any, first_row: int = 0, *, missing_ok: bool = False
) -> str | None:
    """Return the message for the first value that is missing, infinite or out of range, or None.

    `first_row` is the number of the first row; with `missing_ok` NaN is no such value.

    Examples
    --------
    >>> not_finite("y", [1.0, float("nan")])
    'y has a missing value (NaN) at row 1; fill it in or drop the row'
    """
    if getattr(getattr(values, "dtype", None), "kind", "f") == "c":
        return None
    if sparse.issparse(values):
        entries = values.tocoo()
        numbers, places = entries.data, np.column_stack([entries.row, entries.col])
    else:
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            return None
        places = None
    good = usable(numbers)
    if missing_ok:
        good |= np.isnan(numbers)
    bad = np.argwhere(~good)
    if not len(bad):
        return None
    first = tuple(bad[0])
    value = numbers[first]
    kind, cure = "a missing value (NaN)", "fill it in or drop the row"
    if np.isinf(value):
        kind = "an infinite value (inf)"
    elif not np.isnan(value):
        kind, cure = f"the value {value:.6g}", TOO_LARGE
    place = first if places is None else places[first]
    place = (place[0] + first_row, *place[1:])
    where = ", ".join(f"{a} {i}" for a, i in zip(("row", "column"), place, strict=False))
    return f"{name} has {kind} at {where}; {cure}"


def check_range(**checked: Any) -> None:
    """Raise for values beyond `LARGEST` in arrays of numbers, by their names; NaN is none."""
    for name, values in checked.items():
        numbers = values.data if sparse.issparse(values) else np.asarray(values)
        if numbers.dtype.kind != "f" or not numbers.size:
            continue
        # Two passes without a copy; both pass over NaN.
        low, high = np.fmin.reduce(numbers, axis=None), np.fmax.reduce(numbers, axis=None)
        if max(float(high), -float(low)) > LARGEST:
            raise InvalidInputError(str(not_finite(name, values, missing_ok=True)))
