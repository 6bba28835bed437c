"""`score` of rows that carry their targets, as rows from files do.

Apart from the estimators because regressors and classifiers share it, and scikit-learn's `score`,
which it ends in, does not know such rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError
from scalekern.rows import RowSource

BLOCK_ROWS = 65_536


class ScoresRows:
    """An estimator whose `score` also takes rows from `scalekern.rows`, without y."""

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return how well the predictions for rows meet their targets.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target.
        sample_weight : array of shape (n,), optional
            By default the weight that rows carry, or 1.

        Returns
        -------
        float
            R² of a regressor, 1 at best; the share of right answers of a classifier.

        Raises
        ------
        InvalidInputError
            If there is no target, or rows or columns are wrong.

        Examples
        --------
        >>> import numpy as np
        >>> from scalekern import LinearRegressor
        >>> X, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
        >>> round(LinearRegressor().fit(X, y).score(X, y), 6)
        1.0
        """
        if isinstance(X, RowSource) and y is None:
            y, weight = _targets(X)
            sample_weight = weight if sample_weight is None else sample_weight
        return super().score(X, y, sample_weight=sample_weight)  # type: ignore[misc]


def _targets(rows: RowSource) -> tuple[np.ndarray, np.ndarray | None]:
    if not rows.n_outputs:
        raise InvalidInputError(f"{rows.name} has no target; use rows(..., target='column')")
    blocks = [(block.y, block.weight) for block in rows.blocks(BLOCK_ROWS)]
    y = np.concatenate([y for y, _ in blocks if y is not None])
    weights = [weight for _, weight in blocks if weight is not None]
    weight = np.concatenate(weights) if weights else None
    return y[:, 0] if rows.target_is_vector else y, weight
