"""Which rows stand for all: drawn uniformly by a hash, or given by the user."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.engine import HashSample
from scalekern.errors import InvalidInputError
from scalekern.rows import RowSource, is_frame
from scalekern.rows.base import take_rows
from scalekern.rows.containers import frame_source, is_objects, objects_of


def landmark_numbers(landmarks: Any, sample: HashSample, m: int) -> np.ndarray:
    """Return the row numbers of what `choose_landmarks` returns; none where rows are given."""
    if isinstance(landmarks, str):
        return sample.numbers[:m]
    return np.asarray(landmarks) if _are_numbers(landmarks) else np.zeros(0, dtype=np.int64)


def without_landmarks(sample: HashSample, numbers: np.ndarray) -> HashSample:
    """Return the sample without the landmarks.

    A landmark's own basis function stays when its row is left out, so its leave-one-out error is
    not that of other rows. Where fewer others than landmarks are left, all are kept.
    """
    others = np.flatnonzero(~np.isin(sample.numbers, numbers))
    return sample.part(others) if len(others) >= len(numbers) else sample


def choose_landmarks(landmarks: Any, source: RowSource, sample: HashSample, m: int) -> Any:
    """Return the landmark rows.

    Parameters
    ----------
    landmarks : "uniform", rows, or row numbers
        Row numbers are a one-dimensional array of integers.
    source : RowSource
    sample : HashSample
        At least `m` rows, or all there are.
    m : int
        How many to draw where none are given.

    Raises
    ------
    InvalidInputError
        If the rows given do not fit those of the source.
    """
    if isinstance(landmarks, str):
        if landmarks != "uniform":
            raise InvalidInputError(
                f"landmarks={landmarks!r}; use 'uniform', an array of rows, or row numbers"
            )
        return take_rows(sample.X, np.arange(min(m, len(sample.numbers))))
    if not source.n_features:
        if _are_numbers(landmarks):
            return source.take(_checked_numbers(landmarks, source.n_rows))
        return objects_of(landmarks)
    if is_frame(landmarks):
        (block,) = frame_source(landmarks, name="landmarks").blocks(len(landmarks))
        return block.X
    if not is_objects(landmarks) or _are_numbers(landmarks):
        given = np.asarray(landmarks)
        if _are_numbers(given):
            return source.take(_checked_numbers(given, source.n_rows))
        if given.ndim == 2 and given.shape[1] == source.n_features and len(given):
            if np.isfinite(given).all():
                return given.astype(source.dtype, copy=False)
            raise InvalidInputError("landmarks have missing or infinite values")
    shape = getattr(landmarks, "shape", None) or f"length {len(landmarks)}"
    raise InvalidInputError(
        f"landmarks of {shape} do not fit rows of {source.n_features} features; "
        f"give rows of shape (m, {source.n_features}) or row numbers"
    )


def _are_numbers(landmarks: Any) -> bool:
    given = np.asarray(landmarks)
    return given.ndim == 1 and given.dtype.kind in "iu" and len(given) > 0


def _checked_numbers(landmarks: Any, n_rows: int) -> np.ndarray:
    numbers = np.asarray(landmarks)
    outside = numbers[(numbers < 0) | (numbers >= n_rows)]
    if len(outside):
        raise InvalidInputError(f"landmarks name row {outside[0]}, but there are {n_rows} rows")
    return numbers
