"""A model as a directory: `model.json`, arrays as `.npy`, a FAISS index as it is.

Loading runs no code. A checksum is not a signature: it finds accidents, and whoever can write the
directory can change the model. Load only models that you trust, and remember that a similarity
model contains training rows.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, ModelFormatError, UnsupportedError
from scalekern.storage.arrays import read_array, write_array
from scalekern.storage.registry import class_named, decode, encode, is_storable

FORMAT = 1
MOST_JSON_BYTES = 64 << 20


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted model as a directory.

    It is written beside its place and then renamed, so that a failure leaves nothing half written.

    Parameters
    ----------
    model : estimator
        One of this package, or a scikit-learn pipeline of a `RowPreparer` and one.
    path : path
        A new directory, or one that holds a stored model, which is replaced.

    Raises
    ------
    UnsupportedError
        If the model or a step of it is of another kind.
    InvalidInputError
        If the path cannot be written, or is there and is not a stored model.

    Examples
    --------
    >>> import tempfile, scalekern
    >>> model = scalekern.LinearRegressor().fit([[0.0], [1.0]], [0.0, 2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scalekern.save(model, folder + "/line")
    ...     scalekern.load(folder + "/line").predict([[2.0]]).round(6).tolist()
    [4.0]
    """
    target = check_target(path)
    steps = _steps(model)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise InvalidInputError(f"{target} cannot be written: {error}") from error
    try:
        _write(work, steps)
        _replace(work, target)
    except OSError as error:
        raise InvalidInputError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path, or raise where something else than a stored model is there."""
    target = Path(path)
    if target.exists() and not (target / "model.json").is_file():
        raise InvalidInputError(
            f"{target} is there and is not a stored model; choose another path or remove it"
        )
    nearest = next(p for p in (target.absolute(), *target.absolute().parents) if p.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InvalidInputError(f"{target} cannot be written: {nearest} is not a writable folder")
    return target


def _steps(model: Any) -> list[tuple[str, Any]]:
    steps = list(model.steps) if hasattr(model, "steps") else [("model", model)]
    for name, step in steps:
        if not is_storable(step):
            raise UnsupportedError(
                f"the step {name!r} is a {type(step).__name__}, which cannot be stored; a pipeline "
                "may hold a RowPreparer and one estimator of scalekern"
            )
        if not (hasattr(step, "n_features_in_") or hasattr(step, "report_")):
            raise InvalidInputError(f"{type(step).__name__} is not fitted; call fit before save")
    return steps


def _write(folder: Path, steps: list[tuple[str, Any]]) -> None:
    document: dict[str, Any] = {"format": FORMAT, "versions": _versions(), "steps": []}
    for number, (name, step) in enumerate(steps):
        meta, arrays = step.fitted_state()
        columns = getattr(step, "feature_names_in_", None)
        document["steps"].append(
            {
                "name": name,
                "class": type(step).__name__,
                "params": {
                    key: encode(value, key) for key, value in step.get_params(deep=False).items()
                },
                "n_features_in": getattr(step, "n_features_in_", None),
                "feature_names_in": None if columns is None else [str(c) for c in columns],
                "fitted": {key: encode(value, key) for key, value in meta.items()},
                "arrays": {
                    key: write_array(folder, f"{number}-{key}", value)
                    for key, value in arrays.items()
                },
            }
        )
    text = json.dumps(document, indent=1, allow_nan=True)
    (folder / "model.json").write_text(text, encoding="utf-8")


def _replace(work: Path, target: Path) -> None:
    work.chmod(0o755)
    if not target.exists():
        work.rename(target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent))
    target.rename(old / "model")
    work.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def load(path: str | os.PathLike[str], kernel: Any = None) -> Any:
    """Read a fitted model from its directory; arrays are memory-mapped.

    Parameters
    ----------
    path : path
    kernel : callable, optional
        The function of a model whose kernel or metric is one; functions are not stored.

    Returns
    -------
    estimator or pipeline

    Raises
    ------
    ModelFormatError
        If the directory is not a stored model, or is truncated, altered or of another version.

    Examples
    --------
    See `save`.
    """
    folder = Path(path)
    document = _read_document(folder)
    steps = [(str(step.get("name")), _read_step(folder, step, kernel)) for step in _list(document)]
    if len(steps) == 1:
        return steps[0][1]
    from sklearn.pipeline import Pipeline

    return Pipeline(steps)


def _read_document(folder: Path) -> dict[str, Any]:
    file = folder / "model.json"
    if not file.is_file():
        raise ModelFormatError(f"{folder} is not a stored model: it has no model.json")
    if file.stat().st_size > MOST_JSON_BYTES:
        raise ModelFormatError(f"{file} is larger than {MOST_JSON_BYTES} bytes; it is not ours")
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFormatError(f"{file} is not whole ({error}); save the model again") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        version = document.get("format") if isinstance(document, dict) else None
        raise ModelFormatError(
            f"{file} has format {version!r}; this version of scalekern reads format {FORMAT}"
        )
    return document


def _list(document: dict[str, Any]) -> list[dict[str, Any]]:
    steps = document.get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(s, dict) for s in steps):
        raise ModelFormatError("model.json has no list of steps; the file is altered")
    return steps


def _read_step(folder: Path, step: dict[str, Any], kernel: Any) -> Any:
    cls = class_named(step.get("class"))
    try:
        params = {k: decode(v, kernel) for k, v in step["params"].items()}
        meta = {k: decode(v, kernel) for k, v in step["fitted"].items()}
        arrays = {k: read_array(folder, v, k) for k, v in step["arrays"].items()}
        model = cls(**params)
        if step["n_features_in"] is not None:
            model.n_features_in_ = step["n_features_in"]
        if step["feature_names_in"] is not None:
            model.feature_names_in_ = np.array(step["feature_names_in"], dtype=object)
        model.restore_state(meta, arrays)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelFormatError(
            f"{folder / 'model.json'} does not describe a {cls.__name__} ({error!r}); "
            "the file is altered or from another version"
        ) from error
    return model


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("scalekern", "numpy", "scikit-learn", "faiss-cpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
