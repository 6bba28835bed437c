"""`python -m benchmarks`: fits and neighbours against others', their memory and overhead."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.memory import memory
from benchmarks.overhead import overhead
from benchmarks.running import run
from benchmarks.scheduler import scheduler

GAMMAS = (0.5, 0.05, 0.01)
ROWS = 400_000
MANY_ROWS = 2_000_000


def in_turn(ours: str, peer: str, repeats: int, **options: Any) -> dict[str, Any]:
    """Run ours and the peer in turn, and return both with the ratios of each pair."""
    pairs = [(run(ours, **options), run(peer, **options)) for _ in range(repeats)]

    def ratios(name: str) -> list[float]:
        return sorted(theirs[name] / our[name] for our, theirs in pairs)

    return {
        "fit": ratios("fit_seconds"),
        "predict": ratios("predict_seconds"),
        "ours": pairs[0][0],
        "peer": pairs[0][1],
        "fit_seconds": statistics.median(our["fit_seconds"] for our, _ in pairs),
        "peer_fit_seconds": statistics.median(theirs["fit_seconds"] for _, theirs in pairs),
    }


def spread(ratios: list[float]) -> str:
    """Return the median of some ratios, and their range."""
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def flights(cache: Path, repeats: int) -> list[dict[str, Any]]:
    """Compare with `make_pipeline(Nystroem, Ridge(solver="cholesky"))` on the flights."""
    peak = run("matmul-peak", repeats=9)["flops_per_second"]
    print(f"\nThis machine multiplies float32 matrices at {peak / 1e9:.0f} GFLOP/s.")
    print(
        f"\nNyström ridge, {ROWS:,} flights x 8, float32, m = 1,000, RBF, alpha 1: scikit-learn's "
        f"Nystroem + Ridge over ours\n(ratio of {repeats} pairs: median, smallest to largest)\n"
    )
    print(f"{'gamma':>6}{'fit ratio':>24}{'predict ratio':>24}{'memory':>10}"
          f"{'RMSE ours':>11}{'theirs':>9}{'rank':>6}{'of peak':>9}")  # fmt: skip
    rows = []
    for gamma in GAMMAS:
        pair = in_turn(
            "flights-ours", "flights-sklearn", repeats, cache=str(cache), n=ROWS, gamma=gamma
        )
        ours, peer = pair["ours"], pair["peer"]
        share = ours["flops"] / pair["fit_seconds"] / peak
        memory = peer["peak_bytes"] / max(1, ours["peak_bytes"])
        fit, predict = spread(pair["fit"]), spread(pair["predict"])
        rmse = f"{ours['rmse']:>11.4f}{peer['rmse']:>9.4f}"
        print(
            f"{gamma:>6}{fit:>24}{predict:>24}{memory:>9.1f}x{rmse}{ours['rank']:>6}{share:>9.0%}"
        )
        rows.append({"gamma": gamma, "share_of_peak": share, "memory_ratio": memory} | pair)
    return rows


def many_flights(cache: Path) -> dict[str, Any]:
    """Measure the memory of a fit on two million rows."""
    result = run("flights-ours", cache=str(cache), n=MANY_ROWS, gamma=0.05)
    print(
        f"\n{MANY_ROWS:,} flights, gamma 0.05: {result['peak_bytes'] / 1e6:.0f} MB beyond the data "
        f"at the peak of the fit, {result['fit_seconds']:.1f} s, RMSE {result['rmse']:.4f}"
    )
    return result


def airfoil(repeats: int) -> dict[str, Any]:
    """Compare the exact model with the article's loops."""
    pair = in_turn("airfoil-ours", "airfoil-loops", repeats)
    print(
        f"\nExact model of airfoil, the article's loops over ours: fit {spread(pair['fit'])}, "
        f"predict {spread(pair['predict'])}; RMSE {pair['ours']['rmse']:.6f}, "
        f"loops {pair['peer']['rmse']:.6f}"
    )
    return pair


def in_its_own_process(name: str, cache: Path) -> Any:
    """Run the module of that name, which prints its tables, and return its results."""
    module = f"benchmarks.{name}"
    subprocess.run([sys.executable, "-m", module, "--output", str(cache)], check=True)
    return json.loads((cache / f"{name}.json").read_text(encoding="utf-8"))


def main() -> None:
    """Run the benchmarks, print their tables, and write them as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help=f"which of {', '.join(BENCHMARKS)}; all by default")  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    parser.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    parser.add_argument("--full", action="store_true", help="sizes that take hours")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark {sorted(unknown)}; there are {', '.join(BENCHMARKS)}")
    if data.folder() is None:
        raise SystemExit(
            "The benchmarks need real data: set SCALEKERN_DATA to a folder with "
            "flights-3m.parquet, airports.csv and airfoil.csv."
        )
    cache = data.flights(Path(options.cache))
    results = {"machine": f"{platform.machine()} {platform.processor()} {platform.system()}"}
    results |= {name: BENCHMARKS[name](cache, options) for name in options.names or BENCHMARKS}
    target = cache / "results.json"
    target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(f"\nWrote {target}")


BENCHMARKS: dict[str, Callable[[Path, Any], Any]] = {
    "flights": lambda cache, options: flights(cache, options.repeats),
    "many_flights": lambda cache, _: many_flights(cache),
    "airfoil": lambda _, options: airfoil(options.repeats),
    "memory": lambda cache, options: memory(cache, full=options.full),
    "overhead": lambda cache, options: overhead(cache, options.repeats, full=options.full),
    "neighbors": lambda cache, _: in_its_own_process("neighbors", cache),
    "local": lambda cache, _: in_its_own_process("local", cache),
    "scheduler": lambda _, options: scheduler(full=options.full),
}

if __name__ == "__main__":
    main()
