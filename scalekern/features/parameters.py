"""Small checks of parameters that transformers and estimators share."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from scalekern._config import get_config
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import Kernel, Polynomial, as_kernel, kernel_names
from scalekern.rows import RowSource


def check_integer(name: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int, or raise where it is not a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise InvalidInputError(f"{name}={value!r}; it must be a whole number of at least {least}")
    return int(value)


def check_share(name: str, value: Any) -> float:
    """Return `value` as a float, or raise where it is not a number from 0 to below 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise InvalidInputError(f"{name}={value!r}; it must be at least 0 and below 1")
    return float(value)


def check_choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value`, or raise listing the choices."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidInputError(f"{name}={value!r}; choose one of {', '.join(map(repr, choices))}")
    return value


def seed_of(random_state: Any) -> int:
    """Return the seed of the hashes and generators of one fit."""
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        return int(random_state)
    return int(check_random_state(random_state).randint(np.iinfo(np.int32).max))


def tile_dtype_of(source: RowSource) -> np.dtype:
    """Return the dtype of kernel tiles: the configured one, or float32 for float32 rows only."""
    configured = get_config().tile_dtype
    if configured is not None:
        return np.dtype(configured)
    return np.dtype(np.float32 if source.dtype == np.float32 else np.float64)


def require_random_features(kernel: Kernel) -> Kernel:
    """Return the kernel, or raise listing those that have random features."""
    if _has_random_features(kernel):
        return kernel
    names = [name for name in kernel_names() if _has_random_features(as_kernel(name))]
    raise UnsupportedError(
        f"random features need a stationary or polynomial kernel and {kernel!r} is neither; "
        f"use {', '.join(map(repr, names))}, sums or products of stationary ones, or "
        "approximation='nystroem'"
    )


def _has_random_features(kernel: Kernel) -> bool:
    return kernel.stationary or (isinstance(kernel, Polynomial) and kernel.positive_definite)
