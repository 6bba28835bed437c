"""`python -m benchmarks.neighbors`: k-NN against the libraries that people would use instead.

Queries a second at the same recall: ours as `auto` tunes itself, each peer at the smallest setting
that reaches the recall on other queries than those timed. All are built first, and then timed in
turn, several rounds, in one process on the same cores; ratios are medians of rounds. On a machine
that others use, `--clock processor` counts the seconds of one thread instead.

"Of the limit" is the least seconds of our index, for its products with centres and for the bytes of
codes and rows that it reads, at the rates of this machine in the same run, over those it took.
"""

from __future__ import annotations

import gzip
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
from benchmarks.limits import least_seconds, limits, told
from benchmarks.neighbor_indices import TARGET, K, Peer, least_of, missing, ours, peers, raw_search
from benchmarks.results import keep, parser, say, spread, table

TUNING_QUERIES = 2_000
TITLES = {"fashion": "Fashion-MNIST", "walks": "Random walks"}
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


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


def tune(peer: Peer, Q: np.ndarray, true: np.ndarray) -> None:
    """Set the smallest setting that reaches the recall, by halving."""
    low, high = 0, len(peer.settings) - 1
    while low < high:
        middle = (low + high) // 2
        reached = recall_of(peer.search(Q, peer.settings[middle]), true) >= TARGET
        low, high = (low, middle) if reached else (middle + 1, high)
    peer.setting = peer.settings[low]


PAUSE = 0.3
"""Seconds before a run, in which OpenMP's threads of the run before it come to rest: they spin, and
would take a core from whoever is next."""


@dataclass(frozen=True)
class Timing:
    """How often, by which clock, on how many threads, and with graphs or not, we time searches."""

    rounds: int
    clock: Callable[[], float]
    threads: int
    limits: dict[str, float]
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


@dataclass
class Found:
    """What a part found: its tables as Markdown, its numbers, and ratios for the history."""

    page: str
    numbers: dict[str, Any]
    ratios: dict[str, list[float]]


def ratios_of(seconds: dict[str, list[float]], theirs: str, ours: str) -> list[float]:
    """Return one's seconds over another's, round by round."""
    return [a / b for a, b in zip(seconds[theirs], seconds[ours], strict=True)]


def contest(name: str, X: np.ndarray, Q: np.ndarray, timing: Timing) -> Found:
    """Compare all at the same recall."""
    import faiss

    Q_tune, Q_time = Q[:TUNING_QUERIES], Q[TUNING_QUERIES:]
    true_tune, true = exact_neighbors(X, Q_tune), exact_neighbors(X, Q_time)
    own, model = ours(X)
    everyone = [own, *peers(X, timing.threads, graphs=timing.graphs)]
    say(f"{name}: built")
    faiss.omp_set_num_threads(timing.threads)
    model.set_params(n_jobs=timing.threads)
    for peer in everyone[1:]:
        tune(peer, Q_tune, true_tune)
    for peer in everyone:
        peer.recall = recall_of(peer.search(Q_time, peer.setting), true)
    runs = {p.name: lambda p=p: p.search(Q_time, p.setting) for p in everyone}
    runs["raw index"] = raw_search(model, Q_time)
    runs["predictions"] = lambda: model.predict(Q_time)
    seconds = timing.in_turn(runs)
    rates = {n: len(Q_time) / float(np.median(s)) for n, s in seconds.items()}
    best = max((p.name for p in everyone[1:] if p.recall >= TARGET - 0.01), key=rates.__getitem__)
    over = {p.name: ratios_of(seconds, p.name, own.name) for p in everyone[1:]}
    overhead = ratios_of(seconds, "predictions", "raw index")
    products, read = least_of(model)
    share = rates[own.name] * least_seconds(products, 0.0, timing.limits, read)
    rows = [
        [p.name, str(p.setting or ""), f"{p.recall:.3f}", f"{rates[p.name]:,.0f}",
         spread(over[p.name]) if p is not own else "", f"{p.build_seconds:.1f}"]
        for p in sorted(everyone, key=lambda p: -rates[p.name])
    ]  # fmt: skip
    header = ["", "setting", "recall", "queries/s", "its time over ours", "build (s)"]
    page = (
        f"**{name}**: {len(X):,} rows x {X.shape[1]}, {len(Q_time):,} queries at once, "
        f"{timing.threads} thread(s), {timing.rounds} rounds; recall of {K} neighbours. Ours is "
        f"{model.index_description_}.\n\n{table(header, rows)}\n\n"
        f"The time of the best peer, {best}, over ours: {spread(over[best])}. A query of ours "
        f"cannot do without {products / 1e3:,.0f} thousand operations of products and "
        f"{read / 1e3:,.0f} kB read: {share:.0%} of the limit. Predictions take {spread(overhead)} "
        "times as long as the index alone."
    )
    numbers = {
        "description": model.index_description_,
        "seconds": seconds,
        "rates": rates,
        "recall": {p.name: p.recall for p in everyone},
        "build_seconds": {p.name: p.build_seconds for p in everyone},
        "share_of_limit": share,
        "overhead": overhead,
    }
    return Found(page, numbers, {f"{name}: best peer": over[best]})


