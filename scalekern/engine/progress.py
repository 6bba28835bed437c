"""What is being done and how long it will take, on standard error, where progress is on.

One display for all that runs at a time: what is part of something else is a line below it. Passes
over rows tell how far they are; other steps only how long they have taken. The clock decides what
is shown, and nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from scalekern._config import get_config
from scalekern.engine.lines import Line, Plan

LEAST_ROWS = 2  # of one row there is no time left to tell
PATIENCE_SECONDS = 2.0
"""Nothing is drawn of what takes less."""
GLIMPSE_SECONDS = 0.5
"""A line that is gone sooner could not be read."""

_outermost: ContextVar[Line | None] = ContextVar("scalekern_outermost_line", default=None)


@contextmanager
def progress_bar(
    what: str, n_rows: int, *, least: int = LEAST_ROWS, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more rows, or other units, are done."""
    if not get_config().progress or n_rows < least:
        yield lambda rows: None
        return
    with _shown(Line(what, n_rows, unit)) as line:
        yield line.advance


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is done in the block, or in the function that this decorates."""
    if not get_config().progress:
        yield
        return
    with _shown(Line(what)):
        yield


@contextmanager
def whole(what: str) -> Iterator[None]:
    """Say it above the steps and passes of the block; nothing where it is itself part of a line."""
    if _outermost.get() is not None:
        yield
        return
    with step(what):
        yield


def expect(steps: Sequence[tuple[str, float]]) -> None:
    """Say what steps, by their names, there will be until the outermost line ends, in seconds."""
    line = _outermost.get()
    if line is not None and steps:
        line.plan = Plan(steps)


@contextmanager
def _shown(line: Line) -> Iterator[Line]:
    outermost = _outermost.get()
    plan = None if outermost is None else outermost.plan
    token = _outermost.set(outermost or line)
    try:
        if plan is not None:
            plan.opened(line)
        display.open(line)
        yield line
    finally:
        display.close(line)
        if plan is not None:
            plan.closed(line)
        _outermost.reset(token)


class Display:
    """The lines of all threads, drawn from when one after another has taken two seconds."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._drawn: Any = None

    def open(self, line: Line) -> None:
        """Add a line, which is not yet seen."""
        with self._lock:
            self.lines.append(line)
            if self._timer is None:
                self._timer = threading.Timer(PATIENCE_SECONDS, self.show)
                self._timer.daemon = True
                self._timer.start()

    def close(self, line: Line) -> None:
        """Take a line away, and with the last one what is drawn."""
        with self._lock:
            self.lines = [other for other in self.lines if other is not line]
            if self.lines or self._timer is None:
                return
            self._timer.cancel()
            self._timer = None
            if self._drawn is not None:
                self._drawn.stop()
                self._drawn = None

    def show(self) -> None:
        """Draw the lines from now on."""
        from scalekern.engine.drawing import draw  # rich, which only they need who wait

        with self._lock:
            if self.lines and self._drawn is None:
                self._drawn = draw(self.readable)

    def readable(self) -> list[Line]:
        """Return the lines that are old enough to be read."""
        return [line for line in self.lines if line.elapsed >= GLIMPSE_SECONDS]


display = Display()
