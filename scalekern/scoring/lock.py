"""One job at a time on an output: a file that only one can create, which says who did.

A lock whose process is gone from this machine is taken over. Of other machines nothing is known, so
the user decides (`break_lock`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.paths import Folder

NAME = "_scalekern/lock.json"


@contextmanager
def locked(folder: Folder, *, break_lock: bool = False) -> Iterator[None]:
    """Hold the lock of a folder while the block lasts.

    Raises
    ------
    InvalidInputError
        If another job has it.
    """
    own = _own()
    for _ in range(2):
        if folder.create(NAME, json.dumps(own).encode()):
            break
        holder = _holder(folder)
        if not break_lock and not _is_dead(holder):
            raise InvalidInputError(
                f"another job writes to {folder}: process {holder.get('pid')} on "
                f"{holder.get('host')}, since {holder.get('since')}; wait for it, or, if "
                "you are sure that it no longer runs, repeat with --break-lock"
            )
        folder.delete(NAME)
    else:
        raise InvalidInputError(f"another job has just begun to write to {folder}; wait for it")
    try:
        yield
    finally:
        # Whoever broke the lock has it now.
        if _holder(folder).get("token") == own["token"]:
            with suppress(OSError):
                folder.delete(NAME)


def _own() -> dict[str, Any]:
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "machine": _machine(),
        "pid": pid,
        "started": _started(pid),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "token": secrets.token_hex(8),
    }


def _holder(folder: Folder) -> dict[str, Any]:
    try:
        found = json.loads(folder.read(NAME) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_dead(holder: dict[str, Any]) -> bool:
    """Return whether the holder was a process of this machine that is no more."""
    machine = _machine()
    if machine is None or holder.get("machine") != machine:
        return False
    return _started(holder.get("pid")) != holder.get("started")


def _machine() -> str | None:
    """Return what is the same for processes that see one another: host, boot and name space."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        return None
    return f"{socket.gethostname()} {boot} {space}"


def _started(pid: Any) -> str | None:
    """Return when a process began, in ticks since the boot; None where there is none."""
    try:
        text = Path(f"/proc/{int(pid)}/stat").read_text(encoding="utf-8")
    except (OSError, TypeError, ValueError, OverflowError):
        return None
    # The name of the program stands in parentheses, and may have spaces and parentheses in it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]
