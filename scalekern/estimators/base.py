"""What the regressors share: prediction block by block, and how a fitted model is put down.

A fitted model is plain attributes; `predict` makes a function of rows from them each time, which
costs microseconds and leaves nothing that could not be pickled.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import engine_for
from scalekern.engine.lazy import lazy_on_dask
from scalekern.estimators.explaining import Explains
from scalekern.estimators.intervals import SplitConformal
from scalekern.estimators.own_targets import ScoresRows
from scalekern.rows import Block, RowSource
from scalekern.rows.base import into
from scalekern.rows.validate import predict_source


def check_outputs(n_outputs: int, intercept: np.ndarray) -> None:
    """Raise unless a description has as many outputs as the arrays: predictions are made of both.

    A forged number would otherwise ask for memory without end in `predict`.
    """
    if n_outputs != np.size(intercept):
        raise ValueError(f"n_outputs_={n_outputs!r}, but there are {np.size(intercept)} intercepts")


class RowPredictor(Explains, SplitConformal, ScoresRows, RegressorMixin, BaseEstimator):
    """A regressor whose prediction for a row depends on that row only."""

    n_jobs: int | None
    target_is_vector_: bool
    n_outputs_: int

    @abstractmethod
    def _predictor(self, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the function from a block's X to predictions of shape (rows, n_outputs)."""

    @abstractmethod
    def _tile_dtype(self, source: RowSource) -> np.dtype:
        """Return the dtype of the tiles for the rows."""

    def _takes_objects(self) -> bool:
        return False

    @lazy_on_dask
    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions for rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d); objects for kernels of objects

        Returns
        -------
        float64 array of shape (n,) or (n, n_outputs), in the units of the target

        Raises
        ------
        NotFittedError
            Before `fit`.
        InvalidInputError
            If rows or columns are wrong.
        """
        check_is_fitted(self)
        source = predict_source(self, X, objects=self._takes_objects())
        out = np.empty((source.n_rows, self.n_outputs_))
        self.predict_blocks(source, into(out))
        return out[:, 0] if self.target_is_vector_ else out

    def predict_blocks(
        self, source: RowSource, sink: Callable[[Block, np.ndarray], None], what: str = "predicting"
    ) -> None:
        """Give `sink` each block of rows and its predictions of shape (rows, n_outputs), in order.

        For rows beyond memory: nothing is held but the blocks in flight.
        """
        check_is_fitted(self)
        source = predict_source(self, source, objects=self._takes_objects())
        predict = self._predictor(self._tile_dtype(source))
        engine = engine_for(source, self.n_jobs)
        engine.map_blocks(source, lambda block: predict(block.X), sink, what)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.multi_output = True
        return tags
