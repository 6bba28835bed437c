"""Fits from Parquet that do not grow with the rows: peak memory, and seconds for each row.

python -m benchmarks memory          3,000,000 flights, and 1,000,000 and 6,000,000 made rows
python -m benchmarks memory --full   50,000,000 made rows: 1.8 GB of files, removed afterwards

Each fit is a process of its own. Peak memory is all that is resident in it, the interpreter and the
libraries included. Seconds a row are those of the clock, and the processor's, which other programs
do not add to.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import data
from benchmarks.results import keep, parser, say, table
from benchmarks.running import run

COLUMNS = 8
ROWS_A_FILE = 500_000
FLIGHTS = 3_000_000
SIZES, FULL_SIZES = (1_000_000, 6_000_000), (3_000_000, 50_000_000)
MOST_BYTES = 1.5e9
MOST_GROWTH = 1.25


def memory(cache: Path, *, full: bool = False) -> dict[str, Any]:
    """Return what the fits took, and the ratio of seconds a row."""
    small, large = FULL_SIZES if full else SIZES
    flights, made = flights_as_parquet(cache), cache / "made"
    try:
        shutil.rmtree(made, ignore_errors=True)
        make_rows(made / "first", range(small // ROWS_A_FILE))
        make_rows(made / "more", range(small // ROWS_A_FILE, large // ROWS_A_FILE))
        found = {
            "flights": _fitted(f"{FLIGHTS:,} flights", flights, FLIGHTS),
            "small": _fitted(f"{small:,} made rows", made / "first", small),
            "large": _fitted(f"{large:,} made rows", made / "*" / "*.parquet", large),
        }
    finally:
        shutil.rmtree(made, ignore_errors=True)
    growth, cpu_growth = (
        found["large"][name] / found["small"][name] for name in ("row_seconds", "row_cpu_seconds")
    )
    return found | {"growth": growth, "cpu_growth": cpu_growth}


def told(found: dict[str, Any]) -> str:
    """Return the table, and how it grows."""
    fits = [one for one in found.values() if isinstance(one, dict)]
    lines = [
        [one["rows"], f"{one['peak_bytes'] / 1e9:.2f} GB", f"{one['fit_seconds']:.1f}",
         f"{one['row_seconds'] * 1e6:.2f}", f"{one['row_cpu_seconds'] * 1e6:.2f}"]
        for one in fits
    ]  # fmt: skip
    header = ["rows", "peak memory", "seconds", "µs a row", "processor's µs a row"]
    peak = max(one["peak_bytes"] for one in fits) / 1e9
    return (
        "Nyström fits from Parquet, 8 columns, float32, m = 1,000, gamma 0.5, alpha 1.\n\n"
        f"{table(header, lines)}\n\nSeconds a row grow by {found['growth']:.2f} (at most "
        f"{MOST_GROWTH}), the processor's by {found['cpu_growth']:.2f}; the largest peak is "
        f"{peak:.2f} GB (at most {MOST_BYTES / 1e9:.1f})."
    )


def _fitted(name: str, files: Path, n: int) -> dict[str, Any]:
    found = run("parquet-fit", files=str(files)) | {"rows": name}
    found["row_seconds"], found["row_cpu_seconds"] = (
        found[name] / n for name in ("fit_seconds", "cpu_seconds")
    )
    say(f"{name}: {found['fit_seconds']:.1f} s")
    return found


def flights_as_parquet(cache: Path) -> Path:
    """Write the standardised flights as one file of `FLIGHTS` rows, once, and return it."""
    import pyarrow.parquet as pq

    path = cache / "flights.parquet"
    if path.exists():
        return path
    X, y = np.load(cache / "X.npy"), np.load(cache / "y.npy")
    X = (X - X.mean(axis=0, dtype=np.float64)) / X.std(axis=0, dtype=np.float64)
    part = path.with_name("flights.part")
    pq.write_table(_table(X.astype(np.float32), y), part, row_group_size=250_000)
    part.replace(path)
    return path


def make_rows(folder: Path, numbers: range) -> None:
    """Write files of half a million rows of normal columns and a smooth target."""
    import pyarrow.parquet as pq

    folder.mkdir(parents=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        X = rng.standard_normal((ROWS_A_FILE, COLUMNS), dtype=np.float32)
        y = np.sin(X).sum(axis=1) + 0.1 * rng.standard_normal(ROWS_A_FILE, dtype=np.float32)
        table = _table(X, y)
        # Random digits do not compress.
        pq.write_table(table, folder / f"{number:04}.parquet", compression=None,
                       use_dictionary=False, row_group_size=250_000)  # fmt: skip


def _table(X: np.ndarray, y: np.ndarray) -> Any:
    import pyarrow as pa

    columns = {f"x{j}": np.ascontiguousarray(X[:, j]) for j in range(X.shape[1])}
    return pa.table(columns | {"y": y})


def main() -> None:
    """Measure, and write what was found."""
    command = parser("memory", __doc__)
    command.add_argument("--full", action="store_true", help="50,000,000 rows")
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    options = command.parse_args()
    found = memory(data.flights(Path(options.cache)), full=options.full)
    keep("memory", told(found), found, record=options.record)


if __name__ == "__main__":
    main()
