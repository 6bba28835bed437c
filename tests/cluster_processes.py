"""Clusters of real processes for several test files: `scalekern cluster`, and certificates."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODE = "from scalekern.cli import main; main()"


@contextmanager
def cluster_command(*words: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen]]:
    """Run `scalekern cluster`, and yield the address that it prints, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, "cluster", "--port", "0", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        address = process.stdout.readline().strip()
        assert address, process.stderr.read()
        yield address, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def certificates(folder: Path) -> tuple[str, ...]:
    """Write a new authority with one certificate, and return the options of TLS that name them."""
    from distributed.security import Security

    made = Security.temporary()
    folder.mkdir(exist_ok=True)
    texts = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
    words = []
    for name, text in texts.items():
        (folder / f"{name}.pem").write_text(text)
        words += [f"--tls-{name}", str(folder / f"{name}.pem")]
    return tuple(words)
