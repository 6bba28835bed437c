"""`predict_files`: from a stored model and a path to a folder of predictions."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from scalekern._config import get_config
from scalekern.errors import InvalidInputError
from scalekern.estimators.streaming import check_kept_names, half_width
from scalekern.paths import Folder, is_url, open_folder, place_of
from scalekern.rows.parquet_files import open_parquet
from scalekern.scoring.columns import STRICT, USED, described
from scalekern.scoring.job import Job, Model, features_of, loaded
from scalekern.scoring.lock import locked
from scalekern.scoring.manifest import NAME, finished, leftovers, read_manifest, strangers
from scalekern.scoring.parts import Part, parts_of, with_columns_of_paths
from scalekern.scoring.run import Run
from scalekern.scoring.summary import Scoring
from scalekern.storage.hosted import model_seal
from scalekern.storage.registry import steps_of

MOST_FAILURES = 20
"""Of parts, before a run stops: it is most likely wrong by then."""


def predict_files(
    model: str | os.PathLike[str],
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    resume: bool = False,
    key: str | None = None,
    keep: Sequence[str] = (),
    coverage: float | None = None,
    rename: Mapping[str, str] | None = None,
    cast: Mapping[str, str] | None = None,
    columns: str = STRICT,
    by_row_group: bool = False,
    max_failures: int = MOST_FAILURES,
    break_lock: bool = False,
    n_jobs: int | None = None,
) -> Scoring:
    """Predict for every row of many Parquet files, part by part, so that it can be resumed.

    Threads of this process do the parts; under ``config_context(engine="dask")`` the workers of the
    Dask client in force do, which read and write for themselves. Every path may be a URL of fsspec.
    Each output part has the path of its input below the folder or glob (so the partitions
    "year=2001" too), the kept columns, and "prediction" (or "prediction_0", ...), a row for a row.

    A part appears whole or not at all, and its footer says of what model and input it is. The file
    `_scalekern/manifest.json` in the output says whether all are there, and has the checksum of the
    model, the columns, and each part's input, its fingerprint, and the rows in and out. A log of
    each run lies beside it.

    Parameters
    ----------
    model : path or URL
        A stored model. Workers that cannot read it get a copy, one for each host.
    data : path, folder, glob or URL
        The Parquet files.
    output : path or URL
        A folder; new or empty unless `resume`.
    resume : bool, default=False
        Go on with what is in `output`: only parts that are missing, or whose input has changed, are
        done. Another model, other options or other data are refused.
    key : str, optional
        A column that identifies the rows: it is written beside the predictions, and a missing value
        in it is an error.
    keep : sequence of str, default=()
        Other columns to write before the predictions.
    coverage : float, optional
        Also write "lower" and "upper" of `predict_interval`.
    rename : mapping of str to str, optional
        Columns that have other names in the files: the model's name to that in the files.
    cast : mapping of str to str, optional
        Columns to turn into another type, such as {"size": "float64"}.
    columns : {"strict", "used"}, default="strict"
        A part fails if its columns differ from those of the first part, by name or kind of type:
        any of them ("strict"), or only those that the model reads and those that are kept
        ("used").
    by_row_group : bool, default=False
        One part for each row group and not for each file.
    max_failures : int, default=20
        Stop when more than this many parts have failed.
    break_lock : bool, default=False
        Remove the lock of an earlier job on the folder, which must no longer run.
    n_jobs : int or None, default=None
        Threads of this process; None is one a core.

    Returns
    -------
    Scoring
        `complete`, `rows`, and `parts` with rows, seconds and error of each.

    Raises
    ------
    InvalidInputError, ModelFormatError
        If the job cannot begin. What is wrong with single parts is in the result.
    ClusterError
        If the scheduler is gone. What was done is kept, and `resume` goes on.

    Examples
    --------
    >>> import tempfile, pyarrow as pa, pyarrow.parquet as pq, scalekern
    >>> folder = tempfile.TemporaryDirectory()
    >>> pq.write_table(pa.table({"x": [0.0, 1.0], "y": [0.0, 2.0]}), folder.name + "/a.parquet")
    >>> source = scalekern.rows(folder.name, target="y")
    >>> scalekern.save(scalekern.LinearRegressor().fit(source), folder.name + "/line")
    >>> done = scalekern.predict_files(
    ...     folder.name + "/line", folder.name + "/*.parquet", folder.name + "/scores"
    ... )
    >>> done.complete, done.rows
    (True, 2)
    >>> pq.read_table(folder.name + "/scores")["prediction"].to_numpy().round(6).tolist()
    [0.0, 2.0]
    >>> folder.cleanup()
    """
    _check(columns, max_failures)
    start, target = time.perf_counter(), open_folder(_absolute(output))
    data = _absolute(data)
    names, types = tuple((rename or {}).items()), tuple((cast or {}).items())
    parts = parts_of(data, target, by_row_group=by_row_group, names=names, types=types)
    kept = tuple(dict.fromkeys([*([key] if key else []), *keep]))
    stored, features = _checked_model(model, kept, coverage)
    parts = with_columns_of_paths(parts, features, kept)
    options = {
        "key": key, "keep": list(kept), "coverage": coverage, "rename": dict(names),
        "cast": dict(types), "by_row_group": by_row_group, "tile_dtype": get_config().tile_dtype,
    }  # fmt: skip
    # Before the lock too: a folder of something else is left without even that.
    _checked_output(target, parts, resume=resume)
    with locked(target, break_lock=break_lock):
        manifest, there = _checked_output(target, parts, resume=resume)
        expected = manifest["columns"] if manifest else _first_columns(parts)
        digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:16]
        job = Job(stored, target, kept, key, coverage, columns, expected, digest)
        found = finished(job, parts, there)
        settings = options | {"data": data, "columns": columns}
        run = Run(job, parts, found, settings, os.fspath(output), start)
        # What is stale is not to be read beside what is new.
        stale = {part.name for part in parts}.intersection(there) - set(found)
        return run.go([*leftovers(there), *sorted(stale)], max_failures, n_jobs)


def _absolute(path: Any) -> str:
    """Return a path as workers in other folders find it."""
    text = os.fspath(path)
    return text if is_url(text) else str(place_of(text).absolute())  # type: ignore[union-attr]


def _check(columns: str, max_failures: int) -> None:
    if columns not in (STRICT, USED):
        raise InvalidInputError(f"columns={columns!r}; use 'strict' or 'used'")
    if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 0:
        raise InvalidInputError(f"max_failures={max_failures!r}; give a whole number, 0 or more")


def _checked_model(
    path: Any, kept: Sequence[str], coverage: float | None
) -> tuple[Model, Sequence[str]]:
    """Return the stored model and its columns; it is loaded here to say at once what is wrong."""
    text = _absolute(path)
    stored = Model(text, model_seal(text))
    folder = stored.folder()
    if folder is None:
        raise InvalidInputError(
            f"the model {text} changed while it was read; wait until it is saved, then repeat"
        )
    model = loaded(str(folder), stored.seal)
    features, _ = features_of(model)
    if coverage is not None:
        half_width(steps_of(model)[-1], coverage)
    check_kept_names(kept, interval=coverage is not None)
    return stored, features or ()


def _first_columns(parts: Sequence[Part]) -> dict[str, str]:
    """Return the columns of the first part that can be read."""
    error: Exception | None = None
    for part in parts:
        try:
            with open_parquet(part.view) as parquet:
                return described(parquet.schema_arrow)
        except InvalidInputError as found:
            error = error or found
    raise InvalidInputError(f"none of the {len(parts)} files of DATA can be read: {error}")


def _checked_output(
    folder: Folder, parts: Sequence[Part], *, resume: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return the manifest and the names of what is there, or raise where it is none of this job."""
    manifest, there = read_manifest(folder), folder.names()
    others, names = strangers(parts, there), set(there)
    ours = any(part.name in names for part in parts)
    if not resume and (manifest or others or ours):
        raise InvalidInputError(
            f"the output folder {folder} is not empty; --resume goes on with what is there, or "
            "choose another folder"
        )
    if resume and not manifest and (others or ours):
        raise InvalidInputError(
            f"{folder} has files but no {NAME}, so no earlier run can be resumed there; choose "
            "another folder"
        )
    if others:
        raise InvalidInputError(
            f"{folder} has predictions for {len(others)} file(s) that are not in DATA, such as "
            f"{others[0]}; give the same DATA as before, or remove them"
        )
    return manifest, there
