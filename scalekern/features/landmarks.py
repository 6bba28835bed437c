"""Which rows stand for all: drawn by a hash, searched for in a sample, or given by the user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.engine import HashSample
from scalekern.engine.progress import step
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features.clusters import cluster_means
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.kernels import Kernel
from scalekern.rows import RowSource, is_frame
from scalekern.rows.base import take_rows
from scalekern.rows.containers import frame_source, is_objects, objects_of

SEARCHED = 10
"""Rules other than "uniform" look at so many random rows for each landmark."""
NONE = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Landmarks:
    """Rows that stand for all.

    Attributes
    ----------
    rows : rows, as a block's X
    numbers : int array
        Their numbers in the source; none where they are no rows of it, or not known to be.
    """

    rows: Any
    numbers: np.ndarray


def landmark_sample_rows(landmarks: Any, m: int) -> int:
    """Return how many random rows `choose_landmarks` needs."""
    searched = isinstance(landmarks, str) and landmarks in ("kmeans", "rpcholesky")
    return SEARCHED * m if searched else m


def without_landmarks(sample: HashSample, numbers: np.ndarray) -> HashSample:
    """Return the sample without the landmarks.

    A landmark's own basis function stays when its row is left out, so its leave-one-out error is
    not that of other rows. Where fewer others than landmarks are left, all are kept.
    """
    others = np.flatnonzero(~np.isin(sample.numbers, numbers))
    return sample.part(others) if len(others) >= len(numbers) else sample


@step("choosing the landmarks")
def choose_landmarks(
    landmarks: Any, source: RowSource, sample: HashSample, m: int, kernel: Kernel
) -> Landmarks:
    """Return the landmarks.

    Parameters
    ----------
    landmarks : str, rows, or row numbers
        "uniform" takes the first rows of the sample; "kmeans" the means of its clusters;
        "rpcholesky" those of its rows that span the others best. Row numbers are a one-dimensional
        array of integers.
    source : RowSource
    sample : HashSample
        As many rows as `landmark_sample_rows` says, or all there are.
    m : int
        How many to choose where none are given.
    kernel : Kernel
        With its bandwidth.

    Raises
    ------
    InvalidInputError
        If the rows given do not fit those of the source.
    UnsupportedError
        If the kernel or its rows do not have what a rule needs.
    """
    if not isinstance(landmarks, str):
        numbers = np.asarray(landmarks) if _are_numbers(landmarks) else NONE
        return Landmarks(_given(landmarks, source), numbers)
    sample = sample.first(landmark_sample_rows(landmarks, m))
    if landmarks == "kmeans":
        if isinstance(sample.X, list):
            raise UnsupportedError(
                "landmarks='kmeans' needs means of rows, which objects such as texts do not have; "
                "use 'uniform' or 'rpcholesky'"
            )
        return Landmarks(cluster_means(sample.X, sample.weight, m).astype(source.dtype), NONE)
    if landmarks == "rpcholesky":
        if not kernel.positive_definite:
            raise UnsupportedError(
                f"landmarks='rpcholesky' needs a positive definite kernel, and {kernel!r} is not "
                "declared to be one; use 'uniform'"
            )
        pivots = pivoted_cholesky(kernel, sample.X, m, sample.seed).pivots
        pivots = pivots if len(pivots) else np.arange(1)
    elif landmarks == "uniform":
        pivots = np.arange(min(m, len(sample.numbers)))
    else:
        raise InvalidInputError(
            f"landmarks={landmarks!r}; use 'uniform', 'kmeans', 'rpcholesky', an array of rows, or "
            "row numbers"
        )
    return Landmarks(take_rows(sample.X, pivots), sample.numbers[pivots])


def _given(landmarks: Any, source: RowSource) -> Any:
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
            raise InvalidInputError("landmarks have missing or infinite values; give finite rows")
    shape = getattr(landmarks, "shape", None) or f"length {len(landmarks)}"
    raise InvalidInputError(
        f"landmarks of {shape} do not match rows of {source.n_features} features; "
        f"give rows of shape (m, {source.n_features}) or row numbers"
    )


def _are_numbers(landmarks: Any) -> bool:
    try:
        given = np.asarray(landmarks)
    except ValueError:  # objects of different lengths
        return False
    return given.ndim == 1 and given.dtype.kind in "iu" and len(given) > 0


def _checked_numbers(landmarks: Any, n_rows: int) -> np.ndarray:
    numbers = np.asarray(landmarks)
    outside = numbers[(numbers < 0) | (numbers >= n_rows)]
    if len(outside):
        raise InvalidInputError(
            f"landmarks has the row number {outside[0]}, but X has {n_rows} rows, numbered from 0"
        )
    return numbers
