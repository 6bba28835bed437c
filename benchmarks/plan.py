"""Seconds that plans predict, against those of the fits: three sizes of each model, one thread.

Measured is the processor's time, which other programs on the machine do not add to.

python -m benchmarks.plan
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

import scalekern
from scalekern import KNeighborsRegressor, SimilarityRegressor
from scalekern.engine.machine import rates

SIZES = {
    "exact": (500, 1_000, 2_000),
    "nystroem": (5_000, 20_000, 60_000),
    "fourier": (5_000, 20_000, 60_000),
    "knn": (20_000, 60_000, 150_000),
}
COLUMNS = 6


def main() -> None:
    """Print predicted and measured seconds of fit and predict, and their ratios."""
    rng = np.random.default_rng(0)
    fit_once(SimilarityRegressor(n_components=50), rng.uniform(size=(3_000, COLUMNS)))
    fit_once(KNeighborsRegressor(), rng.uniform(size=(3_000, COLUMNS)))
    start = time.perf_counter()
    rates()
    print(f"calibration {time.perf_counter() - start:.2f} s")
    print("model         rows  fit: planned  measured  ratio  predict: planned  measured  ratio")
    for name, sizes in SIZES.items():
        for n in sizes:
            X = rng.uniform(size=(n, COLUMNS))
            model = (
                KNeighborsRegressor(n_jobs=1)
                if name == "knn"
                else SimilarityRegressor(approximation=name, n_components=500, n_jobs=1)
            )
            plan = scalekern.plan(X, X[:, 0], estimator=model)
            with threadpool_limits(1, "blas"):
                fit, predict = fit_once(model, X)
            planned, predicting = plan.seconds, plan.predict_seconds
            print(
                f"{name:<10}{n:>8,}{planned:>14.3f}{fit:>10.3f}{fit / planned:>7.2f}"
                f"{predicting:>18.3f}{predict:>10.3f}{predict / predicting:>7.2f}"
            )


def fit_once(model: object, X: np.ndarray) -> tuple[float, float]:
    """Return the seconds of a fit and of predictions for the same rows."""
    y = np.sin(6 * X[:, 0]) + X[:, 1]
    times = []
    for call in (lambda: model.fit(X, y), lambda: model.predict(X)):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return times[0], times[1]


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
