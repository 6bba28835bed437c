"""The contract of a feature map: rows in, a tile of features out, in a given buffer if any."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np


class FeatureMap(ABC):
    """A fixed map phi from rows to vectors; a linear model on them is a similarity model.

    Attributes
    ----------
    n_features : int
        Length of a feature vector.
    dtype : numpy dtype
        float32 or float64, of the tiles.
    """

    n_features: int
    dtype: np.dtype

    @abstractmethod
    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X, shape (rows, n_features)."""
