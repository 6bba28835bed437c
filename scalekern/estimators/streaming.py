"""Predictions of rows beyond memory: through a pipeline, block by block, into one Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows import Block, RowSource
from scalekern.rows.stream import ColumnStream


def predict_blocks(
    model: Any, source: RowSource, sink: Callable[[Block, np.ndarray], None]
) -> None:
    """Give `sink` each block and its predictions, in order; `model` may be a pipeline."""
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    for step in steps[:-1]:
        source = step.transform(source)
    steps[-1].predict_blocks(source, sink)


def predict_to_parquet(
    model: Any, source: RowSource, output: Path, data: Any, keep: Sequence[str] = ()
) -> None:
    """Write the predictions for `source`, with the columns `keep` of `data` before them.

    The file appears under its name when it is whole.

    Parameters
    ----------
    model : fitted regressor, or pipeline of a RowPreparer and one
    source : RowSource
        The rows of `data`.
    output : Path
    data : path
        Where the kept columns are read from.
    keep : sequence of str
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    clash = [name for name in keep if name.startswith("prediction")]
    if clash:
        raise InvalidInputError(f"the kept column {clash[0]!r} would clash with the predictions")
    kept = ColumnStream(data, keep) if keep else None
    part = output.with_name(f".{output.name}.part")
    writer: Any = None

    def sink(block: Block, predictions: np.ndarray) -> None:
        nonlocal writer
        columns = {} if kept is None else kept.take(len(block))
        single = predictions.shape[1] == 1
        for j in range(predictions.shape[1]):
            name = "prediction" if single else f"prediction_{j}"
            columns[name] = pa.array(np.ascontiguousarray(predictions[:, j]))
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(part, table.schema)
        writer.write_table(table)

    try:
        predict_blocks(model, source, sink)
        if writer is not None:
            writer.close()
        part.replace(output)
    except OSError as error:
        raise InvalidInputError(f"{output} cannot be written: {error}") from error
    finally:
        if writer is not None:
            writer.close()
        part.unlink(missing_ok=True)
