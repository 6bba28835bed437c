"""Predictions of rows beyond memory: through a pipeline, block by block, into one file."""

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
from scalekern.estimators.neighbors import KNeighborsClassifier
from scalekern.features import RowPreparer
from scalekern.paths import RemotePath, whole_file
from scalekern.rows import Block, RowSource
from scalekern.rows.conversion import arrow_of
from scalekern.rows.files import find_files
from scalekern.rows.stream import ColumnStream
from scalekern.rows.validate import predict_source
from scalekern.storage.registry import steps_of

Sink = Callable[[Block, np.ndarray], None]


def predict_blocks(model: Any, source: RowSource, sink: Sink) -> None:
    """Give `sink` each block and its predictions, in order; `model` may be a pipeline."""
    last, source = last_step(model, source)
    last.predict_blocks(source, sink)


def last_step(model: Any, source: RowSource) -> tuple[Any, RowSource]:
    """Return the estimator at the end of a pipeline, and the rows as the steps before make them."""
    steps = steps_of(model)
    if not isinstance(steps[-1], (RowPredictor, WeighedNeighbors, SimilarityClassifier)):
        raise InvalidInputError(
            f"the model ends in a {type(steps[-1]).__name__}, which does not predict; "
            "end it in an estimator of scalekern"
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


def predict_to_file(
    model: Any,
    source: RowSource,
    output: Path | RemotePath,
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
    output : Path or RemotePath
        CSV where it ends in ".csv", else Parquet.
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
    _check_output(output, data)
    check_kept_names(keep, interval=coverage is not None)
    kept = ColumnStream(data, keep) if keep else None
    last, source = last_step(model, source)
    half = None if coverage is None else half_width(last, coverage)
    try:
        with whole_file(output) as part:
            write_predictions(last, source, part, kept, half, csv=output.suffix == ".csv")
    except OSError as error:
        raise InvalidInputError(f"{output} cannot be written: {error}") from error


def write_predictions(
    last: Any,
    source: RowSource,
    file: Path,
    kept: ColumnStream | None,
    half: np.ndarray | None,
    metadata: dict[str, str] | None = None,
    *,
    csv: bool = False,
) -> int:
    """Write a file of predictions, and return the number of rows in it.

    Parameters
    ----------
    last : fitted estimator
    source : RowSource
        The rows as the estimator takes them.
    file : Path
    kept : ColumnStream or None
        The columns to put before the predictions.
    half : array of shape (n_outputs,) or None
        Half the width of intervals, where they are wanted.
    metadata : dict of str, optional
        For the footer of the file.
    csv : bool, default=False
        Whether it is CSV, with the names of the columns above, and not Parquet.
    """
    from pyarrow.csv import CSVWriter
    from pyarrow.parquet import ParquetWriter

    new_writer = CSVWriter if csv else ParquetWriter
    writer: Any = None
    written = 0

    def sink(block: Block, predictions: np.ndarray) -> None:
        nonlocal writer, written
        columns = {} if kept is None else kept.take(len(block))
        table = predicted_table(columns, predictions, half)
        if writer is None:
            writer = new_writer(file, table.schema.with_metadata(metadata))
        writer.write_table(table.replace_schema_metadata(metadata))
        written += table.num_rows

    try:
        last.predict_blocks(source, sink)
    finally:
        if writer is not None:
            writer.close()
    return written


def predicted_table(columns: dict[str, Any], predictions: Any, half: np.ndarray | None) -> Any:
    """Return the kept columns, the predictions of each output, and its interval, as a table."""
    import pyarrow as pa

    columns = dict(columns)
    single = predictions.shape[1] == 1
    for j in range(predictions.shape[1]):
        end = "" if single else f"_{j}"
        values = predictions[:, j]
        columns[f"prediction{end}"] = arrow_of(values)
        if half is not None:
            columns[f"lower{end}"] = arrow_of(values - half[j])
            columns[f"upper{end}"] = arrow_of(values + half[j])
    return pa.table(columns)


def no_predictions(last: Any) -> np.ndarray:
    """Return the predictions for no rows."""
    if isinstance(last, (SimilarityClassifier, KNeighborsClassifier)):
        columns = last.classes_ if isinstance(last.classes_, list) else [last.classes_]
        return np.empty((0, len(columns)), dtype=np.result_type(*columns))
    width = last.y_.shape[1] if isinstance(last, WeighedNeighbors) else last.n_outputs_
    return np.empty((0, width))


def half_width(last: Any, coverage: float) -> np.ndarray:
    """Return half the width of the intervals of an estimator, or raise where it has none."""
    if not isinstance(last, SplitConformal):
        raise InvalidInputError(
            f"a {type(last).__name__} has no prediction intervals; leave coverage out (--coverage)"
        )
    return last.interval_half_width(coverage)


def check_kept_names(keep: Sequence[str], *, interval: bool) -> None:
    """Raise where a kept column has the name of a prediction."""
    own = "prediction|lower|upper" if interval else "prediction"
    for name in keep:
        if re.fullmatch(rf"({own})(_\d+)?", name):
            raise InvalidInputError(
                f"the column to keep {name!r} has the name of a column of predictions; leave it "
                "out (--keep)"
            )


def _check_output(output: Path | RemotePath, data: Any) -> None:
    files = find_files(data)
    same = output in files
    if isinstance(output, Path) and output.exists():
        same = any(isinstance(file, Path) and file.samefile(output) for file in files)
    if same:
        raise InvalidInputError(
            f"the output {output} is one of the files of the data; choose another"
        )
