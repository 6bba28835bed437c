"""To a cluster that runs already: the client, its certificates, and whether versions agree."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scalekern._config import config_context
from scalekern.errors import ClusterError, InvalidInputError, missing_extra

SECONDS = 20
"""To wait for the scheduler, and for a first worker."""
PACKAGES = (
    "scalekern", "numpy", "scipy", "scikit-learn", "faiss-cpu", "pyarrow", "dask", "distributed",
    "cloudpickle",
)  # fmt: skip
"""What must be the same everywhere: results are promised to the last bit, and objects are sent."""


@contextmanager
def connected(
    address: str,
    *,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
) -> Iterator[Any]:
    """Run what is inside on the cluster at an address, after a look at its versions.

    Parameters
    ----------
    address : str
        Of the scheduler, "tcp://host:port" or "tls://host:port".
    ca, cert, key : path, optional
        Files of the certificate authority, the certificate and its key. By default what Dask's own
        configuration says.

    Yields
    ------
    distributed.Client

    Raises
    ------
    ClusterError
        If the scheduler is not there, has no workers, or does not accept the certificate; or
        workers have other versions.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise missing_extra("distributed", "dask") from error
    security = security_of(ca, cert, key)

    class ClosedOnFailure(Client):
        # A client left half open is closed by the garbage collector, and that takes a lock: where
        # another client of the same thread is starting, and so holds it, that would never end.
        def start(self, **kwargs: Any) -> None:
            try:
                super().start(**kwargs)
            except BaseException:
                self.close(timeout=5)
                self._loop_runner.stop()  # which close leaves running where start closed it itself
                raise

    try:
        client = ClosedOnFailure(address, security=security, timeout=SECONDS, set_as_default=False)
    except ValueError as error:
        raise InvalidInputError(
            f"--scheduler {address}: {error}; give an address as tcp://host:8786 or tls://host:8786"
        ) from error
    except (OSError, RuntimeError, TypeError) as error:
        raise ClusterError(
            f"no scheduler answers at {address} ({_first_line(error)}); is it running there, and "
            "do both sides use TLS with certificates of one authority, or neither?"
        ) from error
    try:
        check_versions(client)
        with client.as_current(), config_context(engine="dask"):
            yield client
    finally:
        client.close(timeout=5)


def security_of(ca: str | None, cert: str | None, key: str | None) -> Any:
    """Return the settings of TLS for both sides of a connection; None where none are given.

    Raises
    ------
    InvalidInputError
        If one of the three is missing, or is no file.
    """
    given = {"ca": ca, "cert": cert, "key": key}
    if not any(given.values()):
        return None
    for name, file in given.items():
        if file is None or not Path(file).is_file():
            what = "is missing" if file is None else f"{file} is no file"
            raise InvalidInputError(
                f"--tls-{name} {what}; TLS needs the files of the authority, the certificate and "
                "its key (--tls-ca, --tls-cert, --tls-key)"
            )
    from distributed.security import Security

    sides = {
        f"tls_{side}_{part}": given[part]
        for side in ("client", "scheduler", "worker")
        for part in ("cert", "key")
    }
    return Security(tls_ca_file=ca, require_encryption=True, **sides)


def installed_versions() -> dict[str, str]:
    """Return the versions of Python and of what results depend on."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    from scalekern import __version__

    return found | {"scalekern": __version__}


def check_versions(client: Any) -> None:
    """Raise where a worker has other versions than this process, or there is none.

    Raises
    ------
    ClusterError
        With each difference.
    """
    try:
        client.wait_for_workers(1, timeout=SECONDS)
        there = client.run(installed_versions, on_error="return")
    except (TimeoutError, OSError) as error:
        raise ClusterError(
            f"the Dask cluster at {client.scheduler.address} has no workers; start some "
            "(dask worker ADDRESS) and repeat the call"
        ) from error
    here = installed_versions()
    wrong = []
    for worker, found in there.items():
        if isinstance(found, Exception):
            wrong.append(f"worker {worker} cannot import scalekern ({_first_line(found)})")
            continue
        wrong += [
            f"{name} is {found.get(name)} on worker {worker} and {value} here"
            for name, value in here.items()
            if found.get(name) != value
        ]
    if wrong:
        more = f", and {len(wrong) - 3} more differences" if len(wrong) > 3 else ""
        raise ClusterError(f"{'; '.join(wrong[:3])}{more}: install the same versions everywhere")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
