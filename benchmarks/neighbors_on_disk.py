"""`python -m benchmarks.neighbors_on_disk`: an index over more rows than memory should hold.

20,000,000 synthetic rows of 16 float32 columns are written to Parquet, and an index is built from
the files and asked in a process of its own, whose resident memory is watched throughout. Give
fewer rows to try it out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

COLUMNS, FILE_ROWS, QUERIES = 16, 1_000_000, 20_000
MEMORY = 2_000_000_000
RESIDENT = ("VmRSS", "RssAnon")


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
    }
    print(json.dumps(found))


def _named(X: np.ndarray, features: list[str]):  # noqa: ANN202
    from scalekern.rows import ArraySource

    return ArraySource(X, feature_names=features)


def _resident() -> dict[str, int]:
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {line[0][:-1]: int(line[1]) * 1024 for line in lines if line[0][:-1] in RESIDENT}


def main() -> None:
    """Write the rows, and measure in a process of its own."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.neighbors_on_disk")
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--folder", default="build/benchmarks/on-disk", help="for rows and index")
    options = parser.parse_args()
    folder = Path(options.folder)
    data, index = folder / f"rows-{options.rows}", folder / f"index-{options.rows}"
    write_rows(data, options.rows)
    code = (
        "import sys; from benchmarks.neighbors_on_disk import *\n"
        "from scalekern import config_context\n"
        f"with config_context(memory_limit={MEMORY}): build_and_ask(*sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(data), str(index)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    print(
        f"{found['rows']:,} rows x {COLUMNS}: built in {found['build_seconds']:.0f} s "
        f"({found['build_processor_seconds']:.0f} s of processor), "
        f"{found['queries_per_second']:,.0f} predictions/s, at most "
        f"{found['resident_bytes'] / 1e9:.2f} GB resident, of that "
        f"{found['of_that_own_bytes'] / 1e9:.2f} GB its own and the rest mapped; to build "
        f"{found['resident_bytes_to_build'] / 1e9:.2f} GB\n{found['description']}"
    )


if __name__ == "__main__":
    main()
