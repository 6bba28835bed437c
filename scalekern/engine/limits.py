"""What this process may use of the machine: cores, memory, and the threads inside BLAS and OpenMP.

Affinity and cgroup limits count as well as the host, since containers are where this runs. BLAS is
held to one thread while our own threads work, by one count for the whole process, so that two fits
at once neither oversubscribe nor leave the limit behind.
"""

from __future__ import annotations

import numbers
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from threadpoolctl import ThreadpoolController

from scalekern._config import get_config
from scalekern.errors import InvalidInputError

GIB = 1 << 30
SHARE_OF_FREE_MEMORY = 0.6
_V2, _V1 = "/sys/fs/cgroup/memory.", "/sys/fs/cgroup/memory/memory."
CGROUP_MEMORY = (
    (_V2 + "max", _V2 + "current", _V2 + "stat", "inactive_file"),
    (_V1 + "limit_in_bytes", _V1 + "usage_in_bytes", _V1 + "stat", "total_inactive_file"),
)
"""Limit, usage, and what of the usage is cache, of cgroups of either version."""


def available_cores() -> int:
    """Return how many cores this process may use, by affinity and cgroup limits."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    quota = _cgroup_cores()
    return max(1, cores if quota is None else min(cores, quota))


def resolve_threads(n_jobs: int | None) -> int:
    """Return the number of threads that `n_jobs` stands for; None and -1 are all cores."""
    cores = available_cores()
    if n_jobs is None:
        return cores
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, numbers.Integral) or n_jobs == 0:
        raise InvalidInputError(
            f"n_jobs={n_jobs!r}; use a number of threads, -1 or None for one a core"
        )
    return max(1, cores + 1 + n_jobs) if n_jobs < 0 else int(n_jobs)


def memory_budget() -> int:
    """Return the bytes that a pass may use: the configured limit, or a share of what is free."""
    limit = get_config().memory_limit
    return int(SHARE_OF_FREE_MEMORY * free_memory()) if limit is None else limit


def free_memory() -> int:
    """Return the bytes of memory that this process could still take."""
    free = [value for value in (_host_free(), _cgroup_free()) if value is not None]
    return min(free) if free else 4 * GIB


def _cgroup_cores() -> int | None:
    text = _read("/sys/fs/cgroup/cpu.max")
    if text and not text.startswith("max"):
        quota, period = text.split()
        return max(1, round(int(quota) / int(period)))
    quota, period = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"), "100000"
    if quota and int(quota) > 0:
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us") or period
        return max(1, round(int(quota) / int(period)))
    return None


def _host_free() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // 2
    except (AttributeError, ValueError, OSError):
        return None


def _cgroup_free() -> int | None:
    for limit_file, used_file, stat_file, inactive in CGROUP_MEMORY:
        limit, used = _read(limit_file), _read(used_file)
        if limit and limit != "max" and used:
            # Pages of files that were read count as used, but are given back when wanted.
            cached = dict(line.split() for line in _read(stat_file).splitlines())
            return max(0, int(limit) - int(used) + int(cached.get(inactive, 0)))
    return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


class _BlasHold:
    """Holds BLAS to one thread while anyone asks for it, and restores it after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._limiter: Any = None
        self._controller: ThreadpoolController | None = None
        self._seen = (False, False)

    def enter(self) -> None:
        with self._lock:
            if self._holders == 0:
                self._limiter = self.controller().limit(limits=1, user_api="blas")
            self._holders += 1

    def leave(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._limiter.restore_original_limits()

    def controller(self) -> ThreadpoolController:
        # Libraries that bring their own BLAS or OpenMP are looked for again once they are loaded.
        seen = ("faiss" in sys.modules, "scipy.linalg" in sys.modules)
        if self._controller is None or seen != self._seen:
            self._controller, self._seen = ThreadpoolController(), seen
        return self._controller


_hold = _BlasHold()


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
    return _hold.controller().limit(limits=1, user_api="openmp")
