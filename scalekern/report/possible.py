"""Which models `compare` can fit on which rows: vectors, texts, or other objects.

It is apart from `compare` so that what is left out by default and what is refused when asked for
come from one table.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators import SimilarityRegressor
from scalekern.kernels import Kernel, Precomputed, as_kernel
from scalekern.rows import RowSource
from scalekern.rows.containers import is_frame
from scalekern.rows.dask_pieces import is_dask_frame
from scalekern.rows.validate import fit_source, objects_error
from scalekern.solvers.local import is_local


def rows_for(reader: SimilarityRegressor, X: Any, y: Any, missing: str) -> RowSource:
    """Return the rows as the similarity models read them; of arrays missing values only if so said.

    Raises
    ------
    InvalidInputError
        For objects, where the kernel takes vectors.
    UnsupportedError
        For a precomputed kernel, whose rows belong to one split of the data.
    """
    kernel = as_kernel(reader.kernel)
    if isinstance(kernel, Precomputed):
        raise UnsupportedError(
            "compare cannot use kernel='precomputed', because it splits and scales rows, and "
            "there are only similarities; pass the similarity as a function f(x, z), or fit "
            "SimilarityRegressor('precomputed')"
        )
    takes_objects = not kernel.takes_vectors
    if not takes_objects and isinstance(X, (list, tuple)) and X and isinstance(X[0], str):
        raise objects_error(reader, "X")
    # What is wrong in a table is said when its columns are looked at, by their names.
    table = isinstance(X, RowSource) or is_frame(X) or is_dask_frame(X)
    raw = not takes_objects and (table or missing != "error")
    return fit_source(reader, X, y, objects=takes_objects, raw=raw)


def impossible_models(train: RowSource, kernel: Kernel) -> dict[str, str]:
    """Return the models that these rows and this kernel cannot have, with the reasons."""
    reasons = {}
    if not kernel.stationary:
        reasons["fourier"] = f"{kernel!r} is not a stationary kernel of rows of numbers"
    if not is_local(kernel):
        reasons["local"] = f"{kernel!r} does not depend on the distance between two rows alone"
    if not train.n_features:
        for name in ("linear", "auto"):
            reasons[name] = "it needs columns of numbers, and the rows are objects"
        first = next(train.blocks(1)).X[0]
        if not isinstance(first, str):
            kind = type(first).__name__
            reasons["knn"] = f"it compares numbers or texts, and the rows are {kind} objects"
    return reasons


def refuse(asked: list[str], impossible: dict[str, str], possible: list[str]) -> None:
    """Raise for the first model asked for that cannot be had."""
    for name in asked:
        if name in impossible:
            raise UnsupportedError(
                f"models has {name!r}, which cannot be fitted here: {impossible[name]}; "
                f"choose from {', '.join(map(repr, possible))}"
            )


def refuse_classes(y: Any) -> None:
    """Raise for labels: compare measures errors of numbers."""
    if y is None or isinstance(y, RowSource):
        return
    labels = np.ravel(np.asarray(y))
    if labels.dtype.kind not in "USO":
        return
    try:
        labels.astype(float)
    except ValueError:
        raise UnsupportedError(
            f"y holds texts such as {str(labels[0])!r}, but compare measures errors of numbers; "
            "for classes, fit SimilarityClassifier and KNeighborsClassifier, and compare them with "
            "sklearn.metrics (accuracy_score, log_loss)"
        ) from None
    except TypeError:
        return  # the check of the rows has a better message for what is no number at all


def check_scaler(scaler: Any) -> None:
    """Raise for a scaling that was asked for where there are no columns; the default is skipped."""
    if scaler not in ("standard", "none"):
        raise InvalidInputError(
            f"scaler={scaler!r} needs columns of numbers, and the rows are objects; leave it out"
        )
