"""How far a pass on Dask is, as its workers tell it: for the bar in the terminal, and only then.

A pass gives one result at its end, so each task sends the number of its rows along when it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from scalekern._config import get_config
from scalekern.engine.cluster import current_client
from scalekern.engine.progress import progress_bar

_listeners: dict[str, Callable[[int], None]] = {}


@contextmanager
def told(what: str, n_rows: int) -> Iterator[str | None]:
    """Show a bar while the block lasts; yield the topic for tasks to `tell` of, where one is shown.

    Tasks that run twice, for a worker was lost, tell twice; the bar stops at its end.
    """
    if not get_config().progress:
        yield None
        return
    topic, left = f"scalekern-{secrets.token_hex(8)}", n_rows
    client = current_client()
    with progress_bar(what, n_rows) as advance:

        def hear(rows: int) -> None:
            nonlocal left
            rows = min(rows, left)
            left -= rows
            advance(rows)

        if client is None:
            _listeners[topic] = hear
        else:
            client.subscribe_topic(topic, lambda event: hear(event[1]))
        try:
            yield topic
        finally:
            _listeners.pop(topic, None)
            if client is not None and client.status == "running":
                client.unsubscribe_topic(topic)


def tell(topic: str | None, rows: int) -> None:
    """Say that so many more rows of a pass are done."""
    if topic is None:
        return
    listener = _listeners.get(topic)
    if listener is not None:
        listener(rows)
        return
    worker = _worker()
    if worker is not None:
        worker.log_event(topic, rows)


def _worker() -> Any:
    with suppress(ImportError, ValueError):
        from distributed import get_worker

        return get_worker()
    return None
