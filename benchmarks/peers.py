"""Regression against peers: who reaches an error first, on flights that a package carries.

`python -m benchmarks.peers` fits each peer at a good setting and our models at several sizes, each
in a process of its own, in turn. For each peer the ratio is of its time to that of our quickest
model that is at least as accurate. The kernel peers are given the bandwidth and alpha that our
model chose by itself, in time that counts for ours and not for theirs.

Falkon, EigenPro and other peers that have to be installed by hand join through a file that
`--extra FILE` names: Python with a dict `PEERS` of functions, from the training arrays and the
settings (a dict of "gamma", "alpha", "size") to a function from X to predictions.
"""

from __future__ import annotations

import argparse
import json
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limits import limits, told
from benchmarks.results import keep
from benchmarks.worker import mark_memory, peak_memory

Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, dict[str, Any]], Predict]

FEW = 10_000
"""Rows for methods whose work grows with their square."""
ACCURATE = 1.002
"""An RMSE is as good as another up to here; the draws of the landmarks move it by as much."""


def nystroem_ridge(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Landmarks and ridge regression, of scikit-learn."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    features = Nystroem(
        gamma=settings["gamma"], n_components=settings["size"], random_state=0, n_jobs=-1
    )
    return make_pipeline(features, Ridge(settings["alpha"], solver="cholesky")).fit(X, y).predict


