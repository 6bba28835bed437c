"""The engine of one machine: a thread per core over chunks of rows, results taken in order.

The calling thread reads the next chunk and merges finished ones while the workers compute; there
are never more than one chunk a worker and one more in flight. Workers hold BLAS and OpenMP to one
thread each. Results do not depend on the number of threads, to the last bit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from scalekern.engine.base import Engine
from scalekern.engine.blas import hold_openmp, one_blas_thread
from scalekern.engine.checkpoint import EVERY_BATCHES, EVERY_BLOCKS, current_checkpoint
from scalekern.engine.limits import memory_budget, resolve_threads
from scalekern.engine.merging import MergeTree
from scalekern.engine.plan import chunk_rows
from scalekern.engine.progress import progress_bar
from scalekern.engine.shuffle import shuffled_batches
from scalekern.engine.statistic import Statistic, Walk
from scalekern.rows import Block, RowSource

S = TypeVar("S", bound=Statistic)
T = TypeVar("T")


class ThreadEngine(Engine):
    """Runs passes over rows on the cores of this machine.

    Parameters
    ----------
    n_jobs : int or None, default=None
        Threads; None and -1 are as many as this process has cores.
    """

    def __init__(self, n_jobs: int | None = None) -> None:
        self.n_threads = resolve_threads(n_jobs)

    @property
    def local(self) -> ThreadEngine:
        """Itself."""
        return self

    def reduce(
        self,
        source: RowSource,
        make_statistic: Callable[[], S],
        what: str = "reading rows",
        max_rows: int | None = None,
    ) -> S:
        """Return the statistic of all rows of `source`."""

        def of_chunk(block: Block) -> S:
            statistic = make_statistic()
            statistic.update(block)
            return statistic

        tree: MergeTree[S] = MergeTree(_merged)
        checkpoint = current_checkpoint()
        file = None if checkpoint is None else checkpoint.next_pass()
        done = 0 if file is None else file.fill(tree, make_statistic)
        for _, partial in self._in_order(source, of_chunk, what, max_rows, done):
            tree.add(partial)
            done += 1
            if file is not None and done % EVERY_BLOCKS == 0:
                file.save_tree(tree, done)
        if file is not None:
            file.save_tree(tree, done)
        total = tree.total()
        return make_statistic() if total is None else total

    def map_blocks(
        self,
        source: RowSource,
        function: Callable[[Block], Any],
        sink: Callable[[Block, Any], None],
        what: str = "predicting",
        max_rows: int | None = None,
    ) -> None:
        """Call `function` on every block, and `sink` with each block and its result, in order."""
        for block, result in self._in_order(source, function, what, max_rows):
            sink(block, result)

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
        """Return the state after one step for each batch of rows; a checkpoint remembers it.

        The calling thread holds the state, while it reads ahead and the workers prepare batches.
        """
        ready = prepare or (lambda block: block)
        checkpoint = current_checkpoint() if isinstance(state, Walk) else None
        file = None if checkpoint is None else checkpoint.next_pass()
        saved = None if file is None else file.load()
        done = 0
        if saved is not None:
            done, over = int(saved.pop("batches")), bool(saved.pop("over"))
            state.restore(saved)  # type: ignore[attr-defined]
            if over:
                return state
        batches = islice(shuffled_batches(source, batch_rows, seed, number), done, None)
        small = source.n_rows <= batch_rows
        for _, prepared in self._flow(batches, ready, what, source.n_rows, small):
            state = step(state, prepared)
            done += 1
            if file is not None and done % EVERY_BATCHES == 0:
                file.save(_of_walk(state, done, over=False))
        if file is not None:
            file.save(_of_walk(state, done, over=True))
        return state

    def _in_order(
        self,
        source: RowSource,
        function: Callable[[Block], Any],
        what: str,
        max_rows: int | None,
        first: int = 0,
    ) -> Iterator[tuple[Block, Any]]:
        row_bytes = max(1, source.n_features) * 8
        step = chunk_rows(source.n_rows, row_bytes) if max_rows is None else max_rows
        blocks = source.blocks(step)
        if first:
            blocks = source.runs(np.arange(first, -(-source.n_rows // step)), step)
        ahead = self._ahead(0 if source.in_memory else step * row_bytes)
        return self._flow(blocks, function, what, source.n_rows, source.n_rows <= step, ahead)

    def _ahead(self, block_bytes: int) -> int:
        """Return how many blocks may wait for results: one a thread, fewer where memory is short.

        Beside them one is being read and one is being merged.
        """
        if not block_bytes:
            return self.n_threads
        return max(1, min(self.n_threads, memory_budget() // block_bytes - 2))

    def _flow(
        self,
        blocks: Iterator[Block],
        function: Callable[[Block], Any],
        what: str,
        n_rows: int,
        alone: bool,
        ahead: int | None = None,
    ) -> Iterator[tuple[Block, Any]]:
        with one_blas_thread(), progress_bar(what, n_rows) as advance:
            if alone:
                for block in blocks:
                    yield block, _alone(function, block)
                return
            pool = ThreadPoolExecutor(self.n_threads, initializer=hold_openmp)
            waiting: deque[tuple[Block, Future[Any]]] = deque()
            try:
                for block in blocks:
                    waiting.append((block, pool.submit(function, block)))
                    if len(waiting) > (ahead or self.n_threads):
                        yield self._finished(waiting, advance)
                while waiting:
                    yield self._finished(waiting, advance)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    @staticmethod
    def _finished(
        waiting: deque[tuple[Block, Future[Any]]], advance: Callable[[int], None]
    ) -> tuple[Block, Any]:
        block, future = waiting.popleft()
        result = future.result()
        advance(len(block))
        return block, result


def _of_walk(state: Any, batches: int, *, over: bool) -> dict[str, np.ndarray]:
    return state.arrays() | {"batches": np.array(batches), "over": np.array(over)}


def _merged(first: S, second: S) -> S:
    first.merge(second)
    return first


def _alone(function: Callable[[Block], Any], block: Block) -> Any:
    """Call `function` in the calling thread, whose own limit of OpenMP threads is kept."""
    openmp = hold_openmp()
    try:
        return function(block)
    finally:
        openmp.restore_original_limits()
