"""Seconds that plans predict, against those of the fits: three sizes of each model, both engines.

`python -m benchmarks.plan` measures all of them, `python -m benchmarks.plan knn linear` some.
One thread, or one Dask worker of one thread in this process: measured is the processor's time,
which other programs on the machine do not add to.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import scalekern
from benchmarks.results import keep, parser, say, table
from scalekern import KNeighborsRegressor, LinearRegressor, SimilarityRegressor
from scalekern.engine.machine import rates

SIZES = {
    "exact": (500, 1_000, 2_000),
    "exact, cg": (4_000, 8_000, 16_000),
    "nystroem": (5_000, 20_000, 60_000),
    "nystroem, cg": (10_000, 40_000, 120_000),
    "nystroem, sgd": (10_000, 40_000, 120_000),
    "nystroem, tried": (5_000, 20_000, 60_000),
    "fourier": (5_000, 20_000, 60_000),
    "local": (5_000, 20_000, 60_000),
    "linear": (50_000, 200_000, 800_000),
    "knn": (20_000, 60_000, 150_000),
}
DASK_SIZES = {
    "exact, cg": (4_000, 8_000, 16_000),
    "nystroem": (50_000, 200_000, 800_000),
    "nystroem, cg": (50_000, 100_000, 200_000),
    "nystroem, sgd": (50_000, 100_000, 200_000),
    "fourier": (50_000, 200_000, 800_000),
    "local": (50_000, 200_000, 800_000),
    "linear": (50_000, 200_000, 800_000),
    "knn": (50_000, 200_000, 800_000),
}
COLUMNS = 6


Row = dict[str, Any]
"""A model, its rows, and the seconds planned and measured."""


def main() -> None:
    """Measure on both engines, and write planned and measured seconds and their ratios."""
    command = parser("plan", __doc__)
    command.add_argument("models", nargs="*", metavar="MODEL", help=f"of: {', '.join(SIZES)}")
    options = command.parse_args()
    names = options.models or list(SIZES)
    if unknown := set(names) - set(SIZES):
        command.error(f"no such model: {', '.join(unknown)}; there are {', '.join(SIZES)}")
    rng = np.random.default_rng(0)
    fit_once(SimilarityRegressor(n_components=50), rng.uniform(size=(3_000, COLUMNS)))
    fit_once(KNeighborsRegressor(), rng.uniform(size=(3_000, COLUMNS)))
    start = time.perf_counter()
    rates()
    calibration = time.perf_counter() - start
    threads, dask = list(on_threads(rng, names)), list(on_dask(rng, names))
    page = (
        f"Seconds measured over seconds planned; the machine's rates were measured in "
        f"{calibration:.2f} s.\n\n{told('on threads', threads)}\n\n{told('on Dask', dask)}"
    )
    keep("plan", page, {"threads": threads, "dask": dask}, record=options.record)


def told(where: str, rows: list[Row]) -> str:
    """Return the table of ratios, a line for each model."""
    lines: dict[str, list[list[str]]] = {}
    for row in rows:
        fit, predict = (
            f"{row[what] / row[f'planned_{what}']:.2f}" if what in row else ""
            for what in ("fit", "predict")
        )
        lines.setdefault(row["model"], []).append([f"{row['rows']:,}", fit, predict])
    cells = [
        [name, *("; ".join(column).strip("; ") for column in zip(*found, strict=True))]
        for name, found in lines.items()
    ]
    return table([where, "rows", "fit", "predict"], cells)


def on_threads(rng: np.random.Generator, names: list[str]) -> Iterator[Row]:
    """Yield what fits and predictions take on one thread."""
    for name in names:
        for n in SIZES[name]:
            X = rng.uniform(size=(n, COLUMNS))
            model = _model(name)
            plan = scalekern.plan(X, X[:, 0], estimator=model)
            with threadpool_limits(1, "blas"):
                fit, predict = fit_once(model, X)
            say(f"{name}, {n:,} rows: {fit / plan.seconds:.2f}")
            yield {
                "model": name, "rows": n, "planned_fit": plan.seconds, "fit": fit,
                "planned_predict": plan.predict_seconds, "predict": predict,
            }  # fmt: skip


def on_dask(rng: np.random.Generator, names: list[str]) -> Iterator[Row]:
    """Yield the same of fits from Parquet on a Dask worker."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
        scalekern.config_context(engine="dask"),
        tempfile.TemporaryDirectory() as folder,
        threadpool_limits(1, "blas"),
    ):
        for name in names:
            for n in (2_000, *DASK_SIZES.get(name, ())):
                X = rng.uniform(size=(n, COLUMNS))
                rows = pa.table({f"x{j}": X[:, j] for j in range(COLUMNS)} | {"y": _target(X)})
                pq.write_table(rows, f"{folder}/rows.parquet", row_group_size=65_536)
                source = scalekern.rows(f"{folder}/rows.parquet", target="y")
                model = _model(name)
                plan = scalekern.plan(source, estimator=model)
                fit = seconds_of(lambda m=model, s=source: m.fit(s))
                if n != 2_000:  # the first warms the worker up
                    say(f"{name} on Dask, {n:,} rows: {fit / plan.seconds:.2f}")
                    yield {"model": name, "rows": n, "planned_fit": plan.seconds, "fit": fit}


def _model(name: str) -> Any:
    if name == "knn":
        return KNeighborsRegressor(n_jobs=1)
    if name == "linear":
        return LinearRegressor(n_jobs=1)
    approximation, _, solver = name.partition(", ")
    if solver == "tried":
        return SimilarityRegressor(approximation=approximation, n_components=500, n_jobs=1)
    if name == "local":
        # How many neighbours are best, and in which metric, the plan cannot know.
        return SimilarityRegressor("matern32", approximation=name, n_neighbors=32, n_jobs=1,
                                   metric="euclidean")  # fmt: skip
    # Of iterations the plan knows how many are usual, so a problem that takes about as many.
    settings = {"gamma": 4.0, "alpha": 1e-2} if solver else {"gamma": "median"}
    return SimilarityRegressor(
        "rbf", metric="euclidean", approximation=approximation, solver=solver or "auto",
        n_components=500, n_jobs=1,
        **settings,
    )  # fmt: skip


def fit_once(model: Any, X: np.ndarray) -> tuple[float, float]:
    """Return the seconds of a fit and of predictions for the same rows."""
    y = _target(X)
    return seconds_of(lambda: model.fit(X, y)), seconds_of(lambda: model.predict(X))


def _target(X: np.ndarray) -> np.ndarray:
    return np.sin(6 * X[:, 0]) + X[:, 1]


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the processor's seconds of a call."""
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
