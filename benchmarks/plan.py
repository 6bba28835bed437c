"""Seconds that plans predict, against those of the fits: three sizes of each model, both engines.

python -m benchmarks.plan              all of them: some ten minutes
python -m benchmarks.plan knn linear   some of them

One thread, or one Dask worker of one thread in this process: measured is the processor's time,
which other programs on the machine do not add to.
"""

from __future__ import annotations

import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import scalekern
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


def main() -> None:
    """Print predicted and measured seconds, and their ratios."""
    names = sys.argv[1:] or list(SIZES)
    rng = np.random.default_rng(0)
    fit_once(SimilarityRegressor(n_components=50), rng.uniform(size=(3_000, COLUMNS)))
    fit_once(KNeighborsRegressor(), rng.uniform(size=(3_000, COLUMNS)))
    start = time.perf_counter()
    rates()
    print(f"calibration {time.perf_counter() - start:.2f} s")
    print(
        "model             rows  fit: planned  measured  ratio  predict: planned  measured  ratio"
    )
    for name in names:
        for n in SIZES[name]:
            X = rng.uniform(size=(n, COLUMNS))
            model = _model(name)
            plan = scalekern.plan(X, X[:, 0], estimator=model)
            with threadpool_limits(1, "blas"):
                fit, predict = fit_once(model, X)
            planned, predicting = plan.seconds, plan.predict_seconds
            print(
                f"{name:<14}{n:>8,}{planned:>14.3f}{fit:>10.3f}{fit / planned:>7.2f}"
                f"{predicting:>18.3f}{predict:>10.3f}{predict / predicting:>7.2f}",
                flush=True,
            )
    on_dask(rng, names)


def on_dask(rng: np.random.Generator, names: list[str]) -> None:
    """Print the same of fits from Parquet on a Dask worker."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from distributed import Client, LocalCluster

    print("on Dask           rows  fit: planned  measured  ratio   tasks")
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
                table = pa.table({f"x{j}": X[:, j] for j in range(COLUMNS)} | {"y": _target(X)})
                pq.write_table(table, f"{folder}/rows.parquet", row_group_size=65_536)
                source = scalekern.rows(f"{folder}/rows.parquet", target="y")
                model = _model(name)
                plan = scalekern.plan(source, estimator=model)
                fit = seconds_of(lambda m=model, s=source: m.fit(s))
                if n != 2_000:  # the first warms the worker up
                    print(
                        f"{name:<14}{n:>8,}{plan.seconds:>14.3f}{fit:>10.3f}"
                        f"{fit / plan.seconds:>7.2f}{plan.graph_tasks:>8}",
                        flush=True,
                    )


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
