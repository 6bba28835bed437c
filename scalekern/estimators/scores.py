"""From the scores of one-against-rest least squares to probabilities that can be relied on.

Scores of rows that the model was fitted on are too good; so a model is fitted without some rows,
and a logistic model of its scores on those is what turns scores into log-odds: Platt's sigmoid for
two classes, for more one slope with an offset for each class (Guo and others 2017), which keeps
probabilities that add up to 1 and the order of the classes that the scores have.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax

from scalekern.engine import hash_ids
from scalekern.rows import RowSource

FEW_ROWS = 1_000
FOLDS = 5
FOLD_SEED = 0xCA11B
LEAST_SLOPE = 1e-3
PRIOR = 1.0


class Folds:
    """Which fold a row is in, by the hash of its id; known ones are dealt within each class.

    Parameters
    ----------
    hashes : uint64 array of shape (n,), optional
        Of the ids of all rows, where these are few.
    labels : array of shape (n,), optional
    """

    def __init__(self, hashes: np.ndarray | None = None, labels: np.ndarray | None = None) -> None:
        self._hashes = hashes
        if hashes is None or labels is None:
            return
        order = np.argsort(hashes, kind="stable")
        self._hashes, labels = hashes[order], labels[order]
        self._folds = np.empty(len(labels), dtype=np.int64)
        for number, label in enumerate(np.unique(labels)):
            rows = np.flatnonzero(labels == label)
            self._folds[rows] = (np.arange(len(rows)) + number) % FOLDS

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """Return the folds of rows, int64 array."""
        hashes = hash_ids(ids, FOLD_SEED)
        if self._hashes is None:
            return (hashes % np.uint64(FOLDS)).astype(np.int64)
        return self._folds[np.searchsorted(self._hashes, hashes)]


def folds_of(source: RowSource) -> tuple[Folds, int]:
    """Return the folds of the rows, and how many of them have to be left out in turn."""
    if source.n_rows > FEW_ROWS:
        return Folds(), 1
    blocks = list(source.blocks(FEW_ROWS))
    ids = np.concatenate([block.ids for block in blocks])
    labels = np.concatenate([np.asarray(block.y)[:, 0] for block in blocks])
    return Folds(hash_ids(ids, FOLD_SEED), labels), FOLDS


def fit_calibration(scores: np.ndarray, labels: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the slope and the offset of each score.

    Parameters
    ----------
    scores : float64 array of shape (n, k)
        One column for two classes, else one for each.
    labels : int array of shape (n,)
        The number of each row's class.
    weight : float64 array of shape (n,)

    Returns
    -------
    float64 array of shape (1 + k,)
        The slope, above 0, then the offsets; log-odds are slope * score + offset.

    References
    ----------
    Platt (1999), probabilistic outputs for support vector machines, for the targets short of 0
    and 1; Guo, Pleiss, Sun and Weinberger (2017), on calibration of modern neural networks.
    """
    k, binary = scores.shape[1], scores.shape[1] == 1
    classes = 2 if binary else k
    spread = float(scores.std()) or 1.0
    targets = np.full((len(labels), classes), 1.0 / (len(labels) + classes))
    targets[np.arange(len(labels)), labels] += 1.0 - targets.sum(axis=1)
    share = weight / weight.sum()
    prior = PRIOR / (2.0 * len(labels))

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = x[0] * scores / spread + x[1:]
        full = np.hstack([np.zeros_like(z), z]) if binary else z
        value = share @ (logsumexp(full, axis=1) - (targets * full).sum(axis=1))
        r = share[:, None] * (softmax(full, axis=1) - targets)
        r = r[:, 1:] if binary else r
        gradient = np.concatenate(
            [[(r * scores).sum() / spread], r.sum(axis=0) + 2 * prior * x[1:]]
        )
        return float(value + prior * x[1:] @ x[1:]), gradient

    bounds = [(LEAST_SLOPE, None)] + [(None, None)] * k
    found = minimize(objective, np.eye(1 + k)[0], jac=True, method="L-BFGS-B", bounds=bounds)
    return np.concatenate([[found.x[0] / spread], found.x[1:]])


def probabilities(odds: np.ndarray) -> np.ndarray:
    """Return the probabilities of the classes from log-odds of shape (n, 1) or (n, k)."""
    if odds.shape[1] == 1:
        return np.hstack([expit(-odds), expit(odds)])
    return softmax(odds, axis=1)
