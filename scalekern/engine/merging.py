"""The order in which partial sums are merged: eight in a row, then eight such sums, and so on.

It depends on their number alone, so that every engine rounds alike; of a thousand sums only three
or four are held at a time, and a cluster merges the eights side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

P = TypeVar("P")
IN_A_ROW = 8


class MergeTree(Generic[P]):
    """Merges what is added, in order.

    Parameters
    ----------
    merge : callable
        ``merge(earlier, later)``, which returns the sum of both and may reuse the earlier.

    Examples
    --------
    >>> tree = MergeTree(lambda a, b: f"({a}{b})")
    >>> for letter in "abcdefghij":
    ...     tree.add(letter)
    >>> tree.total()
    '((((((((ab)c)d)e)f)g)h)(ij))'
    """

    def __init__(self, merge: Callable[[P, P], P]) -> None:
        self._merge = merge
        self.levels: list[tuple[int, P] | None] = []

    def add(self, part: P, level: int = 0) -> None:
        """Add the sum that comes next, of 8^`level` parts; nothing may be held below that level."""
        while True:
            self.levels += [None] * (level + 1 - len(self.levels))
            held = self.levels[level]
            count, merged = (1, part) if held is None else (held[0] + 1, self._merge(held[1], part))
            if count < IN_A_ROW:
                self.levels[level] = (count, merged)
                return
            self.levels[level], part, level = None, merged, level + 1

    def total(self) -> P | None:
        """Return the sum of all; None of nothing."""
        total: P | None = None
        for held in reversed(self.levels):
            if held is not None:
                total = held[1] if total is None else self._merge(total, held[1])
        return total
