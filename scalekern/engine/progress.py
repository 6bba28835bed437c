"""A bar for each pass over the rows, on standard error, where the configuration asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from scalekern._config import get_config

LEAST_ROWS = 20_000


@contextmanager
def progress_bar(
    what: str, n_rows: int, *, least: int = LEAST_ROWS, unit: str = "rows"
) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told how many more rows, or other units, are done."""
    if not get_config().progress or n_rows < least:
        yield lambda rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn(unit),
        Remaining(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=n_rows)
        yield lambda rows: bars.advance(task, rows)
