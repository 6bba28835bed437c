"""Fits at the same settings: a Nyström model against scikit-learn's, the exact against plain loops.

`python -m benchmarks.fits`: 400,000 flights at three bandwidths against `make_pipeline(Nystroem,
Ridge(solver="cholesky"))`, which minimises the same sum over the same number of landmarks; the
memory of a fit on 2,000,000; and the exact model of airfoil against loops over pairs. Each run is a
process of its own, ours and the peer's in turn. "Of the limit" is our fit's multiplications a
second over those of the machine's own float32 matrix product in the same run.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks import data
from benchmarks.limits import limits
from benchmarks.results import keep, parser, spread, table
from benchmarks.running import run

GAMMAS = (0.5, 0.05, 0.01)
ROWS, SHORT_ROWS = 400_000, 100_000
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


def flights(cache: Path, rows: int, repeats: int, peak: float) -> list[dict[str, Any]]:
    """Compare with `make_pipeline(Nystroem, Ridge(solver="cholesky"))` on the flights."""
    found = []
    for gamma in GAMMAS:
        pair = in_turn(
            "flights-ours", "flights-sklearn", repeats, cache=str(cache), n=rows, gamma=gamma
        )
        ours, peer = pair["ours"], pair["peer"]
        share = ours["flops"] / pair["fit_seconds"] / peak
        memory = peer["peak_bytes"] / max(1, ours["peak_bytes"])
        found.append({"gamma": gamma, "share_of_peak": share, "memory_ratio": memory} | pair)
    return found


def told_flights(found: list[dict[str, Any]]) -> str:
    """Return the table of the fits on flights."""
    header = ["gamma", "fit", "prediction of 250,000 rows", "memory of the fit",
              "RMSE, ours", "theirs", "landmarks kept", "of the limit"]  # fmt: skip
    rows = [
        [
            f"{one['gamma']}",
            spread(one["fit"]),
            spread(one["predict"]),
            f"{one['memory_ratio']:.1f}",
            f"{one['ours']['rmse']:.4f}",
            f"{one['peer']['rmse']:.4f}",
            f"{one['ours']['rank']:,}",
            f"{one['share_of_peak']:.0%}",
        ]
        for one in found
    ]
    return table(header, rows)


def told_airfoil(pair: dict[str, Any]) -> str:
    """Return a sentence on the exact model of airfoil."""
    return (
        f"Exact model of airfoil, 1,127 rows, the article's loops over ours: fit "
        f"{spread(pair['fit'])}, prediction {spread(pair['predict'])}; RMSE "
        f"{pair['ours']['rmse']:.6f}, of the loops {pair['peer']['rmse']:.6f}."
    )


def told_many(result: dict[str, Any]) -> str:
    """Return a sentence on the memory of the fit on many rows."""
    return (
        f"A fit on {MANY_ROWS:,} flights (gamma 0.05) takes {result['peak_bytes'] / 1e6:.0f} MB "
        f"beyond the data at its peak, and {result['fit_seconds']:.1f} seconds."
    )


def main() -> None:
    """Run the pairs, print their tables, and write them."""
    command = parser("fits", __doc__)
    command.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    command.add_argument("--short", action="store_true", help=f"{SHORT_ROWS:,} flights only")
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    options = command.parse_args()
    cache, peak = data.flights(Path(options.cache)), limits()["float32 products"]
    rows = SHORT_ROWS if options.short else ROWS
    found = flights(cache, rows, options.repeats, peak)
    loops = in_turn("airfoil-ours", "airfoil-loops", options.repeats)
    many = None if options.short else run("flights-ours", cache=str(cache), n=MANY_ROWS, gamma=0.05)
    title = f"Nyström ridge, {rows:,} flights x 8, float32, m = 1,000, RBF, alpha 1, the pipeline's"
    how = (
        f"{title} times and memory over ours; median and range of {options.repeats} pairs; at most "
    )
    parts = [f"{how}{peak / 1e9:.0f} GFLOP/s:", told_flights(found), told_airfoil(loops)]
    page = "\n\n".join([*parts, told_many(many)] if many else parts)
    ratios = {f"gamma {one['gamma']}: {what}": one[what]
              for one in found for what in ("fit", "predict")}  # fmt: skip
    ratios |= {f"airfoil: {what}": loops[what] for what in ("fit", "predict")}
    results = {"flights": found, "airfoil": loops, "many_flights": many}
    keep("fits", page, results, ratios, record=options.record)


if __name__ == "__main__":
    main()
