"""RowPreparer: columns put on one scale, in one streamed pass, by a step that a model carries."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import Moments, ThreadEngine
from scalekern.errors import InvalidInputError
from scalekern.features.parameters import check_choice
from scalekern.rows import RowSource
from scalekern.rows.validate import fit_source, predict_source
from scalekern.storage import storable

SCALERS = ("standard", "minmax", "none")


@storable
class RowPreparer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Put the columns of rows on one scale, so that no unit outweighs another in a distance.

    Rows from `scalekern.rows` come out as rows that are scaled while they are read, so a
    scikit-learn pipeline of this and an estimator works on files larger than memory.

    Parameters
    ----------
    scaler : {"standard", "minmax", "none"}, default="standard"
        To mean 0 and variance 1; to the range 0 to 1; or as they are. A constant column becomes 0.
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    offset_, scale_ : float64 arrays of shape (d,)
        A value x becomes (x - offset_) / scale_.

    Raises
    ------
    InvalidInputError
        For an unknown scaler, or bad values in the data.

    Examples
    --------
    >>> from scalekern import RowPreparer
    >>> RowPreparer("minmax").fit_transform([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, scaler: str = "standard", *, n_jobs: int | None = None) -> None:
        self.scaler = scaler
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> RowPreparer:
        """Learn the scale of each column.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), or rows from `scalekern.rows`
        y : ignored

        Returns
        -------
        self
        """
        del y
        check_choice("scaler", self.scaler, SCALERS)
        source = fit_source(self, X, needs_y=False)
        d = source.n_features
        self.offset_, self.scale_ = np.zeros(d), np.ones(d)
        if self.scaler == "none":
            return self
        seen = ThreadEngine(self.n_jobs).reduce(source, lambda: Moments("X"), "scaling")
        if self.scaler == "standard":
            self.offset_, spread = seen.mean, np.sqrt(seen.variance)
        else:
            self.offset_, spread = seen.low, seen.high - seen.low
        self.scale_ = np.where(spread > 0, spread, 1.0)
        if not np.isfinite(self.scale_).all():
            column = int(np.flatnonzero(~np.isfinite(self.scale_))[0])
            raise InvalidInputError(f"column {column} of X is too large to scale; rescale it first")
        return self

    def transform(self, X: Any) -> Any:
        """Return the scaled rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d)

        Returns
        -------
        array of shape (n, d), float32 for float32 rows, else float64; rows for rows
        """
        check_is_fitted(self, "scale_")
        source = predict_source(self, X)
        if isinstance(X, RowSource):
            return source.map(self._scaled, source.n_features)
        (block,) = source.blocks(source.n_rows)
        return self._scaled(block.X)

    def _scaled(self, X: Any) -> np.ndarray:
        X = X.toarray() if hasattr(X, "toarray") else X
        if self.scaler == "minmax":
            # As scikit-learn writes it: distances that tie there, to the last bit, tie here.
            factor = 1.0 / self.scale_
            return (X * factor - self.offset_ * factor).astype(X.dtype, copy=False)
        return ((X - self.offset_) / self.scale_).astype(X.dtype, copy=False)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        return {}, {"offset_": self.offset_, "scale_": self.scale_}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        for name, value in (meta | arrays).items():
            setattr(self, name, value)
