"""What this machine can do at most: products of matrices, exponentials, bytes read and copied.

Measured afresh in each run, since on a shared machine they change from hour to hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.results import table
from scalekern.engine.limits import available_cores

REPEATS = 7


def _least_seconds(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def limits() -> dict[str, float]:
    """Return operations or bytes a second: of all cores, of one for exponentials and copies."""
    rng = np.random.default_rng(0)
    found = {}
    for dtype, size in (("float32", 3_000), ("float64", 2_000)):
        A = rng.standard_normal((size, size)).astype(dtype)
        out = np.empty_like(A)
        seconds = _least_seconds(lambda A=A, out=out: np.matmul(A, A, out=out))
        found[f"{dtype} products"] = 2 * size**3 / seconds
    for dtype in ("float32", "float64"):
        values = -rng.random(1 << 16).astype(dtype)
        out = np.empty_like(values)
        seconds = _least_seconds(lambda values=values, out=out: np.exp(values, out=out))
        found[f"{dtype} exponentials"] = values.size / seconds
    long = np.ones(1 << 25, dtype=np.float64)
    parts = np.array_split(long, available_cores())
    with ThreadPoolExecutor(len(parts)) as threads:
        seconds = _least_seconds(lambda: list(threads.map(np.max, parts)))
    found["bytes read"] = long.nbytes / seconds
    copy = np.empty_like(long)
    found["bytes copied"] = 2 * long.nbytes / _least_seconds(lambda: np.copyto(copy, long))
    return found


def least_seconds(
    products: float,
    exponentials: float,
    found: dict[str, float],
    bytes_read: float = 0.0,
    dtype: str = "float32",
) -> float:
    """Return what so many operations of products, exponentials and bytes read take at least.

    One after the other: that they overlap is what code may gain by, up to a factor of two.
    """
    return (
        products / found[f"{dtype} products"]
        + exponentials / (available_cores() * found[f"{dtype} exponentials"])
        + bytes_read / found["bytes read"]
    )


def told(found: dict[str, float]) -> str:
    """Return the limits as a table."""
    rows = [[name, f"{value / 1e9:.1f}"] for name, value in found.items()]
    return f"This machine at most:\n\n{table(['', '10⁹ a second'], rows)}"
