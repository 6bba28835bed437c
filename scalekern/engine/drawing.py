"""How the lines of `progress` look in a terminal; apart from them, since rich is slow to import."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Column, Table

from scalekern.engine.lines import Line

NAME_WIDTH, BAR_WIDTH = 24, 20
IN_A_SECOND = 4


def draw(lines: Callable[[], Sequence[Line]]) -> Any:
    """Draw what `lines` returns again and again, until `stop`; None where nobody would see it."""
    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        return None
    live = Live(
        get_renderable=lambda: table_of(lines()),
        console=console,
        refresh_per_second=IN_A_SECOND,
        transient=True,
        # Results that go to a file must not end up among the bars.
        redirect_stdout=sys.stdout.isatty(),
    )
    live.start(refresh=True)
    return live


def table_of(lines: Sequence[Line]) -> Table:
    """Return the lines as columns: what, a bar, how many units, how long."""
    first = Column(no_wrap=True, min_width=NAME_WIDTH)
    others = [Column(no_wrap=True) for _ in range(3)]
    table = Table.grid(first, *others, padding=(0, 1))
    for line in lines:
        table.add_row(line.what, _bar(line), _count(line), _time(line))
    return table


def _bar(line: Line) -> ProgressBar:
    if line.plan is not None and line.left is not None:
        return ProgressBar(line.elapsed + line.left, line.elapsed, BAR_WIDTH)
    return ProgressBar(line.total, line.done, BAR_WIDTH, pulse=line.total is None)


def _count(line: Line) -> str:
    return "" if line.total is None else f"{line.done:,}/{line.total:,} {line.unit}"


def _time(line: Line) -> str:
    if line.left is None:
        return f"{clock(line.elapsed)} so far"
    about = "about " if line.plan is not None else ""
    return f"{about}{clock(line.left)} left"


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds.

    Examples
    --------
    >>> clock(3_725.4)
    '1:02:05'
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
