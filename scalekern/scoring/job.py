"""What a worker does with one part, and what it needs to know: small, for it is sent with each.

The result is one object that tells by itself what it is: its Parquet footer has the checksum of the
model, the fingerprint of the input, the options and the number of rows. It appears whole or not at
all, so nothing else must be written at the same moment, and no rename is needed.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError, ScalekernError
from scalekern.estimators.streaming import (
    half_width,
    last_step,
    no_predictions,
    predicted_table,
    write_predictions,
)
from scalekern.features import RowPreparer
from scalekern.paths import Folder, is_url, whole_file
from scalekern.rows.files import rows
from scalekern.rows.parquet_files import open_parquet
from scalekern.rows.stream import ColumnStream
from scalekern.scoring.columns import check_columns
from scalekern.scoring.parts import Part
from scalekern.storage import load
from scalekern.storage.hosted import copy_of, local_model, model_seal
from scalekern.storage.registry import steps_of

FOOTER = "scalekern"
DONE, FAILED, NO_MODEL = "done", "failed", "no model"


@dataclass(frozen=True)
class Model:
    """A stored model, wherever it is.

    Attributes
    ----------
    path : str
        Path or URL.
    seal : str
        The checksum of its content.
    """

    path: str
    seal: str

    def folder(self) -> Path | None:
        """Return where this host has it: in place, or as a copy; None where it has not."""
        found = copy_of(self.seal) if is_url(self.path) else None
        if found is not None:
            return found
        try:
            found = local_model(self.path)
            if model_seal(found) == self.seal:
                return found
        except (ScalekernError, OSError):
            pass  # this host cannot read the path, or another model is there
        return copy_of(self.seal)


@dataclass(frozen=True)
class Job:
    """What all parts of a job share.

    Attributes
    ----------
    model : Model
    output : Folder
    keep : tuple of str
        Columns before the predictions, the key first.
    key : str or None
        The one of them that may have no missing values.
    coverage : float or None
    columns : str
        How far columns may differ between parts.
    expected : dict of str
        The columns of the first part.
    options : str
        A digest of what changes the output.
    """

    model: Model
    output: Folder
    keep: tuple[str, ...]
    key: str | None
    coverage: float | None
    columns: str
    expected: dict[str, str]
    options: str


@dataclass(frozen=True)
class Outcome:
    """What became of a part.

    Attributes
    ----------
    state : "done", "failed" or "no model"
    rows, bytes : int
    seconds : float
    worker : str
        Who did it.
    error : str
    fingerprint : str
    """

    state: str
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    worker: str = ""
    error: str = ""
    fingerprint: str = ""


def score_part(job: Job, part: Part) -> Outcome:
    """Write the predictions of one part, and say what became of it; nothing is raised."""
    start, worker = time.perf_counter(), _worker()
    try:
        folder = job.model.folder()
        if folder is None:
            return Outcome(NO_MODEL, worker=worker)
        fingerprint = part.fingerprint()
        n_rows, size = _score(job, part, loaded(str(folder), job.model.seal), fingerprint)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
        known = isinstance(error, (ScalekernError, OSError))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - start
        return Outcome(FAILED, seconds=seconds, worker=worker, error=" ".join(text.split()))
    return Outcome(DONE, n_rows, size, time.perf_counter() - start, worker, "", fingerprint)


@lru_cache(maxsize=2)
def loaded(folder: str, _seal: str) -> Any:
    """Return the model of a folder, loaded and checked once in a process."""
    return load(folder)


def features_of(model: Any) -> tuple[list[str] | None, bool]:
    """Return the names of the columns that a model reads, and whether they may be of any type."""
    first = steps_of(model)[0]
    names = getattr(first, "feature_names_in_", None)
    return None if names is None else [str(n) for n in names], isinstance(first, RowPreparer)


def footer(job: Job, fingerprint: str, n_rows: int) -> dict[str, str]:
    """Return what is written into the footer of a part."""
    own = {"model": job.model.seal, "options": job.options}
    return {FOOTER: json.dumps(own | {"fingerprint": fingerprint, "rows": n_rows})}


def _score(job: Job, part: Part, model: Any, fingerprint: str) -> tuple[int, int]:
    names, raw = features_of(model)
    with open_parquet(part.view) as parquet:
        n_rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    check_columns(schema, job.expected, [*(names or ()), *job.keep], job.columns, str(part.view))
    kept = ColumnStream(part.view, job.keep) if job.keep else None
    if kept is not None and job.key is not None:
        kept.refuse_missing(job.key)
    text = footer(job, fingerprint, n_rows)
    with whole_file(job.output.at(part.name)) as file:
        if n_rows:
            last, source = last_step(model, rows(part.view, features=names, raw=raw))
            half = None if job.coverage is None else half_width(last, job.coverage)
            written = write_predictions(last, source, file, kept, half, text)
        else:
            written = _write_none(job, model, file, kept, text)
        if written != n_rows:
            raise InvalidInputError(
                f"{part.view} has {n_rows} rows, but {written} predictions were made; repeat with "
                "--resume"
            )
        if part.fingerprint() != fingerprint:
            raise InvalidInputError(f"{part.view} changed while it was read; repeat with --resume")
        size = file.stat().st_size
    return written, size


def _write_none(
    job: Job, model: Any, file: Path, kept: ColumnStream | None, text: dict[str, str]
) -> int:
    import pyarrow.parquet as pq

    last = steps_of(model)[-1]
    half = None if job.coverage is None else half_width(last, job.coverage)
    columns = {} if kept is None else kept.take(0)
    table = predicted_table(columns, no_predictions(last), half)
    pq.write_table(table.replace_schema_metadata(text), file)
    return 0


def _worker() -> str:
    """Return the address of the Dask worker that this is, or "here"."""
    distributed = sys.modules.get("distributed")
    try:
        return "here" if distributed is None else str(distributed.get_worker().address)
    except ValueError:
        return "here"
