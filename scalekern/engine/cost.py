"""What a fit consists of, as data: steps of counted work, and the seconds that they come to.

One cost model for every engine: a step says what it does, over how many rows, in how many tasks,
and how much of each kind of work that is. Who runs the tasks only decides what they are divided by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalekern.engine.plan import chunk_rows

READ_RATE = 4e8
"""Bytes of compressed Parquet that are read, unpacked and checked in a second; one thread reads."""
STEP_SECONDS = 1e-3
"""What a step costs at least."""
ROW_SECONDS = 1e-7
"""What a row costs in a pass beyond arithmetic: its id, its hash, its copies."""


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
    """

    what: str
    why: str
    rows: int = 0
    tasks: int = 1
    read_bytes: int = 0
    work: Mapping[str, float] = field(default_factory=dict)
    known: bool = True

    def seconds(self, rates: Mapping[str, float], n_threads: int) -> float:
        """Return the estimated seconds with so many threads."""
        # The last round may leave threads idle.
        rounds = -(-self.tasks // max(1, n_threads))
        alone = sum(count / rates.get(kind, math.inf) for kind, count in self.work.items())
        reading = self.read_bytes / READ_RATE
        busy = max(alone * rounds / self.tasks, reading)
        return STEP_SECONDS + busy + self.rows * ROW_SECONDS

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain values."""
        return {
            "what": self.what,
            "why": self.why,
            "rows": self.rows,
            "tasks": self.tasks,
            "read_bytes": self.read_bytes,
            "work": {kind: float(count) for kind, count in self.work.items()},
        }


def tasks_of(n_rows: int, n_features: int) -> int:
    """Return the blocks of a pass over rows, as the engine cuts them."""
    return -(-n_rows // chunk_rows(n_rows, max(1, n_features) * 8))
