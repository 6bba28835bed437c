"""What Ctrl-C leaves behind, said by the command that knows; the group prints it, exit code 130.

Apart from the group, which knows of no command's files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving(what: str) -> Iterator[None]:
    """Say what an interruption of the block leaves."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(what) from None


def reason_of(stop: BaseException) -> str:
    """Return what was said, of a KeyboardInterrupt or of click's own error that it caused."""
    return f"stopped; {said}" if (said := str(stop.__cause__ or stop)) else "stopped"
