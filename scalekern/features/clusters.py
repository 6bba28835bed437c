"""Means of clusters, as landmarks: Lloyd's iteration with every sum in a fixed order.

Our own, because a parallel one adds up in an order that depends on the number of threads, and the
model must not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

ITERATIONS = 20
CHUNK_BYTES = 8 << 20


def cluster_means(X: Any, weight: np.ndarray | None, m: int) -> np.ndarray:
    """Return the means of m clusters of the rows, or the rows themselves where there are fewer.

    Parameters
    ----------
    X : array or sparse matrix of shape (n, d), in random order
        The first m rows are where the means start.
    weight : float64 array of shape (n,) or None
    m : int

    Returns
    -------
    float64 array of shape (min(m, n), d)

    References
    ----------
    Zhang, Tsang and Kwok (2008), Improved Nyström low-rank approximation and error analysis.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [9.0], [0.2], [9.4], [0.1]])
    >>> cluster_means(X, None, 2).round(6).tolist()
    [[0.1], [9.2]]
    """
    X = np.asarray(X.toarray() if sparse.issparse(X) else X, dtype=np.float64)
    if len(X) <= m:
        return X
    w = np.ones(len(X)) if weight is None else weight
    # Distances are of differences: a common offset would cost their digits.
    offset = X.mean(axis=0)
    X = X - offset
    means, labels = X[:m].copy(), np.full(len(X), -1)
    for _ in range(ITERATIONS):
        before, labels = labels, _nearest(X, means)
        if np.array_equal(before, labels):
            break
        members = sparse.csr_matrix((w, (labels, np.arange(len(X)))), shape=(m, len(X)))
        total = np.asarray(members.sum(axis=1)).ravel()
        filled = total > 0
        means[filled] = (members @ X)[filled] / total[filled, None]
    return means + offset


def _nearest(X: np.ndarray, means: np.ndarray) -> np.ndarray:
    half = 0.5 * np.einsum("ij,ij->i", means, means)
    step = max(1, CHUNK_BYTES // (8 * len(means)))
    parts = [
        (X[low : low + step] @ means.T - half).argmax(axis=1) for low in range(0, len(X), step)
    ]
    return np.concatenate(parts)
