"""scalekern cluster: a Dask cluster on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from scalekern.cli.on_cluster import tls_options


@click.command("cluster")
@click.option("--workers", type=click.IntRange(1), default=None,
              help="Processes of one thread each; one a core by default.")  # fmt: skip
@click.option("--memory", metavar="SIZE", help="Of each worker, such as 4GB; by default its share "
              "of what is free.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True,
              help="The address to listen on; others than 127.0.0.1 need TLS.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8786, show_default=True,
              help="Of the scheduler; 0 is any that is free.")  # fmt: skip
@tls_options
def cluster_command(**options: Any) -> None:
    """Start a Dask scheduler and workers on this machine, and print the scheduler's address.

    Other commands run there with --scheduler ADDRESS. BLAS and OpenMP have one thread in each
    worker. Ctrl-C stops all of it.
    """
    from scalekern.engine.local_cluster import local_cluster

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with local_cluster(
        options["workers"],
        memory=options["memory"],
        host=options["host"],
        port=options["port"],
        ca=options["tls_ca"],
        cert=options["tls_cert"],
        key=options["tls_key"],
    ) as cluster:
        count = len(cluster.workers)
        click.echo(cluster.scheduler_address)
        click.echo(f"{count} worker{'' if count == 1 else 's'} of one thread; Ctrl-C stops them. "
                   f"Next: scalekern fit DATA --scheduler {cluster.scheduler_address} ...",
                   err=True)  # fmt: skip
        # A wait without end would not see the signal on every system.
        while not stop.wait(1.0):
            pass
    click.echo("Stopped.", err=True)
