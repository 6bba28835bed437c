"""Whole Gram matrices as a thing of their own: in memory, as lazy Dask arrays, or on disk.

They are apart from the estimators because similarities that are dear to compute, such as edit
distances, are worth computing once and keeping. What a file needs is in `gram_files`.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from sklearn.utils import check_array

from scalekern.engine import ThreadEngine, engine_for
from scalekern.errors import InvalidInputError
from scalekern.features.gram_files import write_gram
from scalekern.features.parameters import tile_dtype_of
from scalekern.features.survey import check_gamma, resolve_kernel, survey
from scalekern.kernels import Kernel, Precomputed, as_kernel
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.rows.containers import is_frame, is_objects, objects_of, source_of
from scalekern.rows.dask_pieces import is_dask, is_dask_array
from scalekern.rows.dask_rows import dask_source

TILE_ROWS = 512


def gram(
    X: Any,
    Z: Any = None,
    *,
    kernel: Any = "rbf",
    gamma: Any = "median",
    out: str | os.PathLike[str] | None = None,
    block_rows: int = 4_096,
    n_jobs: int | None = None,
) -> Any:
    """Return the similarities of all rows of X to all rows of Z.

    Parameters
    ----------
    X : array, sparse matrix, frame or rows of shape (n, d); n objects; or a Dask collection
    Z : the same for m rows, optional
        The rows to compare with; X itself if left out. They are held in memory.
    kernel : str, callable or Kernel, default="rbf"
        As in `SimilarityRegressor`.
    gamma : float, "median" or "scale", default="median"
        The bandwidth where the kernel leaves it open; the rules look at X.
    out : path, optional
        A file "K.npy" or folder "K.zarr" to write the matrix of X against itself to, block by
        block. The upper blocks are computed, and mirrored below the diagonal. Two blocks of rows
        are in memory at a time, so X may be larger than memory. The same call after a kill goes on
        where it stopped (with a callable kernel only within one process, since functions cannot be
        compared).
    block_rows : int, default=4096
        Rows of a block of the file.
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Returns
    -------
    float array of shape (n, m)
        float32 where X is float32, else float64. For a Dask X a lazy Dask array with the partitions
        of X as its chunks of rows. With `out` a Zarr array, or a memory map, which is only read;
        `SimilarityRegressor("precomputed")` takes either in place of a matrix.

    Raises
    ------
    InvalidInputError
        If `out` ends in something else, is given together with Z, or was begun with other rows,
        another kernel or other `block_rows`.

    Examples
    --------
    >>> import numpy as np
    >>> import scalekern
    >>> scalekern.gram(np.array([[0.0], [1.0]]), kernel="rbf", gamma=1.0).round(4).tolist()
    [[1.0, 0.3679], [0.3679, 1.0]]
    >>> K = scalekern.gram(["cat", "cut"], ["cats"], kernel="edit_distance", gamma=1.0)
    >>> K.round(4).tolist()
    [[0.3679], [0.1353]]
    """
    check_gamma(gamma)
    kernel = as_kernel(kernel)
    if isinstance(kernel, Precomputed):
        raise InvalidInputError(
            "kernel='precomputed' means that X is a Gram matrix already; name the kernel to "
            "compute one with, such as 'rbf'"
        )
    source = _rows(X, kernel)
    if kernel.needs_gamma:
        engine = engine_for(source, n_jobs)
        kernel = resolve_kernel(kernel, gamma, survey(engine, source, 0, 0, gamma=gamma))
    if out is not None:
        if Z is not None:
            raise InvalidInputError(
                "Z and out cannot be given together: out writes the matrix of X against itself; "
                "leave Z out, or take the array that is returned without out"
            )
        return write_gram(source, kernel, tile_dtype_of(source), out, block_rows, n_jobs)
    held = _held(source if Z is None else _rows(Z, kernel))
    if is_dask(X):
        return _lazy(X, held, kernel, tile_dtype_of(source))
    return _whole(source, held, kernel, n_jobs)


def _rows(X: Any, kernel: Kernel) -> RowSource:
    if is_dask(X):
        return dask_source(X)
    if not kernel.takes_vectors and is_objects(X) and not isinstance(X, RowSource):
        return ArraySource(objects_of(X))
    if isinstance(X, RowSource) or is_frame(X):
        return source_of(X)
    return ArraySource(check_array(X, accept_sparse="csr", dtype=(np.float64, np.float32)))


def _held(source: RowSource) -> Any:
    """Return all rows."""
    return source.take(np.arange(source.n_rows))


def _whole(source: RowSource, Z: Any, kernel: Kernel, n_jobs: int | None) -> np.ndarray:
    dtype = tile_dtype_of(source)
    columns = kernel.columns(Z, dtype)
    K = np.empty((source.n_rows, columns.n_columns), dtype)

    def write(block: Block) -> None:
        columns(block.X, K[block.rows])

    ThreadEngine(n_jobs).map_blocks(
        source, write, lambda *_: None, "the Gram matrix", max_rows=TILE_ROWS
    )
    return K


def _lazy(X: Any, Z: Any, kernel: Kernel, dtype: np.dtype) -> Any:
    """Return the lazy matrix: Z is one task, on which that of every partition depends."""
    import dask.array as da
    from dask import delayed

    if not is_dask_array(X):
        X = X.to_dask_array(lengths=True)
    shared = delayed(Z, traverse=False)
    m = len(Z) if isinstance(Z, list) else Z.shape[0]
    meta = np.empty((0, m), dtype)
    return da.blockwise(
        _tile, "ik", X, "ij" if X.ndim == 2 else "i", shared, None, kernel=kernel, tile=dtype,
        new_axes={"k": m}, concatenate=True, dtype=dtype, meta=meta,
    )  # fmt: skip


def _tile(part: Any, Z: Any, *, kernel: Kernel, tile: np.dtype) -> np.ndarray:
    part = list(part) if isinstance(Z, list) else part
    return np.asarray(kernel.columns(Z, tile)(part))
