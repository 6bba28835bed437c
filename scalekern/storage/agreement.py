"""What a model's arrays and values must be to each other, declared as data and checked on loading.

Checksums find accidents. A description that was written by hand, or by another version, may still
name arrays of lengths that do not go together; those are found here, before a prediction fails in
the middle of a product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy import sparse

Kinds = type | tuple[type, ...]


def check_arrays(arrays: Mapping[str, Any], axes: Mapping[str, str], **lengths: Any) -> None:
    """Raise unless arrays are numbers, finite, of shapes that agree.

    Parameters
    ----------
    arrays : mapping of str to array, sparse matrix or list
        Those that `axes` does not name are not looked at.
    axes : mapping of str to str
        A letter for each axis of an array: the same letter is the same length in all of them.
        Shapes to choose from are parted by "|"; "?" at the end allows one axis of texts.
    **lengths : int
        The lengths that are known, by their letters.

    Raises
    ------
    ValueError
        Naming the array.

    Examples
    --------
    >>> axes = {"landmarks_": "md", "dual_coef_": "m|mt"}
    >>> check_arrays({"landmarks_": np.eye(3), "dual_coef_": np.ones((3, 2))}, axes, t=2)
    >>> check_arrays({"landmarks_": np.eye(3), "dual_coef_": np.ones(2)}, axes)
    Traceback (most recent call last):
    ValueError: dual_coef_ has shape (2,), which does not go with the other arrays
    """
    for name in (name for name in axes if name in arrays):
        value = arrays[name]
        shape = value.shape if hasattr(value, "shape") else (len(value),)
        letters = {len(each): each for each in axes[name].rstrip("?").split("|")}.get(len(shape))
        agree = letters is not None and all(
            lengths.setdefault(letter, length) == length
            for letter, length in zip(letters, shape, strict=True)
        )
        if not agree:
            raise ValueError(f"{name} has shape {shape}, which does not go with the other arrays")
        numbers = np.asarray(value.data if sparse.issparse(value) else value)
        texts = axes[name].endswith("?") and len(shape) == 1
        if numbers.dtype.kind in "biuf" or not texts:
            _check_numbers(name, numbers)


def check_there(names: Iterable[str], arrays: Mapping[str, Any]) -> None:
    """Raise `ValueError` for the first of the names that arrays lack."""
    for name in names:
        if name not in arrays:
            raise ValueError(f"{name} is missing")


def _check_numbers(name: str, values: np.ndarray) -> None:
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds {values.dtype}, not numbers")
    # The sum is finite where all are, and takes no memory; else each is looked at.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(values.sum(dtype=np.float64)) or np.isfinite(values).all()
    if not finite:
        raise ValueError(f"{name} has values that are missing or infinite")


def check_values(values: Mapping[str, Any], kinds: Mapping[str, Kinds]) -> None:
    """Raise `TypeError` unless each of the values is there and of its kind.

    Examples
    --------
    >>> check_values({"n_outputs_": "many"}, {"n_outputs_": int})
    Traceback (most recent call last):
    TypeError: n_outputs_='many' is no int
    """
    for name, kind in kinds.items():
        # To Python True is a whole number.
        wrong_bool = isinstance(values[name], bool) and kind is int
        if wrong_bool or not isinstance(values[name], kind):
            wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise TypeError(f"{name}={values[name]!r} is no {wanted}")
