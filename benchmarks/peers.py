"""Regression against peers: who reaches an error first, on flights that a package carries.

`python -m benchmarks.peers` fits each peer at a good setting and our models at several sizes, each
in a process of its own, in turn. For each peer the ratio is of its time to that of our quickest
model that is at least as accurate, of the same kind where one is. Kernel models, ours and theirs,
are given the bandwidth and alpha that our "tuned" one chose by itself, in time that counts for that
one. Imports count for nobody. "Of the limit" is the least seconds that the products and
exponentials of a fit with one penalty would take at this machine's own rates, measured in the same
run, over the seconds that it took.

Falkon, EigenPro and other peers that have to be installed by hand join through a file like
`benchmarks/by_hand.py`, which `--extra FILE` names.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.limits import least_seconds, limits, told
from benchmarks.peer_models import FITS, SAME_KIND, TUNED, by_hand, least_work
from benchmarks.results import keep, parser, say, spread, table
from benchmarks.worker import mark_memory, peak_memory

ROWS = 100_000
FEW = 5_000
"""Rows for methods whose work grows with their square."""
ACCURATE = 1.002
"""An RMSE is as good as another up to here; the draws of the landmarks move it by as much."""
WARM = 300
"""Rows of a fit before the one that is timed, so that imports are done."""
BY_HAND = Path(__file__).parent / "by_hand.py"

ALL_ROWS = [
    ("scalekern Nyström, tuned", 1_000),
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
    ("scalekern exact, tuned", None),
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
    fits = FITS | by_hand(options["extra"])
    settings, fit = dict(options["settings"]), fits[options["name"]]
    fit(X[:WARM], y[:WARM], dict(settings))(X_test[:WARM])
    before = mark_memory()
    start = time.perf_counter()
    predict = fit(X, y, settings)
    middle = time.perf_counter()
    predicted = np.ravel(predict(X_test))
    end = time.perf_counter()
    return {
        "fit_seconds": middle - start,
        "predict_seconds": end - middle,
        "peak_bytes": max(0, peak_memory() - before),
        "rmse": float(np.sqrt(np.mean((predicted - y_test.astype(np.float64)) ** 2))),
        "settings": settings,
        "shape": X.shape,
    }


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
            say(f"{name}, {size}: {_took(result)}")
            runs[name, size].append(result)
            if name in TUNED:
                chosen = {key: result["settings"][key] for key in ("gamma", "alpha")}
    return [_entry(name, size, found) for (name, size), found in runs.items()]


def _took(result: dict[str, Any]) -> str:
    return result.get("skipped") or f"{result['fit_seconds'] + result['predict_seconds']:.1f} s"


def _entry(name: str, size: int | None, found: list[dict[str, Any]]) -> dict[str, Any]:
    entry = {"name": name, "size": size, "ours": name.startswith("scalekern")}
    if "skipped" in found[0]:
        return entry | {"skipped": found[0]["skipped"]}
    return entry | {
        "rmse": found[0]["rmse"],
        "shape": found[0]["shape"],
        "peak_bytes": max(result["peak_bytes"] for result in found),
        "fit_seconds": [result["fit_seconds"] for result in found],
        "predict_seconds": [result["predict_seconds"] for result in found],
    }


def against(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return for each peer our quickest as accurate model, of its kind if one is, and ratios."""
    done = [entry for entry in entries if "skipped" not in entry]
    found = {}
    for peer in (entry for entry in done if not entry["ours"]):
        rivals = [e for e in done if e["ours"] and e["rmse"] <= ACCURATE * peer["rmse"]]
        kin = [e for e in rivals if e["name"] == SAME_KIND.get(peer["name"])]
        if not rivals:
            continue
        rival = min(kin or rivals, key=lambda e: statistics.median(e["fit_seconds"]))
        found[label(peer)] = {
            "rival": label(rival),
            "fit": _ratios(peer["fit_seconds"], rival["fit_seconds"]),
            "predict": _ratios(peer["predict_seconds"], rival["predict_seconds"]),
            "both": _ratios(_both(peer), _both(rival)),
        }
    return found


def _both(entry: dict[str, Any]) -> list[float]:
    return [a + b for a, b in zip(entry["fit_seconds"], entry["predict_seconds"], strict=True)]


def _ratios(theirs: list[float], ours: list[float]) -> list[float]:
    return [a / b for a, b in zip(theirs, ours, strict=True)]


def label(entry: dict[str, Any]) -> str:
    """Return a model's name with its size."""
    return entry["name"] + (f", {entry['size']:,}" if entry["size"] else "")


