"""What `fit` and `predict` share to run on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from scalekern.cli.options import Command, add_options, check_output


def tls_options(command: Command) -> Command:
    """Add the files of TLS."""
    return add_options(
        command,
        click.option("--tls-ca", metavar="FILE", help="The certificate authority, for tls://."),
        click.option("--tls-cert", metavar="FILE", help="The certificate of this side."),
        click.option("--tls-key", metavar="FILE", help="The key of the certificate."),
    )


def cluster_options(command: Command) -> Command:
    """Add the scheduler to run on, and the report of what it did."""
    command = tls_options(command)
    return add_options(
        command,
        click.option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, such as "
                     "tcp://127.0.0.1:8786 (see scalekern cluster); by default on threads."),
        click.option("--performance-report", metavar="FILE.html",
                     help="Write Dask's report of the cluster's work."),
    )  # fmt: skip


@contextmanager
def on_cluster(options: dict[str, Any]) -> Iterator[None]:
    """Run on the cluster that the options of `cluster_options` name; on threads without one."""
    address, report = options["scheduler"], options["performance_report"]
    tls = {name: options[f"tls_{name}"] for name in ("ca", "cert", "key")}
    if address is None:
        if report or any(tls.values()):
            raise click.UsageError("--performance-report and --tls-... go with --scheduler")
        yield
        return
    check_output(report)
    if report:
        _check_bokeh()
    from scalekern.engine.connect import connected

    with connected(address, **tls):
        if report is None:
            yield
            return
        from distributed import performance_report

        with performance_report(filename=report):
            yield


def _check_bokeh() -> None:
    try:
        import bokeh.plotting  # noqa: F401 - Dask would only say so at the end
    except ImportError as error:
        from scalekern.errors import missing_extra

        raise missing_extra("bokeh", "dashboard") from error
