"""Conjugate gradients: `python -m benchmarks.cg passes`, `flights` or `kin40k`.

`passes` compares a pass with its own steps run apart, on a tile that stays in the cache; `flights`
a Nyström fit by cg with that from sums; `kin40k` is the exact model without its Gram matrix.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import data
from benchmarks.worker import mark_memory, peak_memory

LANDMARKS = 4_096


def best(function: Callable[[], Any], repeats: int = 15) -> float:
    """Return the least seconds of a core that some calls took, whatever else the machine does."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        seconds.append(time.process_time() - start)
    return min(seconds)


def steps(rows: int, m: int, d: int, dtype: Any) -> dict[str, float]:
    """Return nanoseconds for each kernel value of the steps of a pass, each apart, on one core."""
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(shape).astype(dtype) for shape in ((rows, d), (d, m)))
    out, v = np.empty((rows, m), dtype), rng.standard_normal((m, 1)).astype(dtype)
    u = rng.standard_normal((rows, 1)).astype(dtype)
    values = -np.abs(rng.standard_normal((rows, m))).astype(dtype)
    with threadpool_limits(1):
        found = {
            "multiply": best(lambda: np.matmul(left, right, out=out)),
            "exp": best(lambda: np.exp(values, out=out)),
            "K v": best(lambda: out @ v),
            "K'u": best(lambda: out.T @ u),
        }
    return {name: 1e9 * seconds / (rows * m) for name, seconds in found.items()}


def passes() -> None:
    """Measure passes of both solvers against their steps."""
    from scalekern.engine import ThreadEngine
    from scalekern.kernels import RBF
    from scalekern.rows import ArraySource
    from scalekern.solvers.normal import KernelNormal
    from scalekern.solvers.tiles import TILE_ROWS, GramProduct

    rng = np.random.default_rng(0)
    kernel, engine = RBF(0.05), ThreadEngine(1)
    print(
        f"{'pass':<28}{'dtype':<9}{'steps apart':>12}{'pass':>8}{'of the steps':>14}   (ns a value)"
    )
    for dtype in (np.float32, np.float64):
        X = rng.standard_normal((40_000, 8)).astype(dtype)
        columns = kernel.columns(X[:LANDMARKS], dtype)
        V, zero = rng.standard_normal((LANDMARKS, 1)), np.zeros(1)
        source = ArraySource(X)

        make = partial(KernelNormal, columns, V, zero, dtype, double=False)
        tile = max(16, (1 << 19) // (LANDMARKS * np.dtype(dtype).itemsize))
        apart = sum(steps(tile, LANDMARKS, 10, dtype).values())
        whole = 1e9 * best(partial(engine.reduce, source, make), 3) / (len(X) * LANDMARKS)
        report("Nyström, m = 4,096", dtype, apart, whole)
        gram = GramProduct(engine, kernel, X[:12_000], dtype)
        v = rng.standard_normal((12_000, 1))
        apart = sum(steps(TILE_ROWS, TILE_ROWS, 10, dtype).values())
        whole = 1e9 * best(partial(gram, v), 3) / (12_000**2 / 2)
        report("exact, tiles of 512 x 512", dtype, apart, whole)


def report(what: str, dtype: Any, apart: float, whole: float) -> None:
    """Print one line."""
    print(f"{what:<28}{np.dtype(dtype).name:<9}{apart:>12.2f}{whole:>8.2f}{apart / whole:>14.0%}")


def flights(cache: Path, n: int, gamma: float, alpha: float) -> None:
    """Measure cg against the direct sums on the flights."""
    from scalekern import SimilarityRegressor

    X, y, X_test, y_test = data.standardized(data.flights(cache), n)
    scores = {}
    for solver in ("cg", "cholesky"):
        model = SimilarityRegressor(
            gamma=gamma, alpha=alpha, approximation="nystroem", n_components=LANDMARKS,
            solver=solver, random_state=0,
        )  # fmt: skip
        start, cpu = time.perf_counter(), time.process_time()
        model.fit(X, y)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        rmse = float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)))
        scores[solver] = (cpu, rmse)
        kept = ("passes", "stopped", "residual", "condition", "double_products")
        notes = {name: model.report_[name] for name in kept if name in model.report_}
        print(
            f"{solver:<10}{seconds:>8.1f} s, {cpu:>7.1f} s of cores  RMSE {rmse:.5f}  {notes}",
            flush=True,
        )
    mean = float(np.sqrt(np.mean((y_test - y.mean(dtype=np.float64)) ** 2)))
    (fast, ours), (slow, direct) = scores["cg"], scores["cholesky"]
    print(
        f"{n:,} flights, m = {LANDMARKS:,}, gamma {gamma}, alpha {alpha}: sums take "
        f"{slow / fast:.2f} times the cores' time of cg; the RMSE of cg lies "
        f"{(ours - direct) / (mean - direct):+.2%} of the gap between the mean ({mean:.4f}) and "
        "the direct solution above the latter"
    )


def kin40k(kernel: str, gamma: float, alpha: float, tol: float) -> None:
    """Measure the exact model of kin40k, 36,000 rows, standardised on them."""
    from scalekern import SimilarityRegressor, config_context

    folder = data.folder()
    if folder is None:
        raise SystemExit("set SCALEKERN_DATA to the folder that holds kin40k.data.csv.gz")
    table, mask = (
        np.loadtxt(folder / f"kin40k.{name}.csv.gz", delimiter=",")
        for name in ("data", "test_mask")
    )
    test = mask[:, 0].astype(bool)
    table = (table - table[~test].mean(axis=0)) / table[~test].std(axis=0)
    X, y = table[:, :-1], table[:, -1]
    for dtype in ("float32", "float64"):
        model = SimilarityRegressor(
            kernel, gamma=gamma, alpha=alpha, approximation="exact", solver="cg", tol=tol,
            random_state=0,
        )  # fmt: skip
        before = mark_memory()
        start, cpu = time.perf_counter(), time.process_time()
        with config_context(tile_dtype=dtype):
            model.fit(X[~test], y[~test])
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        memory = peak_memory() - before
        rmse = float(np.sqrt(np.mean((model.predict(X[test]) - y[test]) ** 2)))
        kept = ("alpha", "tile_dtype", "passes", "stopped", "residual", "condition")
        print(
            f"{dtype}: {seconds:.1f} s ({cpu:.0f} s of cores), {memory / 1e9:.2f} GB beyond the "
            f"data, test RMSE {rmse:.4f}  { {name: model.report_[name] for name in kept} }",
            flush=True,
        )


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cg", description=__doc__)
    parser.add_argument("task", choices=["passes", "flights", "kin40k"])
    parser.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--kernel", default="rbf")
    parser.add_argument("--gamma", type=float, default=0.15)
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--tol", type=float, default=1e-3)
    options = parser.parse_args()
    if options.task == "passes":
        passes()
    elif options.task == "flights":
        flights(Path(options.cache), options.rows, options.gamma, options.alpha)
    else:
        kin40k(options.kernel, options.gamma, options.alpha, options.tol)


if __name__ == "__main__":
    main()
