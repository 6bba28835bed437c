"""Each hot path against the least that it must do: `python -m benchmarks.paths`.

One fit or prediction at a time, on rows made here, warm, the median of several. The least is the
operations of matrix products and the exponentials (or cosines and sines) that the path cannot do
without, in the precision that it has, at the rates that this machine has in the same run; the share
says how near the code comes to that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.limits import least_seconds, limits, told
from benchmarks.results import keep, parser, say, table

D, M, K = 8, 1_000, 32
PLAIN: dict[str, Any] = {"kernel": "rbf", "gamma": 0.15, "alpha": 1.0, "metric": "euclidean"}
Path = tuple[str, Callable[[], Any], float, float, str]
"""What it is, the path, the operations of products and the exponentials of it, and their dtype."""
WIDE = 64
"""Columns of the rows that are scanned: of fewer a KD-tree finds the neighbours."""


def rows(n: int, seed: int, d: int = D) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 rows and a smooth target."""
    X = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return X, np.sin(X).sum(axis=1)


def paths(scale: float) -> list[Path]:
    """Return the paths; `scale` makes them shorter."""
    from scalekern import KNeighborsRegressor, SimilarityRegressor

    n, few, dense = int(scale * 200_000), int(scale * 20_000), int(scale * 4_000)
    X, y = rows(n, 0)
    Q, _ = rows(n, 1)
    sized = {"n_components": M, "random_state": 0, **PLAIN}
    nystroem = SimilarityRegressor(approximation="nystroem", **sized)
    fourier = SimilarityRegressor(approximation="fourier", **sized)
    exact = SimilarityRegressor(approximation="exact", solver="cholesky", **PLAIN)
    iterated = SimilarityRegressor(approximation="exact", solver="cg", **PLAIN, random_state=0)
    wide, _ = rows(few, 2, WIDE)
    flat = KNeighborsRegressor(K, algorithm="brute").fit(wide, y[:few])
    near, solved = X[:dense], y[:dense]
    fits = [model.fit(X, y) for model in (nystroem, fourier)] + [exact.fit(near, solved)]
    passes = iterated.fit(X[:few], y[:few]).report_["iterations"]
    values, gram = float(n * M), n * M * (2.0 * D + M)
    return [
        ("fit, Nyström", lambda: fits[0].fit(X, y), gram, values, "float32"),
        ("fit, Fourier", lambda: fits[1].fit(X, y), n * M * (D + M), values, "float32"),
        ("fit, exact by Cholesky", lambda: exact.fit(near, solved),
         dense**2 * D + dense**3 / 3, dense**2 / 2, "float64"),
        ("fit, exact by cg", lambda: iterated.fit(X[:few], y[:few]),
         passes * few**2 * (D + 2.0), passes * few**2 / 2, "float32"),
        ("predict, Nyström", lambda: fits[0].predict(Q), values * 2 * (D + 1), values, "float32"),
        ("predict, Fourier", lambda: fits[1].predict(Q), values * (D + 2), values, "float32"),
        ("predict, exact", lambda: exact.predict(Q), n * dense * 2.0 * (D + 1), float(n * dense),
         "float64"),
        ("neighbours, all rows scanned", lambda: flat.kneighbors(wide), few**2 * 2.0 * WIDE, 0.0,
         "float32"),
    ]  # fmt: skip


def seconds_of(call: Callable[[], Any], repeats: int) -> list[float]:
    """Return the seconds of some calls."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    """Time the paths, print the table and write it."""
    command = parser("paths", __doc__)
    command.add_argument("--repeats", type=int, default=3, help="times each is run")
    command.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    options = command.parse_args()
    found, results = limits(), {}
    for name, call, products, exponentials, dtype in paths(options.scale):
        seconds = seconds_of(call, options.repeats)
        least = least_seconds(products, exponentials, found, dtype=dtype)
        results[name] = {"seconds": seconds, "least": least}
        say(f"{name}: {min(seconds):.2f} s, at least {least:.2f}")
    shares = {name: [one["least"] / s for s in one["seconds"]] for name, one in results.items()}
    lines = [
        [name, f"{statistics.median(one['seconds']):.2f}", f"{one['least']:.2f}",
         f"{statistics.median(shares[name]):.0%}"]
        for name, one in results.items()
    ]  # fmt: skip
    told_paths = table(["path", "seconds", "at least", "of the limit"], lines)
    page = f"{told(found)}\n\n{told_paths}"
    keep("paths", page, {"limits": found, "paths": results}, shares, record=options.record)


if __name__ == "__main__":
    main()
