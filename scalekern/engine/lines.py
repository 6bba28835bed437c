"""What is known of something that is being done: a line of the progress that is shown.

Apart from what opens lines and from what draws them, which both know this.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

_clock = time.monotonic


@dataclass(eq=False)
class Line:
    """What is known of something that is being done.

    Attributes
    ----------
    what : str
        Its name, in words of a user.
    total : int or None
        How many units it is; None where it is not counted.
    unit : str
    done : int
        How many units are done.
    """

    what: str
    total: int | None = None
    unit: str = ""
    done: int = 0

    def __post_init__(self) -> None:
        self.begun = _clock()

    def advance(self, units: int) -> None:
        """Count more units as done."""
        self.done += units

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return _clock() - self.begun

    @property
    def left(self) -> float | None:
        """Seconds left, if it goes on as it went; None where that is not known."""
        if self.total is None or not self.done:
            return None
        return self.elapsed * max(self.total - self.done, 0) / self.done
