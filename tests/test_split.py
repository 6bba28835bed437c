"""The rows that a comparison holds back are those that scikit-learn would."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from scalekern import SimilarityRegressor
from scalekern.errors import InvalidInputError
from scalekern.report.split import split_rows


def parts(n, test_size, seed):
    """Return the rows to fit on and those to measure on, as numbers."""
    rows = np.arange(float(n))
    sources = split_rows(
        rows[:, None], rows, None, test_size, seed, SimilarityRegressor("rbf"), "error"
    )
    return [np.concatenate([block.y[:, 0] for block in source.blocks(n)]) for source in sources]


@pytest.mark.parametrize("n", [2, 7, 100, 1_503])
@pytest.mark.parametrize("test_size", [0.25, 0.3, 0.5, 1])
@pytest.mark.parametrize("seed", [0, 69])
def test_a_split_is_that_of_scikit_learn(n, test_size, seed):
    theirs = train_test_split(np.arange(n), test_size=test_size, random_state=seed)
    for part, expected in zip(parts(n, test_size, seed), theirs, strict=True):
        np.testing.assert_array_equal(part, expected)


@pytest.mark.parametrize("test_size", [0, 1.0, -1, 10, 0.95, True, "half", None, float("nan")])
def test_a_split_that_leaves_nothing_is_refused(test_size):
    with pytest.raises(InvalidInputError, match="test_size"):
        parts(10, test_size, 0)