def fourier_sgd(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Random waves and stochastic gradient descent, of scikit-learn."""
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.linear_model import SGDRegressor
    from sklearn.pipeline import make_pipeline

    waves = RBFSampler(gamma=settings["gamma"], n_components=settings["size"], random_state=0)
    descent = SGDRegressor(alpha=settings["alpha"] / len(X), average=True, random_state=0)
    return make_pipeline(waves, descent).fit(X, y).predict


def kernel_ridge(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Kernel ridge regression on all rows, of scikit-learn."""
    from sklearn.kernel_ridge import KernelRidge

    alpha = settings["alpha"]
    return KernelRidge(alpha=alpha, kernel="rbf", gamma=settings["gamma"]).fit(X, y).predict


def support_vectors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Support vector regression, of scikit-learn."""
    from sklearn.svm import SVR

    machine = SVR(C=0.5 / settings["alpha"], gamma=settings["gamma"], epsilon=0.1, cache_size=1000)
    return machine.fit(X, y).predict


def neighbors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """k-NN, of scikit-learn."""
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(settings["size"], weights="distance", n_jobs=-1).fit(X, y).predict


def boosted_trees(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Gradient boosting, of LightGBM."""
    from lightgbm import LGBMRegressor

    trees = LGBMRegressor(
        n_estimators=settings["size"],
        num_leaves=255,
        learning_rate=0.1,
        min_child_samples=20,
        n_jobs=-1,
        verbose=-1,
    )
    return trees.fit(X, y).predict


def dask_incremental(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Waves and a pass of descent by dask-ml's `Incremental`, on blocks of Dask arrays."""
    import dask
    import dask.array as da
    from dask_ml.wrappers import Incremental
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.linear_model import SGDRegressor

    waves = RBFSampler(gamma=settings["gamma"], n_components=settings["size"], random_state=0)
    waves.fit(X[:1])
    rows = da.from_array(X, chunks=(20_000, X.shape[1]))
    chunks = (rows.chunks[0], (settings["size"],))
    features = rows.map_blocks(waves.transform, chunks=chunks, dtype=X.dtype)
    descent = SGDRegressor(alpha=settings["alpha"] / len(X), average=True, random_state=0)
    with dask.config.set(scheduler="threads"):
        model = Incremental(descent, shuffle_blocks=False).fit(features, da.from_array(y, 20_000))
    return lambda Q: model.estimator_.predict(waves.transform(Q))


def our(approximation: str, **options: Any) -> Fit:
    """Return the fit of our model; it chooses its bandwidth and alpha."""

    def fit(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
        from scalekern import SimilarityRegressor

        size = {"n_components": settings["size"]} if settings.get("size") else {}
        model = SimilarityRegressor(
            approximation=approximation, random_state=0, **size, **options
        ).fit(X, y)
        settings |= {"gamma": getattr(model.kernel_, "gamma", None), "alpha": model.alpha_}
        return model.predict

    return fit


def our_neighbors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Our k-NN."""
    from scalekern import KNeighborsRegressor

    return KNeighborsRegressor(settings["size"], weights="distance").fit(X, y).predict


PLAIN = {"kernel": "rbf", "gamma": "median", "alpha": "loo"}
FITS: dict[str, Fit] = {
    "scalekern Nyström": our("nystroem", **PLAIN),
    "scalekern Fourier": our("fourier", **PLAIN),
    "scalekern local": our("local"),
    "scalekern exact": our("exact", **PLAIN),
    "scalekern k-NN": our_neighbors,
    "scikit-learn Nystroem + Ridge": nystroem_ridge,
    "scikit-learn RBFSampler + SGD": fourier_sgd,
    "dask-ml Incremental(SGD)": dask_incremental,
    "scikit-learn KernelRidge": kernel_ridge,
    "scikit-learn SVR": support_vectors,
    "scikit-learn KNeighbors": neighbors,
    "LightGBM": boosted_trees,
}
ALL_ROWS = [
    ("scalekern Nyström", 500),
    ("scikit-learn Nystroem + Ridge", 500),
    ("scalekern Nyström", 1_000),
    ("scikit-learn Nystroem + Ridge", 1_000),
    ("scalekern Nyström", 2_000),
    ("scikit-learn Nystroem + Ridge", 2_000),
    ("scalekern Fourier", 1_000),
    ("scikit-learn RBFSampler + SGD", 1_000),
    ("dask-ml Incremental(SGD)", 1_000),
    ("scalekern local", None),
    ("LightGBM", 500),
    ("scalekern k-NN", 20),
    ("scikit-learn KNeighbors", 20),
]
FEW_ROWS = [
    ("scalekern exact", None),
    ("scikit-learn KernelRidge", None),
    ("scikit-learn SVR", None),
    ("scalekern Nyström", 1_000),
]


def prepare(cache: Path) -> Path:
    """Make the standardised arrays of the demo's flights in `cache`, and return its file."""
    target = cache / "new-york-flights.npz"
    if target.exists():
        return target
    from pyarrow import parquet

    from scalekern.cli.flights import make_flights

    made = make_flights(cache / "new-york-flights")
    parts = {}
    for name, path in (("train", made.train), ("test", made.test)):
        table = parquet.read_table(path)
        parts[name] = np.column_stack([table[column].to_numpy() for column in made.features])
        parts[f"y_{name}"] = table[made.target].to_numpy()
    order = np.random.default_rng(0).permutation(len(parts["train"]))
    train = parts["train"][order].astype(np.float64)
    mean, scale = train.mean(axis=0), train.std(axis=0)
    np.savez(
        target,
        X=((train - mean) / scale).astype(np.float32),
        y=parts["y_train"][order].astype(np.float32),
        X_test=((parts["test"] - mean) / scale).astype(np.float32),
        y_test=parts["y_test"].astype(np.float32),
    )
    return target


def one(options: dict[str, Any]) -> dict[str, Any]:
    """Fit and predict once, in this process."""
    arrays = np.load(options["data"])
    n = options["rows"] or len(arrays["X"])
    X, y = arrays["X"][:n], arrays["y"][:n]
    X_test, y_test = arrays["X_test"], arrays["y_test"]
    fits = FITS | _extra(options["extra"])
    settings, before = dict(options["settings"]), mark_memory()
    start = time.perf_counter()
    predict = fits[options["name"]](X, y, settings)
    middle = time.perf_counter()
    predicted = np.ravel(predict(X_test))
    end = time.perf_counter()
    return {
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
        "peak_bytes": max(0, peak_memory() - before),
        "rmse": float(np.sqrt(np.mean((predicted - y_test.astype(np.float64)) ** 2))),
        "settings": settings,
    }


def _extra(path: str | None) -> dict[str, Fit]:
    return {} if path is None else runpy.run_path(path)["PEERS"]


def run(name: str, rows: int | None, settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return what a run in a process of its own measured, or why there is none."""
    options = {"name": name, "rows": rows, "settings": settings} | more
    command = [sys.executable, "-m", "benchmarks.peers", "--one", json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error: " in line]
        return {"skipped": lines[-1] if lines else f"it ended with {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def contest(
    entries: list[tuple[str, int | None]], rows: int | None, repeats: int, **more: Any
) -> list[dict[str, Any]]:
    """Run all entries in turn, some times over, and return what each took."""
    runs: dict[tuple[str, int | None], list[dict[str, Any]]] = {entry: [] for entry in entries}
    chosen: dict[str, Any] = {}
    for _ in range(repeats):
        for name, size in entries:
            result = run(name, rows, chosen | {"size": size}, **more)
            runs[name, size].append(result)
            if not chosen and result.get("settings", {}).get("gamma"):
                chosen = {key: result["settings"][key] for key in ("gamma", "alpha")}
    return [_entry(name, size, found) for (name, size), found in runs.items()]


def _entry(name: str, size: int | None, found: list[dict[str, Any]]) -> dict[str, Any]:
    entry = {"name": name, "size": size, "ours": name.startswith("scalekern")}
    if "skipped" in found[0]:
        return entry | {"skipped": found[0]["skipped"]}
    return entry | {
        "rmse": found[0]["rmse"],
        "peak_bytes": max(result["peak_bytes"] for result in found),
        "fit_seconds": [result["fit_seconds"] for result in found],
        "predict_seconds": [result["predict_seconds"] for result in found],
    }


def against(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each peer our quickest model that is as accurate, and the ratios of times."""
    done = [entry for entry in entries if "skipped" not in entry]
    found = {}
    for peer in (entry for entry in done if not entry["ours"]):
        rivals = [e for e in done if e["ours"] and e["rmse"] <= ACCURATE * peer["rmse"]]
        if not rivals:
            continue
        rival = min(rivals, key=lambda e: statistics.median(e["fit_seconds"]))
        found[label(peer)] = {
            "rival": label(rival),
            "fit": _ratios(peer["fit_seconds"], rival["fit_seconds"]),
            "predict": _ratios(peer["predict_seconds"], rival["predict_seconds"]),
        }
    return found


def _ratios(theirs: list[float], ours: list[float]) -> list[float]:
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def label(entry: dict[str, Any]) -> str:
    """Return a model's name with its size."""
    return entry["name"] + (f", {entry['size']:,}" if entry["size"] else "")


def show(title: str, entries: list[dict[str, Any]], ratios: dict[str, dict[str, Any]]) -> None:
    """Print a table of what each took, and one of the ratios."""
    print(f"\n{title}\n")
    print(f"{'model':<38}{'RMSE':>8}{'fit (s)':>10}{'predict (s)':>13}{'memory (MB)':>13}")
    for entry in entries:
        if "skipped" in entry:
            print(f"{label(entry):<38}  skipped: {entry['skipped']}")
            continue
        fit, predict = (statistics.median(entry[f"{k}_seconds"]) for k in ("fit", "predict"))
        print(
            f"{label(entry):<38}{entry['rmse']:>8.3f}{fit:>10.2f}{predict:>13.2f}"
            f"{entry['peak_bytes'] / 1e6:>13.0f}"
        )
    print(f"\n{'peer over our quickest that is as accurate':<44}{'fit':>22}{'predict':>22}")
    for peer, ratio in ratios.items():
        fit, predict = (_spread(ratio[key]) for key in ("fit", "predict"))
        print(f"{peer:<44}{fit:>22}{predict:>22}   {ratio['rival']}")


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def main() -> None:
    """Run the contests, print their tables, and write them as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each")
    parser.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    parser.add_argument("--rows", type=int, default=None, help="training rows; all by default")
    parser.add_argument("--extra", default=None, help="a Python file with more PEERS")
    parser.add_argument("--record", action="store_true", help="keep the results in docs/benchmarks")
    parser.add_argument("--one", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(one(json.loads(options.one))))
        return
    more = {"data": str(prepare(Path(options.cache))), "extra": options.extra}
    found = limits()
    print(f"This machine at most:\n{told(found)}")
    extra = [(name, 1_000) for name in _extra(options.extra)]
    results: dict[str, Any] = {"limits": found}
    ratios: dict[str, list[float]] = {}
    parts = [
        ("all", ALL_ROWS + extra, options.rows, "flights from New York, 2013"),
        ("few", FEW_ROWS, FEW, "of them"),
    ]
    for key, entries, rows, what in parts:
        done = contest(entries, rows, options.repeats, **more)
        against_peers = against(done)
        show(f"{rows:,} {what}" if rows else f"All {what}", done, against_peers)
        results[key] = {"entries": done, "against": against_peers}
        for peer, ratio in against_peers.items():
            ratios[f"{peer}: fit"], ratios[f"{peer}: predict"] = ratio["fit"], ratio["predict"]
    target = keep("peers", results, ratios, record=options.record)
    print(f"\nWrote {target}")


if __name__ == "__main__":
    main()
