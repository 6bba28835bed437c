"""Rows in a random order that a seed decides, for passes that learn from one batch after another.

Sources are cut into short runs; a window of runs from random places is read at a time, in the order
of the source, and its rows are shuffled. Windows are bounded by bytes, so that rows beyond memory
are shuffled too, and the order depends on the seed and the source alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from scalekern.rows import Block, RowSource
from scalekern.rows.base import stack_rows, take_rows

WINDOW_BYTES = 64 << 20
LEAST_WINDOW_ROWS = 8_192
RUN_IN_MEMORY, RUN_IN_FILES = 32, 4_096


def shuffled_batches(source: RowSource, batch_rows: int, seed: int, number: int) -> Iterator[Block]:
    """Yield every row once, `batch_rows` at a time and the rest last.

    Parameters
    ----------
    source : RowSource
    batch_rows : int
    seed, number : int
        Of the shuffle, and of the pass: each pass has another order.

    Yields
    ------
    Block
        Its rows are not consecutive, and its `start` is the place in the shuffled order.
    """
    rng = np.random.default_rng([seed & 0xFFFFFFFF, number])
    window_rows = max(LEAST_WINDOW_ROWS, WINDOW_BYTES // (8 * max(1, source.n_features)))
    run = RUN_IN_MEMORY if source.in_memory else RUN_IN_FILES
    # One window is all rows, wherever they come from.
    run = source.n_rows if source.n_rows <= window_rows else run
    order = rng.permutation(-(-source.n_rows // run))
    held, start = None, 0
    for low in range(0, len(order), max(1, window_rows // run)):
        chosen = np.sort(order[low : low + max(1, window_rows // run)])
        parts = list(source.runs(chosen, run))
        held = _joined(parts if held is None else [held, *parts])
        held = _taken(held, rng.permutation(len(held)), start)
        whole = len(held) // batch_rows * batch_rows
        for first in range(0, whole, batch_rows):
            yield _taken(held, np.arange(first, first + batch_rows), start + first)
        start += whole
        held = _taken(held, np.arange(whole, len(held)), start)
    if held is not None and len(held):
        yield held


def _joined(parts: list[Block]) -> Block:
    def column(values: list[np.ndarray | None]) -> np.ndarray | None:
        return None if values[0] is None else np.concatenate(values)  # type: ignore[arg-type]

    return Block(
        X=stack_rows([part.X for part in parts]),
        y=column([part.y for part in parts]),
        weight=column([part.weight for part in parts]),
        start=parts[0].start,
        ids=np.concatenate([part.ids for part in parts]),
    )


def _taken(block: Block, rows: np.ndarray, start: int) -> Block:
    return Block(
        X=take_rows(block.X, rows),
        y=None if block.y is None else block.y[rows],
        weight=None if block.weight is None else block.weight[rows],
        start=start,
        ids=block.ids[rows],
    )
