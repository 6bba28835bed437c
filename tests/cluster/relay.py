"""A wire with a delay, for kernels without netem: packets from one namespace to another, held.

    python relay.py NAMESPACE INTERFACE NAMESPACE INTERFACE SECONDS

Makes an interface (TAP) in each of two network namespaces, and gives what comes out of one to the
other after SECONDS. Says "ready" when both are there; stops when it is killed, and so do they.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
import time
from collections import deque
from contextlib import suppress

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
CLONE_NEWNET = 0x40000000
MOST_BYTES = 65_536


def open_tap(namespace: str, interface: str) -> int:
    """Make an interface in a namespace, and return the file of its packets."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/var/run/netns/{namespace}") as place:  # noqa: PTH123
        if libc.setns(place.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the namespace {namespace} cannot be entered")
    file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH", interface.encode(), IFF_TAP | IFF_NO_PI))
    return file


def relay(ends: tuple[int, int], seconds: float) -> None:
    """Pass packets between two interfaces for ever."""
    held: deque[tuple[float, int, bytes]] = deque()
    while True:
        wait = None if not held else max(0.0, held[0][0] - time.monotonic())
        ready, _, _ = select.select(ends, [], [], wait)
        for end in ready:
            other = ends[1] if end == ends[0] else ends[0]
            held.append((time.monotonic() + seconds, other, os.read(end, MOST_BYTES)))
        while held and held[0][0] <= time.monotonic():
            _, end, packet = held.popleft()
            with suppress(OSError):  # an interface that is down loses packets, as wires do
                os.write(end, packet)


if __name__ == "__main__":
    first = open_tap(*sys.argv[1:3])
    second = open_tap(*sys.argv[3:5])
    print("ready", flush=True)
    relay((first, second), float(sys.argv[5]))
