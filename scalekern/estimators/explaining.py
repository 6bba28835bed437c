"""`explain`, the same for every estimator: which training rows speak for a prediction.

A mixin, because k-NN and the linear models share nothing else; each estimator only says how rows
are weighed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import ThreadEngine, require_memory
from scalekern.errors import InvalidInputError
from scalekern.estimators.explanation import Explanation, Strongest
from scalekern.estimators.weighing import Weigher
from scalekern.features.parameters import check_integer
from scalekern.rows import RowSource
from scalekern.rows.base import stack_rows
from scalekern.rows.validate import fit_source, predict_source


class Explains:
    """An estimator whose predictions are weighted sums of training targets."""

    n_jobs: int | None

    def _weigher(self, rows: RowSource | None) -> Weigher:
        """Return what finds the weights, over the rows given or those that the model keeps."""
        raise NotImplementedError

    def _takes_objects(self) -> bool:
        raise NotImplementedError

    def _explained(self, source: RowSource) -> np.ndarray:
        """Return the values that are explained."""
        predicted: np.ndarray = self.predict(source)  # type: ignore[attr-defined]
        return predicted

    def _explained_classes(self) -> np.ndarray | None:
        return None

    def explain(self, X: Any, rows: Any = None, *, top: int | None = None) -> Explanation:
        """Return the training rows that speak for each prediction, and how much each weighs.

        Every model here is a linear smoother: yhat(x) = b + sum_i w_i(x) (y_i - b). For an exact
        model w(x) is (K + alpha W^-1)^-1 k(x), with the intercept projected out; for a model on
        features phi (Nyström, Fourier, linear) w_i phi(x)'(Phi'W Phi + alpha I)^-1 phi(x_i), with
        phi centred; for k-NN the weights of the neighbours. With an intercept each row also has
        its share of the mean, w_i / sum(w).

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n_queries, d), or objects
            Few rows: an exact model solves its system again.
        rows : (X, y), (X, y, sample_weight) or rows from `scalekern.rows`, optional
            Training rows to weigh, for models on features, which keep only a seeded sample of
            1,000. With all training rows the weights add up to the prediction. Exact models and
            k-NN hold their training rows and weigh those.
        top : int, optional
            Return only so many rows for each query; all that were weighed by default.

        Returns
        -------
        Explanation

        Raises
        ------
        InvalidInputError
            If X or rows are wrong, or the model kept nothing to explain with (more than 4,096
            components).

        References
        ----------
        Hastie, Tibshirani and Friedman (2009), The elements of statistical learning, 5.4.1.

        Examples
        --------
        >>> from scalekern import KNeighborsRegressor
        >>> model = KNeighborsRegressor(2).fit([[0.0], [1.0], [5.0]], [1.0, 3.0, 8.0])
        >>> why = model.explain([[0.4]])
        >>> why.row_id.tolist(), why.weight.tolist(), float(why.baseline)
        ([[0, 1]], [[0.5, 0.5]], 4.0)
        >>> why.contribution.tolist(), why.prediction.tolist()
        ([[-1.5, -0.5]], [2.0])
        """
        check_is_fitted(self)
        if top is not None:
            check_integer("top", top)
        source = predict_source(self, X, objects=self._takes_objects())
        weigher = self._weigher(self._rows_given(rows))
        outputs = len(np.atleast_1d(weigher.baseline))
        if top is None:
            require_memory(
                2 * 8 * source.n_rows * weigher.n_rows * (3 + outputs),
                f"an explanation of {source.n_rows} rows by {weigher.n_rows}",
                "explain fewer rows at a time, or set top=",
            )
        queries = stack_rows([block.X for block in source.blocks(source.n_rows)])
        strongest = Strongest(top)
        weigher.weigh(queries, ThreadEngine(self.n_jobs), strongest.add)
        found = strongest.sorted()
        prediction, classes = self._explained(source), self._explained_classes()
        single = classes is not None or prediction.ndim == 1
        return Explanation(
            found.row_id,
            found.weight,
            found.similarity,
            found.target[:, :, 0] if single else found.target,
            np.asarray(weigher.baseline[0] if prediction.ndim == 1 else weigher.baseline),
            prediction,
            classes,
        )

    def _rows_given(self, rows: Any) -> RowSource | None:
        if rows is None:
            return None
        if isinstance(rows, RowSource):
            rows = (rows,)
        if not isinstance(rows, (tuple, list)) or not 0 < len(rows) < 4:
            raise InvalidInputError(
                "rows is neither rows with a target nor a tuple (X, y) or (X, y, sample_weight)"
            )
        return fit_source(self, *rows, objects=self._takes_objects(), reset=False)
