"""The engine of a cluster: a Dask task for each block of rows, and a tree of merges.

Blocks are cut as the thread engine cuts them, and their sums merged in the same order: so results
are the same to the last bit, whatever the scheduler and however many workers come and go. What all
tasks of a pass share reaches each worker once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from scalekern._config import config_context, get_config
from scalekern.engine.base import Engine
from scalekern.engine.blas import hold_openmp, one_blas_thread
from scalekern.engine.cluster import Scheduler
from scalekern.engine.limits import one_thread
from scalekern.engine.merging import MergeTree
from scalekern.engine.plan import chunk_rows
from scalekern.engine.statistic import Statistic
from scalekern.engine.threads import ThreadEngine
from scalekern.rows import Block, RowSource

S = TypeVar("S", bound=Statistic)
T = TypeVar("T")
Arrays = dict[str, np.ndarray]


class DaskEngine(Engine):
    """Runs passes over rows on the scheduler or client that Dask is set to.

    Rows of a Dask collection are read by the workers; rows of files too, which must be able to open
    them; rows in memory are sent.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Threads of what is left to this process.
    """

    n_threads = 1

    def __init__(self, n_jobs: int | None = None) -> None:
        self._local = ThreadEngine(n_jobs)

    @property
    def local(self) -> ThreadEngine:
        """The engine of this process, for what is in its memory."""
        return self._local

    def reduce(
        self,
        source: RowSource,
        make_statistic: Callable[[], S],
        what: str = "reading rows",
        max_rows: int | None = None,
    ) -> S:
        """Return the statistic of all rows of `source`."""
        found = _pieces(source, max_rows)
        if found is None:
            return self._local.reduce(source, make_statistic, what, max_rows)
        job, pieces = found
        job = replace(job, function=make_statistic)
        total = make_statistic()
        if pieces:
            total.restore(Scheduler().run(job, pieces, _tree, what))
        return total

    def map_blocks(
        self,
        source: RowSource,
        function: Callable[[Block], Any],
        sink: Callable[[Block, Any], None],
        what: str = "predicting",
        max_rows: int | None = None,
    ) -> None:
        """Call `function` on every block, and `sink` with each block and its result, in order."""
        found = _pieces(source, max_rows)
        if found is None:
            self._local.map_blocks(source, function, sink, what, max_rows)
            return
        job, pieces = found
        job = replace(job, function=function)
        for block, result in Scheduler().stream(job, pieces, _mapped, what):
            sink(block, result)

    def scan(
        self,
        source: RowSource,
        step: Callable[[T, Any], T],
        state: T,
        *,
        seed: int,
        n_passes: int = 1,
        first_pass: int = 0,
        batch_rows: int = 256,
        prepare: Callable[[Block], Any] | None = None,
        what: str = "learning",
    ) -> T:
        """Return the state after one step for each batch of rows.

        The state stays in this process, and windows of rows come to it: they are far smaller than
        what is computed of them.
        """
        return self._local.scan(
            source,
            step,
            state,
            seed=seed,
            n_passes=n_passes,
            first_pass=first_pass,
            batch_rows=batch_rows,
            prepare=prepare,
            what=what,
        )


@dataclass(frozen=True, eq=False)
class _Job:
    """What all tasks of a pass share.

    Attributes
    ----------
    function : callable
        Makes an empty statistic, or is called on each block.
    prepare : callable
        Makes the block of the pass of the one that was read.
    source : RowSource or None
        Where pieces are numbers of runs of rows, what reads them.
    step : int
        The rows of a run.
    tile_dtype : str or None
        The setting of the process that fits.
    """

    function: Callable[..., Any]
    prepare: Callable[[Block], Block]
    source: RowSource | None
    step: int
    tile_dtype: str | None

    def block(self, piece: Any) -> Block:
        """Return the block of the pass behind a piece: a block that was read, or its number."""
        if self.source is not None:
            piece = next(iter(self.source.runs(np.array([piece]), self.step)))
        return self.prepare(piece)


def _pieces(source: RowSource, max_rows: int | None) -> tuple[_Job, list[Any]] | None:
    """Return the job, no function in it, and the pieces; None where rows cannot be found singly."""
    bottom, prepare = source.split()
    row_bytes = max(1, source.n_features) * 8
    step = chunk_rows(source.n_rows, row_bytes) if max_rows is None else max_rows
    reads = not (bottom.on_dask or bottom.in_memory)
    job = _Job(_nothing, prepare, bottom if reads else None, step, get_config().tile_dtype)
    if bottom.on_dask:
        return job, bottom.delayed_blocks(step)  # type: ignore[attr-defined]
    if bottom.in_memory:
        return job, list(bottom.blocks(step))
    if bottom.finds_rows:
        return job, list(range(-(-source.n_rows // step)))
    return None


def _tree(job: Any, pieces: list[Any]) -> Any:
    """Return the task that merges all sums; `job` and the pieces are tasks too."""
    from dask import delayed

    tree = MergeTree(lambda first, second: delayed(_merged)(job, first, second))
    for piece in pieces:
        tree.add(delayed(_summed)(job, piece))
    return tree.total()


def _summed(job: _Job, piece: Any) -> Arrays:
    """Return the sums of one block."""
    with worker_settings(job.tile_dtype):
        statistic: Statistic = job.function()
        statistic.update(job.block(piece))
        return statistic.arrays()


def _merged(job: _Job, first: Arrays, second: Arrays) -> Arrays:
    """Return the sums of both; what they were is left as it is, for a task that runs again."""
    total: Statistic = job.function()
    total.restore({name: np.array(values) for name, values in first.items()})
    other: Statistic = job.function()
    other.restore(second)
    total.merge(other)
    return total.arrays()


def _mapped(job: _Job, piece: Any) -> tuple[Block, Any]:
    """Return the block without its X, and what the function makes of it."""
    with worker_settings(job.tile_dtype):
        block = job.block(piece)
        return replace(block, X=None), job.function(block)


def _nothing() -> None:
    return None


@contextmanager
def worker_settings(tile_dtype: str | None) -> Iterator[None]:
    """Work as one of the threads of a worker: BLAS, OpenMP and our engines hold to one thread."""
    with config_context(tile_dtype=tile_dtype, engine="threads"), one_thread(), one_blas_thread():
        openmp = hold_openmp()
        try:
            yield
        finally:
            openmp.restore_original_limits()
