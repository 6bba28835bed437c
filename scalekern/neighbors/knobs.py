"""The one setting of a FAISS index that trades recall for work, and how it goes with a query.

Separate from the index classes because a factory string can hide an IVF or a graph inside
transforms and refinements, each of which wraps its search parameters differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.neighbors.centres import probed_rows
from scalekern.neighbors.faiss_index import faiss_module

SMALLEST_EF_SEARCH, _LARGEST_EF_SEARCH = 8, 4096
_LINK_ROWS = 2_000
NEW_SHARE = 0.65
"""Of the rows that a visited row is linked to, about so many were not met before."""


@dataclass(frozen=True)
class Knob:
    """The setting of a FAISS index that trades recall for work.

    Attributes
    ----------
    name : str
        "efSearch", "nprobe", or "" for an index without one.
    smallest, largest : int
        Range worth trying.
    step : str
        What the index does again and again for a query, as `work.STEPS` names it.
    each, fixed : float
        Such steps of one query: fixed + setting·each.
    centres : int
        Centres compared with each query.
    code_parts : int
        Half bytes of the code of a row; 0 for rows that are not coded.
    dimensions : int
        Of the points that are compared, after what they may go through first.
    """

    name: str
    smallest: int
    largest: int
    step: str
    each: float
    fixed: float = 0.0
    centres: int = 0
    code_parts: int = 0
    dimensions: int = 0


def find_knob(index: Any) -> Knob:
    """Return the knob of a FAISS index, looking through transforms and refinement."""
    faiss = faiss_module()
    inner = inner_index(index)
    if inner is not None:
        return find_knob(inner)
    if isinstance(index, faiss.IndexHNSW):
        largest = min(max(index.ntotal, 1), _LARGEST_EF_SEARCH)
        smallest = min(SMALLEST_EF_SEARCH, largest)
        each = NEW_SHARE * _links(index.hnsw)
        return Knob("efSearch", smallest, largest, "visit", each, dimensions=index.d)
    parts = _code_parts(index)
    step = "code" if parts else "row"
    if isinstance(index, faiss.IndexIVF):
        sizes = np.array([index.invlists.list_size(i) for i in range(index.nlist)])
        each = probed_rows(sizes)
        return Knob("nprobe", 1, index.nlist, step, each, 0.0, index.nlist, parts, index.d)
    return Knob("", 1, 1, step, 0.0, index.ntotal, 0, parts, index.d)


def _links(graph: Any) -> float:
    """Return how many links a row has on the ground level, on average."""
    faiss = faiss_module()
    offsets = faiss.rev_swig_ptr(graph.offsets.data(), graph.offsets.size())
    slots = graph.nb_neighbors(0)
    starts = offsets[: -1 : max(1, len(offsets) // _LINK_ROWS)].astype(np.int64)
    neighbors = faiss.rev_swig_ptr(graph.neighbors.data(), graph.neighbors.size())
    return float((neighbors[starts[:, None] + np.arange(slots)] >= 0).sum(axis=1).mean())


def _code_parts(index: Any) -> int:
    """Return the half bytes of a row's code, 0 where the index keeps rows as they are."""
    size = int(getattr(index, "code_size", 0))
    return 0 if size in (0, 4 * index.d) else 2 * size


def search_parameters(index: Any, setting: int) -> Any:
    """Return FAISS's parameters of one query at `setting`, None for an index without a knob."""
    faiss = faiss_module()
    inner = inner_index(index)
    if inner is not None:
        below = search_parameters(inner, setting)
        if isinstance(index, faiss.IndexIDMap):
            return below
        if isinstance(index, faiss.IndexPreTransform):
            return faiss.SearchParametersPreTransform(index_params=below) if below else None
        refine = {"base_index_params": below} if below else {}
        return faiss.IndexRefineSearchParameters(k_factor=index.k_factor, **refine)
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=setting)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=setting)
    return None


def inner_index(index: Any) -> Any:
    """Return the FAISS index that another one wraps, None if it wraps none."""
    faiss = faiss_module()
    if isinstance(index, faiss.IndexIDMap):
        return faiss.downcast_index(index.index)
    if isinstance(index, faiss.IndexPreTransform):
        return faiss.downcast_index(index.index)
    if isinstance(index, faiss.IndexRefine):
        return faiss.downcast_index(index.base_index)
    return None
