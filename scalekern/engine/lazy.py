"""Dask in, lazy Dask out: a fitted estimator applied to each partition when it is computed.

The estimator is one task, named by its content, on which every partition's depends: so each worker
gets it once, and what is large of it each host (`parcels`).
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern._config import get_config
from scalekern.engine.cluster import current_client
from scalekern.engine.dask import worker_settings
from scalekern.engine.parcels import Parcel, deliver
from scalekern.errors import UnsupportedError
from scalekern.rows.dask_blocks import labelled
from scalekern.rows.dask_pieces import is_dask, is_dask_array


def lazy_on_dask(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method of rows return a lazy collection where X is one.

    A Dask array gives a Dask array with the chunks of X; a Dask DataFrame gives a Series or
    DataFrame with its index and divisions.
    """

    @wraps(method)
    def wrapper(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        if is_dask(X):
            return _lazily(self, method.__name__, X, args, kwargs)
        return method(self, X, *args, **kwargs)

    return wrapper


class Applied:
    """A method of a fitted model, for one partition at a time.

    Parameters
    ----------
    model : fitted estimator
    method : str
    args, kwargs : tuple, dict
        What it is called with after X.

    Attributes
    ----------
    like : ndarray or None
        A result, for the shape and dtype of empty ones.
    """

    def __init__(self, model: Any, method: str, args: tuple[Any, ...], kwargs: Any) -> None:
        self.parcel = Parcel(model)
        self._method, self._args, self._kwargs = method, args, kwargs
        self._tile_dtype = get_config().tile_dtype
        self.like: np.ndarray | None = None

    def __call__(self, part: Any) -> np.ndarray:
        """Return the result for the rows of a partition."""
        if self.like is not None and not part.shape[0]:
            return self.like[:0]
        with worker_settings(self._tile_dtype):
            model = self.parcel.value
            return getattr(model, self._method)(part, *self._args, **self._kwargs)

    def __dask_tokenize__(self) -> str:
        return self.digest

    @property
    def digest(self) -> str:
        """What the content is known by."""
        return Parcel(self).digest


def _lazily(model: Any, method: str, X: Any, args: Any, kwargs: Any) -> Any:
    from dask import delayed

    check_is_fitted(model)
    applied = Applied(_light(model), method, args, kwargs)
    array = is_dask_array(X)
    # Of a frame's example rows the second may be missing.
    row = np.ones((1, X.shape[1]), X.dtype) if array else X._meta_nonempty.iloc[:1]  # noqa: SLF001
    like = applied(row)
    if not isinstance(like, np.ndarray):
        raise UnsupportedError(
            f"{method} of a Dask collection returns one array; with {kwargs or args} it would "
            "return several: call it on partitions, X.map_partitions or X.map_blocks"
        )
    applied.like = like
    if applied.parcel.packed().parts:
        client = current_client()
        if client is not None:
            deliver(client, applied.parcel)
    name = f"scalekern-{type(model).__name__}-{applied.digest}"
    shared = delayed(applied, name=name, traverse=False)
    return _array(shared, X, like) if array else _frame(shared, X, like, model, method)


def _light(model: Any) -> Any:
    """Return the model without what it keeps to explain and to go on, which may be large."""
    light = copy(model)
    for name in list(vars(light)):
        if name.startswith("explain_") or name == "_running":
            delattr(light, name)
    return light


def _array(shared: Any, X: Any, like: np.ndarray) -> Any:
    import dask.array as da

    if like.ndim == 1:
        meta = like[:0]
        return da.blockwise(
            _apply, "i", shared, None, X, "ij", concatenate=True, dtype=like.dtype, meta=meta
        )
    return da.blockwise(
        _apply,
        "ik",
        shared,
        None,
        X,
        "ij",
        new_axes={"k": like.shape[1]},
        concatenate=True,
        dtype=like.dtype,
        meta=like[:0],
    )


def _frame(shared: Any, X: Any, like: np.ndarray, model: Any, method: str) -> Any:
    columns = None if like.ndim == 1 else _columns(model, method, like.shape[1])
    meta = labelled(like[:0], X._meta.iloc[:0].index, columns)  # noqa: SLF001
    return X.map_partitions(_apply_frame, shared, columns, meta=meta)


def _columns(model: Any, method: str, width: int) -> list[Any]:
    if method == "transform":
        return list(range(width))  # features have no names, as those of arrays
    classes = getattr(model, "classes_", None)
    if isinstance(classes, np.ndarray) and len(classes) == width:
        return list(classes)
    return [f"prediction_{j}" for j in range(width)]


def _apply(applied: Applied, part: Any) -> np.ndarray:
    return applied(part)


def _apply_frame(part: Any, applied: Applied, columns: list[Any] | None) -> Any:
    return labelled(applied(part), part.index, columns)
