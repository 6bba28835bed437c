"""What is known of something that is being done: a line of the progress that is shown.

Apart from what opens lines and from what draws them, which both know this.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

BELIEVED_SECONDS = 5.0
"""So many count as gone as planned, before steps say how fast a machine is at the moment."""

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
    plan : Plan or None
        Of its steps, where there is one.
    """

    what: str
    total: int | None = None
    unit: str = ""
    done: int = 0
    plan: Plan | None = None

    def __post_init__(self) -> None:
        self._begun = _clock()

    def advance(self, units: int) -> None:
        """Count more units as done."""
        self.done += units

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return _clock() - self._begun

    @property
    def left(self) -> float | None:
        """Seconds left, if it goes on as it went; None where that is not known."""
        if self.plan is not None:
            return self.plan.left
        if self.total is None or not self.done:
            return None
        return self.elapsed * max(self.total - self.done, 0) / self.done


@dataclass(eq=False)
class Plan:
    """Steps with the seconds that they should take, and which of them is being done.

    Steps that were planned and do not come were not needed. What is part of one is part of its
    time: a small model that is tried solves something, too.

    Attributes
    ----------
    steps : sequence of (str, float)
        Names, as their lines have them, and seconds.
    """

    steps: Sequence[tuple[str, float]]
    _at: int = -1
    _line: Line | None = None
    _planned: float = 0.0
    _pace: float = 1.0
    _begun: float = field(default_factory=lambda: _clock())  # noqa: PLW0108 - tests set the clock

    def __post_init__(self) -> None:
        self._since = self._begun

    def opened(self, line: Line) -> None:
        """Go on to a later step if this is its line."""
        later = range(self._at + 1, len(self.steps))
        at = next((i for i in later if line.what.startswith(self.steps[i][0])), None)
        if at is None or self._line is not None:
            return
        self._line = line
        if at > 0:
            self._planned += self.steps[max(self._at, 0)][1]
        self._at, self._since = at, _clock()
        taken = self._since - self._begun
        self._pace = (taken + BELIEVED_SECONDS) / (self._planned + BELIEVED_SECONDS)

    def closed(self, line: Line) -> None:
        """Note that a step is over."""
        if line is self._line:
            self._line = None

    @property
    def left(self) -> float | None:
        """Seconds left, at the pace of the steps before; None once all should be over."""
        now = max(self._at, 0)
        this, rest = self.steps[now][1], sum(seconds for _, seconds in self.steps[now + 1 :])
        later = self._pace * rest if self._line is not None else 0.0
        left = self._pace * (this + rest) - (_clock() - self._since)
        return max(left, later) or None
