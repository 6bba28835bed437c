"""What a fit consists of, as data: steps of counted work, and the seconds that they come to.

One cost model for every engine: a step says what it does, over how many rows, in how many tasks,
and how much of each kind of work that is. Who runs the tasks only decides what they are divided by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalekern.engine.merging import IN_A_ROW
from scalekern.engine.plan import chunk_rows

READ_RATE = 4e8
"""Bytes of compressed Parquet that are read, unpacked and checked in a second; one thread reads."""
UNPACK_RATE = 2e9
"""The same where rows are only unpacked, on the way to others of their row group."""
STEP_SECONDS = 1e-3
"""What a step costs at least."""
BLOCK_SECONDS = 7e-5
"""What it costs to hand a block of rows to a thread."""
ROW_SECONDS = 4e-8
"""What a row costs in a pass beyond arithmetic: its id, its hash, its share of a tile's calls."""
PLAIN_ROW_SECONDS = 1e-8
"""The same where a block is one product."""
TASK_SECONDS = 1.5e-3
"""What Dask does for a task, to make it, to send it, to hear of its end, beside what it is for.

Most of it in one process, whatever the number of workers.
"""
LINK_RATE = 1e9
"""Bytes that a worker sends to another, or to this process, in a second."""
PASS_SECONDS = 0.03
"""What a pass on Dask costs at least: its job goes to every worker, its sum comes back."""


@dataclass(frozen=True)
class Crew:
    """Who runs a fit.

    Attributes
    ----------
    threads : int
        Blocks of a pass that are worked on at a time.
    local_threads : int
        Of this process, which does what is between passes.
    workers : int
        Processes of a Dask cluster; 0 without one.
    """

    threads: int
    local_threads: int
    workers: int = 0

    @classmethod
    def here(cls, n_threads: int) -> Crew:
        """Return the threads of this process."""
        return cls(n_threads, n_threads)


@dataclass(frozen=True)
class Step:
    """One pass over the rows, or one thing that is done between passes.

    Attributes
    ----------
    what : str
        As the progress bar names it.
    why : str
        What it is for.
    rows : int
        Rows that are read from the source; 0 where none are.
    tasks : int
        Blocks that are computed independently; 1 for what the calling thread does alone.
    read_bytes : int
        Read from files.
    work : dict of str to float
        Counted work by kind; see `engine.machine.rates`. Empty where it is not known.
    known : bool
        False where the work has parts that no rate is known for, such as a kernel of your own.
    sum_bytes : int
        What each block comes to, which is merged, or goes to this process.
    partitions : int
        Of a Dask collection, whose blocks are read by tasks of their own.
    repeats : int
        How often the engine runs the tasks of a step that reads no rows from the source, for it
        has them; 0 where this process does them.
    row_seconds : float
        What a row costs beyond the work.
    apart_bytes : int
        Read from files where every task reads its block by itself, as on Dask.
    """

    what: str
    why: str
    rows: int = 0
    tasks: int = 1
    read_bytes: int = 0
    work: Mapping[str, float] = field(default_factory=dict)
    known: bool = True
    sum_bytes: int = 0
    partitions: int = 0
    repeats: int = 0
    row_seconds: float = ROW_SECONDS
    apart_bytes: int = 0

    @property
    def merged_bytes(self) -> int:
        """Bytes of the sums of all blocks."""
        return self._runs * self.tasks * self.sum_bytes

    @property
    def graph_tasks(self) -> int:
        """Tasks of the pass on Dask."""
        return self._runs * graph_tasks(self.tasks, self.partitions)

    @property
    def _runs(self) -> int:
        return self.repeats or int(self.rows > 0)

    def seconds(self, rates: Mapping[str, float], crew: Crew) -> float:
        """Return the estimated seconds."""
        alone = sum(count / rates.get(kind, math.inf) for kind, count in self.work.items())
        reading = self.read_bytes / READ_RATE
        if crew.workers and self._runs:
            reading += max(self.apart_bytes - self.read_bytes, 0) / UNPACK_RATE
            return self._on_dask(alone, reading, rates.get("move", math.inf), crew)
        # The last round may leave threads idle.
        rounds = -(-self.tasks // max(1, crew.local_threads))
        busy = max(alone * rounds / self.tasks, reading)
        handed = BLOCK_SECONDS * self.tasks if self.rows else 0.0
        return STEP_SECONDS + busy + handed + self.rows * self.row_seconds

    def _on_dask(self, alone: float, reading: float, move: float, crew: Crew) -> float:
        """Return the seconds on a cluster, as if its scheduler worked while the workers rest.

        Workers read what they add up; a merge reads two sums and writes one; of the sums those
        that lie with other workers are sent.
        """
        rounds = -(-self.tasks // max(1, crew.threads))
        own = alone + reading + self.rows * self.row_seconds + 3 * self.merged_bytes / move
        sent = self.merged_bytes * (1 - 1 / crew.workers) / (LINK_RATE * crew.workers)
        busy = own * rounds / self.tasks + sent
        return self._runs * PASS_SECONDS + busy + self.graph_tasks * TASK_SECONDS

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain values."""
        return {
            "what": self.what,
            "why": self.why,
            "rows": self.rows,
            "tasks": self.tasks,
            "repeats": self.repeats,
            "read_bytes": self.read_bytes,
            "merged_bytes": self.merged_bytes,
            "graph_tasks": self.graph_tasks,
            "work": {kind: float(count) for kind, count in self.work.items()},
        }


def graph_tasks(tasks: int, partitions: int = 0) -> int:
    """Return the tasks of the graph of a pass on Dask: sums, merges of eight, and their rows.

    Parameters
    ----------
    tasks : int
        Blocks of the pass.
    partitions : int, default=0
        Of a Dask collection, whose blocks are tasks of their own.
    """
    merges, held, left = 0, 0, tasks
    while left:
        left, rest = divmod(left, IN_A_ROW)
        merges, held = merges + left + (rest > 1), held + (rest > 0)
    merges += held > 1
    return tasks + merges + (partitions + tasks if partitions else 0)


def tasks_of(n_rows: int, n_features: int) -> int:
    """Return the blocks of a pass over rows, as the engine cuts them."""
    return -(-n_rows // rows_of_task(n_rows, n_features))


def rows_of_task(n_rows: int, n_features: int) -> int:
    """Return the rows of such a block."""
    return chunk_rows(n_rows, max(1, n_features) * 8)
