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
from scalekern.engine.checkpoint import EVERY_BLOCKS, PassFile, current_checkpoint
from scalekern.engine.cluster import Scheduler
from scalekern.engine.limits import one_thread
from scalekern.engine.merging import IN_A_ROW, MergeTree
from scalekern.engine.parcels import Parcel
from scalekern.engine.plan import chunk_rows
from scalekern.engine.progress import progress_bar
from scalekern.engine.statistic import Statistic
from scalekern.engine.threads import ThreadEngine
from scalekern.engine.told import tell, told
from scalekern.rows import Block, RowSource

S = TypeVar("S", bound=Statistic)
T = TypeVar("T")
Arrays = dict[str, np.ndarray]
WHOLE = 2
"""The level of a tree of 8 x 8 sums, after which a checkpoint is saved."""


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
        checkpoint, total = current_checkpoint(), make_statistic()
        with told(what, source.n_rows) as topic:
            job = replace(job, topic=topic)
            if checkpoint is not None:
                return _in_steps(job, pieces, checkpoint.next_pass(), what)
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
        with progress_bar(what, source.n_rows) as advance:
            for block, result in Scheduler().stream(job, pieces, _mapped, what):
                sink(block, result)
                advance(len(block))

    def scan(
        self,
        source: RowSource,
        step: Callable[[T, Any], T],
        state: T,
        *,
        seed: int,
        number: int = 0,
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
            number=number,
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
    topic : str or None
        What to tell of the rows that are done; see `told`.
    """

    function: Callable[..., Any]
    prepare: Callable[[Block], Block]
    source: RowSource | None
    step: int
    tile_dtype: str | None
    topic: str | None = None

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
    """Return the task that merges all sums; `job` is a parcel, and the pieces are tasks too."""
    from dask import delayed

    held = [level[1] for level in reversed(_levels(job, pieces)) if level is not None]
    return held[0] if len(held) == 1 else delayed(_merged)(job, *held)


def _levels(job: Any, pieces: list[Any]) -> list[tuple[int, Any] | None]:
    """Return what a `MergeTree` holds of the sums of the pieces; one task merges eight in a row."""
    from dask import delayed

    levels: list[tuple[int, Any] | None] = []
    parts = [delayed(_summed)(job, piece) for piece in pieces]
    while parts:
        whole = len(parts) // IN_A_ROW * IN_A_ROW
        rest = parts[whole:]
        last = rest[0] if len(rest) == 1 else delayed(_merged)(job, *rest)
        levels.append((len(rest), last) if rest else None)
        rows = range(0, whole, IN_A_ROW)
        parts = [delayed(_merged)(job, *parts[low : low + IN_A_ROW]) for low in rows]
    return levels


def _forest(job: Any, pieces: list[Any]) -> Any:
    """Return the task that gives what is held of each tree of `EVERY_BLOCKS` sums."""
    from dask import delayed

    starts = range(0, len(pieces), EVERY_BLOCKS)
    return delayed([_levels(job, pieces[low : low + EVERY_BLOCKS]) for low in starts])


def _in_steps(job: _Job, pieces: list[Any], file: PassFile, what: str) -> Any:
    """Return the statistic of all pieces, saving what is held of them on the way.

    A whole tree of 64 sums is one part at the second level of the tree of all: the order of the
    merges, and so the sum, is that of the other engines.
    """

    def merge(first: Any, second: Any) -> Any:
        first.merge(second)
        return first

    def restored(arrays: Arrays) -> Any:
        statistic = job.function()
        statistic.restore({name: np.array(values) for name, values in arrays.items()})
        return statistic

    tree: MergeTree[Any] = MergeTree(merge)
    done, scheduler = file.fill(tree, job.function), Scheduler()
    at_once = EVERY_BLOCKS * max(1, scheduler.n_threads * 4 // EVERY_BLOCKS)
    while done < len(pieces):
        some = pieces[done : done + at_once]
        for levels in scheduler.run(job, some, _forest, what):
            for level, held in enumerate(levels):
                if held is not None and level == WHOLE:
                    tree.add(restored(held[1]), level)
                elif held is not None:
                    tree.levels += [None] * (level + 1 - len(tree.levels))
                    tree.levels[level] = (held[0], restored(held[1]))
        done += len(some)
        file.save_tree(tree, done)
    total = tree.total()
    return job.function() if total is None else total


def _summed(parcel: Parcel, piece: Any) -> Arrays:
    """Return the sums of one block."""
    job: _Job = parcel.value
    with worker_settings(job.tile_dtype):
        statistic: Statistic = job.function()
        block = job.block(piece)
        statistic.update(block)
        tell(job.topic, len(block))
        return statistic.arrays()


def _merged(parcel: Parcel, *parts: Arrays) -> Arrays:
    """Return the sum of all, in order; what they were is left for a task that runs again."""
    job: _Job = parcel.value
    total: Statistic = job.function()
    total.restore({name: np.array(values) for name, values in parts[0].items()})
    for part in parts[1:]:
        other: Statistic = job.function()
        other.restore(part)
        total.merge(other)
    return total.arrays()


def _mapped(parcel: Parcel, piece: Any) -> tuple[Block, Any]:
    """Return the block without its X, and what the function makes of it."""
    job: _Job = parcel.value
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
