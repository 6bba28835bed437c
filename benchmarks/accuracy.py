"""How accurate models are without a setting: `python -m benchmarks.accuracy [data ...]`.

Apart from the timings, which need a quiet machine and a peer: errors do not depend on either.
Prints one line of a Markdown table for each data set and model; docs/accuracy.md keeps them.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.data import airfoil, flights, folder, standardized
from benchmarks.made import MADE, made

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""X_train, X_test, y_train, y_test."""
PLAIN = {"kernel": "rbf", "gamma": "median"}
FLIGHTS, ALL_FLIGHTS = 200_000, 2_000_000


def masked(name: str) -> Split:
    """Return the official split 0 of protein or kin40k, standardised on the training rows."""
    data = np.loadtxt(_file(f"{name}.data.csv.gz"), delimiter=",")
    mask = np.loadtxt(_file(f"{name}.test_mask.csv.gz"), delimiter=",")
    test = mask[:, 0].astype(bool)
    data = (data - data[~test].mean(axis=0)) / data[~test].std(axis=0)
    return data[~test, :-1], data[test, :-1], data[~test, -1], data[test, -1]


def own_units() -> Split:
    """Return airfoil's split as `airfoil` has it, in the units of the file."""
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(_file("airfoil.csv"), delimiter=",", skiprows=1)
    split = train_test_split(table[:, :-1], table[:, -1], test_size=0.25, random_state=69)
    return tuple(split)  # type: ignore[return-value]


def heavy_tails() -> Split:
    """Return made-up rows like those of network measurements: some columns' kurtosis is thousands.

    Six columns, three of them exponentials of normals with deviation 2.5; the target is smooth in
    their logarithms.
    """
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((8_000, 6))
    X = np.hstack([Z[:, :3], np.exp(2.5 * Z[:, 3:])])
    y = np.sin(2 * Z[:, 0]) + Z[:, 1] * np.tanh(Z[:, 3]) + 0.5 * Z[:, 4]
    y += 0.1 * rng.standard_normal(len(y))
    mean, std = X[:6_000].mean(axis=0), X[:6_000].std(axis=0)
    X = (X - mean) / std
    return X[:6_000], X[6_000:], y[:6_000], y[6_000:]


def delays(n: int = FLIGHTS) -> Split:
    """Return n flights, and the last 250,000 for testing."""
    cache = Path(tempfile.gettempdir()) / "scalekern-bench"
    X, y, Q, truth = standardized(flights(cache), n)
    return X, Q, y, truth


def images() -> Split:
    """Return Fashion-MNIST, pixels from 0 to 1."""
    parts = []
    for name, n in (("train", 60_000), ("t10k", 10_000)):
        with gzip.open(_file(f"fashion-mnist/{name}-images-idx3-ubyte.gz")) as stream:
            X = np.frombuffer(stream.read(), np.uint8, offset=16).reshape(n, 784)
        with gzip.open(_file(f"fashion-mnist/{name}-labels-idx1-ubyte.gz")) as stream:
            parts.append(
                (X.astype(np.float32) / 255, np.frombuffer(stream.read(), np.uint8, -1, 8))
            )
    (X, y), (Q, truth) = parts
    return X, Q, y, truth


DATA: dict[str, Callable[[], Split]] = {
    "airfoil": airfoil,
    "airfoil, own units": own_units,
    "heavy-tailed": heavy_tails,
    "kin40k": lambda: masked("kin40k"),
    "protein": lambda: masked("protein"),
    "flights": delays,
    "fashion-mnist": images,
    **{name: partial(made, name) for name in MADE},
}


def models(name: str) -> dict[str, Any]:
    """Return the models for a data set."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    from scalekern import LinearRegressor, SimilarityClassifier, SimilarityRegressor

    if name == "fashion-mnist":
        return {"default": SimilarityClassifier(random_state=0)}
    return {
        "linear": LinearRegressor(),
        "median": SimilarityRegressor(random_state=0, **PLAIN),
        "default": SimilarityRegressor(random_state=0),
        "trees": HistGradientBoostingRegressor(max_iter=500, early_stopping=True, random_state=0),
    }


def line(name: str, label: str, model: Any, split: Split) -> str:
    """Fit a model, and return its line of the table."""
    X, Q, y, truth = split
    before, start = _cpu(), time.perf_counter()
    model.fit(X, y)
    used, seconds = _cpu() - before, time.perf_counter() - start
    found = model.predict(Q)
    if hasattr(model, "classes_"):
        error = f"{np.mean(found == truth):.4f} right"
    else:
        squares = np.mean(np.square(found - truth))
        error = f"{np.sqrt(squares):.4f} (R² {1 - squares / np.var(truth):.4f})"
    took = f"{seconds:.1f} | {used:.1f}"
    return f"| {name} | {len(X):,} | {label} | {error} | {took} | {_chosen(model)} |"


def _chosen(model: Any) -> str:
    report = getattr(model, "report_", {})
    if "approximation" not in report:
        return ""
    words = [report["approximation"], report["kernel"]]
    if "n_neighbors" in report:
        words.append(f"{report['n_neighbors']} neighbours")
    if "metric" in report:
        words.append(f"metric {report['metric']}")
    return ", ".join(words)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _file(name: str) -> Path:
    source = folder()
    if source is None or not (source / name).is_file():
        raise SystemExit(f"set SCALEKERN_DATA to the folder that holds {name}")
    return source / name


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", metavar="data", help=f"of: {', '.join(DATA)}")
    parser.add_argument(
        "--model", action="append", help="only these: linear, median, default or trees"
    )
    parser.add_argument("--full", action="store_true", help="2,000,000 flights, not 200,000")
    options = parser.parse_args()
    if unknown := set(options.data) - set(DATA):
        parser.error(f"no such data: {', '.join(unknown)}; there are {', '.join(DATA)}")
    print("| data | rows | model | test RMSE, or share right | s of the fit | CPU s | chosen |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.data or DATA:
        split = delays(ALL_FLIGHTS) if options.full and name == "flights" else DATA[name]()
        for label, model in models(name).items():
            if options.model is None or label in options.model:
                print(line(name, label, model, split), flush=True)


if __name__ == "__main__":
    main()
