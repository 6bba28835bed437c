"""What `fit` and `predict` share to run on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from scalekern.cli.help import under
from scalekern.cli.options import Command, add_options, check_output

CLUSTER = "Dask cluster"


def tls_options(command: Command) -> Command:
    """Add the files of TLS."""
    option = under(CLUSTER)
    return add_options(
        command,
        option("--tls-ca", metavar="FILE", help="For tls:// addresses: the certificate of the "
               "authority."),
        option("--tls-cert", metavar="FILE", help="This side's certificate."),
        option("--tls-key", metavar="FILE", help="The private key of this side's certificate."),
    )  # fmt: skip


def cluster_options(command: Command) -> Command:
    """Add the scheduler to run on, and the report of what it did."""
    option = under(CLUSTER)
    return add_options(
        tls_options(command),
        option("--scheduler", metavar="ADDRESS", help="Run on this Dask cluster, such as "
               "tcp://127.0.0.1:8786 (`scalekern cluster` starts one). Default: on threads of this "
               "process."),
        option("--performance-report", metavar="FILE.html",
               help="Also write Dask's own report of what the cluster did, and when."),
    )  # fmt: skip


@contextmanager
def on_cluster(options: dict[str, Any]) -> Iterator[None]:
    """Run on the cluster that the options of `cluster_options` name; on threads without one."""
    address, report = options["scheduler"], options["performance_report"]
    tls = {name: options[f"tls_{name}"] for name in ("ca", "cert", "key")}
    if address is None:
        if report or any(tls.values()):
            raise click.UsageError(
                "--performance-report and the --tls options go with --scheduler ADDRESS; give it, "
                "or leave them out"
            )
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
