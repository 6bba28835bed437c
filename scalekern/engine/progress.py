"""A bar for each pass over the rows that takes a while, on standard error, where progress is on.

One display for all passes that run at a time: an inner pass is a line below the one it is part of.
The clock decides what is shown, and nothing else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scalekern._config import get_config

LEAST_ROWS = 2  # of one row there is no time left to tell
PATIENCE_SECONDS = 2.0


@contextmanager
def progress_bar(
    what: str, n_rows: int, *, least: int = LEAST_ROWS, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more rows, or other units, are done."""
    if not get_config().progress or n_rows < least:
        yield lambda rows: None
        return
    task = _display.open(what, n_rows, unit)
    try:
        yield lambda rows: _display.advance(task, rows)
    finally:
        _display.close(task)


class _Display:
    """The bars of all passes that run; none is drawn before its pass has taken two seconds."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._bars: Any = None
        self._begun: dict[Any, float] = {}

    def open(self, what: str, total: int, unit: str) -> Any:
        """Return the number of a bar that is not yet seen."""
        with self._lock:
            if self._bars is None:
                self._bars = _new_bars()
            task = self._bars.add_task(what, total=total, visible=False, unit=unit)
            self._begun[task] = time.monotonic()
            return task

    def advance(self, task: Any, done: int) -> None:
        """Move a bar, and show it where it is time."""
        with self._lock:
            late = time.monotonic() - self._begun[task] > PATIENCE_SECONDS
            self._bars.update(task, advance=done, visible=late)
            if late:
                self._bars.start()

    def close(self, task: Any) -> None:
        """Take a bar away, and with the last one the display."""
        with self._lock:
            del self._begun[task]
            self._bars.remove_task(task)
            if not self._begun:
                if self._bars.live.is_started:
                    self._bars.stop()  # else it would write an empty line
                self._bars = None


def _new_bars() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        Remaining(elapsed_when_finished=True),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)


_display = _Display()
