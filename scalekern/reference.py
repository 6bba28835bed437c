"""The oracle: exact k-NN and exact similarity regression, pair by pair, in plain NumPy.

Nothing here is fast and nothing here imports the rest of the package. It is the idea in its most
readable form, and what every faster path is tested against. The derivation follows the line from
k-nearest neighbours (a mean of the targets of similar rows) to kernel ridge regression (a weighted
sum of similarities to all rows).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "SimilarityRegressor",
    "euclidean_distance",
    "knn_classifier",
    "knn_regressor",
    "rbf_similarity",
]


def euclidean_distance(x: Any, z: Any) -> float:
    """Return the Euclidean distance between two vectors of the same length.

    Examples
    --------
    >>> euclidean_distance([0.0, 0.0], [3.0, 4.0])
    5.0
    """
    difference = np.asarray(x, dtype=np.float64) - np.asarray(z, dtype=np.float64)
    return float(np.sqrt(difference @ difference))


def rbf_similarity(x: Any, z: Any, gamma: float = 1.0) -> float:
    """Return exp(-gamma * squared Euclidean distance), a similarity in (0, 1].

    Examples
    --------
    >>> rbf_similarity([0.0], [0.0])
    1.0
    """
    return float(np.exp(-gamma * euclidean_distance(x, z) ** 2))


def _nearest(X_train: Any, x: Any, k: int, distance: Callable[[Any, Any], float]) -> list[int]:
    distances = [distance(x, row) for row in X_train]
    return sorted(range(len(distances)), key=distances.__getitem__)[:k]


def knn_classifier(
    X_train: Any,
    y_train: Any,
    X: Any,
    k: int = 5,
    distance: Callable[[Any, Any], float] = euclidean_distance,
) -> list[Any]:
    """Return, for each row of X, the commonest label among its k nearest training rows.

    A tie goes to the smallest label. `distance(x, z)` may take any objects.

    Examples
    --------
    >>> knn_classifier([[0.0], [1.0], [5.0]], ["a", "a", "b"], [[0.4]], k=2)
    ['a']
    """
    predictions = []
    for x in X:
        votes = Counter(y_train[i] for i in _nearest(X_train, x, k, distance))
        most = max(votes.values())
        predictions.append(min(label for label, count in votes.items() if count == most))
    return predictions


def knn_regressor(
    X_train: Any,
    y_train: Any,
    X: Any,
    k: int = 5,
    distance: Callable[[Any, Any], float] = euclidean_distance,
) -> np.ndarray:
    """Return, for each row of X, the mean target of its k nearest training rows.

    Examples
    --------
    >>> knn_regressor([[0.0], [1.0], [5.0]], [1.0, 3.0, 9.0], [[0.4]], k=2).tolist()
    [2.0]
    """
    return np.array([np.mean([y_train[i] for i in _nearest(X_train, x, k, distance)]) for x in X])


class SimilarityRegressor:
    """Predict by a weighted sum of similarities to the training rows.

    The weights solve `(K + alpha * I) a = y` through the pseudo-inverse, where
    `K[i, j] = similarity_func(x_i, x_j)`; no intercept.

    Parameters
    ----------
    similarity_func : callable
        `f(x, z) -> float`, larger for more similar objects of any kind.
    alpha : float, default=1e-6
        What is added to the diagonal of K.

    Examples
    --------
    >>> model = SimilarityRegressor(rbf_similarity).fit([[0.0], [1.0]], [0.0, 1.0])
    >>> model.predict([[1.0]]).round(4).tolist()
    [1.0]
    """

    def __init__(self, similarity_func: Callable[[Any, Any], float], alpha: float = 1e-6) -> None:
        self.similarity_func = similarity_func
        self.alpha = alpha

    def gram(self, X: Any, Z: Any) -> np.ndarray:
        """Return the matrix of similarities of each object of X to each object of Z."""
        return np.array([[self.similarity_func(x, z) for z in Z] for x in X])

    def fit(self, X: Any, y: Any) -> SimilarityRegressor:
        """Solve for the weights of the training rows and return self."""
        K = self.gram(X, X)
        self.X_ = X
        self.weights_ = np.linalg.pinv(K + self.alpha * np.eye(len(K))) @ np.asarray(y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions for each object of X, shape (n,) or (n, n_outputs)."""
        return self.gram(X, self.X_) @ self.weights_
