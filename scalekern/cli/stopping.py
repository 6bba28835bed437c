"""What Ctrl-C leaves behind, said by the command that knows; the group prints it, exit code 130.

Apart from the group, which knows of no command's files.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def leaving(what: str) -> Iterator[None]:
    """Say what an interruption of the block leaves; a second one ends the process at once."""
    try:
        with _second_at_once():
            yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(what) from None


def reason_of(stop: BaseException) -> str:
    """Return what was said, of a KeyboardInterrupt or of click's own error that it caused."""
    return f"stopped; {said}" if (said := str(stop.__cause__ or stop)) else "stopped"


@contextmanager
def _second_at_once() -> Iterator[None]:
    """Let a thread hear of signals too, since Python waits with them for a call of LAPACK to end.

    That may be a decomposition of thousands of rows; whoever asks again will not wait for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = socket.socketpair()
    told.setblocking(False)
    threading.Thread(target=_end_at_second, args=(heard,), daemon=True).start()
    before = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        told.close()


def _end_at_second(heard: socket.socket) -> None:
    numbers = b""
    with heard:
        while more := heard.recv(16):
            numbers += more
            if numbers.count(signal.SIGINT) > 1:
                cursor = SHOW_CURSOR if sys.__stderr__ and sys.__stderr__.isatty() else ""
                os.write(2, f"{cursor}scalekern: stopped at once\n".encode())
                os._exit(130)
