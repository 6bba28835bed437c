"""A Dask cluster on this machine, with the settings that our tasks are made for.

A thread a worker and a worker a core: tasks hold BLAS and OpenMP to one thread each, and processes
do not share an interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from scalekern.engine.connect import security_of
from scalekern.engine.limits import available_cores, free_memory
from scalekern.errors import ClusterError, InvalidInputError, missing_extra

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@contextmanager
def local_cluster(
    n_workers: int | None = None,
    *,
    memory: str | int | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
) -> Iterator[Any]:
    """Run a scheduler and workers while the block lasts.

    Parameters
    ----------
    n_workers : int or None, default=None
        Processes of one thread; one a core by default.
    memory : str or int, optional
        Of each worker, as "4GB"; by default its share of what is free. A worker that comes to 95%
        of it is stopped and started again.
    host : str, default="127.0.0.1"
        What to listen on. Whoever reaches a scheduler can run code: other addresses need TLS.
    port : int, default=0
        Of the scheduler; 0 is any that is free.
    ca, cert, key : path, optional
        For TLS.

    Yields
    ------
    distributed.LocalCluster

    Raises
    ------
    InvalidInputError, ClusterError
        If a setting cannot be used, or the cluster cannot start.
    """
    try:
        import dask
        from distributed import LocalCluster
    except ImportError as error:
        raise missing_extra("distributed", "dask") from error
    security = security_of(ca, cert, key)
    if host not in LOOPBACK and security is None:
        raise InvalidInputError(
            f"--host {host}: whoever reaches a scheduler can run code on its workers; give "
            "--tls-ca, --tls-cert and --tls-key, or listen on 127.0.0.1"
        )
    workers = available_cores() if n_workers is None else n_workers
    each = _bytes(memory) if memory is not None else int(0.9 * free_memory() / workers)
    threads = {f"distributed.nanny.pre-spawn-environ.{name}": "1" for name in ONE_THREAD}
    with dask.config.set(threads):
        try:
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                memory_limit=each,
                host=host,
                scheduler_port=port,
                protocol="tcp" if security is None else "tls",
                security=security,
                dashboard_address=None,
            )
        except (OSError, RuntimeError) as error:
            cause = error.__cause__ or error
            raise ClusterError(
                f"no cluster can start at {host}:{port} ({cause}); is the port taken?"
            ) from error
        with cluster:
            yield cluster


def _bytes(memory: str | int) -> int:
    from dask.utils import parse_bytes

    try:
        size = int(parse_bytes(memory))
    except ValueError as error:
        raise InvalidInputError(f"--memory {memory!r} is no size; give one such as 4GB") from error
    if size < 64 << 20:
        raise InvalidInputError(
            f"--memory {memory}: a worker needs 64MB to start at all; give 1GB or more"
        )
    return size