def classification(timing: Timing) -> Found:
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
    names = {"scalekern": "default", "target_error=0.02": "target_error=0.02"}
    over = {name: ratios_of(seconds, "scikit-learn", name) for name in models}
    right = {name: float((told[name] == labels).mean()) for name in models}
    rows = [[name, f"{right[name]:.4f}", spread(over[name])] for name in models]
    page = (
        f"**Labels of Fashion-MNIST**: 10,000 predictions of `KNeighborsClassifier`, "
        f"{timing.rounds} rounds.\n\n"
        + table(["", "accuracy", "scikit-learn's time over it"], rows)
    )
    ratios = {f"labels, {word}: scikit-learn": over[name] for name, word in names.items()}
    return Found(page, {"accuracy": right, "seconds": seconds}, ratios)


def kd_trees(n_rows: int, timing: Timing) -> Found:
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
    seconds = {
        "fit": once.in_turn({name: lambda m=m: m.fit(X, y) for name, m in models.items()}),
        "predict": timing.in_turn({name: lambda m=m: m.predict(Q) for name, m in models.items()}),
    }
    ratios = {f"KD-tree: {what}": ratios_of(s, "theirs", "ours") for what, s in seconds.items()}
    page = (
        f"**KD-trees**: {n_rows:,} rows of 3 columns, 200,000 queries; scikit-learn's time over "
        f"ours: fit {spread(ratios['KD-tree: fit'])}, predictions "
        f"{spread(ratios['KD-tree: predict'])}."
    )
    return Found(page, {"seconds": seconds}, ratios)


def memory(n_rows: int = 1_000_000) -> Found:
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
    page = f"**Memory**: predicting {n_rows:,} rows takes {extra / 1e6:.0f} MB beyond them."
    return Found(page, {"bytes": extra}, {})


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


def picture(found: dict[str, Found], target: Path) -> None:
    """Draw the queries a second of all indices."""
    from matplotlib.figure import Figure

    drawn = {name: found[name].numbers for name in ("fashion", "walks") if name in found}
    if not drawn:
        return
    figure = Figure(figsize=(9, 1 + 1.3 * len(drawn) + 1), layout="constrained")
    for axes, (name, numbers) in zip(
        np.atleast_1d(figure.subplots(1, len(drawn))), drawn.items(), strict=True
    ):
        names = sorted(numbers["recall"], key=numbers["rates"].__getitem__)
        rates = [numbers["rates"][one] for one in names]
        colours = ["tab:blue" if one.startswith("scalekern") else "tab:gray" for one in names]
        bars = axes.barh(names, rates, color=colours)
        axes.bar_label(bars, [f" recall {numbers['recall'][one]:.3f}" for one in names], fontsize=7)
        axes.set(xlabel="queries a second", title=TITLES[name])
        axes.tick_params(axis="y", labelsize=7)
        axes.set_xlim(0, 1.4 * max(rates))
    figure.savefig(target, dpi=110)


def main() -> None:
    """Run all parts, print their tables, and write them."""
    command = parser("neighbors", __doc__)
    command.add_argument("--rounds", type=int, default=9, help="times each is run")
    command.add_argument("--scale", type=float, default=1.0, help="share of the rows")
    command.add_argument("--no-graphs", action="store_true", help="leave out what is long to build")
    command.add_argument("--clock", choices=[*CLOCKS], default="wall", help="what is timed")
    command.add_argument("--only", choices=["fashion", "walks", "labels", "kd-tree", "memory"])
    options = command.parse_args()
    from scalekern.engine.limits import available_cores

    scale, threads = options.scale, 1 if options.clock == "processor" else available_cores()
    most = limits()
    timing = Timing(options.rounds, CLOCKS[options.clock], threads, most, not options.no_graphs)

    def fashion_part() -> Found:
        X, _, Q, _ = fashion()
        return contest(TITLES["fashion"], X[: int(scale * len(X))], Q, timing)

    def walks_part() -> Found:
        return contest(TITLES["walks"], *walks(int(scale * 400_000), 12_000), timing)

    parts: dict[str, Callable[[], Found]] = {
        "fashion": fashion_part,
        "walks": walks_part,
        "labels": lambda: classification(timing),
        "kd-tree": lambda: kd_trees(int(scale * 3_000_000), timing),
        "memory": memory,
    }
    found = {name: run() for name, run in parts.items() if options.only in (None, name)}
    page = "\n\n".join([told(most), *(one.page for one in found.values())])
    if missing():
        page += f"\n\nSkipped, since not installed: {', '.join(missing())}."
    numbers = {"limits": most} | {name: one.numbers for name, one in found.items()}
    ratios = {name: values for one in found.values() for name, values in one.ratios.items()}
    target = keep("neighbors", page, numbers, ratios, record=options.record)
    picture(found, target.with_suffix(".png"))


if __name__ == "__main__":
    main()
