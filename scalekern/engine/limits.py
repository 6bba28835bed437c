"""What this process may use of the machine: cores and memory.

Affinity and cgroup limits count as well as the host, since containers are where this runs.
"""

from __future__ import annotations

import numbers
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from scalekern._config import get_config
from scalekern.errors import InvalidInputError

GIB = 1 << 30
NO_LIMIT = 1 << 60
"""What cgroups of version 1 say where there is no limit is near 2^63."""
SHARE_OF_FREE_MEMORY = 0.6
_V2, _V1 = "/sys/fs/cgroup/memory.", "/sys/fs/cgroup/memory/memory."
CGROUP_MEMORY = (
    (_V2 + "max", _V2 + "current", _V2 + "stat", "inactive_file"),
    (_V1 + "limit_in_bytes", _V1 + "usage_in_bytes", _V1 + "stat", "total_inactive_file"),
)
"""Limit, usage, and what of the usage is cache, of cgroups of either version."""


_held: ContextVar[bool] = ContextVar("scalekern_one_thread", default=False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let engines use one thread inside the `with` block, whatever is asked for.

    A task of a cluster is one of as many as its worker has threads.
    """
    token = _held.set(True)
    try:
        yield
    finally:
        _held.reset(token)


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
    if _held.get():
        return 1
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


def memory_limit_of_cgroup() -> int | None:
    """Return the bytes that the cgroup of this process is limited to; None where it is not."""
    for limit_file, *_ in CGROUP_MEMORY:
        limit = _read(limit_file)
        if limit.isdigit() and int(limit) < NO_LIMIT:
            return int(limit)
    return None


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
