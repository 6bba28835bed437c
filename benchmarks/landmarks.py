"""Landmarks: `python -m benchmarks.landmarks` measures each rule on three data sets.

The trace error is the share of the kernel's trace that landmarks miss on test rows; the test error
that of the model on them, bandwidth by the median and alpha by leave-one-out. Means of two seeds.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from benchmarks import data
from benchmarks.results import keep, parser, say, table

RULES = ("uniform", "kmeans", "rpcholesky")
SIZES = (100, 300, 1_000)
ROWS, TEST_ROWS, SEEDS = 20_000, 4_000, 2


def uci(name: str) -> tuple[np.ndarray, ...]:
    """Return X, y, X_test, y_test of a UCI data set, standardised by training rows."""
    folder = data.folder()
    if folder is None:
        raise SystemExit(f"set SCALEKERN_DATA to the folder that holds {name}.data.csv.gz")
    table, mask = (
        np.loadtxt(folder / f"{name}.{part}.csv.gz", delimiter=",")
        for part in ("data", "test_mask")
    )
    test = mask[:, 0].astype(bool)
    table = (table - table[~test].mean(axis=0)) / table[~test].std(axis=0)
    train, held_out = table[~test][:ROWS], table[test][:TEST_ROWS]
    return train[:, :-1], train[:, -1], held_out[:, :-1], held_out[:, -1]


def flights(cache: Path) -> tuple[np.ndarray, ...]:
    """Return the flights in the same form."""
    X, y, X_test, y_test = data.standardized(data.flights(cache), ROWS)
    mean, scale = y.mean(), y.std()
    parts = (X, (y - mean) / scale, X_test[:TEST_ROWS], (y_test[:TEST_ROWS] - mean) / scale)
    return tuple(np.asarray(part, dtype=np.float64) for part in parts)


def measure(rows: tuple[np.ndarray, ...], rule: str, m: int, seed: int) -> tuple[float, ...]:
    """Return the trace error, the test RMSE and the seconds of cores of one fit."""
    from scalekern import Nystroem, SimilarityRegressor

    X, y, X_test, y_test = rows
    start = time.process_time()
    model = SimilarityRegressor(
        approximation="nystroem", solver="cholesky", n_components=m, landmarks=rule,
        random_state=seed,
    ).fit(X, y)  # fmt: skip
    seconds = time.process_time() - start
    rmse = float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)))
    features = Nystroem(model.kernel_, landmarks=model.landmarks_).fit(X).transform(X_test)
    return 1.0 - float(np.square(features).sum(axis=1).mean()), rmse, seconds


def main() -> None:
    """Measure, and write the table."""
    command = parser("landmarks", __doc__)
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    options = command.parse_args()
    sets = {
        "kin40k": lambda: uci("kin40k"),
        "protein": lambda: uci("protein"),
        "flights": lambda: flights(Path(options.cache)),
    }
    lines, results = [], []
    for name, load in sets.items():
        rows = load()
        for m in SIZES:
            cells = []
            for rule in RULES:
                runs = np.mean([measure(rows, rule, m, seed) for seed in range(SEEDS)], axis=0)
                trace, rmse, seconds = map(float, runs)
                cells.append(f"{trace:.2e}, {rmse:.4f} ({seconds:.0f} s)")
                results.append({"data": name, "m": m, "rule": rule, "trace_error": trace,
                                "rmse": rmse, "cpu_seconds": seconds})  # fmt: skip
            lines.append([name, f"{m:,}", *cells])
            say(", ".join(lines[-1]))
    page = table(["data", "m", *RULES], lines)
    keep("landmarks", page, {"found": results}, record=options.record)


if __name__ == "__main__":
    main()
