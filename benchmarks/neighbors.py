"""`python -m benchmarks.neighbors`: k-NN against the libraries that people would use instead.

Queries a second at the same recall: ours as `auto` tunes itself, each peer at the smallest setting
that reaches the recall on other queries than those timed. All are built first, and then timed in
turn, several rounds, in one process on the same cores; ratios are medians of rounds. On a machine
that others use, `--clock processor` counts the seconds of one thread instead.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data

K, TARGET = 10, 0.95
TUNING_QUERIES = 2_000

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}

Search = Callable[[np.ndarray, int], np.ndarray]
"""From queries and a setting to the numbers of their neighbours."""


@dataclass
class Peer:
    """An index that was built, and how it is searched."""

    name: str
    search: Search
    settings: list[int]
    build_seconds: float
    setting: int = 0
    recall: float = 0.0


def fashion() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images and labels of Fashion-MNIST, to fit and to ask with; float32 in [0, 1]."""
    folder = data.folder()
    if folder is None:
        raise SystemExit("set SCALEKERN_DATA to the folder that holds fashion-mnist")

    def numbers(name: str, start: int) -> np.ndarray:
        with gzip.open(folder / "fashion-mnist" / f"{name}.gz") as file:
            return np.frombuffer(file.read(), np.uint8, offset=start)

    parts = []
    for name in ("train", "t10k"):
        images = numbers(f"{name}-images-idx3-ubyte", 16).reshape(-1, 784)
        parts += [images.astype(np.float32) / 255, numbers(f"{name}-labels-idx1-ubyte", 8)]
    return parts[0], parts[1], parts[2], parts[3]


