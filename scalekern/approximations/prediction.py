"""From coefficients to predictions: kernel values against landmarks, or features, times a vector.

A tile is made and used up within the cache, a few hundred rows at a time, so that the speed is that
of the kernel's own arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.features import FeatureMap
from scalekern.kernels import Kernel
from scalekern.rows.base import slice_rows

TILE_BYTES = 1 << 20


def kernel_predictor(
    kernel: Kernel, Z: Any, coef: np.ndarray, intercept: np.ndarray, dtype: np.dtype
) -> Callable[[Any], np.ndarray]:
    """Return x -> k(x, Z) @ coef + intercept, for blocks of rows."""
    columns = kernel.columns(Z, dtype)
    return _tiled(columns, columns.n_columns, coef, intercept, dtype)


def feature_predictor(
    feature_map: FeatureMap, coef: np.ndarray, intercept: np.ndarray
) -> Callable[[Any], np.ndarray]:
    """Return x -> phi(x) @ coef + intercept, for blocks of rows."""
    return _tiled(feature_map, feature_map.n_features, coef, intercept, feature_map.dtype)


def weighted_sum(model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
    """Return the sum over the landmarks of a fitted model."""
    dual, intercept = as_columns(model.dual_coef_), np.atleast_1d(model.intercept_)
    return kernel_predictor(model.kernel_, model.landmarks_, dual, intercept, dtype)


def as_columns(coef: np.ndarray) -> np.ndarray:
    """Return coefficients with a column for each output, also of a vector."""
    return coef.reshape(len(coef), -1)


def _tiled(
    tile_of: Callable[[Any, np.ndarray], np.ndarray],
    width: int,
    coef: np.ndarray,
    intercept: np.ndarray,
    dtype: np.dtype,
) -> Callable[[Any], np.ndarray]:
    step = max(32, TILE_BYTES // max(1, width * dtype.itemsize))
    a = np.ascontiguousarray(coef, dtype=dtype)

    def predict(X: Any) -> np.ndarray:
        n = len(X) if isinstance(X, list) else X.shape[0]
        out = np.empty((n, a.shape[1]))
        buffer = np.empty((min(step, n), width), dtype=dtype)
        for low in range(0, n, step):
            high = min(low + step, n)
            out[low:high] = tile_of(slice_rows(X, low, high), buffer[: high - low]) @ a
        out += intercept
        return out

    return predict
