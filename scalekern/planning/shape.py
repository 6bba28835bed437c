"""The shape of the rows of a fit, and the passes over rows of that shape.

Apart from what each model does in a pass, since blocks and bytes are the same for all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from scalekern.engine.choose import crew_for
from scalekern.engine.cost import Step, rows_of_task, tasks_of
from scalekern.neighbors.sharding import shard_rows
from scalekern.planning.outlook import Outlook
from scalekern.rows import RowSource

INDEXING = "indexing"


@dataclass(frozen=True)
class Shape:
    """The rows as an estimator sees them: n of d columns and t outputs."""

    source: RowSource
    n_threads: int

    @property
    def n(self) -> int:
        return self.source.n_rows

    @property
    def d(self) -> int:
        return self.source.n_features

    @property
    def t(self) -> int:
        return max(1, self.source.n_outputs)

    @property
    def item(self) -> int:
        return 8 if self.source.dtype == object else self.source.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        return self.n * (self.d * self.item + 8 * (self.t + 1))

    @property
    def block_bytes(self) -> int:
        """What a block is whose rows, and targets, go to this process."""
        return self.row_bytes // max(1, tasks_of(self.n, self.d))

    def collect(self, plan: Outlook, objects: bool = False) -> None:
        """Add the pass that brings all rows to an index: into memory, or into files from Dask."""
        if crew_for(self.source).workers and self.d and not objects:
            each = shard_rows(self.source)
            own = self.row_bytes * min(1.0, each / self.n)
            why = "shards of the index, kept in files"
            plan.steps.append(self.a_pass(INDEXING, why, Counter(), each, int(own)))
            return
        plan.held_bytes += self.row_bytes
        plan.steps.append(self.gather("the index holds them"))

    def gather(self, why: str) -> Step:
        return self.a_pass("gathering the rows", why, Counter(), None, self.block_bytes)

    def a_pass(
        self,
        what: str,
        why: str,
        work: Counter[str] | None,
        max_rows: int | None = None,
        sum_bytes: int = 0,
    ) -> Step:
        size = max_rows or rows_of_task(self.n, self.d)
        tasks = -(-self.n // size)
        done = None if work is None else work + Counter({"move": 2.0 * self.n * self.d * self.item})
        read, apart = self.source.pass_bytes(), self.source.pass_bytes(size)
        known, parts = work is not None, self.source.partitions
        step = Step(what, why, self.n, tasks, read, done or {}, known, sum_bytes, parts)
        return replace(step, apart_bytes=apart)
