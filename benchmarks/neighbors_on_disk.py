"""`python -m benchmarks.neighbors_on_disk`: an index over more rows than memory should hold.

20,000,000 synthetic rows of 16 float32 columns are written to Parquet, and an index is built from
the files and asked in a process of its own, whose resident memory is watched throughout. Give
fewer rows, or several numbers of them, with --rows.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results import keep, parser, say, table

COLUMNS, FILE_ROWS, QUERIES = 16, 1_000_000, 20_000
MEMORY = 2_000_000_000
RESIDENT = ("VmRSS", "RssAnon")
MEMORIES = {
    "resident_bytes_to_build": "resident to build",
    "of_that_own_bytes": "own memory",
    "resident_bytes": "resident, with mapped rows",
}


def write_rows(folder: Path, n_rows: int) -> None:
    """Write the rows, clusters of several sizes, into files of a million each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    centres = 3 * np.random.default_rng(0).standard_normal((2_000, COLUMNS), dtype=np.float32)
    for number, start in enumerate(range(0, n_rows, FILE_ROWS)):
        file = folder / f"{number:03d}.parquet"
        if file.exists():
            continue
        rng = np.random.default_rng(1 + number)
        n = min(FILE_ROWS, n_rows - start)
        X = centres[rng.integers(len(centres), size=n)]
        X = X + rng.standard_normal((n, COLUMNS), dtype=np.float32)
        table = {f"x{j}": X[:, j] for j in range(COLUMNS)} | {"y": X[:, 0] * X[:, 1]}
        pq.write_table(pa.table(table), file.with_suffix(".partial"))
        file.with_suffix(".partial").rename(file)


def build_and_ask(data: str, index: str) -> None:
    """Build the index and ask it, in this process, and print what it took as JSON."""
    from scalekern import KNeighborsRegressor, rows

    peak, stop = dict.fromkeys(RESIDENT, 0), threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for name, now in _resident().items():
                peak[name] = max(peak[name], now)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    features = [f"x{j}" for j in range(COLUMNS)]
    source = rows(f"{data}/*.parquet", target="y", features=features)
    start, worked = time.perf_counter(), time.process_time()
    model = KNeighborsRegressor(10, index_path=index, random_state=0).fit(source)
    built, worked = time.perf_counter() - start, time.process_time() - worked
    building = dict(peak)
    numbers = np.sort(np.random.default_rng(0).choice(source.n_rows, QUERIES, replace=False))
    Q = source.take(numbers) + np.float32(0.1)
    start = time.perf_counter()
    model.predict_blocks(_named(Q, features), lambda _, __: None)
    asked = time.perf_counter() - start
    stop.set()
    watcher.join()
    found = {
        "rows": source.n_rows,
        "build_seconds": built,
        "build_processor_seconds": worked,
        "queries_per_second": QUERIES / asked,
        "resident_bytes": peak["VmRSS"],
        "of_that_own_bytes": peak["RssAnon"],
        "resident_bytes_to_build": building["VmRSS"],
        "description": model.index_description_,
        "recall": model.recall_,
    }
    print(json.dumps(found))


def _named(X: np.ndarray, features: list[str]):  # noqa: ANN202
    from scalekern.rows import ArraySource

    return ArraySource(X, feature_names=features)


def _resident() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0][:-1]: int(line[1]) * 1024 for line in lines if line[0][:-1] in RESIDENT}


def measured(folder: Path, n_rows: int) -> dict[str, Any]:
    """Write the rows, build the index and ask it in a process of its own."""
    data, index = folder / f"rows-{n_rows}", folder / f"index-{n_rows}"
    write_rows(data, n_rows)
    code = (
        "import sys; from benchmarks.neighbors_on_disk import *\n"
        "from scalekern import config_context\n"
        f"with config_context(memory_limit={MEMORY}): build_and_ask(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(data), str(index)]
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    finally:
        shutil.rmtree(index, ignore_errors=True)
    say(f"{n_rows:,} rows")
    return json.loads(done.stdout)


def main() -> None:
    """Measure each number of rows, and write the table."""
    command = parser("neighbors_on_disk", __doc__)
    command.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    command.add_argument("--folder", default="build/benchmarks/on-disk", help="for rows and index")
    options = command.parse_args()
    found = [measured(Path(options.folder), n_rows) for n_rows in options.rows]
    lines = [
        [f"{one['rows']:,}", f"{one['build_seconds']:.0f}",
         f"{one['build_processor_seconds']:.0f}",
         *(f"{one[name] / 1e9:.2f} GB" for name in MEMORIES),
         f"{one['queries_per_second']:,.0f}", f"{one['recall']:.3f}"]
        for one in found
    ]  # fmt: skip
    header = ["rows", "build (s)", "processor's s", *MEMORIES.values(), "predictions/s", "recall"]
    limit = f"{COLUMNS} float32 columns, memory limit {MEMORY / 1e9:.0f} GB"
    page = f"{limit}.\n\n{table(header, lines)}"
    keep("neighbors_on_disk", page, {"found": found}, record=options.record)


if __name__ == "__main__":
    main()
