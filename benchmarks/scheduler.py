"""What Dask's scheduler costs: passes of statistics that are empty, so that nothing else is done.

python -m benchmarks scheduler          100, 1,000 and 3,000 partitions
python -m benchmarks scheduler --full   and 10,000

Scheduler, workers and client are one process here, so the processor's seconds are those of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.results import keep, parser, say, table
from scalekern.engine import Statistic
from scalekern.engine.cost import graph_tasks
from scalekern.rows import Block, RowSource

PARTITIONS, FULL_PARTITIONS = (100, 1_000, 3_000), (100, 1_000, 3_000, 10_000)
CHUNK_ROWS = 65_536


class Empty(Statistic):
    """A count of blocks."""

    def __init__(self) -> None:
        self.blocks = np.zeros(1)

    def update(self, block: Block) -> None:
        """Count one."""
        self.blocks += 1

    def merge(self, other: Empty) -> None:
        """Add the count of others."""
        self.blocks += other.blocks

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the count."""
        return {"blocks": self.blocks}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the count."""
        self.blocks = arrays["blocks"]


class Nowhere(RowSource):
    """Many rows that cost nothing to read, as there is but one in each block."""

    in_memory, finds_rows = False, True
    n_features, dtype = 1, np.dtype(np.float64)

    def __init__(self, partitions: int) -> None:
        self.n_rows = partitions * CHUNK_ROWS

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield as many blocks as such rows would have."""
        return self.runs(np.arange(-(-self.n_rows // max_rows)), max_rows)

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks."""
        for number in numbers:
            start = int(number) * length
            yield Block(np.zeros((1, 1)), None, None, start, np.arange(start, start + 1))

    def select(self, names: Sequence[str]) -> RowSource:
        """Return itself."""
        return self


def scheduler(*, full: bool = False) -> list[dict[str, Any]]:
    """Return what passes over so many partitions take."""
    from distributed import Client, LocalCluster

    from scalekern.engine.dask import DaskEngine

    found = []
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        DaskEngine().reduce(Nowhere(10), Empty)
        for partitions in FULL_PARTITIONS if full else PARTITIONS:
            start, busy = time.perf_counter(), time.process_time()
            counted = DaskEngine().reduce(Nowhere(partitions), Empty).blocks[0]
            seconds, cpu = time.perf_counter() - start, time.process_time() - busy
            assert counted == partitions
            tasks = graph_tasks(partitions)
            say(f"{partitions:,} partitions: {seconds:.1f} s")
            found.append(
                {"partitions": partitions, "tasks": tasks, "seconds": seconds, "cpu_seconds": cpu}
            )
    return found


def main() -> None:
    """Measure, and write what was found."""
    command = parser("scheduler", __doc__)
    command.add_argument("--full", action="store_true", help="and 10,000 partitions")
    options = command.parse_args()
    found = scheduler(full=options.full)
    lines = [
        [f"{one['partitions']:,}", f"{one['tasks']:,}", f"{one['seconds']:.2f}",
         f"{one['cpu_seconds']:.2f}", f"{1e3 * one['cpu_seconds'] / one['tasks']:.2f}"]
        for one in found
    ]  # fmt: skip
    header = ["partitions", "tasks", "seconds", "processor's seconds", "processor's ms a task"]
    page = f"Passes of empty statistics, all in one process.\n\n{table(header, lines)}"
    keep("scheduler", page, {"passes": found}, record=options.record)


if __name__ == "__main__":
    main()
