"""scikit-learn's scalers as steps of a stored pipeline: their few arrays, without pickle.

They stand apart because they know nothing of our `fitted_state`; any other class of scikit-learn
is refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.storage.agreement import Kinds, check_arrays, check_values

_FITTED = {
    "StandardScaler": ("mean_", "var_", "scale_", "n_samples_seen_"),
    "MinMaxScaler": ("min_", "scale_", "data_min_", "data_max_", "data_range_", "n_samples_seen_"),
}

_KINDS: dict[str, dict[str, Kinds]] = {
    "StandardScaler": {"copy": bool, "with_mean": bool, "with_std": bool},
    "MinMaxScaler": {"copy": bool, "clip": bool, "feature_range": tuple},
}


def scaler_class(name: Any) -> Any:
    """Return the scaler of that name, None where it is none of those that can be stored."""
    if not isinstance(name, str) or name not in _FITTED:
        return None
    from sklearn import preprocessing

    return getattr(preprocessing, name)


def scaler_state(scaler: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was fitted: values for JSON, and arrays."""
    found = {name: getattr(scaler, name) for name in _FITTED[type(scaler).__name__]}
    # Not only arrays: `partial_fit` asks for the shape of a count, too.
    arrays = {name: np.asarray(value) for name, value in found.items() if hasattr(value, "shape")}
    return {name: value for name, value in found.items() if name not in arrays}, arrays


def restore_scaler(scaler: Any, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Take what `scaler_state` gave."""
    check_values(scaler.get_params(), _KINDS[type(scaler).__name__])
    axes = {name: "d" for name in arrays if name != "n_samples_seen_"}
    check_arrays(arrays, axes, d=scaler.n_features_in_)
    found = meta | {name: np.array(value)[()] for name, value in arrays.items()}
    for name in _FITTED[type(scaler).__name__]:
        setattr(scaler, name, found[name])
