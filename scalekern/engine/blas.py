"""The threads inside BLAS and OpenMP, held to one each while our own threads work.

Most BLAS have one limit for the whole process: it is held by one count, so that two fits at once
neither oversubscribe nor leave the limit behind. OpenMP, and an OpenBLAS built on it as FAISS
brings, has one for each thread: it is held in each of ours.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import threadpoolctl
from threadpoolctl import ThreadpoolController


class _BlasHold:
    """Holds BLAS to one thread while anyone asks for it, and restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limiter: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._holders == 0:
                of_process, _ = _libraries.found()
                with _anyone_may_limit():
                    self._limiter = of_process.limit(limits=1)
            self._holders += 1

    def leave(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                with _anyone_may_limit():
                    self._limiter.restore_original_limits()


class _Libraries:
    """The libraries that have threads of their own, looked for again where more were loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: tuple[bool, ...] = ()
        self._found: tuple[Any, Any] = (None, None)

    def found(self) -> tuple[ThreadpoolController, ThreadpoolController]:
        """Return those with a limit for the process, and those with one for each thread."""
        with self._lock:
            seen = ("faiss" in sys.modules, "scipy.linalg" in sys.modules)
            if seen != self._seen:
                every = ThreadpoolController()
                paths = [lib["filepath"] for lib in every.info() if _is_per_thread(lib)]
                others = [lib["filepath"] for lib in every.info() if not _is_per_thread(lib)]
                self._found = every.select(filepath=others), every.select(filepath=paths)
                self._seen = seen
            return self._found


_libraries, _hold = _Libraries(), _BlasHold()


def _is_per_thread(library: dict[str, Any]) -> bool:
    on_openmp = library["internal_api"] == "openblas" and library["threading_layer"] == "openmp"
    return on_openmp or library["user_api"] == "openmp"


@contextmanager
def _anyone_may_limit() -> Iterator[None]:
    # From 3.8 on threadpoolctl ignores every thread but the first that limited OpenBLAS. The last
    # fit to end may be in another thread than the first to begin, and must restore what was.
    give_up = getattr(threadpoolctl.OpenBLASController, "clear_controlling_thread", None)
    if give_up is None:
        yield
        return
    give_up(force=True)
    yield
    give_up(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread in this process; may be entered from many threads at once."""
    _hold.enter()
    try:
        yield
    finally:
        _hold.leave()


def hold_openmp() -> Any:
    """Hold OpenMP to one thread in the calling thread; the result can restore what was."""
    _, of_thread = _libraries.found()
    return of_thread.limit(limits=1)
