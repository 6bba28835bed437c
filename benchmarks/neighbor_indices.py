"""The indices of `benchmarks.neighbors`: ours, and those of the libraries that people would use.

Apart from the contest, which knows them as a name, a search and the settings that it may have.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

K, TARGET = 10, 0.95
Search = Callable[[np.ndarray, int], np.ndarray]
"""From queries and a setting to the numbers of their neighbours."""


@dataclass
class Peer:
    """An index that was built, and how it is searched."""

    name: str
    search: Search
    settings: list[int]
    build_seconds: float
    setting: int = 0
    recall: float = 0.0


def peers(X: np.ndarray, threads: int, *, graphs: bool = True) -> list[Peer]:
    """Build what there is beside this package, without `graphs` what is soon built."""
    lists = int(4 * np.sqrt(len(X)))
    d = X.shape[1]
    parts = d // 8 if d > 256 else d // 2
    built = [
        _faiss("FAISS HNSW32", "HNSW32", X, 64) if graphs else None,
        _faiss("FAISS IVF-Flat", f"IVF{lists},Flat", X, lists),
        *(
            _faiss(f"FAISS IVF-PQ fast-scan, refine x{more}", code, X, lists // 2, more)
            for more in (4, 8)
            for code in (f"IVF{lists // 2},PQ{parts}x4fsr,RFlat",)
        ),
        _hnswlib(X, threads) if graphs else None,
        _usearch(X, threads) if graphs else None,
    ]
    return [peer for peer in built if peer is not None]


def _faiss(name: str, factory: str, X: np.ndarray, largest: int, more: int = 1) -> Peer:
    import faiss

    start = time.perf_counter()
    index = faiss.index_factory(X.shape[1], factory)
    index.train(X[np.random.default_rng(0).permutation(len(X))[: 64 * max(1_000, largest)]])
    index.add(X)
    seconds = time.perf_counter() - start
    graph = "HNSW" in factory

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        if graph:
            at = faiss.SearchParametersHNSW(efSearch=setting)
        else:
            at = faiss.SearchParametersIVF(nprobe=setting)
        if more > 1:
            at = faiss.IndexRefineSearchParameters(k_factor=float(more), base_index_params=at)
        return index.search(Q, K, params=at)[1]

    return Peer(name, search, _settings(4 if graph else 1, 400 if graph else largest), seconds)


def _hnswlib(X: np.ndarray, threads: int) -> Peer | None:
    try:
        import hnswlib
    except ImportError:
        return None
    start = time.perf_counter()
    index = hnswlib.Index("l2", X.shape[1])
    index.init_index(len(X), M=16, ef_construction=100)
    index.add_items(X)
    seconds = time.perf_counter() - start

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        index.set_ef(setting)
        return index.knn_query(Q, K, num_threads=threads)[0].astype(np.int64)

    return Peer("hnswlib", search, _settings(K, 400), seconds)


def _usearch(X: np.ndarray, threads: int) -> Peer | None:
    try:
        from usearch.index import Index
    except ImportError:
        return None
    start = time.perf_counter()
    index = Index(ndim=X.shape[1], metric="l2sq")
    index.add(np.arange(len(X)), X)
    seconds = time.perf_counter() - start

    def search(Q: np.ndarray, setting: int) -> np.ndarray:
        index.expansion_search = setting
        return index.search(Q, K, threads=threads).keys.astype(np.int64)

    return Peer("usearch", search, _settings(K, 400), seconds)


def _settings(smallest: int, largest: int) -> list[int]:
    grid = smallest * 1.1 ** np.arange(200)
    return sorted({round(float(s)) for s in grid if s <= largest})


def ours(X: np.ndarray, **options: Any) -> tuple[Peer, Any]:
    """Fit our regressor, which tunes itself, and return it as a peer with no setting."""
    from scalekern import KNeighborsRegressor

    start = time.perf_counter()
    options = {"target_recall": TARGET, "random_state": 0} | options
    model = KNeighborsRegressor(K, **options).fit(X, np.zeros(len(X)))
    seconds = time.perf_counter() - start
    search: Search = lambda Q, _: model.kneighbors(Q)[1]  # noqa: E731
    return Peer("scalekern auto", search, [0], seconds), model


def missing() -> list[str]:
    """Return the names of the libraries that are not installed, whose indices are left out."""
    return [name for name in ("hnswlib", "usearch") if importlib.util.find_spec(name) is None]


def least_of(model: Any) -> tuple[float, float]:
    """Return what one query of our index cannot do without: operations of products, bytes read.

    Products with the centres of lists; the codes or rows of the lists probed, and the rows of the
    candidates. Of a graph nobody can say.
    """
    index = model._index  # noqa: SLF001
    knob, (_, d) = index.knob, index.rows.shape
    scanned = min(knob.fixed + index.setting * knob.each, index.n_rows)
    row = knob.code_parts / 2 if knob.code_parts else 4 * knob.dimensions
    candidates = index._fetched(K) if index.compressed else 0  # noqa: SLF001
    products = 2.0 * knob.centres * knob.dimensions
    return products, scanned * row + candidates * index.rows.itemsize * d


def raw_search(model: Any, Q: np.ndarray) -> Callable[[], Any]:
    """Return FAISS's search, and refinement, below the model, with FAISS's own threads."""
    from scalekern.neighbors.approximate import refined
    from scalekern.neighbors.knobs import search_parameters

    index = model._index  # noqa: SLF001
    faiss_index, rows = index._index, index._points  # noqa: SLF001
    points = index._embedding.embed_queries(Q)  # noqa: SLF001
    parameters, fetched = search_parameters(faiss_index, index.setting), index._fetched(K)  # noqa: SLF001

    def search() -> np.ndarray:
        found = faiss_index.search(points, fetched, params=parameters)[1]
        return (
            found if rows is None else refined(Q if rows is index.rows else points, rows, found, K)
        )

    return search
