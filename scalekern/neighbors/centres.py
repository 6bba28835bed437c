"""k-means over embedded rows, and the list each row belongs to, on all threads.

FAISS trains on as many threads as OpenMP has, with sums that depend on how many. Here rows are cut
into blocks by number alone and each block is one thread's: the same seed gives the same centres on
any number of cores, to the last bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scalekern.engine import ThreadEngine
from scalekern.neighbors.base import Indices
from scalekern.neighbors.faiss_index import faiss_module, one_openmp_thread
from scalekern.rows import ArraySource

ITERATIONS = 10
ASSIGN_ROWS = 4_096

Points = NDArray[np.float32]


def train_centres(points: Points, n_lists: int, seed: int, engine: ThreadEngine) -> Points:
    """Return the centres of k-means (Lloyd's), float32 of shape (n_lists, d).

    Parameters
    ----------
    points : float32 array of shape (n, d)
    n_lists : int
        At most n.
    seed : int
        Draws the first centres among the points.
    engine : ThreadEngine
    """
    rng = np.random.default_rng(seed)
    centres = points[np.sort(rng.choice(len(points), n_lists, replace=False))]
    for _ in range(ITERATIONS):
        labels = nearest_centres(points, centres, engine)
        centres = _means(points, labels, centres)
    return centres


def nearest_centres(points: Points, centres: Points, engine: ThreadEngine) -> Indices:
    """Return the number of the nearest centre of each point."""
    found: list[Indices] = []
    quantizer = quantizer_of(centres)
    engine.map_blocks(
        ArraySource(points),
        lambda block: lists_of(quantizer, block.X),
        lambda _, labels: found.append(labels),
        "clustering",
        ASSIGN_ROWS,
    )
    return np.concatenate(found)


def quantizer_of(centres: Points) -> Any:
    """Return the FAISS index of the centres."""
    quantizer = faiss_module().IndexFlatL2(centres.shape[1])
    quantizer.add(centres)
    return quantizer


def lists_of(quantizer: Any, points: Points) -> Indices:
    """Return the number of the nearest centre of each point, computed on one thread."""
    with one_openmp_thread():
        return quantizer.search(points, 1)[1][:, 0].astype(np.int64, copy=False)


def _means(points: Points, labels: Indices, centres: Points) -> Points:
    """Return the mean of each list; one without points takes half of the largest one's."""
    n, n_lists = len(points), len(centres)
    counts = np.bincount(labels, minlength=n_lists)
    member = sparse.csr_matrix((np.ones(n, np.float32), labels, np.arange(n + 1)), (n, n_lists))
    sums = np.asarray(member.T.tocsr() @ points)
    means: Points = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    for empty in np.flatnonzero(counts == 0):
        largest = int(counts.argmax())
        # The two part along alternating signs, by less than float32 points ever cluster.
        step = means[largest] * np.float32(1 / 1024)
        step[::2] *= -1
        means[empty] = means[largest] + step
        means[largest] -= step
        counts[empty] = counts[largest] // 2
        counts[largest] -= counts[empty]
    return means


def probed_rows(sizes: NDArray[np.int64]) -> float:
    """Return the rows of a list that a query probes, on average.

    Long lists are probed more often, so sizes count in proportion to themselves.
    """
    total = max(float(np.sum(sizes)), 1.0)
    return float(np.dot(sizes, sizes)) / total
