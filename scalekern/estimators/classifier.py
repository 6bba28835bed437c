"""SimilarityClassifier: similarity models of class indicators, with calibrated probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d

from scalekern.approximations.explanation import Candidates, Explanation
from scalekern.approximations.weighers import Weigher
from scalekern.engine import Engine, engine_for
from scalekern.engine.lazy import lazy_on_dask
from scalekern.engine.progress import progress_bar, whole
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.estimators.classes import (
    IndicatorSource,
    class_weights,
    counted_classes,
    labelled_source,
    places_of,
)
from scalekern.estimators.explaining import Explains, check_output
from scalekern.estimators.input_map import InputMap
from scalekern.estimators.own_targets import ScoresRows
from scalekern.estimators.scores import Folds, fit_calibration, folds_of, probabilities
from scalekern.estimators.similarity import SimilarityRegressor
from scalekern.features.parameters import check_choice, seed_of
from scalekern.rows import Block, RowSource
from scalekern.rows.base import into, take_rows
from scalekern.rows.validate import predict_source
from scalekern.storage import storable

LOSSES = ("squared_error", "log_loss")
OWN = ("class_weight", "loss")


class _LogLossModel(SimilarityRegressor):
    """A similarity model of log-odds."""

    _loss = "log_loss"


@storable
class SimilarityClassifier(ScoresRows, ClassifierMixin, Explains, BaseEstimator):
    """Predict classes by weighted sums of similarities to training rows or landmarks.

    Parameters
    ----------
    kernel, gamma, alpha, approximation, metric, n_components, landmarks, solver, n_neighbors, \
