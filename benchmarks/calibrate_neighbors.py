"""`python -m benchmarks.calibrate_neighbors`: what one step of a neighbour index costs.

It makes the table of `scalekern/neighbors/work.py`. Every step (a centre compared, a row scanned, a
row jumped to, a code scanned, a table of a list made, a candidate refined) is timed on one thread
for several widths, and a line is fitted to the times. Processor time is measured, so that other
processes disturb it little. It runs once, by hand: the library reads the table, no clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.optimize import nnls

from scalekern.neighbors.approximate import runs, table_queries
from scalekern.neighbors.faiss_index import faiss_module
from scalekern.neighbors.work import times_kept

ROWS, QUERIES = 200_000, 4_096
WIDTHS = (16, 48, 128, 384)

Measured = tuple[str, list[float], float]
"""The step, how often each part of its cost was paid by one query, and the seconds."""


def main() -> None:
    """Time all steps and print the table."""
    faiss = faiss_module()  # with the setting that the library gives it
    faiss.omp_set_num_threads(1)
    rows: dict[str, list[tuple[list[float], float]]] = {}
    for d in WIDTHS:
        n = min(ROWS, 32_000_000 // d)
        rng = np.random.default_rng(d)
        X = rng.standard_normal((n, d)).astype(np.float32)
        Q = rng.standard_normal((QUERIES, d)).astype(np.float32)
        for name, counts, seconds in [
            *_centres(faiss, X, Q),
            *_lists(faiss, X, Q),
            _walk(faiss, X, Q),
            _refine(faiss, X, Q),
        ]:
            rows.setdefault(name, []).append((counts, 1e9 * seconds))
            print(f"{name:10s} d={d:<4d} {counts} {1e9 * seconds:12.0f} ns", flush=True)
    print()
    for name, measured in rows.items():
        counts = np.array([c for c, _ in measured])
        times = np.array([t for _, t in measured])
        # Relative errors count: a constant must be right where steps are cheap, too.
        coef, _ = nnls(counts / times[:, None], np.ones(len(times)))
        off = np.abs(counts @ coef / times - 1)
        print(f"{name}: {[float(f'{c:.3g}') for c in coef]}  off by {off.mean():.0%}")


def _best(function: Callable[[], object]) -> float:
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best / QUERIES


def _centres(faiss: Any, X: np.ndarray, Q: np.ndarray) -> Iterator[Measured]:
    """Time per query of comparing centres: [centres, centres x d, times one is kept]."""
    d = X.shape[1]
    for m in (500, 1_500, 4_000):
        index = faiss.IndexFlatL2(d)
        index.add(X[:m])
        for probes in (1, 4, 16, 64):
            seconds = _best(lambda index=index, p=probes: index.search(Q, p))
            yield "centres", [m, m * d, times_kept(probes, m)], seconds


def _lists(faiss: Any, X: np.ndarray, Q: np.ndarray) -> Iterator[Measured]:
    """Time per query of lists long and short: centres, and rows or codes and candidates kept."""
    for lists in (200, 2_000):
        quantizer = faiss.IndexFlatL2(X.shape[1])
        quantizer.add(X[:lists])
        labels = quantizer.search(X, 1)[1].ravel()
        for probes in (1, 8):
            near = quantizer.search(Q, probes)[1]
            found = float(np.bincount(labels, minlength=lists)[near].sum(axis=1).mean())
            yield from _scans(faiss, X, Q, quantizer, labels, probes, found)


def _scans(
    faiss: Any,
    X: np.ndarray,
    Q: np.ndarray,
    quantizer: Any,
    labels: np.ndarray,
    probes: int,
    found: float,
) -> Iterator[Measured]:
    d, lists = X.shape[1], quantizer.ntotal
    at = faiss.SearchParametersIVF(nprobe=probes)
    centres = _best(lambda: quantizer.search(Q, probes))
    flat = faiss.IndexIVFFlat(quantizer, d, lists)
    flat.add_core(len(X), faiss.swig_ptr(X), None, faiss.swig_ptr(labels))
    yield "rows", [1.0, found, found * d], _best(lambda: flat.search(Q, 10, params=at)) - centres
    for width in (2, 4):
        pq = faiss.IndexIVFPQ(quantizer, d, lists, d // width, 4)
        pq.do_polysemous_training = False
        pq.train(X[:20_000])
        pq.add_core(len(X), faiss.swig_ptr(X), None, faiss.swig_ptr(labels))
        fast = faiss.IndexIVFPQFastScan(pq)
        groups = [Q[some] for some in runs(QUERIES, table_queries(probes, d // width))]
        for kept in (10, 40):

            def search(f: Any = fast, k: int = kept, groups: list[Any] = groups) -> None:
                for some in groups:
                    f.search(some, k, params=at)

            seconds = _best(search) - centres
            counts = [1.0, kept, found * (d // width), probes, probes * d]
            yield "codes", counts, seconds


def _walk(faiss: Any, X: np.ndarray, Q: np.ndarray) -> Measured:
    """Time per query of a walk through a graph: [rows visited, rows visited x d]."""
    index = faiss.IndexHNSWFlat(X.shape[1], 32)
    faiss.omp_set_num_threads(2)
    index.add(X[:50_000])
    faiss.omp_set_num_threads(1)
    at = faiss.SearchParametersHNSW(efSearch=32)
    stats = faiss.cvar.hnsw_stats
    stats.reset()
    index.search(Q, 10, params=at)
    visited = stats.ndis / QUERIES
    return (
        "walk",
        [visited, visited * X.shape[1]],
        _best(lambda: index.search(Q, 10, params=at)),
    )


def _refine(faiss: Any, X: np.ndarray, Q: np.ndarray) -> Measured:
    """Time per query of exact distances to candidates all over: [candidates, candidates x d]."""
    n, d = X.shape
    some = np.random.default_rng(0).integers(n, size=(QUERIES, 64))
    near, numbers = np.empty((QUERIES, 10), np.float32), np.empty((QUERIES, 10), np.int64)
    pointers = [faiss.swig_ptr(array) for array in (Q, X, some, near, numbers)]

    def run() -> None:
        x, y, ids, distances, found = pointers
        faiss.knn_L2sqr_by_idx(x, y, ids, d, QUERIES, n, 64, 10, distances, found, 64)

    return "refine", [64, 64 * d], _best(run)


if __name__ == "__main__":
    main()