def walks(n_rows: int, n_queries: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and queries of 50 columns: the steps of 2,000 random walks.

    Walks start from a standard normal; each step adds a normal of deviation 0.25, so that a walk of
    200 steps wanders through the starts of others. Queries are a step off rows drawn at random.
    """
    rng = np.random.default_rng(seed)
    n_walks = max(1, n_rows // 200)
    steps = 0.25 * rng.standard_normal((n_walks, 200, 50), dtype=np.float32)
    steps[:, 0] = rng.standard_normal((n_walks, 50), dtype=np.float32)
    X = np.cumsum(steps, axis=1).reshape(-1, 50)
    drawn = X[rng.integers(len(X), size=n_queries)]
    return X, drawn + 0.25 * rng.standard_normal(drawn.shape, dtype=np.float32)


def exact_neighbors(X: np.ndarray, Q: np.ndarray) -> np.ndarray:
    """Return the true neighbours of the queries."""
    import faiss

    return faiss.knn(Q, X, K)[1]


def recall_of(found: np.ndarray, true: np.ndarray) -> float:
    """Return the share of the true neighbours found."""
    pairs = zip(found.tolist(), true.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / K for a, b in pairs]))


def peers(X: np.ndarray, threads: int, *, graphs: bool = True) -> list[Peer]:
    """Build what there is beside this package, without `graphs` what is soon built."""
    lists = int(4 * np.sqrt(len(X)))
    d = X.shape[1]
    parts = d // 8 if d > 256 else d // 2
    built = [
        _faiss("FAISS HNSW32", "HNSW32", X, 64) if graphs else None,
        _faiss("FAISS IVF-Flat", f"IVF{lists},Flat", X, lists),
        *(
            _faiss(f"FAISS IVF-PQ fast-scan, refine x{more}", code, X, lists // 2, more)
            for more in (4, 8)
            for code in (f"IVF{lists // 2},PQ{parts}x4fsr,RFlat",)
        ),
        _hnswlib(X, threads) if graphs else None,
        _usearch(X, threads) if graphs else None,
    ]
    return [peer for peer in built if peer is not None]


def _faiss(name: str, factory: str, X: np.ndarray, largest: int, more: int = 1) -> Peer:
    import faiss

    start = time.perf_counter()
    index = faiss.index_factory(X.shape[1], factory)
    index.train(X[np.random.default_rng(0).permutation(len(X))[: 64 * max(1_000, largest)]])
    index.add(X)
    seconds = time.perf_counter() - start
    graph = "HNSW" in factory

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        if graph:
            at = faiss.SearchParametersHNSW(efSearch=setting)
        else:
            at = faiss.SearchParametersIVF(nprobe=setting)
        if more > 1:
            at = faiss.IndexRefineSearchParameters(k_factor=float(more), base_index_params=at)
        return index.search(Q, K, params=at)[1]

    return Peer(name, search, _settings(4 if graph else 1, 400 if graph else largest), seconds)


def _hnswlib(X: np.ndarray, threads: int) -> Peer | None:
    try:
        import hnswlib
    except ImportError:
        return None
    start = time.perf_counter()
    index = hnswlib.Index("l2", X.shape[1])
    index.init_index(len(X), M=16, ef_construction=100)
    index.add_items(X)
    seconds = time.perf_counter() - start

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        index.set_ef(setting)
        return index.knn_query(Q, K, num_threads=threads)[0].astype(np.int64)

    return Peer("hnswlib", search, _settings(K, 400), seconds)


def _usearch(X: np.ndarray, threads: int) -> Peer | None:
    try:
        from usearch.index import Index
    except ImportError:
        return None
    start = time.perf_counter()
    index = Index(ndim=X.shape[1], metric="l2sq")
    index.add(np.arange(len(X)), X)
    seconds = time.perf_counter() - start

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        index.expansion_search = setting
        return index.search(Q, K, threads=threads).keys.astype(np.int64)

    return Peer("usearch", search, _settings(K, 400), seconds)


def _settings(smallest: int, largest: int) -> list[int]:
    grid = smallest * 1.1 ** np.arange(200)
    return sorted({round(float(s)) for s in grid if s <= largest})


def tune(peer: Peer, Q: np.ndarray, true: np.ndarray) -> None:
    """Set the smallest setting that reaches the recall, by halving."""
    low, high = 0, len(peer.settings) - 1
    while low < high:
        middle = (low + high) // 2
        reached = recall_of(peer.search(Q, peer.settings[middle]), true) >= TARGET
        low, high = (low, middle) if reached else (middle + 1, high)
    peer.setting = peer.settings[low]


def ours(X: np.ndarray, **options: Any) -> tuple[Peer, Any]:
    """Fit our regressor, which tunes itself, and return it as a peer with no setting."""
    from scalekern import KNeighborsRegressor

    start = time.perf_counter()
    options = {"target_recall": TARGET, "random_state": 0} | options
    model = KNeighborsRegressor(K, **options).fit(X, np.zeros(len(X)))
    seconds = time.perf_counter() - start
    search: Search = lambda Q, _: model.kneighbors(Q)[1]  # noqa: E731
    return Peer("scalekern auto", search, [0], seconds), model


PAUSE = 0.3
"""Seconds before a run, in which OpenMP's threads of the run before it come to rest: they spin, and
would take a core from whoever is next."""


@dataclass(frozen=True)
class Timing:
    """How often, by which clock, on how many threads, and with graphs or not, we time searches."""

    rounds: int
    clock: Callable[[], float]
    threads: int
    graphs: bool = True

    def in_turn(self, runs: dict[str, Callable[[], Any]]) -> dict[str, list[float]]:
        """Time every run once a round, and return the seconds of each."""
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(self.rounds):
            for name, run in runs.items():
                time.sleep(PAUSE)
                start = self.clock()
                run()
                seconds[name].append(self.clock() - start)
        return seconds


def contest(name: str, X: np.ndarray, Q: np.ndarray, timing: Timing) -> dict[str, Any]:
    """Compare all at the same recall, and print what came out."""
    import faiss

    threads = timing.threads
    Q_tune, Q_time = Q[:TUNING_QUERIES], Q[TUNING_QUERIES:]
    true_tune, true = exact_neighbors(X, Q_tune), exact_neighbors(X, Q_time)
    model_peer, model = ours(X)
    everyone = [model_peer, *peers(X, threads, graphs=timing.graphs)]
    faiss.omp_set_num_threads(threads)
    model.set_params(n_jobs=threads)
    for peer in everyone[1:]:
        tune(peer, Q_tune, true_tune)
    for peer in everyone:
        peer.recall = recall_of(peer.search(Q_time, peer.setting), true)
    runs = {p.name: lambda p=p: p.search(Q_time, p.setting) for p in everyone}
    runs["raw index"] = _raw(model, Q_time)
    runs["predictions"] = lambda: model.predict(Q_time)
    seconds = timing.in_turn(runs)
    rates = {n: len(Q_time) / float(np.median(s)) for n, s in seconds.items()}
    print(
        f"\n{name}: {len(X):,} x {X.shape[1]}, {len(Q_time):,} queries at once, {threads} thread(s)"
    )
    print(f"ours is {model.index_description_}\n")
    print(f"{'':34}{'setting':>8}{'recall':>9}{'queries/s':>12}{'build s':>9}")
    for peer in everyone:
        print(
            f"{peer.name:34}{peer.setting or '':>8}{peer.recall:>9.4f}"
            f"{rates[peer.name]:>12,.0f}{peer.build_seconds:>9.1f}"
        )
    best = max((p.name for p in everyone[1:] if p.recall >= TARGET - 0.01), key=rates.__getitem__)
    ratios = np.array(seconds[best]) / np.array(seconds["scalekern auto"])
    over = np.array(seconds["predictions"]) / np.array(seconds["raw index"])
    print(
        f"\nours over the best, {best}: {np.median(ratios):.2f} "
        f"({ratios.min():.2f} to {ratios.max():.2f}); predictions take {np.median(over):.2f} times "
        "as long as the index alone"
    )
    return {
        "description": model.index_description_,
        "rates": rates,
        "recall": {p.name: p.recall for p in everyone},
        "build_seconds": {p.name: p.build_seconds for p in everyone},
        "ratio": float(np.median(ratios)),
        "overhead": float(np.median(over)),
    }


def _raw(model: Any, Q: np.ndarray) -> Callable[[], Any]:
    """Return FAISS's search, and refinement, below the model, with FAISS's own threads."""
    from scalekern.neighbors.approximate import refined
    from scalekern.neighbors.knobs import search_parameters

    index = model._index  # noqa: SLF001
    faiss_index, rows = index._index, index._points  # noqa: SLF001
    points = index._embedding.embed_queries(Q)  # noqa: SLF001
    parameters, fetched = search_parameters(faiss_index, index.setting), index._fetched(K)  # noqa: SLF001

    def search() -> np.ndarray:
        found = faiss_index.search(points, fetched, params=parameters)[1]
        return (
            found if rows is None else refined(Q if rows is index.rows else points, rows, found, K)
        )

    return search


def classification(timing: Timing) -> dict[str, Any]:
    """Compare predictions of Fashion-MNIST's labels with scikit-learn's."""
    from sklearn.neighbors import KNeighborsClassifier as Theirs
    from threadpoolctl import threadpool_limits

    from scalekern import KNeighborsClassifier

    X, y, Q, labels = fashion()
    models: dict[str, Any] = {
        "scikit-learn": Theirs(n_jobs=timing.threads),
        "scalekern": KNeighborsClassifier(random_state=0, n_jobs=timing.threads),
        "target_error=0.02": KNeighborsClassifier(
            target_error=0.02, random_state=0, n_jobs=timing.threads
        ),
    }
    for model in models.values():
        model.fit(X, y)
    told: dict[str, np.ndarray] = {}

    def predict(name: str) -> None:
        told[name] = models[name].predict(Q)

    with threadpool_limits(timing.threads):
        seconds = timing.in_turn({name: lambda name=name: predict(name) for name in models})
    found = {}
    print("\nFashion-MNIST, 10,000 predictions: times as fast as scikit-learn, and accuracy")
    for name in models:
        ratios = np.array(seconds["scikit-learn"]) / np.array(seconds[name])
        accuracy = float((told[name] == labels).mean())
        found[name] = {"ratio": float(np.median(ratios)), "accuracy": accuracy}
        print(f"{name:20}{np.median(ratios):>8.1f}{accuracy:>9.4f}")
    return found


def kd_trees(n_rows: int, timing: Timing) -> dict[str, Any]:
    """Compare the KD-tree in three dimensions with scikit-learn's."""
    from sklearn.neighbors import KNeighborsRegressor as Theirs

    from scalekern import KNeighborsRegressor

    rng = np.random.default_rng(0)
    X, Q = rng.uniform(size=(n_rows, 3)), rng.uniform(size=(200_000, 3))
    y = np.sin(9 * X).sum(axis=1)
    models = {
        "ours": KNeighborsRegressor(K, n_jobs=timing.threads),
        "theirs": Theirs(K, algorithm="kd_tree", n_jobs=timing.threads),
    }
    once = replace(timing, rounds=1)
    built = once.in_turn({name: lambda m=m: m.fit(X, y) for name, m in models.items()})
    asked = timing.in_turn({name: lambda m=m: m.predict(Q) for name, m in models.items()})
    fit, predict = (float(np.median(s["theirs"]) / np.median(s["ours"])) for s in (built, asked))
    print(
        f"\n{n_rows:,} rows in 3 dimensions: fit {fit:.1f} and predict {predict:.1f} times as fast "
        "as scikit-learn's KD-tree"
    )
    return {"fit": fit, "predict": predict}


def memory(n_rows: int = 1_000_000) -> dict[str, Any]:
    """Measure what predicting many rows takes beyond them, in a process that did not fit."""
    from scalekern import KNeighborsRegressor, save

    X = np.random.default_rng(0).standard_normal((100_000, 16), dtype=np.float32)
    model = KNeighborsRegressor(K, random_state=0).fit(X, X[:, 0])
    with tempfile.TemporaryDirectory() as folder:
        save(model, Path(folder) / "model")
        code = "import sys; from benchmarks.neighbors import *; predict_many(*sys.argv[1:])"
        command = [sys.executable, "-c", code, f"{folder}/model", str(n_rows)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    extra = int(done.stdout)
    print(f"\npredicting {n_rows:,} rows takes {extra / 1e6:.0f} MB beyond them")
    return {"bytes": extra}


def predict_many(folder: str, n_rows: str) -> None:
    """Predict so many rows with a saved model, and print the bytes that it took."""
    from benchmarks.worker import mark_memory, peak_memory
    from scalekern import load

    model = load(folder)
    Q = np.random.default_rng(1).standard_normal((int(n_rows), 16), dtype=np.float32)
    model.predict(Q[:20])
    before = mark_memory()
    model.predict(Q)
    print(peak_memory() - before)


def main() -> None:
    """Run all parts, print their tables, and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbors", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="times each is run")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows, to try it out")
    parser.add_argument("--no-graphs", action="store_true", help="leave out what is long to build")
    parser.add_argument("--clock", choices=[*CLOCKS], default="wall", help="what is timed")
    parser.add_argument("--only", choices=["fashion", "walks", "labels", "kd-tree", "memory"])
    parser.add_argument(
        "--output", default="build/benchmarks", help="where the results are written"
    )
    options = parser.parse_args()
    from scalekern.engine.limits import available_cores

    scale, threads = options.scale, 1 if options.clock == "processor" else available_cores()
    timing = Timing(options.rounds, CLOCKS[options.clock], threads, not options.no_graphs)

    def fashion_part() -> dict[str, Any]:
        X, _, Q, _ = fashion()
        return contest("Fashion-MNIST", X[: int(scale * len(X))], Q, timing)

    def walks_part() -> dict[str, Any]:
        return contest("Random walks", *walks(int(scale * 400_000), 12_000), timing)

    parts: dict[str, Callable[[], Any]] = {
        "fashion": fashion_part,
        "walks": walks_part,
        "labels": lambda: classification(timing),
        "kd-tree": lambda: kd_trees(int(scale * 3_000_000), timing),
        "memory": memory,
    }
    results = {n: run() for n, run in parts.items() if options.only in (None, n)}
    target = Path(options.output) / "neighbors.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nWrote {target}")


if __name__ == "__main__":
    main()