fit_intercept, max_iter, tol, batch_size, random_state, n_jobs : as in `SimilarityRegressor`
    class_weight : None, "balanced" or dict, default=None
        Weights of the classes by label, multiplied by `sample_weight`; classes left out weigh 1.
        "balanced" is n / (n_classes * rows of the class). Probabilities are then those of the
        weighted rows.
    loss : {"squared_error", "log_loss"}, default="squared_error"
        "squared_error" fits indicators of -1 and 1 by least squares, one class against the rest,
        and calibrates: a logistic model (one slope, one offset a class) of the scores of rows that
        were left out of a fit gives the log-odds. Up to 1,000 rows each row is left out once, in
        five folds; of more rows a fifth is, once. "log_loss" is logistic or softmax regression,
        whose scores are log-odds already; it needs approximation "nystroem" or "fourier" and
        solver "sgd", and minimises `sum_i w_i loss_i + alpha/2 |f|^2`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    model_ : SimilarityRegressor
        Of the scores.
    class_weight_ : float64 array of shape (n_classes,)
    calibration_ : float64 array of shape (2,) or (1 + n_classes,)
        Slope and offsets that turn scores into log-odds.
    alpha_, kernel_, report_ : as in `SimilarityRegressor`

    Raises
    ------
    InvalidInputError
        If a parameter has a bad value, or the data have missing or infinite values; the message
        says which, and where.
    UnsupportedError
        If parameters do not go together; the message lists those that do.

    References
    ----------
    Rifkin, Yeo and Poggio (2003), Regularized least-squares classification; Platt (1999); Guo,
    Pleiss, Sun and Weinberger (2017), On calibration of modern neural networks.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityClassifier
    >>> X = np.linspace(0, 6, 200)[:, None]
    >>> y = np.where(np.sin(X[:, 0]) > 0, "up", "down")
    >>> model = SimilarityClassifier(gamma=1.0, alpha=1e-3).fit(X, y)
    >>> model.predict([[1.5], [4.5]]).tolist()
    ['up', 'down']
    >>> model.classes_.tolist(), (model.predict_proba([[1.5]]) > 0.9).tolist()
    (['down', 'up'], [[False, True]])
    >>> bool(model.decision_function([[1.5]])[0] > 0), model.n_iter_
    (True, 1)
    """

    def __init__(
        self,
        kernel: Any = "auto",
        *,
        gamma: Any = "cv",
        alpha: Any = "loo",
        approximation: str = "auto",
        metric: Any = "auto",
        n_components: int = 1000,
        landmarks: Any = "uniform",
        solver: str = "auto",
        n_neighbors: Any = "auto",
        fit_intercept: bool = True,
        max_iter: int | None = None,
        tol: float = 1e-4,
        batch_size: Any = "auto",
        class_weight: Any = None,
        loss: str = "squared_error",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.approximation = approximation
        self.metric = metric
        self.n_components = n_components
        self.landmarks = landmarks
        self.solver = solver
        self.n_neighbors = n_neighbors
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.loss = loss
        self.random_state = random_state
        self.n_jobs = n_jobs

    @whole("fitting")
    def fit(
        self, X: Any, y: Any = None, sample_weight: Any = None, *, checkpoint: Any = None
    ) -> SimilarityClassifier:
        """Fit the model.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), rows from `scalekern.rows`, or n objects
        y : array of shape (n,)
            Labels: numbers or texts. Left out where X is rows that carry their target.
        sample_weight : array of shape (n,), optional
            At least 0. A row of weight 2 counts as two rows.
        checkpoint : path, optional
            As in `SimilarityRegressor.fit`.

        Returns
        -------
        self
        """
        check_choice("loss", self.loss, LOSSES)
        model = self._new_model()
        objects = self._takes_objects()
        source, classes = labelled_source(self, X, y, sample_weight, objects=objects)
        engine = engine_for(source, self.n_jobs)
        values, self.classes_, counts = counted_classes(engine, source, classes)
        self.class_weight_ = class_weights(self.class_weight, self.classes_, counts)
        targets = self._indicators(source, values)
        folds, n_left_out = folds_of(targets)
        if self.loss == "squared_error" and n_left_out == 1:
            model._left_out = lambda ids: folds(ids) == 0  # noqa: SLF001
        self.model_ = model.fit(targets, checkpoint=checkpoint)
        self.calibration_ = np.eye(1 + targets.n_outputs)[0]
        notes = {"loss": self.loss, "calibration": "none: scores are log-odds"}
        if self.loss == "squared_error":
            found = self._calibrated(engine, targets, folds, n_left_out)
            self.calibration_, notes["calibration"] = found
        self._take_over(notes)
        return self

    def _indicators(self, source: RowSource, values: np.ndarray) -> IndicatorSource:
        """Return the rows with indicators of the labels `values`, weighted by class."""
        low = -1.0 if self.loss == "squared_error" else 0.0

        def weights(block: Block) -> np.ndarray:
            places = places_of(np.asarray(block.y)[:, 0], values)
            w = np.ones(len(block)) if block.weight is None else np.asarray(block.weight)
            if np.any(w[places < 0] > 0):
                raise InvalidInputError(
                    f"y has labels that were not in fit; the classes are {self.classes_[:20]}"
                )
            return self.class_weight_[places] * w

        return IndicatorSource(source, values, low, weights)

    def _new_model(self) -> SimilarityRegressor:
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in OWN}
        params["random_state"] = seed_of(self.random_state)
        if self.loss == "squared_error":
            return SimilarityRegressor(**params)
        if self.approximation == "exact" or self.solver not in ("auto", "sgd"):
            raise UnsupportedError(
                f"loss='log_loss' does not go with approximation={self.approximation!r} and "
                f"solver={self.solver!r}; use approximation='nystroem' or 'fourier' and "
                "solver='sgd', or loss='squared_error'"
            )
        name = "nystroem" if self.approximation == "auto" else self.approximation
        return _LogLossModel(**(params | {"solver": "sgd", "approximation": name}))

    def _calibrated(
        self, engine: Engine, source: IndicatorSource, folds: Folds, n_left_out: int
    ) -> tuple[np.ndarray, str]:
        """Return the calibration by scores of rows that the model was not fitted on."""
        with_the_fit = self.model_.__dict__.pop("_left_out_scores", None)
        self.model_.__dict__.pop("_left_out", None)
        parts: list[tuple[np.ndarray, ...]] = [] if with_the_fit is None else [with_the_fit]
        n_fits = 0 if parts else n_left_out
        with progress_bar("fits without some rows", n_fits, least=1, unit="fits") as advance:
            for fold in range(n_fits):
                parts += self._scores_left_out(engine, source, folds, fold)
                advance(1)
        if not any(len(scores) for scores, *_ in parts):
            return np.eye(1 + source.n_outputs)[0], "none: too few rows"
        scores, indicators, weight = (np.concatenate(part) for part in zip(*parts, strict=True))
        binary = indicators.shape[1] == 1
        labels = (indicators[:, 0] > 0).astype(int) if binary else indicators.argmax(axis=1)
        note = f"logistic, on {len(scores)} scores of rows left out"
        return fit_calibration(scores, labels, weight), note

    def _scores_left_out(
        self, engine: Engine, source: IndicatorSource, folds: Folds, fold: int
    ) -> list[tuple[np.ndarray, ...]]:
        """Return scores, indicators and weights of the rows of one fold, from a fit without it."""
        others = source.reweighted(
            lambda block: np.where(folds(block.ids) == fold, 0.0, np.asarray(block.weight))
        )
        if not _weighted_rows(others):
            return []
        report = self.model_.report_
        k = report.get("rest", report).get("n_neighbors", others.n_rows)
        curves = InputMap(self.model_._curves())  # noqa: SLF001
        model = self._new_model().set_params(
            kernel=self.model_.kernel_,
            alpha=self.model_.alpha_,
            approximation=report["approximation"],
            metric=getattr(self.model_, "input_map_", "euclidean"),
            n_neighbors=min(k, _weighted_rows(others)),
            landmarks=curves.landmarks(self.landmarks, source.n_features),
        )
        model.fit(curves.source(others))
        predict = model._predictor(model._tile_dtype(source))  # noqa: SLF001
        parts: list[tuple[np.ndarray, ...]] = []

        def of_block(block: Block) -> tuple[np.ndarray, ...]:
            y, weight = np.asarray(block.y), np.asarray(block.weight)
            rows = np.flatnonzero((folds(block.ids) == fold) & (weight > 0))
            scores = predict(curves(take_rows(block.X, rows))) if len(rows) else y[:0]
            return scores, y[rows], weight[rows]

        engine.map_blocks(source, of_block, lambda _, part: parts.append(part), "calibrating")
        return parts

    @lazy_on_dask
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the log-odds: of `classes_[1]` for two classes, else one column for each class.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        float64 array of shape (n,) or (n, n_classes)
        """
        odds = self._odds(X)
        return odds[:, 0] if odds.shape[1] == 1 else odds

    @lazy_on_dask
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the classes, in the order of `classes_`.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        float64 array of shape (n, n_classes), whose rows add up to 1
        """
        return probabilities(self._odds(X))

    @lazy_on_dask
    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class; of equals the first in `classes_`.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d), or objects

        Returns
        -------
        array of shape (n,), of the type of the labels
        """
        return self._winner(self._odds(X))

    def predict_blocks(
        self, source: RowSource, sink: Callable[[Block, np.ndarray], None], what: str = "predicting"
    ) -> None:
        """Give `sink` each block of rows and its labels, of shape (rows, 1), in order."""
        self._odds_blocks(
            source, lambda block, odds: sink(block, self._winner(odds)[:, None]), what
        )

    def _winner(self, odds: np.ndarray) -> np.ndarray:
        second = odds[:, 0] > 0 if odds.shape[1] == 1 else odds.argmax(axis=1)
        return self.classes_[np.asarray(second, dtype=int)]

    def _odds(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        source = predict_source(self, X, objects=self._takes_objects())
        out = np.empty((source.n_rows, len(self.calibration_) - 1))
        self._odds_blocks(source, into(out), "predicting")
        return out

    def _odds_blocks(self, X: Any, sink: Callable[[Block, np.ndarray], None], what: str) -> None:
        check_is_fitted(self)
        source = predict_source(self, X, objects=self._takes_objects())
        slope, offsets = self.calibration_[0], self.calibration_[1:]
        self.model_.predict_blocks(
            source, lambda block, scores: sink(block, slope * scores + offsets), what
        )

    def _takes_objects(self) -> bool:
        return self._new_model()._takes_objects()  # noqa: SLF001

    def _weigher(self, rows: RowSource | None) -> Weigher:
        if self.loss == "log_loss":
            raise UnsupportedError(
                "explain does not exist for loss='log_loss', whose log-odds are not weighted sums "
                "of the labels; use loss='squared_error', which is calibrated to probabilities too"
            )
        return self.model_._weigher(rows)  # noqa: SLF001

    def _training_rows(self, X: Any, y: Any = None, sample_weight: Any = None) -> RowSource:
        values = np.arange(len(self.classes_), dtype=np.float64)
        if isinstance(X, RowSource):
            if self.classes_.dtype.kind not in "iuf":
                raise InvalidInputError(
                    "rows of files have numbers as labels, but the classes are "
                    f"{self.classes_[:20].tolist()}; pass rows=(X, y) with the labels in memory"
                )
            values = self.classes_.astype(np.float64)
        else:
            y = places_of(column_or_1d(y), self.classes_)
        source = super()._training_rows(X, y, sample_weight)
        return self._indicators(source, values)

    def _explanation(
        self, found: Candidates, baseline: np.ndarray, source: RowSource, output: int | None
    ) -> Explanation:
        check_output(output, 1)
        slope, offsets = self.calibration_[0], self.calibration_[1:]
        odds, base = self._odds(source), slope * baseline + offsets
        stands_for = slope * np.array([[-1.0], [1.0]]) + offsets
        if len(self.classes_) == 2:
            # The log-odds of the first class are those of the second with the other sign.
            odds, base = np.hstack([-odds, odds]), np.hstack([-base, base])
            stands_for = np.hstack([-stands_for[::-1], stands_for])
            places = (found.target[:, :, 0] > 0).astype(int)
        else:
            places = found.target.argmax(axis=2)
        return Explanation(
            found.row_id,
            found.weight,
            found.similarity,
            self.classes_[places],
            base,
            odds,
            self.classes_,
            stands_for,
            "log-odds",
        )

    def _take_over(self, notes: dict[str, Any]) -> None:
        self.alpha_, self.kernel_ = self.model_.alpha_, self.model_.kernel_
        self.report_ = self.model_.report_ | notes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @property
    def n_iter_(self) -> int:
        """Passes over the rows of "sgd"; 1 of the other solvers."""
        return int(self.report_.get("passes", 1))

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        meta, arrays = self.model_.fitted_state()
        names = ("classes_", "calibration_", "class_weight_")
        own = {name: getattr(self, name) for name in names}
        return meta | {"report_": self.report_}, arrays | own

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        arrays = dict(arrays)
        self.classes_ = np.asarray(arrays.pop("classes_"))
        self.calibration_ = np.asarray(arrays.pop("calibration_"))
        ones = np.ones(len(self.classes_))
        self.class_weight_ = np.asarray(arrays.pop("class_weight_", ones))
        self.model_ = self._new_model()
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                setattr(self.model_, name, getattr(self, name))
        self.model_.restore_state(meta, arrays)
        if not hasattr(self, "n_features_in_"):
            self.model_.n_features_in_ = 0
        self._take_over({})


def _weighted_rows(source: RowSource) -> int:
    counts = [np.count_nonzero(np.asarray(block.weight)) for block in source.blocks(65_536)]
    return int(sum(counts))
