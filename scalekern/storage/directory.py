"""A model as a directory: `model.json`, arrays as `.npy`, a FAISS index as it is.

Loading runs no code. A checksum is not a signature: it finds accidents, and whoever can write the
directory can change the model. Load only models that you trust, and remember that a similarity
model contains training rows.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from scalekern.errors import (
    InvalidInputError,
    ModelFormatError,
    ScalekernError,
    UnsupportedError,
)
from scalekern.paths import RemotePath, is_url, place_of
from scalekern.storage.agreement import check_values
from scalekern.storage.arrays import read_array, write_array
from scalekern.storage.document import NAME, parse, read_document, write_document
from scalekern.storage.hosted import OURS, check_remote_target, local_model, upload
from scalekern.storage.registry import (
    class_named,
    decode,
    encode,
    functions_in,
    is_storable,
    restore,
    state_of,
)
from scalekern.storage.scalers import scaler_class

ARRAY_PARAMETERS = {"alpha", "landmarks", "metric", "categorical"}
_log = logging.getLogger(__name__)


def save(model: Any, path: str | os.PathLike[str]) -> None:
    """Save a fitted model as a directory, for `load`.

    JSON and plain arrays, no pickle. It is written under another name and then renamed, so that a
    failure leaves nothing half written. A stored model contains training rows.

    Parameters
    ----------
    model : estimator
        A fitted estimator of this package, or a scikit-learn pipeline of a `RowPreparer`,
        `StandardScaler` or `MinMaxScaler` and such an estimator.
    path : path or URL
        A new directory, or one that holds a stored model, which is replaced. In a store (s3://)
        `model.json` is removed first and written last: until then nothing loads from there.

    Raises
    ------
    UnsupportedError
        If the model or a step of the pipeline is of another kind.
    InvalidInputError
        If the path cannot be written, or already exists and is not a stored model; or if the model
        is not fitted.

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
    if isinstance(target, RemotePath):
        with TemporaryDirectory(prefix="scalekern-") as work_folder:
            save(model, Path(work_folder) / "model")
            upload(Path(work_folder) / "model", target)
        return
    steps = _steps(model)
    work = _beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir()
        described = [_write_step(work, i, name, step) for i, (name, step) in enumerate(steps)]
        write_document(work, described, pipeline=hasattr(model, "steps"))
        _replace(work, target)
    except OSError as error:
        raise InvalidInputError(f"{target} cannot be written: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(path: str | os.PathLike[str]) -> Path | RemotePath:
    """Return the path, or raise where something else than a stored model is there."""
    if is_url(path):
        return check_remote_target(path)
    target = Path(os.path.realpath(str(place_of(path))))
    if target.exists():
        _check_replaceable(target)
    nearest = next(folder for folder in target.absolute().parents if folder.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InvalidInputError(f"{target} cannot be written: {nearest} is not a writable folder")
    return target


def _check_replaceable(target: Path) -> None:
    """Raise where replacing `target` would lose anything but a stored model."""
    try:
        ours = {"format", "steps"} <= set(parse(target))
    except ModelFormatError:
        ours = False
    if not ours:
        raise InvalidInputError(
            f"{target} already exists and is not a stored model; choose another path, or remove it"
        )
    others = [file.name for file in target.iterdir() if file.name != NAME]
    others = sorted(name for name in others if not OURS.fullmatch(name))
    if others:
        raise InvalidInputError(
            f"{target} also holds {others[0]!r}, which is not part of the model and would be lost; "
            "move it away, or choose another path"
        )


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}-{secrets.token_hex(4)}")


def _steps(model: Any) -> list[tuple[str, Any]]:
    steps = list(model.steps) if hasattr(model, "steps") else [("model", model)]
    for name, step in steps:
        if not is_storable(step):
            raise UnsupportedError(
                f"the step {name!r} is a {type(step).__name__}, which cannot be stored; a pipeline "
                "may hold a RowPreparer, StandardScaler or MinMaxScaler and one estimator of "
                "scalekern"
            )
    return steps


def _write_step(folder: Path, number: int, name: str, step: Any) -> dict[str, Any]:
    meta, arrays = state_of(step)
    columns = getattr(step, "feature_names_in_", None)
    params = step.get_params(deep=False)
    return {
        "name": name,
        "class": type(step).__name__,
        "params": {key: encode(value, key) for key, value in params.items()},
        "n_features_in": getattr(step, "n_features_in_", None),
        "feature_names_in": None if columns is None else [str(column) for column in columns],
        "fitted": {key: encode(value, key) for key, value in meta.items()},
        "arrays": {
            key: write_array(folder, f"{number}-{key}", value) for key, value in arrays.items()
        },
    }


def _replace(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
        return
    old = _beside(target)
    target.rename(old)
    try:
        work.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def load(path: str | os.PathLike[str], kernel: Any = None) -> Any:
    """Load a model that `save` or `scalekern fit` stored; its arrays are memory-mapped.

    Checksums are verified before anything is used. They show damage, not intent: load only models
    that you trust.

    Parameters
    ----------
    path : path or URL
        The directory of the model. From a store (s3://) the files are fetched once for each host.
    kernel : callable, or dict of them, optional
        The function of a model whose kernel or metric is one, since functions are not stored. For a
        model with several, a dict from the names of the parameters to the functions.

    Returns
    -------
    estimator or pipeline

    Raises
    ------
    ModelFormatError
        If the directory is not a stored model, is truncated or altered or of another version, or
        needs a function that was not given.

    Examples
    --------
    A similarity function of your own is not stored, so it is given again:

    >>> import tempfile, scalekern
    >>> def near(a, b):
    ...     return 1 / (1 + abs(len(a) - len(b)))
    >>> model = scalekern.SimilarityRegressor(near, alpha=1e-9)
    >>> model = model.fit(["a", "bbbb"], [1.0, 4.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scalekern.save(model, folder + "/near")
    ...     scalekern.load(folder + "/near", kernel=near).predict(["cccc"]).round(6).tolist()
    [4.0]
    """
    folder = local_model(path)
    document = read_document(folder)
    _check_functions(sorted(set(functions_in(document["steps"]))), kernel)
    _compare_versions(document)
    steps = [
        (str(step.get("name")), _read_step(folder, step, kernel)) for step in document["steps"]
    ]
    if document.get("pipeline") not in (True, False):
        raise ModelFormatError(f"{folder / NAME} does not say whether it is a pipeline")
    if not document["pipeline"]:
        return steps[0][1]
    from sklearn.pipeline import Pipeline

    return Pipeline(steps)


def _check_functions(wanted: list[str], given: Any) -> None:
    """Raise where a model has several functions and one was given, or none."""
    named = set(given) if isinstance(given, Mapping) else set()
    if len(wanted) > 1 and not named >= set(wanted):
        words = ", ".join(f"{name!r}: function" for name in wanted)
        raise ModelFormatError(
            f"the model has several functions, which are not stored; "
            f"pass them: load(path, kernel={{{words}}})"
        )


def _read_step(folder: Path, step: dict[str, Any], kernel: Any) -> Any:
    cls = class_named(step.get("class"))
    try:
        params = {k: decode(v, kernel) for k, v in step["params"].items()}
        meta = {k: decode(v, kernel) for k, v in step["fitted"].items()}
        arrays = {k: read_array(folder, v, k) for k, v in step["arrays"].items()}
        _check_parameters(params)
        model = cls(**params)
        _restore_columns(model, step)
        restore(model, meta, arrays)
    except ScalekernError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ModelFormatError(
            f"{folder / 'model.json'} does not describe a {cls.__name__} ({error!r}); "
            "the file is altered or from another version"
        ) from error
    return model


def _check_parameters(params: dict[str, Any]) -> None:
    """Raise for an array where a model takes none, which no comparison with a word can tell."""
    for name, value in params.items():
        if isinstance(value, np.ndarray) and name not in ARRAY_PARAMETERS:
            raise TypeError(f"{name} is an array")


def _restore_columns(model: Any, step: dict[str, Any]) -> None:
    """Give a model the number and the names of the columns of its rows, where it has some."""
    n, names = step["n_features_in"], step["feature_names_in"]
    if n is not None:
        check_values(step, {"n_features_in": int})
        model.n_features_in_ = n
    if names is not None:
        check_values(step, {"feature_names_in": list})
        model.feature_names_in_ = np.array(names, dtype=object)
        if not all(isinstance(name, str) for name in names) or n not in (None, len(names)):
            raise ValueError(f"feature_names_in={names!r} of {n} columns")


def _compare_versions(document: dict[str, Any]) -> None:
    import sklearn

    versions = document.get("versions")
    stored = str(versions.get("scikit-learn", "")) if isinstance(versions, dict) else ""
    scalers = [step.get("class") for step in document["steps"] if scaler_class(step.get("class"))]
    if scalers and stored.partition(".")[0] != sklearn.__version__.partition(".")[0]:
        _log.warning(
            "a %s of scikit-learn %s is loaded into %s", scalers[0], stored, sklearn.__version__
        )
