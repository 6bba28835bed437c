"""One column of labels or several: their classes, the votes for each, and who wins.

The votes of all columns stand beside each other in one matrix, so that a search is made once for
all of them; with one column that is simply the votes for its classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from scalekern.errors import InvalidInputError

Classes = list[NDArray[Any]]


def label_matrix(y: Any) -> tuple[NDArray[Any], bool]:
    """Return labels as a matrix (n, n_outputs), and whether they are of several outputs.

    Raises
    ------
    ValueError, InvalidInputError
        If they are measurements, not finite, or of no outputs.
    """
    given = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    several = given.ndim == 2 and given.shape[1] != 1
    if several and not given.shape[1]:
        raise InvalidInputError(
            f"y has shape {given.shape}; give one label for each row, shape (n,), or columns of "
            "them"
        )
    labels = checked_labels(given if several else column_or_1d(y, warn=True))
    # Not reshape(n, -1), which no rows at all have no answer to.
    return (labels if labels.ndim == 2 else labels[:, None]), several


def checked_labels(labels: NDArray[Any]) -> NDArray[Any]:
    """Return labels that are all there and of one kind, or raise naming the first that is not.

    Raises
    ------
    ValueError, InvalidInputError
        If they are measurements, not finite, missing, or text and numbers mixed.
    """
    if labels.dtype.kind == "O":
        missing = np.vectorize(_is_missing, otypes=[bool])(labels)
        rows = np.nonzero(missing)[0]
        if len(rows):
            raise InvalidInputError(
                f"y has {len(rows)} missing label{'s' if len(rows) > 1 else ''} (first at row "
                f"{rows[0]}); drop those rows, or give the missing labels a name of their own"
            )
        others = {type(label).__name__ for label in labels.flat if not isinstance(label, str)}
        if others and any(isinstance(label, str) for label in labels.flat):
            raise InvalidInputError(
                f"y mixes labels of the types {sorted(others | {'str'})}; make all of them text or "
                "all numbers"
            )
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def _is_missing(label: Any) -> bool:
    # NaN is not itself; pandas.NA is neither equal nor unequal to anything.
    return label is None or type(label).__name__ == "NAType" or bool(label != label)  # noqa: PLR0124


def encoded(labels: NDArray[Any]) -> tuple[Classes, NDArray[np.int64]]:
    """Return the classes of each column (n, n_outputs), and the numbers of theirs in it."""
    columns = [np.unique(column, return_inverse=True) for column in labels.T]
    return [classes for classes, _ in columns], np.column_stack([codes for _, codes in columns])


def decoded(codes: NDArray[np.int64], classes: Classes) -> NDArray[Any]:
    """Return the labels (n, n_outputs) that `encoded` gave numbers to."""
    return np.column_stack([own[code] for own, code in zip(classes, codes.T, strict=True)])


def starts_of(classes: Classes) -> NDArray[np.int64]:
    """Return where the votes of each column begin."""
    return np.cumsum([0, *map(len, classes)])[:-1]


def vote(
    weights: NDArray[np.float64], codes: NDArray[np.int64], classes: Classes
) -> NDArray[np.float64]:
    """Return the share of the votes for each class of each column, (n_queries, n_all_classes).

    Parameters
    ----------
    weights : array of shape (n_queries, k)
    codes : array of shape (n_queries, k, n_outputs)
    classes : list of arrays
    """
    votes = np.zeros((len(weights), sum(map(len, classes))))
    queries = np.arange(len(weights))[:, None]
    places = codes + starts_of(classes)
    for j in range(weights.shape[1]):
        votes[queries, places[:, j]] += weights[:, j, None]
    return votes


def shares(codes: NDArray[np.int64], classes: Classes) -> NDArray[np.float64]:
    """Return the share of each class of each column among rows of codes (n, n_outputs)."""
    counts = [np.bincount(c, minlength=len(own)) for c, own in zip(codes.T, classes, strict=True)]
    return np.concatenate(counts) / len(codes)


def parts_of(votes: NDArray[np.float64], classes: Classes) -> list[NDArray[np.float64]]:
    """Return the votes of each column by themselves."""
    return np.split(votes, starts_of(classes)[1:], axis=1)


def winners(votes: NDArray[np.float64], classes: Classes) -> NDArray[Any]:
    """Return the label with most votes in each column, (n_queries, n_outputs)."""
    # Weights of equal votes differ by rounding; the first class must win a tie all the same.
    best = [np.argmax(np.round(part, 12), axis=1) for part in parts_of(votes, classes)]
    return decoded(np.column_stack(best), classes)
