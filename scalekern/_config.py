"""Settings that belong to a machine or a run, not to a model, with one context manager.

They stand apart from constructor parameters because they must not change what a model means:
progress, memory and tile dtype. Values are kept per thread of control (context variables), so two
threads can work under different settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import Any

from scalekern.errors import InvalidInputError


@dataclass(frozen=True)
class Config:
    """The settings in force; see `config_context`."""

    tile_dtype: str | None = None
    memory_limit: int | None = None
    progress: bool = False
    engine: str | None = None


_current: ContextVar[Config] = ContextVar("scalekern_config", default=Config())


def get_config() -> Config:
    """Return the settings in force in this thread of control."""
    return _current.get()


def _checked(settings: dict[str, Any]) -> dict[str, Any]:
    known = [field.name for field in fields(Config)]
    for name in settings:
        if name not in known:
            raise InvalidInputError(f"unknown setting {name!r}; choose from {', '.join(known)}")
    if settings.get("tile_dtype") not in (None, "float32", "float64"):
        raise InvalidInputError(
            f"tile_dtype={settings['tile_dtype']!r}; use 'float32', 'float64' or None (as the data)"
        )
    if settings.get("engine") not in (None, "threads", "dask"):
        raise InvalidInputError(
            f"engine={settings['engine']!r}; use 'threads', 'dask' or None (Dask for Dask input)"
        )
    limit = settings.get("memory_limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InvalidInputError(f"memory_limit={limit!r}; give a positive number of bytes or None")
    return settings


@contextmanager
def config_context(**settings: Any) -> Iterator[Config]:
    """Change settings inside a `with` block.

    Parameters
    ----------
    tile_dtype : {"float32", "float64"} or None, default=None
        The dtype of the kernel tiles. None takes that of the data: float32 for float32 rows, else
        float64. Sums over tiles are float64 always.
    memory_limit : int or None, default=None
        The most bytes that a pass may use for its tiles and sums; None is a share of what is free.
    progress : bool, default=False
        Whether to show on standard error, from two seconds on, what is being done: passes over the
        rows with the time left, other steps with the time taken. Only where that is a terminal.
    engine : {"threads", "dask"} or None, default=None
        What runs the passes. None is Dask where the rows are a Dask collection, else the threads of
        this process. "dask" sends the blocks of arrays and files to Dask too; which scheduler or
        client that is, is Dask's own setting.

    Raises
    ------
    InvalidInputError
        If a setting is unknown or its value is not one of the above.

    Examples
    --------
    >>> import scalekern
    >>> with scalekern.config_context(tile_dtype="float32") as config:
    ...     config.tile_dtype
    'float32'
    """
    token = _current.set(replace(_current.get(), **_checked(settings)))
    try:
        yield _current.get()
    finally:
        _current.reset(token)
