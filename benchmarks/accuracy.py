"""How accurate models are without a setting: `python -m benchmarks.accuracy [data ...]`.

Apart from the timings, which need a quiet machine and a peer: errors do not depend on either. The
trees are scikit-learn's `HistGradientBoostingRegressor` with early stopping, at most 500 of them.
Tables from "friedman 1" on are made up (`benchmarks/made.py`), and nothing was tuned on them.
"""

from __future__ import annotations

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
from benchmarks.results import keep, parser, say, table

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""X_train, X_test, y_train, y_test."""
ERRORS_OF = ("linear", "trees", "default")
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
        "default": SimilarityRegressor(random_state=0),
        "trees": HistGradientBoostingRegressor(max_iter=500, early_stopping=True, random_state=0),
    }


def measured(model: Any, split: Split) -> dict[str, Any]:
    """Fit a model, and return its error and what the fit took and chose."""
    X, Q, y, truth = split
    before, start = _cpu(), time.perf_counter()
    model.fit(X, y)
    used, seconds = _cpu() - before, time.perf_counter() - start
    found = model.predict(Q)
    cost = {"rows": len(X), "seconds": seconds, "cpu_seconds": used, "chosen": _chosen(model)}
    if hasattr(model, "classes_"):
        return cost | {"right": float(np.mean(found == truth))}
    squares = float(np.mean(np.square(found - truth)))
    return cost | {"rmse": squares**0.5, "r2": 1 - squares / float(np.var(truth))}


def cells(name: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the line of a data set: an error for each model, and what the default took."""
    default = found.get("default", {})
    errors = [_error(found[model]) if model in found else "" for model in ERRORS_OF]
    took = f"{default['seconds']:.1f} / {default['cpu_seconds']:.1f}" if default else ""
    rows = next(iter(found.values()))["rows"]
    r2 = f"{default['r2']:.4f}" if "r2" in default else ""
    return [name, f"{rows:,}", *errors, r2, took, default.get("chosen", "")]


def _error(one: dict[str, Any]) -> str:
    return f"{one['right']:.4f} right" if "right" in one else f"{one['rmse']:.4f}"


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
    """Measure, and write the table."""
    command = parser("accuracy", __doc__)
    command.add_argument("data", nargs="*", metavar="data", help=f"of: {', '.join(DATA)}")
    command.add_argument("--full", action="store_true", help="2,000,000 flights, not 200,000")
    options = command.parse_args()
    if unknown := set(options.data) - set(DATA):
        command.error(f"no such data: {', '.join(unknown)}; there are {', '.join(DATA)}")
    results: dict[str, dict[str, Any]] = {}
    for name in options.data or DATA:
        split = delays(ALL_FLIGHTS) if options.full and name == "flights" else DATA[name]()
        results[name] = {}
        for label, model in models(name).items():
            results[name][label] = measured(model, split)
            say(f"{name}, {label}: {_error(results[name][label])}")
    header = ["data", "rows", *ERRORS_OF, "R² of it", "s of its fit", "chosen"]
    page = table(header, [cells(name, found) for name, found in results.items()])
    ratios = {
        name: [found["trees"]["rmse"] / found["default"]["rmse"]]
        for name, found in results.items()
        if "trees" in found
    }
    ratios = {f"{name}: error of trees": ratio for name, ratio in ratios.items()}
    keep("accuracy", page, {"found": results}, ratios, record=options.record)


if __name__ == "__main__":
    main()
