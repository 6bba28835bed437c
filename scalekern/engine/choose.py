"""Which engine runs a pass: Dask for Dask's rows or where it is asked for, else threads."""

from __future__ import annotations

from scalekern._config import get_config
from scalekern.engine.base import Engine
from scalekern.engine.threads import ThreadEngine
from scalekern.rows import RowSource


def engine_for(source: RowSource, n_jobs: int | None = None) -> Engine:
    """Return the engine for the rows of `source`.

    A client that happens to be open does not choose Dask; see `config_context(engine=...)`.
    """
    wanted = get_config().engine
    if wanted == "dask" or (wanted is None and source.split()[0].on_dask):
        from scalekern.engine.dask import DaskEngine

        return DaskEngine(n_jobs)
    return ThreadEngine(n_jobs)
