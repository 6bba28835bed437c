"""Three hosts on one machine: network namespaces that a bridge joins, one of them 20 ms away.

See README.md. As a script it makes them, says what there is, and removes them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DELAY = 0.02
ADDRESSES = {"front": "10.77.0.1", "near": "10.77.0.2", "far": "10.77.0.3"}
RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True)
class Hosts:
    """Hosts by name: front, near and far.

    Attributes
    ----------
    prefix : str
        Of the names of their namespaces.
    folder : Path
        Where each has its folder of temporary files.
    delay : str
        How the far one is delayed: "netem" or "relay".
    """

    prefix: str
    folder: Path
    delay: str

    def start(self, host: str, words: Sequence[object], **options) -> subprocess.Popen:
        """Start a process on a host."""
        own = self.folder / host
        own.mkdir(exist_ok=True)
        return subprocess.Popen(
            ["ip", "netns", "exec", f"{self.prefix}-{host}", *map(str, words)],
            env=os.environ | {"TMPDIR": str(own)},
            text=True,
            **options,
        )


def why_not() -> str | None:
    """Return why this machine makes no hosts; None where it does."""
    if os.name != "posix" or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if not all(map(shutil.which, ("ip", "tc"))):
        return "the commands ip and tc are not there (package iproute2)"
    name = f"sk-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine allows no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return None


@contextmanager
def three_hosts(folder: Path) -> Iterator[Hosts]:
    """Make the hosts, and remove them."""
    prefix = f"sk-{os.getpid()}"
    relay: subprocess.Popen | None = None
    try:
        for host in ADDRESSES:
            run("ip", "netns", "add", f"{prefix}-{host}")
            run_in(prefix, host, "ip link set lo up")
        run_in(prefix, "front", "ip link add bridge type bridge")
        run_in(prefix, "front", "ip link set bridge up")
        run_in(prefix, "front", f"ip address add {ADDRESSES['front']}/24 dev bridge")
        _wire(prefix, "near")
        delay = "netem" if _has_netem(prefix) else "relay"
        if delay == "netem":
            _wire(prefix, "far")
            run_in(prefix, "far", f"tc qdisc add dev eth0 root netem delay {DELAY * 1000:g}ms")
        else:
            relay = _delayed_wire(prefix, "far")
        yield Hosts(prefix, folder, delay)
    finally:
        if relay is not None:
            relay.kill()
            relay.communicate()
        for host in ADDRESSES:
            subprocess.run(
                ["ip", "netns", "delete", f"{prefix}-{host}"], check=False, capture_output=True
            )


def run(*words: str) -> None:
    """Run a command of the system."""
    subprocess.run(words, check=True, capture_output=True, text=True)


def run_in(prefix: str, host: str, command: str) -> None:
    """Run a command on a host."""
    run("ip", "netns", "exec", f"{prefix}-{host}", *command.split())


def _wire(prefix: str, host: str) -> None:
    """Join a host to the bridge by a pair of interfaces."""
    front = f"{prefix}-front"
    run("ip", "-n", front, "link", "add", host, "type", "veth", "peer", "name", "eth0",
        "netns", f"{prefix}-{host}")  # fmt: skip
    _up(prefix, host)


def _delayed_wire(prefix: str, host: str) -> subprocess.Popen:
    relay = subprocess.Popen(
        [sys.executable, RELAY, f"{prefix}-front", host, f"{prefix}-{host}", "eth0", str(DELAY)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert relay.stdout is not None
    assert relay.stdout.readline() == "ready\n"
    _up(prefix, host)
    return relay


def _up(prefix: str, host: str) -> None:
    run_in(prefix, "front", f"ip link set {host} master bridge up")
    run_in(prefix, host, f"ip address add {ADDRESSES[host]}/24 dev eth0")
    run_in(prefix, host, "ip link set eth0 up")


def _has_netem(prefix: str) -> bool:
    add = f"ip netns exec {prefix}-near tc qdisc add dev eth0 root netem delay 1ms".split()
    found = subprocess.run(add, check=False, capture_output=True).returncode == 0
    if found:
        run_in(prefix, "near", "tc qdisc del dev eth0 root")
    return found


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        sys.exit(f"no hosts: {reason}")
    with three_hosts(Path("/tmp")) as made:
        print(f"{', '.join(ADDRESSES)} are there; far is {DELAY:g} s away, by {made.delay}")
