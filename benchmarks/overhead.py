"""What engines add to the arithmetic: ratios of times in one run, in turn.

python -m benchmarks overhead          400,000 flights
python -m benchmarks overhead --full   all 3,000,000

Dask has two workers of one thread each; the thread engine two threads; two plain processes share
the same blocks and merge their sums. Beside the ratio of times is that of the processor's time of
all processes, which other programs on the machine do not add to.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.memory import flights_as_parquet
from benchmarks.results import keep, parser, say, spread, table

ROWS, FULL_ROWS = 400_000, 3_000_000
COMPONENTS = 1_000
Task = Callable[[], Any]


def overhead(cache: Path, repeats: int, *, full: bool = False) -> dict[str, Any]:
    """Return the seconds of all, the clock's and the processor's, of each round."""
    from distributed import Client, LocalCluster

    rows = FULL_ROWS if full else ROWS
    path = _some_flights(cache, rows)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        ProcessPoolExecutor(2, get_context("spawn")) as pool,
    ):
        tasks = _tasks(path, client, pool)
        found = {name: _warm(task) for name, task in tasks.items()}
        for _ in range(repeats):
            for name, task in tasks.items():
                found[name].append(_timed(task))
            say(", ".join(f"{name} {times[-1][0]:.1f} s" for name, times in found.items()))
    return {"rows": rows, "seconds": found}


PAIRS = {
    "Dask over threads": ("fit on Dask", "fit on threads", 1.25),
    "Parquet over memory": ("fit on threads", "fit in memory", 1.25),
    "Dask over two processes": ("pass on Dask", "pass in two processes", 1 / 0.85),
}


def told(found: dict[str, Any]) -> str:
    """Return the table of ratios."""
    lines = []
    for name, (ours, other, most) in PAIRS.items():
        clock, processor = (
            [a[i] / b[i] for a, b in zip(found["seconds"][ours], found["seconds"][other],
                                         strict=True)]
            for i in (0, 1)
        )  # fmt: skip
        lines.append([name, spread(clock), spread(processor), f"{most:.2f}"])
    took = (
        f"{name} {statistics.median(t for t, _ in times):.1f}"
        for name, times in found["seconds"].items()
    )
    header = ["", "ratio of times", "of the processor's", "at most"]
    return (
        f"A Nyström fit on {found['rows']:,} flights, m = 1,000.\n\n{table(header, lines)}\n\n"
        f"Seconds: {', '.join(took)}."
    )


def _some_flights(cache: Path, rows: int) -> Path:
    import pyarrow.parquet as pq

    path = flights_as_parquet(cache)
    if rows == FULL_ROWS:
        return path
    some = cache / f"flights-{rows}.parquet"
    if not some.exists():
        pq.write_table(pq.read_table(path).slice(0, rows), some, row_group_size=250_000)
    return some


def _tasks(path: Path, client: Any, pool: ProcessPoolExecutor) -> dict[str, Task]:
    import scalekern

    source = scalekern.rows(path, target="y")
    whole = next(source.blocks(source.n_rows))

    def on_dask(task: Task) -> Any:
        with client.as_current(), scalekern.config_context(engine="dask"):
            return task()

    fit = partial(_fit, source)
    return {
        "fit on threads": fit,
        "fit on Dask": partial(on_dask, fit),
        "fit in memory": partial(_fit, whole.X, whole.y[:, 0]),
        "pass on Dask": partial(on_dask, partial(_pass, source)),
        "pass in two processes": partial(_pass_of_two, str(path), source.n_rows, pool),
    }


def _fit(*data: Any) -> Any:
    from scalekern import SimilarityRegressor

    return SimilarityRegressor(
        gamma=0.5, alpha=1.0, approximation="nystroem", n_components=COMPONENTS, random_state=0,
        n_jobs=2,
    ).fit(*data)  # fmt: skip


def _statistic() -> Any:
    from scalekern.features import NystroemMap
    from scalekern.kernels import RBF
    from scalekern.solvers import RidgeStatistic

    Z = np.random.default_rng(0).standard_normal((COMPONENTS, 8)).astype(np.float32)
    features = NystroemMap(RBF(0.5), Z, np.dtype(np.float32)).unfinished
    return lambda: RidgeStatistic(features, 1, np.zeros(1), 1)


def _pass(source: Any) -> Any:
    from scalekern.engine import engine_for

    return engine_for(source, 2).reduce(source, _statistic())


def _pass_of_two(path: str, n_rows: int, pool: ProcessPoolExecutor) -> Any:
    from scalekern.engine.plan import chunk_rows

    step = chunk_rows(n_rows, 64)
    halves = np.array_split(np.arange(-(-n_rows // step)), 2)
    first, second = pool.map(partial(_half, path, step), halves)
    make = _statistic()
    total, other = make(), make()
    total.restore(first)
    other.restore(second)
    total.merge(other)
    return total


def _half(path: str, step: int, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sums of half of the blocks, in a process of its own."""
    import scalekern
    from scalekern.engine.blas import one_blas_thread

    with one_blas_thread():
        total = _statistic()()
        for block in scalekern.rows(path, target="y").runs(numbers, step):
            total.update(block)
    return total.arrays()


def _warm(task: Task) -> list[tuple[float, float]]:
    task()
    return []


def _timed(task: Task) -> tuple[float, float]:
    start, before = time.perf_counter(), _busy()
    task()
    return time.perf_counter() - start, _busy() - before


def _busy() -> float:
    """Return the processor's seconds of this process and of all those that it started."""
    import psutil

    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def main() -> None:
    """Measure, and write what was found."""
    command = parser("overhead", __doc__)
    command.add_argument("--full", action="store_true", help="all flights")
    command.add_argument("--repeats", type=int, default=3, help="rounds")
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    options = command.parse_args()
    found = overhead(data.flights(Path(options.cache)), options.repeats, full=options.full)
    keep("overhead", told(found), found, record=options.record)


if __name__ == "__main__":
    main()
