"""Prediction intervals by split conformal prediction: `calibrate`, then `predict_interval`.

A mixin, because the errors on rows that were not fitted are all that it needs of a regressor.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import hash_ids
from scalekern.errors import InvalidInputError
from scalekern.rows import Block, RowSource
from scalekern.rows.subset import subset_of
from scalekern.rows.validate import fit_source

RESIDUALS = "calibration_residuals_"
CALIBRATION_SEED = 0xCA11B


class SplitConformal:
    """A regressor that can say how far its predictions are off, by rows held out from its fit."""

    predict: Callable[[Any], np.ndarray]
    predict_blocks: Callable[..., None]
    _takes_objects: Callable[[], bool]

    def calibrate(self, X: Any, y: Any = None) -> Any:
        """Measure the errors on rows that were not fitted, for `predict_interval`.

        A later `fit` or `partial_fit` discards them.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects
            Drawn as the rows to predict for will be, and not used in `fit`: errors on training
            rows are too small.
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target. Rows count alike whatever their
            weight, but for those of weight 0, which are left out.

        Returns
        -------
        self
            With `calibration_residuals_`, the absolute errors in ascending order, a float64 array
            of shape (n, n_outputs).

        Raises
        ------
        InvalidInputError
            If X or y are wrong, or y has another number of outputs than in `fit`.
        """
        check_is_fitted(self)
        source = fit_source(self, X, y, objects=self._takes_objects(), reset=False)
        parts: list[np.ndarray] = []

        def measure(block: Block, predicted: np.ndarray) -> None:
            assert block.y is not None
            if block.y.shape[1] != predicted.shape[1]:
                raise InvalidInputError(
                    f"y has {block.y.shape[1]} outputs, but the model predicts {predicted.shape[1]}"
                )
            errors = np.abs(block.y - predicted)
            parts.append(errors if block.weight is None else errors[block.weight > 0])

        self.predict_blocks(source, measure, "calibrating")
        setattr(self, RESIDUALS, np.sort(np.concatenate(parts), axis=0))
        return self

    def predict_interval(self, X: Any, coverage: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return intervals that hold the target of a new row with probability `coverage`.

        The interval is the prediction plus and minus the ceil((n + 1) coverage)-th smallest
        absolute error of n calibration rows. It holds on average over rows drawn as those were
        (not for each x by itself), for each output by itself, whatever the model.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects
        coverage : float, default=0.9
            Above 0 and below 1.

        Returns
        -------
        lower, upper : float64 arrays of shape (n,) or (n, n_outputs), in the units of the target

        Raises
        ------
        InvalidInputError
            Without `calibrate`, or if there are fewer than coverage / (1 - coverage) calibration
            rows: only an infinite interval would keep the promise.

        References
        ----------
        Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Distribution-free predictive
        inference for regression, section 2.2.

        Examples
        --------
        >>> from scalekern import LinearRegressor
        >>> model = LinearRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
        >>> model = model.calibrate([[0.0], [1.0], [2.0]], [0.5, 0.0, 4.0])
        >>> lower, upper = model.predict_interval([[5.0]], coverage=0.5)
        >>> lower.round(6).tolist(), upper.round(6).tolist()
        ([4.0], [6.0])
        """
        check_is_fitted(self)
        half = self.interval_half_width(coverage)
        predicted = self.predict(X)
        half = half[0] if predicted.ndim == 1 else half
        return predicted - half, predicted + half

    def interval_half_width(self, coverage: float) -> np.ndarray:
        """Return half the width of the intervals of `predict_interval`, shape (n_outputs,)."""
        number = isinstance(coverage, numbers.Real) and not isinstance(coverage, bool)
        if not number or not 0 < coverage < 1:
            raise InvalidInputError(f"coverage={coverage!r}; give a number above 0 and below 1")
        residuals = getattr(self, RESIDUALS, None)
        if residuals is None:
            raise InvalidInputError(
                f"this {type(self).__name__} is not calibrated; call calibrate(X, y) with rows "
                "that were not fitted (scalekern fit --calibrate 0.1)"
            )
        n = len(residuals)
        # (99 + 1) * 0.07 is a little above 7 in floating point.
        rank = math.ceil((n + 1) * coverage * (1 - 1e-12))
        if rank > n:
            least = math.ceil(coverage / (1 - coverage) * (1 - 1e-12))
            raise InvalidInputError(
                f"coverage={coverage!r} needs at least {least} calibration rows and there are "
                f"{n}; calibrate on more rows, or ask for at most {n / (n + 1):.3g}"
            )
        return np.asarray(residuals[max(rank, 1) - 1], dtype=np.float64)

    def _forget_calibration(self) -> None:
        self.__dict__.pop(RESIDUALS, None)


def held_out(source: RowSource, share: float) -> tuple[RowSource, RowSource]:
    """Split rows, by a hash of their ids, into those to fit and a `share` of them to calibrate on.

    Raises
    ------
    InvalidInputError
        If one of the two parts would be empty.
    """
    border = np.uint64(int(share * 2.0**64))

    def is_out(block: Block) -> np.ndarray:
        return np.asarray(hash_ids(block.ids, CALIBRATION_SEED) < border)

    n_out = sum(int(is_out(block).sum()) for block in source.blocks(65_536))
    if n_out in (0, source.n_rows):
        raise InvalidInputError(
            f"holding out {share:g} of {source.n_rows} rows leaves {source.n_rows - n_out} to fit "
            f"and {n_out} to calibrate on; both need some"
        )
    inside = subset_of(source, lambda block: ~is_out(block), source.n_rows - n_out)
    return inside, subset_of(source, is_out, n_out)
