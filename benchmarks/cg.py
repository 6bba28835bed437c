"""Conjugate gradients: `python -m benchmarks.cg [passes] [flights] [kin40k]`.

`passes` compares a pass with its own steps run apart, on a tile that stays in the cache; `flights`
a Nyström fit by cg with that from sums; `kin40k` is the exact model without its Gram matrix.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import data
from benchmarks.results import keep, parser, say, table
from benchmarks.worker import mark_memory, peak_memory

LANDMARKS = 4_096
TASKS = ("passes", "flights", "kin40k")


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


def passes() -> tuple[str, list[dict[str, Any]]]:
    """Measure passes of both solvers against their steps."""
    from scalekern.engine import ThreadEngine
    from scalekern.kernels import RBF
    from scalekern.rows import ArraySource
    from scalekern.solvers.normal import KernelNormal
    from scalekern.solvers.tiles import TILE_ROWS, GramProduct

    rng = np.random.default_rng(0)
    kernel, engine = RBF(0.05), ThreadEngine(1)
    found = []
    for dtype in (np.float32, np.float64):
        X = rng.standard_normal((40_000, 8)).astype(dtype)
        columns = kernel.columns(X[:LANDMARKS], dtype)
        V, zero = rng.standard_normal((LANDMARKS, 1)), np.zeros(1)
        source = ArraySource(X)

        make = partial(KernelNormal, columns, V, zero, dtype, double=False)
        tile = max(16, (1 << 19) // (LANDMARKS * np.dtype(dtype).itemsize))
        apart = sum(steps(tile, LANDMARKS, 10, dtype).values())
        whole = 1e9 * best(partial(engine.reduce, source, make), 3) / (len(X) * LANDMARKS)
        found.append(_pass("Nyström, m = 4,096", dtype, apart, whole))
        gram = GramProduct(engine, kernel, X[:12_000], dtype)
        v = rng.standard_normal((12_000, 1))
        apart = sum(steps(TILE_ROWS, TILE_ROWS, 10, dtype).values())
        whole = 1e9 * best(partial(gram, v), 3) / (12_000**2 / 2)
        found.append(_pass("exact, half of the tiles", dtype, apart, whole))
    lines = [
        [one["pass"], one["tiles"], f"{one['steps']:.2f}", f"{one['whole']:.2f}",
         f"{one['steps'] / one['whole']:.0%}"]
        for one in found
    ]  # fmt: skip
    header = ["pass", "tiles", "its steps apart", "whole", "of the limit"]
    return f"Nanoseconds of a core for each kernel value:\n\n{table(header, lines)}", found


def _pass(what: str, dtype: Any, apart: float, whole: float) -> dict[str, Any]:
    say(f"{what}, {np.dtype(dtype).name}: {apart / whole:.0%}")
    return {"pass": what, "tiles": np.dtype(dtype).name, "steps": apart, "whole": whole}


def flights(cache: Path, n: int, gamma: float, alpha: float) -> tuple[str, dict[str, Any]]:
    """Measure cg against the direct sums on the flights."""
    from scalekern import SimilarityRegressor

    X, y, X_test, y_test = data.standardized(data.flights(cache), n)
    found = {}
    for solver in ("cg", "cholesky"):
        model = SimilarityRegressor(
            gamma=gamma, alpha=alpha, approximation="nystroem", n_components=LANDMARKS,
            solver=solver, random_state=0,
        )  # fmt: skip
        found[solver] = _fitted(model, X, y, X_test, y_test)
        say(f"{solver}: {found[solver]['seconds']:.0f} s")
    mean = float(np.sqrt(np.mean((y_test - y.mean(dtype=np.float64)) ** 2)))
    ours, direct = (found[solver]["rmse"] for solver in ("cg", "cholesky"))
    times, busy = (
        found["cholesky"][what] / found["cg"][what] for what in ("seconds", "cpu_seconds")
    )
    page = (
        f"Nyström, {n:,} flights, m = {LANDMARKS:,}, gamma {gamma}, alpha {alpha}:\n\n"
        f"{_told(found)}\n\nSums take {times:.2f} times the seconds of cg, and {busy:.2f} times "
        f"the processor's; the RMSE of cg lies {(ours - direct) / (mean - direct):+.2%} of the gap "
        f"between the mean ({mean:.4f}) and the direct solution above the latter."
    )
    return page, found


def _fitted(model: Any, *rows: np.ndarray) -> dict[str, Any]:
    X, y, X_test, y_test = rows
    before = mark_memory()
    start, cpu = time.perf_counter(), time.process_time()
    model.fit(X, y)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    memory = peak_memory() - before
    rmse = float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)))
    notes = {name: model.report_[name] for name in REPORTED if name in model.report_}
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": memory, "rmse": rmse} | notes


REPORTED = ("tile_dtype", "passes", "stopped")


def _told(found: dict[str, dict[str, Any]]) -> str:
    """Return a table of fits."""
    lines = [
        [name, f"{one['rmse']:.4f}", f"{one['seconds']:.0f}", f"{one['cpu_seconds']:.0f}",
         f"{one['peak_bytes'] / 1e9:.2f} GB", *(str(one.get(key, "")) for key in REPORTED[1:])]
        for name, one in found.items()
    ]  # fmt: skip
    header = ["", "RMSE", "seconds", "processor's", "memory beyond the data", *REPORTED[1:]]
    return table(header, lines)


def kin40k(kernel: str, gamma: float, alpha: float, tol: float) -> tuple[str, dict[str, Any]]:
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
    found = {}
    for dtype in ("float32", "float64"):
        model = SimilarityRegressor(
            kernel, gamma=gamma, alpha=alpha, approximation="exact", solver="cg", tol=tol,
            random_state=0,
        )  # fmt: skip
        with config_context(tile_dtype=dtype):
            found[f"{dtype} tiles"] = _fitted(model, X[~test], y[~test], X[test], y[test])
        say(f"{dtype}: {found[f'{dtype} tiles']['seconds']:.0f} s")
    title = f"Exact, kin40k, 36,000 rows, {kernel}, gamma {gamma}, alpha {alpha}, tol {tol}"
    return f"{title}:\n\n{_told(found)}", found


def main() -> None:
    """Run the benchmarks that are named, and write what they found."""
    command = parser("cg", __doc__)
    command.add_argument(
        "tasks", nargs="*", metavar="TASK", help=f"of: {', '.join(TASKS)}", default=["passes"]
    )
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    command.add_argument("--rows", type=int, default=2_000_000, help="flights")
    command.add_argument("--kernel", default="matern52", help="of kin40k")
    command.add_argument("--gamma", type=float, default=0.05, help="of kin40k")
    command.add_argument("--alpha", type=float, default=0.003, help="of kin40k")
    command.add_argument("--tol", type=float, default=1e-4, help="of kin40k")
    options = command.parse_args()
    if unknown := set(options.tasks) - set(TASKS):
        command.error(f"no such task: {', '.join(unknown)}; there are {', '.join(TASKS)}")
    runs: dict[str, Callable[[], tuple[str, Any]]] = {
        "passes": passes,
        "flights": lambda: flights(Path(options.cache), options.rows, gamma=0.15, alpha=1.0),
        "kin40k": lambda: kin40k(options.kernel, options.gamma, options.alpha, options.tol),
    }
    found = {task: runs[task]() for task in options.tasks}
    page = "\n\n".join(page for page, _ in found.values())
    results = {task: numbers for task, (_, numbers) in found.items()}
    keep("cg", page, results, record=options.record)


if __name__ == "__main__":
    main()
