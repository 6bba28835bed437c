"""Who runs a pass: Dask for Dask's rows or where it is asked for, else threads."""

from __future__ import annotations

from scalekern._config import get_config
from scalekern.engine.base import Engine
from scalekern.engine.cost import Crew
from scalekern.engine.limits import resolve_threads
from scalekern.engine.threads import ThreadEngine
from scalekern.rows import RowSource


def engine_for(source: RowSource, n_jobs: int | None = None) -> Engine:
    """Return the engine for the rows of `source`.

    A client that happens to be open does not choose Dask; see `config_context(engine=...)`.
    """
    if _on_dask(source):
        from scalekern.engine.dask import DaskEngine

        return DaskEngine(n_jobs)
    return ThreadEngine(n_jobs)


def crew_for(source: RowSource, n_jobs: int | None = None) -> Crew:
    """Return who would run the passes over the rows of `source`."""
    local = resolve_threads(n_jobs)
    if not _on_dask(source):
        return Crew.here(local)
    from scalekern.engine.cluster import Scheduler

    scheduler = Scheduler()
    return Crew(scheduler.n_threads, local, scheduler.n_workers)


def _on_dask(source: RowSource) -> bool:
    wanted = get_config().engine
    return wanted == "dask" or (wanted is None and source.split()[0].on_dask)