def share_of_limit(entry: dict[str, Any], found: dict[str, float]) -> float | None:
    """Return the least seconds of a fit over those that it took, or None where nobody can say."""
    work = least_work(entry["name"], entry["size"], *entry["shape"])
    if work is None:
        return None
    return least_seconds(*work, found) / statistics.median(entry["fit_seconds"])


def told_entries(entries: list[dict[str, Any]], found: dict[str, float]) -> str:
    """Return the table of what each took."""
    rows = []
    for entry in entries:
        if "skipped" in entry:
            rows.append([label(entry), "skipped", *[""] * 4])
            continue
        fit, predict = (statistics.median(entry[f"{k}_seconds"]) for k in ("fit", "predict"))
        share, memory = share_of_limit(entry, found), entry["peak_bytes"] / 1e6
        rows.append([label(entry), f"{entry['rmse']:.3f}", f"{fit:.2f}", f"{predict:.2f}",
                     f"{memory:.0f}", "" if share is None else f"{share:.0%}"])  # fmt: skip
    header = ["model", "RMSE", "fit (s)", "predict (s)", "memory (MB)", "of the limit"]
    skipped = [f"{entry['name']} was skipped: {entry['skipped']}." for entry in entries
               if "skipped" in entry]  # fmt: skip
    return "\n\n".join([table(header, rows), *skipped])


def told_ratios(entries: list[dict[str, Any]], ratios: dict[str, dict[str, Any]]) -> str:
    """Return the table of each peer's times over ours."""
    rows = []
    for entry in entries:
        if entry["ours"] or "skipped" in entry:
            continue
        ratio = ratios.get(label(entry))
        rows.append(
            [label(entry), *(spread(ratio[w]) for w in ("fit", "predict", "both")), ratio["rival"]]
            if ratio
            else [label(entry), "", "", "", "none of ours is as accurate"]
        )
    header = ["peer, its times over ours", "fit", "predict", "both", "ours that is as accurate"]
    return table(header, rows)


def picture(entries: list[dict[str, Any]], target: Path) -> None:
    """Draw the errors of all against their seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for entry in (entry for entry in entries if "skipped" not in entry):
        x, y = statistics.median(_both(entry)), entry["rmse"]
        marker, colour, side = ("o", "tab:blue", -1) if entry["ours"] else ("s", "tab:gray", 1)
        axes.plot(x, y, marker, color=colour)
        axes.annotate(label(entry), (x, y), xytext=(6 * side, 0), textcoords="offset points",
                      fontsize=7, color=colour, va="center",
                      ha="right" if entry["ours"] else "left")  # fmt: skip
    axes.set(xscale="log", xlabel="seconds of fit and prediction",
             ylabel="RMSE on days left out (minutes)")  # fmt: skip
    axes.margins(x=0.75)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)


def main() -> None:
    """Run the contests, print their tables, and write them as JSON."""
    command = parser("peers", __doc__)
    command.add_argument("--repeats", type=int, default=3, help="runs of each")
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    command.add_argument("--rows", type=int, default=ROWS, help="training rows; 0 for all")
    command.add_argument("--few", type=int, default=FEW, help="rows for quadratic methods")
    command.add_argument("--extra", default=str(BY_HAND), help="a Python file with more PEERS")
    command.add_argument("--one", default=None, help=argparse.SUPPRESS)
    options = command.parse_args()
    if options.one:
        print(json.dumps(one(json.loads(options.one))))
        return
    more = {"data": str(prepare(Path(options.cache))), "extra": options.extra}
    found = limits()
    extra = [(name, 1_000) for name in by_hand(options.extra)]
    results: dict[str, Any] = {"limits": found}
    ratios: dict[str, list[float]] = {}
    page = [told(found)]
    parts = [
        ("all", ALL_ROWS + extra, options.rows, "flights from New York, 2013"),
        ("few", FEW_ROWS, options.few, "of them"),
    ]
    for key, entries, rows, what in parts:
        done = contest(entries, rows, options.repeats, **more)
        against_peers = against(done)
        page.append(f"**{rows:,} {what}**" if rows else f"**All {what}**")
        page += [told_entries(done, found), told_ratios(done, against_peers)]
        results[key] = {"entries": done, "against": against_peers}
        ratios |= {peer: ratio["both"] for peer, ratio in against_peers.items()}
    target = keep("peers", "\n\n".join(page), results, ratios, record=options.record)
    picture(results["all"]["entries"], target.with_suffix(".png"))


if __name__ == "__main__":
    main()
