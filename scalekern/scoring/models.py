"""The model on its way to workers: each host gets one copy, unless it can read the path itself."""

from __future__ import annotations

from typing import Any

from scalekern.engine.parcels import one_of_each_host
from scalekern.errors import ClusterError
from scalekern.scoring.job import Model
from scalekern.storage.hosted import keep_copy, model_files


def give_models(client: Any, model: Model) -> None:
    """Let each host of a cluster have the model; those that have it are not sent it.

    Raises
    ------
    ClusterError
        If a worker can neither read nor keep it.
    """
    hosts = one_of_each_host(client)
    if not hosts:
        return
    there = client.run(has_model, model, workers=hosts, on_error="return")
    lacking = [address for address, found in there.items() if found is not True]
    if not lacking:
        return
    files = model_files(model.path)
    given = client.run(keep_copy, model.seal, files, workers=lacking, on_error="return")
    for address, error in given.items():
        if isinstance(error, Exception):
            raise ClusterError(
                f"worker {address} cannot store a copy of the model ({error}); check that its "
                "folder for temporary files (TMPDIR) has space"
            )


def has_model(model: Model) -> bool:
    """Return whether this host has the model."""
    return model.folder() is not None
