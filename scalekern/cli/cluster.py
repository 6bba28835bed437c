"""scalekern cluster: a Dask cluster on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
import threading
from typing import Any

import click

from scalekern.cli.help import HelpfulCommand, under
from scalekern.cli.on_cluster import CLUSTER, tls_options


@click.command("cluster", cls=HelpfulCommand,
    short_help="Start a Dask cluster on this machine.",
    examples=("scalekern cluster --workers 4 --memory 2GB",))  # fmt: skip
@under(CLUSTER)("--workers", type=click.IntRange(1), metavar="N",
    help="How many processes, of one thread each. Default: one for each core.")  # fmt: skip
@under(CLUSTER)("--memory", metavar="SIZE", help="The memory of each worker, such as 4GB. "
                  "Default: its share of what is free.")  # fmt: skip
@under(CLUSTER)("--host", metavar="ADDRESS", default="127.0.0.1",
    help="The address to listen on; any other than 127.0.0.1 needs the --tls options.")  # fmt: skip
@under(CLUSTER)("--port", type=click.IntRange(0, 65535), metavar="N", default=8786,
                  help="The scheduler's port; 0 takes one that is free.")  # fmt: skip
@tls_options
def cluster_command(**options: Any) -> None:
    """Start a Dask scheduler and workers on this machine, and print the scheduler's address.

    `fit` and `predict` then run there with --scheduler ADDRESS. BLAS and OpenMP use one thread in
    each worker. Ctrl-C stops the cluster.
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
