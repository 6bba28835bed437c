"""Where a missing or infinite value is, in words; scikit-learn says only that there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import InvalidInputError


@contextmanager
def located(**checked: Any) -> Iterator[None]:
    """Turn the error of a check into one that names the row and column of the bad value.

    Parameters
    ----------
    **checked : arrays
        What is checked inside the `with` block, by its name.
    """
    try:
        yield
    except ValueError as error:
        for name, values in checked.items():
            message = not_finite(name, values)
            if message is not None:
                raise InvalidInputError(message) from error
        raise


def not_finite(name: str, values: Any, first_row: int = 0) -> str | None:
    """Return the message for the first missing or infinite value; None where there is none.

    `first_row` is the number of the first row.

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
    bad = np.argwhere(~np.isfinite(numbers))
    if not len(bad):
        return None
    first = tuple(bad[0])
    kind = "a missing value (NaN)" if np.isnan(numbers[first]) else "an infinite value (inf)"
    place = first if places is None else places[first]
    place = (place[0] + first_row, *place[1:])
    where = ", ".join(f"{a} {i}" for a, i in zip(("row", "column"), place, strict=False))
    return f"{name} has {kind} at {where}; fill it in or drop the row"
