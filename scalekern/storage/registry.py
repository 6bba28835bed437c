"""Which classes can be stored, and how their parameters are written as JSON.

The registry is fixed: estimators enter it by a decorator when the package is imported, and two of
scikit-learn's scalers are in it. A stored model that names any other class is refused.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from scalekern.errors import InvalidInputError, ModelFormatError, UnsupportedError
from scalekern.storage.scalers import restore_scaler, scaler_class, scaler_state

T = TypeVar("T")
_CLASSES: dict[str, Any] = {}


def import_classes() -> None:
    """Import every module that has classes to enter; the package's own `__init__` knows them."""
    sys.modules["scalekern"].import_classes()  # the roof, which is there before any module is


def storable(cls: type[T]) -> type[T]:
    """Enter a class into the registry, under its name.

    It has `get_params`, and `fitted_state` and `restore_state`, which are each other's inverse.
    """
    _CLASSES[cls.__name__] = cls
    return cls


def class_named(name: Any) -> Any:
    """Return the registered class, or raise for a name that is not one of them."""
    if isinstance(name, str) and name not in _CLASSES:
        import_classes()
    known = _CLASSES.get(name) if isinstance(name, str) else None
    cls = known or scaler_class(name)
    if cls is None:
        raise ModelFormatError(
            f"the stored model is of class {name!r}; this version knows {sorted(_CLASSES)}"
        )
    return cls


def is_storable(model: Any) -> bool:
    """Return whether the model's class is in the registry."""
    name = type(model).__name__
    return type(model) in (_CLASSES.get(name), scaler_class(name))


def state_of(model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what was fitted of a model in the registry: values for JSON, and arrays.

    Raises
    ------
    InvalidInputError
        If nothing was.
    """
    try:
        if scaler_class(type(model).__name__):
            return scaler_state(model)
        state: tuple[dict[str, Any], dict[str, Any]] = model.fitted_state()
    except AttributeError as error:
        raise InvalidInputError(
            f"{type(model).__name__} is not fitted; call fit before save"
        ) from error
    return state


def restore(model: Any, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Give a new model what `state_of` gave."""
    if scaler_class(type(model).__name__):
        restore_scaler(model, meta, arrays)
    else:
        model.restore_state(meta, arrays)


def encode(value: Any, where: str) -> Any:
    """Return a parameter as what JSON can hold; a function leaves only its name.

    Raises
    ------
    UnsupportedError
        For objects of other kinds, naming the parameter.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return encode(value.item(), where)
    if isinstance(value, os.PathLike):
        return encode(os.fspath(value), where)
    if isinstance(value, list):
        return [encode(item, where) for item in value]
    return _tagged(value, where)


def _tagged(value: Any, where: str) -> dict[str, Any]:
    if isinstance(value, np.ndarray):
        return {"__array__": encode(value.tolist(), where), "dtype": str(value.dtype)}
    if isinstance(value, tuple):
        return {"__tuple__": [encode(item, where) for item in value]}
    if isinstance(value, dict):
        return {"__dict__": {str(k): encode(v, where) for k, v in value.items()}}
    if is_storable(value):
        return {"__object__": type(value).__name__, "params": _encoded_params(value, where)}
    if callable(value):
        # The fitted `kernel_.function` is the same function as the parameter `kernel`.
        parameter = where.partition(".")[0].rstrip("_")
        name = getattr(value, "__name__", type(value).__name__)
        return {"__callable__": name, "parameter": parameter}
    raise UnsupportedError(
        f"{where} is a {type(value).__name__}, which cannot be stored; "
        "use a number, a string or an array"
    )


def _encoded_params(value: Any, where: str) -> dict[str, Any]:
    return {k: encode(v, f"{where}.{k}") for k, v in value.get_params(deep=False).items()}


def decode(value: Any, function: Any) -> Any:
    """Return the parameter behind what `encode` gave.

    `function` stands for a stored callable; where there are several, it is a dict of them by the
    name of the parameter.
    """
    if isinstance(value, list):
        return [decode(item, function) for item in value]
    return _untagged(value, function) if isinstance(value, dict) else value


def _untagged(value: dict[str, Any], function: Any) -> Any:
    if "__array__" in value:
        return np.array(value["__array__"], dtype=value["dtype"])
    if "__tuple__" in value:
        return tuple(decode(value["__tuple__"], function))
    if "__dict__" in value:
        return {k: decode(v, function) for k, v in value["__dict__"].items()}
    if "__callable__" in value:
        return _function(value["__callable__"], value["parameter"], function)
    if "__object__" in value:
        params = {k: decode(v, function) for k, v in value["params"].items()}
        return class_named(value["__object__"])(**params)
    raise ModelFormatError(f"model.json has a value of unknown kind: {sorted(value)[:3]}")


def _function(name: str, parameter: str, given: Any) -> Any:
    if isinstance(given, Mapping):
        given = given.get(parameter)
    if given is None:
        raise ModelFormatError(
            f"the model has the function {name!r} as its {parameter}, which is not stored; "
            "pass it: load(path, kernel=function)"
        )
    if not callable(given):
        raise InvalidInputError(f"kernel={given!r} is not a function; pass that of the {parameter}")
    return given


def functions_in(value: Any) -> Iterator[str]:
    """Yield the parameters that were functions, of what `encode` gave."""
    if isinstance(value, dict):
        if "__callable__" in value:
            yield str(value.get("parameter"))
        for item in value.values():
            yield from functions_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from functions_in(item)


def model_bytes(model: Any, *, explain: bool = True) -> int:
    """Return the bytes of the arrays of a fitted model, as they would be stored.

    Parameters
    ----------
    model : fitted estimator or pipeline
    explain : bool, default True
        Whether to count what it keeps only to explain its predictions.

    Examples
    --------
    >>> from scalekern import LinearRegressor
    >>> model = LinearRegressor().fit([[0.0], [1.0]], [0.0, 1.0])
    >>> model_bytes(model, explain=False), model_bytes(model)
    (16, 96)
    """
    states = [state_of(step)[1] for step in steps_of(model) if is_storable(step)]
    return sum(
        array_bytes(value)
        for arrays in states
        for name, value in arrays.items()
        if explain or not name.startswith("explain_")
    )


def steps_of(model: Any) -> list[Any]:
    """Return the steps of a pipeline, without their names; of another model itself."""
    return [step for _, step in model.steps] if hasattr(model, "steps") else [model]


def array_bytes(value: Any) -> int:
    """Return the bytes of an array, of a sparse matrix, or of a list of texts."""
    if isinstance(value, list):
        return sum(len(str(item)) for item in value)
    if hasattr(value, "indptr"):
        return int(value.data.nbytes + value.indices.nbytes + value.indptr.nbytes)
    return int(np.asarray(value).nbytes)
