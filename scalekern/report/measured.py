"""One model measured: fitted, asked, and its errors, seconds and bytes as a row of the table.

Apart from the comparison, which decides what is fitted on which rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.engine.progress import step
from scalekern.errors import ScalekernError
from scalekern.report.names import name_of
from scalekern.rows import ArraySource, RowSource
from scalekern.storage import model_bytes

FAILURES = (ScalekernError, MemoryError, ValueError, ArithmeticError)
"""What a model may fail with without stopping the others; anything else is a bug, and does."""


@dataclass
class Result:
    """One row of the table.

    Attributes
    ----------
    model : str
        With its size, as "nystroem-250", where several sizes were compared.
    rmse, mae, r2 : float or None
        On the test rows, in the units of the target; r2 is None where all test targets are equal.
        All are None for a model that could not be fitted; `note` then says why.
    fit_seconds, predict_seconds : float or None
        Wall time.
    model_bytes : int or None
        Of the arrays that it predicts with.
    gap_to_exact : float or None
        The RMS difference from the exact model's predictions over the standard deviation of the
        test targets; None where the exact model was not fitted on the same rows.
    n_train : int
    note : str
        Why a model was not fitted, or what "auto" chose.
    n_components : int or None
        Landmarks (at most the rows) or random features.
    """

    model: str
    rmse: float | None
    mae: float | None
    r2: float | None
    fit_seconds: float | None
    predict_seconds: float | None
    model_bytes: int | None
    gap_to_exact: float | None
    n_train: int
    note: str = ""
    n_components: int | None = None


def measure(
    name: str, model: Any, rows: RowSource, test: RowSource, y_test: np.ndarray
) -> tuple[Result, np.ndarray]:
    """Fit a model, let it predict the test rows, and return its row of the table and predictions.

    Raises
    ------
    One of FAILURES
        If the model cannot be fitted on these rows, or has no finite predictions.
    """
    start = time.perf_counter()
    with step(f"fitting {name_of(name)}"):
        model.fit(rows)
    middle = time.perf_counter()
    with step(f"testing {name_of(name)}"):
        predicted = np.ravel(model.predict(test))
    end = time.perf_counter()
    if not np.isfinite(predicted).all():
        raise ArithmeticError("its predictions are not finite")
    error = predicted - y_test
    with np.errstate(over="ignore"):
        if not np.isfinite(np.sum(error**2) + np.sum((y_test - y_test.mean()) ** 2)):
            raise ArithmeticError("squares of its errors or of the targets overflow")
    spread = float(np.sum((y_test - y_test.mean()) ** 2))
    result = Result(
        model=name,
        rmse=float(np.sqrt(np.mean(error**2))),
        mae=float(np.mean(np.abs(error))),
        r2=1.0 - float(np.sum(error**2)) / spread if spread > 0 else None,
        fit_seconds=middle - start,
        predict_seconds=end - middle,
        model_bytes=model_bytes(model, explain=False),
        gap_to_exact=None,
        n_train=rows.n_rows,
    )
    return result, predicted


def not_fitted(name: str, error: BaseException, n_train: int) -> Result:
    """Return the row of a model that failed, with the reason."""
    # The first clause is the reason; what follows is advice for a model fitted alone.
    reason = (str(error) or type(error).__name__).split(";")[0]
    nothing = (None,) * 7
    return Result(name, *nothing, n_train=n_train, note=f"not fitted: {reason}")


def draw_sample(train: RowSource, size: int, seed: int) -> RowSource:
    """Return a random sample of the rows, in memory."""
    from scalekern.engine import HashSample, engine_for

    sample = engine_for(train).reduce(train, lambda: HashSample(size, seed), "drawing a sample")
    y = sample.y[:, 0] if train.target_is_vector and sample.y is not None else sample.y
    name = f"a random sample of {train.name}"
    return ArraySource(sample.X, y, sample.weight, train.feature_names, name=name)


def gather_target(source: RowSource) -> np.ndarray:
    """Return the target of all rows, shape (n,)."""
    return np.concatenate([np.asarray(block.y) for block in source.blocks(65_536)])[:, 0]
