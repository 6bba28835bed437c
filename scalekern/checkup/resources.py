"""Cores, memory and temporary space, as this process may use them and as the machine has them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from scalekern.checkup.findings import OK, PROBLEM, WARNING, Finding

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
)  # fmt: skip
LITTLE = 1 << 30
"""Bytes of memory or of temporary space below which fits will be refused or fail."""


def check_cores() -> Iterator[Finding]:
    """Yield the cores of the process, and what they are limited by."""
    from scalekern.engine.limits import available_cores

    host, usable = os.cpu_count() or 1, available_cores()
    if usable == host:
        yield Finding(OK, "cores", f"{usable}, all that the machine has")
        return
    yield Finding(
        WARNING, "cores", f"{usable} of the machine's {host}, by affinity or a cgroup quota",
        "give the container or job more cores, if it should have them",
    )  # fmt: skip


def check_memory() -> Iterator[Finding]:
    """Yield the memory that the process may take."""
    from scalekern.engine.limits import free_memory, memory_budget, memory_limit_of_cgroup

    free, limit = free_memory(), memory_limit_of_cgroup()
    bound = f", within a cgroup limit of {_gib(limit)}" if limit is not None else ""
    found = f"{_gib(free)} free{bound}; a fit may use {_gib(memory_budget())}"
    if free < LITTLE:
        cure = "close other programs, or give the container more memory"
        yield Finding(PROBLEM, "memory", found, cure)
    else:
        yield Finding(OK, "memory", found)


def check_temporary_space() -> Iterator[Finding]:
    """Yield the free space of the folder for temporary files."""
    try:
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        cure = "set TMPDIR to a folder that can be written to"
        yield Finding(PROBLEM, "temporary files", str(error), cure)
        return
    found = f"{_gib(free)} free in {folder}"
    asked = os.environ.get("TMPDIR")
    if asked and Path(asked).resolve() != Path(folder).resolve():
        cure = "unset TMPDIR, or set it to a folder that can be written to"
        found = f"TMPDIR={asked} cannot be written to; {found}"
        yield Finding(WARNING, "temporary files", found, cure)
        return
    if free < LITTLE:
        cure = "free some space, or set TMPDIR to a folder that has more"
        yield Finding(WARNING, "temporary files", found, cure)
    else:
        yield Finding(OK, "temporary files", found)


def check_thread_variables(environment: Mapping[str, str] | None = None) -> Iterator[Finding]:
    """Yield environment variables that set numbers of threads against each other or the cores."""
    from scalekern.engine.limits import available_cores

    values = os.environ if environment is None else environment
    there = {name: values[name] for name in THREAD_VARIABLES if values.get(name)}
    if not there:
        yield Finding(OK, "thread variables", "none set")
        return
    said = ", ".join(f"{name}={value}" for name, value in there.items())
    unset = f"unset {' '.join(there)}"
    wrong = [name for name, value in there.items() if not _is_count(value)]
    many = [name for name, value in there.items() if _most(value) > available_cores()]
    if wrong:
        cure = f"unset {' '.join(wrong)}, or give a number above 0"
        yield Finding(PROBLEM, "thread variables", f"{said}: not a number of threads", cure)
    elif many:
        found = f"{said}: more threads than the {available_cores()} cores of this process"
        yield Finding(WARNING, "thread variables", found, f"unset {' '.join(many)}")
    elif len(set(there.values())) > 1:
        cure = f"{unset}, or set them to the same number"
        yield Finding(WARNING, "thread variables", f"{said}: they contradict each other", cure)
    elif _most(next(iter(there.values()))) < available_cores():
        found = f"{said}: matrix decompositions use fewer than the {available_cores()} cores"
        yield Finding(WARNING, "thread variables", found, f"{unset}, unless it is intended")
    else:
        yield Finding(OK, "thread variables", said)


def _is_count(value: str) -> bool:
    return all(part.strip().isdecimal() and int(part) > 0 for part in value.split(","))


def _most(value: str) -> int:
    return max(int(part) for part in value.split(",")) if _is_count(value) else 0


def _gib(size: float) -> str:
    return f"{size / (1 << 30):.1f} GiB"
