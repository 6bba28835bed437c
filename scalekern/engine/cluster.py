"""How tasks are run: on a distributed client where one is in force, else on Dask's own schedulers.

All that is known of clients and of their failures is here. What tasks share is scattered; where the
workers that hold it are lost, it is sent again and what is unfinished runs again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from scalekern.engine.limits import available_cores
from scalekern.engine.parcels import Parcel, deliver
from scalekern.errors import ClusterError, UnsupportedError

ATTEMPTS = 4
IN_FLIGHT = 2
"""Tasks of each thread that are sent at a time, where their results come to this process."""
_log = logging.getLogger(__name__)


class LostData(Exception):  # noqa: N818
    """What the tasks shared is gone with the workers that had it."""


def current_client() -> Any:
    """Return the distributed client that Dask would use; None for its schedulers in this process.

    Raises
    ------
    UnsupportedError
        If it is asynchronous.
    """
    from dask.base import get_scheduler

    try:
        get = get_scheduler()
    except (RuntimeError, ValueError) as error:
        if "asynchronous" not in str(error):
            raise
        raise _asynchronous() from error
    client: Any = getattr(get, "__self__", None)
    if not hasattr(client, "scatter"):
        return None
    if client.asynchronous:
        raise _asynchronous()
    return client


def _asynchronous() -> UnsupportedError:
    return UnsupportedError(
        "the Dask client is asynchronous, but fit and predict_blocks wait for their results; open "
        "one with Client(address), or compute elsewhere: dask.config.set(scheduler='threads')"
    )


class Scheduler:
    """Runs the tasks of one pass."""

    def __init__(self) -> None:
        self._client = current_client()

    @property
    def n_threads(self) -> int:
        """The threads of all workers, at least 1."""
        if self._client is None:
            return available_cores()
        with failures(self._client):
            return max(1, sum(self._client.nthreads().values()))

    @property
    def n_workers(self) -> int:
        """The processes of the workers, at least 1."""
        if self._client is None:
            return 1
        with failures(self._client):
            return max(1, len(self._client.nthreads()))

    def run(
        self, job: Any, pieces: list[Any], graph: Callable[[Any, list[Any]], Any], what: str
    ) -> Any:
        """Return the value of the task that `graph` makes of the job and its pieces."""
        import dask

        if self._client is None:
            parcel = _literal(Parcel(job))
            return dask.compute(graph(parcel, list(map(_literal, pieces))))[0]
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with failures(self._client):
                    return self._client.compute(graph(*self._sent(job, pieces))).result()
            except LostData:
                _log.warning("%s: data were lost with a worker (attempt %d)", what, attempt)
        raise _unlucky(what)

    def stream(
        self, job: Any, pieces: list[Any], function: Callable[[Any, Any], Any], what: str
    ) -> Iterator[Any]:
        """Yield the values of `function(job, piece)` for all pieces, in order."""
        from dask import delayed

        if self._client is None:
            yield from _locally(_literal(Parcel(job)), pieces, function)
            return
        done = attempt = 0
        while done < len(pieces):
            attempt += 1
            try:
                with failures(self._client):
                    shared, rest = self._sent(job, pieces[done:])
                for value in self._window([delayed(function)(shared, p) for p in rest]):
                    yield value
                    done += 1
            except LostData:
                _log.warning("%s: data were lost with a worker (attempt %d)", what, attempt)
                if attempt == ATTEMPTS:
                    raise _unlucky(what) from None

    def _window(self, tasks: list[Any]) -> Iterator[Any]:
        """Yield the values of tasks, in order; few are in flight, as results may be large."""
        client, waiting = self._client, deque[Any]()
        most = IN_FLIGHT * self.n_threads
        for start in range(0, len(tasks) + most, most):
            with failures(client):
                waiting.extend(client.compute(tasks[start : start + most]))
            # Half of them stay in flight while the other half is taken.
            last = start + most >= len(tasks)
            while len(waiting) > (0 if last else most):
                with failures(client):
                    value = waiting.popleft().result()
                yield value

    def _sent(self, job: Any, pieces: list[Any]) -> tuple[Any, list[Any]]:
        """Return what stands for the job and the pieces once their data are with the workers."""
        parcel = Parcel(job)
        deliver(self._client, parcel)
        shared = self._client.scatter(parcel, broadcast=True, hash=False)
        if pieces and not isinstance(pieces[0], int) and not hasattr(pieces[0], "__dask_graph__"):
            return shared, self._client.scatter(pieces, hash=False)
        return shared, pieces


def _locally(job: Any, pieces: list[Any], function: Callable[[Any, Any], Any]) -> Iterator[Any]:
    import dask

    together = 4 * available_cores()
    for low in range(0, len(pieces), together):
        some = map(_literal, pieces[low : low + together])
        yield from dask.compute(*(dask.delayed(function)(job, piece) for piece in some))


def _literal(value: Any) -> Any:
    """Return a task that is the value, which Dask does not look into."""
    from dask import delayed

    if isinstance(value, int) or hasattr(value, "__dask_graph__"):
        return value
    return delayed(value, pure=False, traverse=False)


@contextmanager
def failures(client: Any) -> Iterator[None]:
    """Turn what the cluster reports of itself into our errors; those of tasks stay as they are."""
    from asyncio import CancelledError as AsyncCancelledError
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"workers died again and again at one task ({error.task}), most likely of a lack of "
            "memory; give them more, or use smaller partitions or fewer n_components"
        ) from error
    except TimeoutError as error:
        raise ClusterError(
            f"the Dask cluster has no workers ({error}); start some and repeat the call"
        ) from error
    except (CancelledError, AsyncCancelledError, CommClosedError, OSError) as error:
        of_cluster = isinstance(error, CommClosedError) or not isinstance(error, OSError)
        if client.status == "running" and not of_cluster:
            raise
        if _answers(client):
            # What the scheduler says of a worker that it has just lost.
            raise LostData from error
        raise _gone() from error
    except AttributeError as error:
        # A client that has lost its scheduler for good has None in its place.
        if client.scheduler is not None:
            raise
        raise _gone() from error


def _answers(client: Any) -> bool:
    """Return whether the scheduler is there."""
    if client.status != "running":
        return False
    try:
        client.nthreads()
    except (OSError, TimeoutError, AttributeError):
        return False
    return True


def _gone() -> ClusterError:
    return ClusterError("the Dask scheduler is gone; start it again and repeat the call")


def _unlucky(what: str) -> ClusterError:
    return ClusterError(
        f"{what}: workers were lost {ATTEMPTS} times with the data that others needed; look at "
        "their logs (a lack of memory is the usual cause) and repeat the call"
    )
