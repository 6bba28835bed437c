"""`explain`, the same for every estimator: which training rows speak for a prediction.

A mixin, because k-NN and the linear models share nothing else; each estimator only says how rows
are weighed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.explanation import Candidates, Explanation, Strongest
from scalekern.approximations.weighers import Weigher
from scalekern.engine import engine_for, require_memory
from scalekern.engine.progress import whole
from scalekern.errors import InvalidInputError
from scalekern.features.parameters import check_integer
from scalekern.rows import RowSource
from scalekern.rows.base import stack_rows
from scalekern.rows.validate import fit_source, predict_source


class Explains(ABC):
    """An estimator whose predictions are weighted sums of training targets."""

    n_jobs: int | None

    @abstractmethod
    def _weigher(self, rows: RowSource | None) -> Weigher:
        """Return what finds the weights, over the rows given or those that the model keeps."""

    @abstractmethod
    def _takes_objects(self) -> bool:
        """Return whether rows may be objects of any kind."""

    @abstractmethod
    def predict(self, X: Any) -> Any:
        """Return the predictions for rows."""

    def _explanation(
        self, found: Candidates, baseline: np.ndarray, source: RowSource, output: int | None
    ) -> Explanation:
        """Return the record, of one output where one is asked for; a classifier has its own."""
        prediction = self.predict(source)
        check_output(output, len(baseline))
        if prediction.ndim == 1:
            prediction, output = prediction[:, None], 0
        one: Any = ... if output is None else output
        return Explanation(
            found.row_id,
            found.weight,
            found.similarity,
            found.target[:, :, one],
            np.asarray(baseline[one]),
            prediction[:, one],
        )

    def _training_rows(self, X: Any, y: Any = None, sample_weight: Any = None) -> RowSource:
        """Return rows with the targets that the model was fitted to."""
        objects = self._takes_objects()
        return fit_source(self, X, y, sample_weight, objects=objects, reset=False)

    @whole("explaining")
    def explain(
        self, X: Any, rows: Any = None, *, top: int | None = None, output: int | None = None
    ) -> Explanation:
        """Return the training rows that speak for each prediction, and how much each weighs.

        Every model here is a linear smoother: yhat(x) = b + sum_i w_i(x) (y_i - b). For an exact
        model w(x) is (K + alpha W^-1)^-1 k(x), with the intercept projected out; for a model on
        features phi (Nyström, Fourier, linear) w_i phi(x)'(Phi'W Phi + alpha I)^-1 phi(x_i), with
        phi centred; for local models the exact model's of the neighbours; for k-NN the weights of
        the neighbours. With an intercept each row also has its share of the mean, w_i / sum(w).
        k-NN classifiers are explained in shares of votes, similarity classifiers in the log-odds of
        `decision_function`; the logarithmic loss gives no such weights.

        The contributions of all rows add up to the prediction within 1e-6 of the spread of the
        targets, unless alpha is near rounding, where the prediction itself has fewer digits. Of
        solver="sgd" the weights are those of the model that it converges to, so what is left,
        `not_shown`, is how far it came; of more than 4,096 components those of the sums made again,
        which differ by rounding, and by more where alpha is small and landmarks nearly coincide.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n_queries, d), or objects
            Few rows: an exact model solves its system again.
        rows : (X, y), (X, y, sample_weight) or rows from `scalekern.rows`, optional
            Training rows to weigh, for models on features, which keep only a seeded sample of
            1,000. With all training rows the weights add up to the prediction. Models of
            solver="sgd" and of more than 4,096 components keep nothing to weigh with: they need all
            training rows, and read them twice; one of the kernel "precomputed" needs (K, y) as in
            `fit`. Other exact models, local ones and k-NN weigh the training rows that they hold.
        top : int, optional
            Return only so many rows for each query; all that were weighed by default.
        output : int, optional
            Of a model of several outputs, explain only this one, as if it had no others. A
            regressor explains all of them by default, a k-NN classifier has to be told which.

        Returns
        -------
        Explanation

        Raises
        ------
        InvalidInputError
            If X, rows or output are wrong, or the model needs them.
        UnsupportedError
            For a classifier by the logarithmic loss.

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
        given = self._rows_given(rows)
        weigher = self._weigher(given)
        outputs = len(np.atleast_1d(weigher.baseline))
        if top is None:
            require_memory(
                2 * 8 * source.n_rows * weigher.n_rows * (3 + outputs),
                f"an explanation of {source.n_rows} rows by {weigher.n_rows}",
                "explain fewer rows at a time, or set top=",
            )
        queries = stack_rows([block.X for block in source.blocks(source.n_rows)])
        strongest = Strongest(top)
        engine = engine_for(source if given is None else given, self.n_jobs)
        weigher.weigh(queries, engine, strongest.add)
        return self._explanation(strongest.sorted(), weigher.baseline, source, output)

    def _rows_given(self, rows: Any) -> RowSource | None:
        if rows is None:
            return None
        if isinstance(rows, RowSource):
            rows = (rows,)
        if not isinstance(rows, (tuple, list)) or not 0 < len(rows) < 4:
            raise InvalidInputError(
                f"rows is a {type(rows).__name__}; give a tuple (X, y) or (X, y, sample_weight), "
                "or rows from scalekern.rows with their target"
            )
        return self._training_rows(*rows)


def check_output(output: int | None, n_outputs: int) -> None:
    """Raise where `output` is none of the outputs."""
    if output is None:
        return
    check_integer("output", output, 0)
    if output >= n_outputs:
        raise InvalidInputError(
            f"output={output}, but the model has {n_outputs} output(s), numbered from 0"
        )
