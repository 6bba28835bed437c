"""The one setting of a FAISS index that trades recall for work, and how it goes with a query.

Separate from the index classes because a factory string can hide an IVF or a graph inside
transforms and refinements, each of which wraps its search parameters differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.neighbors.faiss_index import faiss_module

_LARGEST_EF_SEARCH = 4096


@dataclass(frozen=True)
class Knob:
    """The setting of a FAISS index that trades recall for work.

    Attributes
    ----------
    name : str
        "efSearch", "nprobe", or "" for an index without one.
    smallest, largest : int
        Range worth trying.
    fixed_work, work_per_unit : float
        Distances computed for one query: fixed_work + setting·work_per_unit.
    """

    name: str
    smallest: int
    largest: int
    fixed_work: float
    work_per_unit: float


def find_knob(index: Any) -> Knob:
    """Return the knob of a FAISS index, looking through transforms and refinement."""
    faiss = faiss_module()
    inner = _inner(index)
    if inner is not None:
        return find_knob(inner)
    if isinstance(index, faiss.IndexHNSW):
        largest = min(max(index.ntotal, 1), _LARGEST_EF_SEARCH)
        return Knob("efSearch", min(16, largest), largest, 0.0, index.hnsw.nb_neighbors(0))
    if isinstance(index, faiss.IndexIVF):
        sizes = [index.invlists.list_size(i) for i in range(index.nlist)]
        # Long lists are probed more often, so sizes count in proportion to themselves.
        mean = float(np.dot(sizes, sizes)) / max(sum(sizes), 1)
        return Knob("nprobe", 1, index.nlist, index.nlist, mean)
    return Knob("", 1, 1, index.ntotal, 0.0)


def search_parameters(index: Any, setting: int) -> Any:
    """Return FAISS's parameters of one query at `setting`, None for an index without a knob."""
    faiss = faiss_module()
    inner = _inner(index)
    if inner is not None:
        below = search_parameters(inner, setting)
        if isinstance(index, faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=below) if below else None
        refine = {"base_index_params": below} if below else {}
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, **refine)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=setting)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=setting)
    return None


def _inner(index: Any) -> Any:
    faiss = faiss_module()
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.downcast_index(index.index)
    if isinstance(index, faiss.IndexRefine):
        return faiss.downcast_index(index.base_index)
    return None
