"""Blocks put together from pieces that come in order, and cut where others end.

How rows lie in files must not show in the blocks, or sums would depend on it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from scalekern.rows.base import Block, slice_rows, stack_rows


def recut(batches: Iterator[Block], max_rows: int) -> Iterator[Block]:
    """Yield the rows of consecutive blocks, `max_rows` at a time and the rest last."""
    held: list[Block] = []
    for batch in batches:
        held.append(batch)
        while sum(map(len, held)) >= max_rows:
            whole = _join(held)
            yield _cut(whole, 0, max_rows)
            held = [_cut(whole, max_rows, len(whole))] if len(whole) > max_rows else []
    if held:
        yield _join(held)


def runs_of_rows(numbers: np.ndarray, length: int, n_rows: int) -> list[range]:
    """Return the rows of the blocks of the given numbers."""
    return [range(int(i) * length, min((int(i) + 1) * length, n_rows)) for i in numbers]


def joined_runs(pieces: Iterator[Block], wanted: list[range]) -> Iterator[Block]:
    """Yield the blocks of the wanted rows, put together from pieces that hold them in order."""
    held: list[Block] = []
    runs = list(wanted)
    for piece in pieces:
        held.append(piece)
        while runs and runs[0].stop <= piece.start + len(piece):
            whole = _join([part for part in held if part.start + len(part) > runs[0].start])
            run = runs.pop(0)
            yield _cut(whole, run.start - whole.start, run.stop - whole.start)
        if not runs:
            return
        held = [part for part in held if part.start + len(part) > runs[0].start]


def _join(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    first = blocks[0]
    return Block(
        X=stack_rows([block.X for block in blocks]),
        y=_concatenated([block.y for block in blocks]),
        weight=_concatenated([block.weight for block in blocks]),
        start=first.start,
        ids=np.concatenate([block.ids for block in blocks]),
    )


def _concatenated(parts: list[Any]) -> np.ndarray | None:
    return None if parts[0] is None else np.concatenate(parts)


def _cut(block: Block, start: int, stop: int) -> Block:
    return Block(
        X=slice_rows(block.X, start, stop),
        y=None if block.y is None else block.y[start:stop],
        weight=None if block.weight is None else block.weight[start:stop],
        start=block.start + start,
        ids=block.ids[start:stop],
    )
