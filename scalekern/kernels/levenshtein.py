"""Edit distances of many texts to many, by rapidfuzz: for the kernel and for k-NN alike.

It stands apart so that both ask for the optional package, and check that rows are texts, in one
way.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scalekern.errors import InvalidInputError, missing_extra


def levenshtein(X: Sequence[str], Z: Sequence[str], most: int | None = None) -> np.ndarray:
    """Return the edit distances of all texts of X to all of Z.

    Parameters
    ----------
    X, Z : sequences of str
        Of lengths n and m.
    most : int, optional
        Distances above it are given as `most` + 1, and take less time.

    Returns
    -------
    float64 array of shape (n, m)
        The least numbers of characters to insert, delete or replace.

    Raises
    ------
    MissingExtraError
        Without the package rapidfuzz.
    InvalidInputError
        If an item is not a text.

    Examples
    --------
    >>> levenshtein(["kitten", ""], ["sitting"]).tolist()
    [[3.0], [7.0]]
    """
    try:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist
    except ImportError as error:
        raise missing_extra("rapidfuzz", "strings") from error
    check_texts(X)
    check_texts(Z)
    # One thread: the engine runs blocks side by side, and cdist releases the interpreter's lock.
    return cdist(X, Z, scorer=Levenshtein.distance, score_cutoff=most, dtype=np.float64, workers=1)


def levenshtein_pairs(X: Sequence[str], Z: Sequence[str]) -> np.ndarray:
    """Return the edit distance of each text of X to that of Z beside it, float64 of shape (n,)."""
    try:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cpdist
    except ImportError as error:
        raise missing_extra("rapidfuzz", "strings") from error
    return cpdist(X, Z, scorer=Levenshtein.distance, dtype=np.float64, workers=1)


def check_texts(items: Sequence[str]) -> None:
    """Raise unless all items are texts, showing the first that is not."""
    for item in items:
        if not isinstance(item, str):
            raise InvalidInputError(
                f"edit distances are between texts, but a row is of type {type(item).__name__}: "
                f"{str(item)[:40]!r}; pass a list of str"
            )
