"""Tasks that need nothing of each other, with their results as they finish, in any order.

They stand apart from passes, whose results are taken in order: here each is sure by itself, and one
that fails is a result like the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import copy_context
from functools import partial
from typing import Any

from scalekern._config import config_context, get_config
from scalekern.engine.cluster import current_client, failures
from scalekern.engine.dask import worker_settings
from scalekern.engine.limits import resolve_threads
from scalekern.errors import ClusterError

Result = tuple[Any, Any]


def each_finished(
    function: Callable[[Any], Any], pieces: list[Any], n_jobs: int | None = None
) -> Iterator[Result]:
    """Yield each piece and what `function` makes of it, or the exception, as they finish.

    On the workers of the client in force where the setting `engine` is "dask", else on threads.
    What has not begun when the caller stops is not done.

    Parameters
    ----------
    function : callable
        Small: it is sent with each piece.
    pieces : list
    n_jobs : int or None, default=None
        Threads of this process, a piece each. None is one a core; where there are fewer pieces,
        each has all cores in turn.

    Raises
    ------
    ClusterError
        If the scheduler is gone.
    """
    client = current_client() if get_config().engine == "dask" else None
    if client is not None:
        yield from _on_cluster(client, function, pieces)
    elif n_jobs is None and len(pieces) < resolve_threads(n_jobs):
        yield from ((piece, _result(function, piece)) for piece in pieces)
    else:
        yield from _on_threads(function, pieces, resolve_threads(n_jobs))


def _on_threads(
    function: Callable[[Any], Any], pieces: list[Any], n_threads: int
) -> Iterator[Result]:
    pool = ThreadPoolExecutor(n_threads)
    dtype = get_config().tile_dtype
    try:
        futures = {
            pool.submit(copy_context().run, _result, partial(_alone, function, dtype), piece): piece
            for piece in pieces
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _on_cluster(client: Any, function: Callable[[Any], Any], pieces: list[Any]) -> Iterator[Result]:
    from distributed import as_completed as as_finished

    dtype = get_config().tile_dtype
    with failures(client):
        futures = client.map(partial(_alone, function, dtype), pieces, pure=False)
    of = {future.key: piece for future, piece in zip(futures, pieces, strict=True)}
    try:
        finished = as_finished(futures)
        while of:
            with failures(client):
                future = next(finished)
            yield of.pop(future.key), _result_of(client, future)
    finally:
        # What is not done is not begun; and the futures that are let go release their results.
        if client.status == "running":
            client.cancel([future for future in futures if future.key in of])


def _result_of(client: Any, future: Any) -> Any:
    """Return what a task gave, or what stopped it; raise where the scheduler is gone."""
    try:
        with failures(client):
            return future.result()
    except ClusterError as error:
        if client.status != "running":
            raise
        return error
    except Exception as error:  # noqa: BLE001 - whatever it is, it is of one task
        return error


def _alone(function: Callable[[Any], Any], tile_dtype: str | None, piece: Any) -> Any:
    # One bar for all pieces is the caller's; many at once would say nothing.
    with worker_settings(tile_dtype), config_context(progress=False):
        return function(piece)


def _result(function: Callable[[Any], Any], piece: Any) -> Any:
    try:
        return function(piece)
    except Exception as error:  # noqa: BLE001 - the same
        return error
