"""How rows are cut into chunks, and whether a pass fits in memory, before any work is done.

The cut depends on the data alone and never on threads or the clock, so that sums are added up in
the same order everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from scalekern.engine.limits import memory_budget
from scalekern.errors import InvalidInputError

MOST_CHUNK_BYTES = 64 << 20
LEAST_CHUNK_ROWS = 4_096
MOST_CHUNK_ROWS = 65_536
CHUNKS = 64
TILE_ROWS = 2_048


def chunk_rows(n_rows: int, row_bytes: int) -> int:
    """Return the rows of a chunk: about a 64th of all, within bounds of rows and bytes."""
    wanted = max(LEAST_CHUNK_ROWS, min(-(-n_rows // CHUNKS), MOST_CHUNK_ROWS))
    whole_tiles = -(-wanted // TILE_ROWS) * TILE_ROWS
    return max(1, min(whole_tiles, MOST_CHUNK_BYTES // max(1, row_bytes)))


@dataclass(frozen=True)
class Need:
    """What a step holds in memory beside the rows, said once for the fit and for its plan.

    Attributes
    ----------
    bytes : int
    what : str
        Who needs it.
    cure : str
        What to do where there is less.
    """

    bytes: int
    what: str
    cure: str

    def require(self) -> None:
        """Raise unless the need is within the memory budget."""
        require_memory(self.bytes, self.what, self.cure)

    def refusal(self, budget: int) -> str:
        """Return the error of `require` for a budget that is too small."""
        return (
            f"{self.what} needs about {self.bytes / 1e9:.3g} GB but {budget / 1e9:.3g} GB may be "
            f"used; {self.cure}, or raise the limit: scalekern.config_context(memory_limit=bytes), "
            "or --memory-limit of a command"
        )


def require_memory(needed: int, what: str, cure: str) -> None:
    """Raise unless `needed` bytes are within the memory budget.

    Raises
    ------
    InvalidInputError
        With what is needed, what there is, and the cure.
    """
    budget = memory_budget()
    if needed > budget:
        raise InvalidInputError(Need(needed, what, cure).refusal(budget))
