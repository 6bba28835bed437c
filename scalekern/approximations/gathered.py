"""All rows in memory, for what cannot be had from sums: exact models, and indices of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.engine import require_memory
from scalekern.engine.progress import step
from scalekern.rows import RowSource
from scalekern.rows.base import stack_rows, take_rows


@dataclass
class GatheredRows:
    """Rows of positive weight, with targets of shape (n, n_outputs), and their numbers and ids."""

    X: Any
    y: np.ndarray
    weight: np.ndarray
    numbers: np.ndarray
    ids: np.ndarray


def require_room(source: RowSource) -> None:
    """Refuse rows that memory cannot hold, for a model that keeps them all."""
    if not source.in_memory:
        # Twice: the blocks, and what they are put together into.
        needed = 2 * 8 * source.n_rows * (source.n_features + source.n_outputs + 2)
        require_memory(
            needed,
            f"a model that keeps all {source.n_rows} rows",
            "use approximation='nystroem' or 'fourier', which keep none",
        )


@step("gathering the rows")
def gather(source: RowSource) -> GatheredRows:
    """Read all rows into memory, if there is room, leaving out those of weight 0."""
    require_room(source)
    return gathered(source)


def gathered(source: RowSource) -> GatheredRows:
    """Read all rows into memory, leaving out those of weight 0."""
    blocks = list(source.blocks(max(1, source.n_rows)))
    X = stack_rows([block.X for block in blocks])
    ids = np.concatenate([block.ids for block in blocks])
    n = len(ids)
    y = np.concatenate([block.y for block in blocks]) if source.n_outputs else np.zeros((n, 0))
    if not source.has_weight:
        return GatheredRows(X, y, np.ones(n), np.arange(n), ids)
    weight = np.concatenate([np.asarray(block.weight) for block in blocks])
    kept = np.flatnonzero(weight > 0)
    return GatheredRows(take_rows(X, kept), y[kept], weight[kept], kept, ids[kept])
