"""Dask collections made of the rows of others: prepared rows, and labels as numbers.

The way back: elsewhere on this floor collections become rows.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from scalekern.rows.base import RowSource
from scalekern.rows.dask_blocks import distinct, framed_like, labelled, prepared
from scalekern.rows.dask_pieces import is_dask_array, parts_of
from scalekern.rows.dask_rows import DaskSource


def collection_of(source: RowSource, X: Any) -> Any:
    """Return the rows that were prepared from those of a Dask collection as one like it.

    Parameters
    ----------
    source : RowSource
        Made of `dask_source(X)` by functions of blocks.
    X : Dask array or DataFrame
    """
    from dask import delayed

    bottom, prepare = source.split()
    assert isinstance(bottom, DaskSource)
    shared = delayed(prepare, traverse=False)
    parts = [
        delayed(prepared)(shared, bottom.delayed_block(low, high)) if low < high else None
        for low, high in pairwise(bottom.borders.tolist())
    ]
    width, dtype = source.n_features, source.dtype
    if is_dask_array(X):
        import dask.array as da

        return da.concatenate([
            da.from_delayed(part, (high - low, width), dtype)
            for part, (low, high) in zip(parts, pairwise(bottom.borders.tolist()), strict=True)
            if part is not None
        ])  # fmt: skip
    import dask.dataframe as dd

    columns = list(range(width))
    meta = labelled(np.empty((0, width), dtype), X._meta.iloc[:0].index, columns)  # noqa: SLF001
    framed = [delayed(framed_like)(*pair, meta) for pair in zip(X.to_delayed(), parts, strict=True)]
    return dd.from_delayed(framed, meta=meta, divisions=X.divisions, verify_meta=False)


def dask_labels(y: Any) -> tuple[np.ndarray, Any]:
    """Return the distinct labels of a Dask y, and the collection of their numbers."""
    import dask

    parts = parts_of(y)
    found = dask.compute(*(dask.delayed(distinct)(part) for part in parts))
    kept = [labels for labels in found if len(labels)]
    classes = np.unique(np.concatenate(kept)) if kept else np.zeros(0)

    def numbered(part: Any) -> Any:
        numbers = np.searchsorted(classes, np.asarray(part))
        return type(part)(numbers, index=part.index) if hasattr(part, "iloc") else numbers

    if is_dask_array(y):
        return classes, y.map_blocks(numbered, dtype=np.int64)
    return classes, y.map_partitions(numbered, meta=(None, "int64"))
