"""Predictions of rows beyond memory: through a pipeline, block by block, into one Parquet file."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.estimators.base import RowPredictor
from scalekern.estimators.classifier import SimilarityClassifier
from scalekern.estimators.intervals import SplitConformal
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.features import RowPreparer
from scalekern.rows import Block, RowSource
from scalekern.rows.files import find_files
from scalekern.rows.stream import ColumnStream
from scalekern.rows.validate import predict_source

Sink = Callable[[Block, np.ndarray], None]


def predict_blocks(model: Any, source: RowSource, sink: Sink) -> None:
    """Give `sink` each block and its predictions, in order; `model` may be a pipeline."""
    last, source = last_step(model, source)
    last.predict_blocks(source, sink)


def last_step(model: Any, source: RowSource) -> tuple[Any, RowSource]:
    """Return the estimator at the end of a pipeline, and the rows as the steps before make them."""
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    if not isinstance(steps[-1], (RowPredictor, WeighedNeighbors, SimilarityClassifier)):
        raise InvalidInputError(
            f"the model is a {type(steps[-1]).__name__}, which does not predict; "
            "put an estimator of scalekern at its end"
        )
    for step in steps[:-1]:
        source = _transformed(step, source)
    return steps[-1], source


def _transformed(step: Any, source: RowSource) -> RowSource:
    if isinstance(step, RowPreparer):
        return step.transform(source)
    source = predict_source(step, source)
    # Columns are matched by now, and blocks are arrays, which scikit-learn would warn of.
    nameless = copy(step)
    nameless.__dict__.pop("feature_names_in_", None)
    return source.map(nameless.transform, source.n_features)


def predict_to_parquet(
    model: Any,
    source: RowSource,
    output: Path,
    data: Any,
    keep: Sequence[str] = (),
    coverage: float | None = None,
) -> None:
    """Write the predictions for `source`, with the columns `keep` of `data` before them.

    The file appears under its name when it is whole.

    Parameters
    ----------
    model : fitted estimator, or pipeline of a RowPreparer and one
    source : RowSource
        The rows of `data`.
    output : Path
    data : path
        Where the kept columns are read from.
    keep : sequence of str
    coverage : float, optional
        Also write the columns lower and upper of `predict_interval`.

    Raises
    ------
    InvalidInputError
        If `output` is one of the files of `data` or cannot be written, or a kept column is not
        there or has the name of a prediction.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _check_names(output, data, keep, coverage is not None)
    kept = ColumnStream(data, keep) if keep else None
    half = None if coverage is None else _half_width(model, source, coverage)
    part = output.with_name(f".{output.name}.part")
    writer: Any = None

    def sink(block: Block, predictions: np.ndarray) -> None:
        nonlocal writer
        columns = {} if kept is None else kept.take(len(block))
        single = predictions.shape[1] == 1
        for j in range(predictions.shape[1]):
            end = "" if single else f"_{j}"
            values = np.ascontiguousarray(predictions[:, j])
            columns[f"prediction{end}"] = pa.array(values)
            if half is not None:
                columns[f"lower{end}"] = pa.array(values - half[j])
                columns[f"upper{end}"] = pa.array(values + half[j])
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(part, table.schema)
        writer.write_table(table)

    try:
        try:
            predict_blocks(model, source, sink)
        finally:
            if writer is not None:
                writer.close()
        part.replace(output)
    except OSError as error:
        raise InvalidInputError(f"{output} cannot be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)


def _half_width(model: Any, source: RowSource, coverage: float) -> np.ndarray:
    last, _ = last_step(model, source)
    if not isinstance(last, SplitConformal):
        raise InvalidInputError(f"{type(last).__name__} has no prediction intervals")
    return last.interval_half_width(coverage)


def _check_names(output: Path, data: Any, keep: Sequence[str], interval: bool) -> None:
    own = "prediction|lower|upper" if interval else "prediction"
    for name in keep:
        if re.fullmatch(rf"({own})(_\d+)?", name):
            raise InvalidInputError(f"the kept column {name!r} would clash with the predictions")
    if output.exists() and any(file.samefile(output) for file in find_files(data)):
        raise InvalidInputError(f"{output} is a file of the data; choose another output")
