"""From stored metadata to the class that reads it: a fixed table, so that loading runs no code."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from numpy.typing import NDArray

from scalekern.errors import ModelFormatError
from scalekern.neighbors.altered import AlteredIndex
from scalekern.neighbors.base import NeighborIndex
from scalekern.neighbors.brute import BruteIndex
from scalekern.neighbors.factory import FactoryIndex
from scalekern.neighbors.flat import FlatIndex
from scalekern.neighbors.hnsw import HNSWIndex
from scalekern.neighbors.ivf import IVFIndex, IVFPQIndex, IVFSQIndex
from scalekern.neighbors.kd_tree import KDTreeIndex
from scalekern.neighbors.metrics import PairMetric
from scalekern.neighbors.shards import ShardedIndex
from scalekern.neighbors.texts import TextIndex

_CLASSES: dict[str, type[NeighborIndex]] = {
    cls.name: cls
    for cls in (
        KDTreeIndex,
        FlatIndex,
        HNSWIndex,
        IVFIndex,
        IVFSQIndex,
        IVFPQIndex,
        FactoryIndex,
        TextIndex,
    )
}


def index_from_state(
    meta: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    metric: PairMetric | None = None,
) -> NeighborIndex:
    """Rebuild an index from what its `state` returned.

    Parameters
    ----------
    meta : mapping
        JSON-able metadata; "name" picks the class.
    arrays : mapping of str to array
        Checked against `meta`. Checksums are the storage floor's business and come before.
    metric : callable, optional
        The function f(x, z) the index was built with, which is never stored.

    Raises
    ------
    ModelFormatError
        If the name is unknown, something is missing, or arrays and metadata disagree.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.neighbors import build_index
    >>> meta, arrays = build_index(np.eye(3), n_neighbors=1).index.state()
    >>> index_from_state(meta, arrays).description
    'KD-tree, exact, euclidean distances'
    """
    name = meta.get("name")
    if name == AlteredIndex.name:
        return AlteredIndex.from_state(meta, arrays, partial(index_from_state, metric=metric))
    if name == BruteIndex.name:
        return BruteIndex.from_state(meta, arrays, metric)
    if name == ShardedIndex.name:
        return ShardedIndex.from_state(meta, arrays, index_from_state)
    if name not in _CLASSES:
        raise ModelFormatError(
            f"the stored neighbour index is of the unknown kind {name!r}; this version reads "
            f"{', '.join([*_CLASSES, BruteIndex.name, ShardedIndex.name, AlteredIndex.name])}"
        )
    return _CLASSES[name].from_state(meta, arrays)
