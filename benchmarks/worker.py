"""One measured run in a process of its own: `python -m benchmarks.worker TASK '{"json": ...}'`.

Prints one line of JSON: seconds, peak memory beyond the data, and the held-out error.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data

COMPONENTS = 1000
ALPHA = 1.0


def flights_ours(options: dict[str, Any]) -> dict[str, Any]:
    """Fit and predict with our Nyström model."""
    from scalekern import SimilarityRegressor

    model = SimilarityRegressor(
        gamma=options["gamma"],
        alpha=ALPHA,
        approximation="nystroem",
        n_components=COMPONENTS,
        random_state=0,
    )
    return _on_flights(model, options) | _work(model, options)


def flights_sklearn(options: dict[str, Any]) -> dict[str, Any]:
    """Fit and predict with scikit-learn's pipeline."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    features = Nystroem(gamma=options["gamma"], n_components=COMPONENTS, random_state=0)
    return _on_flights(make_pipeline(features, Ridge(alpha=ALPHA, solver="cholesky")), options)


def _on_flights(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    X, y, X_test, y_test = data.standardized(Path(options["cache"]), options["n"])
    before = mark_memory()
    start = time.perf_counter()
    model.fit(X, y)
    middle = time.perf_counter()
    fit_peak = peak_memory() - before
    predicted = model.predict(X_test)
    end = time.perf_counter()
    return {
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
        "peak_bytes": fit_peak,
        "rmse": float(np.sqrt(np.mean((np.ravel(predicted) - y_test) ** 2))),
    }


def _work(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Return the multiplications of the fit, as floating point operations."""
    from scalekern.features import NystroemMap

    white = NystroemMap(model.kernel_, model.landmarks_, np.float32).whitening
    r, d = len(white.kept), model.n_features_in_
    eliminate = sum(2 * b.start * (b.stop - b.start) for b in white.blocks)
    return {
        "flops": options["n"] * (2 * r * (d + 2) + eliminate + r * r),
        "rank": r,
        "blocks": len(white.blocks),
    }


def airfoil_ours(options: dict[str, Any]) -> dict[str, Any]:
    """Fit and predict with our exact model."""
    from scalekern import SimilarityRegressor

    del options
    model = SimilarityRegressor(
        gamma=1.0, alpha=1e-6, approximation="exact", solver="pinv", fit_intercept=False
    )
    return _on_airfoil(model)


def airfoil_loops(options: dict[str, Any]) -> dict[str, Any]:
    """Fit and predict with the article's loops over pairs."""
    from scalekern.reference import SimilarityRegressor, rbf_similarity

    del options
    return _on_airfoil(SimilarityRegressor(rbf_similarity, alpha=1e-6))


def _on_airfoil(model: Any) -> dict[str, Any]:
    X, X_test, y, y_test = data.airfoil()
    start = time.perf_counter()
    model.fit(X, y)
    middle = time.perf_counter()
    predicted = model.predict(X_test)
    end = time.perf_counter()
    return {
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
        "peak_bytes": 0,
        "rmse": float(np.sqrt(np.mean((predicted - y_test) ** 2))),
    }


def parquet_fit(options: dict[str, Any]) -> dict[str, Any]:
    """Fit our Nyström model on Parquet files; the peak is all that is resident."""
    import scalekern
    from scalekern import SimilarityRegressor

    model = SimilarityRegressor(
        gamma=0.5, alpha=ALPHA, approximation="nystroem", n_components=COMPONENTS, random_state=0
    )
    source = scalekern.rows(options["files"], target="y")
    start, busy = time.perf_counter(), time.process_time()
    model.fit(source)
    return {
        "fit_seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - busy,
        "peak_bytes": peak_memory(),
        "rank": model.report_["rank"],
    }


def matmul_peak(options: dict[str, Any]) -> dict[str, Any]:
    """Measure the machine's own float32 matrix-multiply speed, in operations a second."""
    size, repeats = 3000, int(options["repeats"])
    A = np.random.default_rng(0).standard_normal((size, size)).astype(np.float32)
    out = np.empty_like(A)
    np.matmul(A, A, out=out)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.matmul(A, A, out=out)
        seconds.append(time.perf_counter() - start)
    return {"flops_per_second": 2 * size**3 / min(seconds)}


def mark_memory() -> int:
    """Start measuring the peak afresh, and return what is resident now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak_memory()
    return _status("VmRSS")


def peak_memory() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise OSError(name)


TASKS = {
    "flights-ours": flights_ours,
    "flights-sklearn": flights_sklearn,
    "airfoil-ours": airfoil_ours,
    "airfoil-loops": airfoil_loops,
    "parquet-fit": parquet_fit,
    "matmul-peak": matmul_peak,
}

if __name__ == "__main__":
    print(json.dumps(TASKS[sys.argv[1]](json.loads(sys.argv[2]))))
