"""`python -m benchmarks.local`: models on the nearest rows against distance-weighted k-NN.

Errors on rows left out of kin40k and protein (UCI) and of a terrain that is made here: heights at
3,000,000 places, dense near one corner as soundings are, with hills of every size down to ten times
the spacing. k-NN gets the number of neighbours, of several, that is best on the very rows it is
judged by; the local model keeps its own. Then predictions a second, for 32 neighbours.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.results import keep, parser, say, table

NEIGHBORS, OTHERS = 32, (3, 5, 8, 16, 32)
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}

Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def uci(name: str) -> Split:
    """Return X, y, X_test, y_test of a UCI table, standardised on its training rows."""
    folder = data.folder()
    if folder is None:
        raise SystemExit("set SCALEKERN_DATA to the folder that holds kin40k and protein")
    table = np.loadtxt(folder / f"{name}.data.csv.gz", delimiter=",")
    mask = np.loadtxt(folder / f"{name}.test_mask.csv.gz", delimiter=",")
    test = mask.reshape(len(table), -1)[:, 0].astype(bool)
    table = (table - table[~test].mean(axis=0)) / table[~test].std(axis=0)
    return table[~test, :-1], table[~test, -1], table[test, :-1], table[test, -1]


def terrain(n_rows: int, n_queries: int, d: int = 2, seed: int = 0) -> Split:
    """Return places and heights, to fit and to ask; of three columns the last is the season.

    The heights are a sum of 300 waves whose lengths go from the size of the land down to ten times
    the typical spacing of the rows, longer ones higher, and a hundredth of noise.
    """
    rng = np.random.default_rng(seed)
    n = n_rows + n_queries
    X = rng.uniform(size=(n, d)) ** 1.5
    shortest = 10 * n_rows ** (-1 / d)
    lengths = np.exp(rng.uniform(np.log(shortest), 0.0, size=300))
    directions = rng.standard_normal((300, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    phases = rng.uniform(0, 2 * np.pi, 300)
    height = np.zeros(n)
    for start in range(0, n, 100_000):
        part = slice(start, start + 100_000)
        waves = X[part] @ (2 * np.pi * directions / lengths[:, None]).T + phases
        height[part] = np.sin(waves) @ lengths
    height /= height.std()
    height += 0.01 * rng.standard_normal(n)
    return X[:n_rows], height[:n_rows], X[n_rows:], height[n_rows:]


def compare(name: str, split: Split) -> dict[str, Any]:
    """Return the errors of both."""
    from scalekern import KNeighborsRegressor, SimilarityRegressor

    X, y, Q, truth = split

    def error(model: Any) -> float:
        return float(np.sqrt(np.mean((model.fit(X, y).predict(Q) - truth) ** 2)))

    ours = error(local_model(SimilarityRegressor))
    theirs = {k: error(KNeighborsRegressor(k, weights="distance", random_state=0)) for k in OTHERS}
    say(f"{name}: {ours:.4f}")
    return {"shape": X.shape, "local": ours, "knn": theirs}


def local_model(regressor: Any) -> Any:
    """Return the local model that is compared."""
    return regressor(
        kernel="matern32", approximation="local", n_neighbors=NEIGHBORS, random_state=0
    )


def speed(split: Split, rounds: int, clock: str, cores: int) -> float:
    """Return predictions a second in three columns; by processor time, of all cores together."""
    from scalekern import SimilarityRegressor

    X, y, Q, _ = split
    model = local_model(SimilarityRegressor).fit(X, y)
    seconds = []
    for _ in range(rounds):
        start = CLOCKS[clock]()
        model.predict(Q)
        seconds.append(CLOCKS[clock]() - start)
    return len(Q) / float(np.median(seconds)) * (cores if clock == "processor" else 1)


def told_errors(results: dict[str, dict[str, Any]]) -> str:
    """Return the table of errors."""
    lines = [
        [name, "{:,} x {}".format(*found["shape"]), f"{found['local']:.4f}",
         f"{min(found['knn'].values()):.4f}", f"{min(found['knn'], key=found['knn'].get)}"]
        for name, found in results.items()
    ]  # fmt: skip
    return table(["RMSE", "rows", f"local, {NEIGHBORS} neighbours", "k-NN", "its k"], lines)


def main() -> None:
    """Compare on all tables, time predictions, and write both."""
    command = parser("local", __doc__)
    command.add_argument("--rows", type=int, default=3_000_000, help="of the terrain")
    command.add_argument("--rounds", type=int, default=3)
    command.add_argument("--clock", choices=[*CLOCKS], default="wall", help="what is timed")
    command.add_argument("--only", choices=["errors", "speed"])
    options = command.parse_args()
    from scalekern.engine.limits import available_cores

    results: dict[str, Any] = {}
    page = []
    if options.only != "speed":
        errors = {name: compare(name, uci(name)) for name in ("kin40k", "protein")}
        for n in (options.rows // 10, options.rows):
            errors[f"terrain, {n:,}"] = compare(f"terrain, {n:,}", terrain(n, 20_000))
        results["errors"] = errors
        page.append(told_errors(errors))
    if options.only != "errors":
        cores = available_cores()
        split = terrain(options.rows, 100_000, d=3)
        rate = speed(split, options.rounds, options.clock, cores)
        results["predictions_per_second"] = rate
        page.append(
            f"{options.rows:,} rows of 3 columns, {NEIGHBORS} neighbours: {rate:,.0f} "
            f"predictions a second on {cores} cores ({options.clock} time)."
        )
    keep("local", "\n\n".join(page), results, record=options.record)


if __name__ == "__main__":
    main()
