"""RowPreparer: columns of any kind into numbers on one scale, in one streamed pass.

A model carries it as the first step of its pipeline, so that what is predicted for gets the same
treatment. What a kind of column becomes is in a file of its own; here they are learned together,
put beside one another, and scaled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from scalekern.engine import Moments, Together, engine_for
from scalekern.engine.lazy import lazy_on_dask
from scalekern.errors import InvalidInputError
from scalekern.features.column_base import Column, Spread
from scalekern.features.column_kinds import columns_of, put_down, take_up, unique_names
from scalekern.features.number_column import NumberColumn
from scalekern.features.output import rows_for_rows
from scalekern.features.parameters import check_choice, check_integer
from scalekern.features.target_column import TargetColumn
from scalekern.rows import Block, RowSource, is_frame
from scalekern.rows.dask_pieces import is_dask, is_dask_frame
from scalekern.rows.dask_results import collection_of
from scalekern.rows.dask_rows import dask_source
from scalekern.rows.raw import plain_of, raw_of, source_of_rows
from scalekern.rows.validate import checked_target, fit_source, predict_source
from scalekern.storage import storable
from scalekern.storage.agreement import check_arrays, check_values

SCALERS = ("standard", "minmax", "none")
MISSING = ("error", "mean", "median")
CATEGORIES = ("onehot", "target", "error")


@storable
@rows_for_rows
class RowPreparer(TransformerMixin, BaseEstimator):
    """Make the columns of a table into numbers on one scale, so that distances mean something.

    Numbers are scaled, and booleans count as 0 and 1. Texts and categories become one column each
    (as 0 and 1, not scaled) or their mean target. Dates become the year, and sine and cosine of
    the day of the year, the weekday and, where there is a time, the minute of the day. Frames of
    pandas, polars and Arrow may mix such columns, and so may rows of
    ``scalekern.rows(..., raw=True)``. Rows come out as rows that are made into numbers while they
    are read, so a scikit-learn pipeline of this and an estimator works on files larger than memory.

    Parameters
    ----------
    scaler : {"standard", "minmax", "none"}, default="standard"
        Numbers, years and target means: to mean 0 and variance 1; to the range 0 to 1; or as they
        are. A constant column becomes 0. Missing values do not count.
    missing : {"error", "mean", "median"}, default="error"
        What a missing value (null or NaN) becomes: an error that names its row; or the mean or
        median of its column. A column that had some in `fit` gets a second one, `_missing`, of 0
        and 1. The median is that of the 4,000 values whose row ids have the smallest hashes, and
        exact up to so many. A missing category is a category of its own, and a missing day is the
        middle of its circle. (Rows are not dropped: predictions need one for each.)
    categories : {"onehot", "target", "error"}, default="onehot"
        What texts and categories become. "onehot": at most `max_categories` columns of 0 and 1;
        the rarer ones share `_other`; what was not there in `fit` is `_other`, or 0 in all.
        "target": the mean target of the category, smoothed by ten rows of the overall mean (of
        labels that are texts the share of each label, of the second one where there are two); in
        `fit_transform`, and so within a pipeline's `fit`, out of fold: no row sees its own target.
        "error": refused.
    max_categories : int, default=32
        The most columns that "onehot" makes of one, `_other` and `_missing` included, as in
        `sklearn.preprocessing.OneHotEncoder`.
    categorical : list of column names or positions, default=()
        Columns of numbers to treat as categories.
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    offset_, scale_ : float64 arrays of shape (n_features_out,)
        A value x becomes `(x - offset_) / scale_`; 0 and 1 for what is not scaled.
    report_ : dict of str
        What happens to each column that is more than scaled.

    Raises
    ------
    InvalidInputError
        For a bad parameter, and bad values in the data, by column, file and row.

    References
    ----------
    Micci-Barreca (2001), A preprocessing scheme for high-cardinality categorical attributes.

    Examples
    --------
    >>> import pyarrow as pa
    >>> from scalekern import RowPreparer
    >>> RowPreparer("minmax").fit_transform([[1.0, 5.0], [3.0, 5.0]]).tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    >>> table = pa.table({"size": [1.0, None, 3.0], "carrier": ["AA", "UA", "AA"]})
    >>> preparer = RowPreparer("none", missing="mean").fit(table)
    >>> preparer.get_feature_names_out().tolist()
    ['size', 'size_missing', 'carrier_AA', 'carrier_UA']
    >>> preparer.transform(table).tolist()
    [[1.0, 0.0, 1.0, 0.0], [2.0, 1.0, 0.0, 1.0], [3.0, 0.0, 1.0, 0.0]]
    """

    columns_: list[Column] | None

    def __init__(
        self,
        scaler: str = "standard",
        *,
        missing: str = "error",
        categories: str = "onehot",
        max_categories: int = 32,
        categorical: Any = (),
        n_jobs: int | None = None,
    ) -> None:
        self.scaler = scaler
        self.missing = missing
        self.categories = categories
        self.max_categories = max_categories
        self.categorical = categorical
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any = None) -> RowPreparer:
        """Learn what the columns become.

        Parameters
        ----------
        X : array, sparse matrix or frame of shape (n, d), or rows from `scalekern.rows`
        y : array of shape (n,) or (n, n_outputs), optional
            Read by categories="target" only; left out where X is rows that carry their target.

        Returns
        -------
        self
        """
        self._learn(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Learn what the columns become, and return the rows of the fit.

        The same as `fit` and `transform`, but for target means, which are out of fold here.

        Parameters
        ----------
        X, y : as in `fit`

        Returns
        -------
        as of `transform`
        """
        source, columns = self._learn(X, y)
        if is_dask(X):
            return collection_of(self._prepared(source, columns, lazy=True), X)
        return self._prepared(source, columns, lazy=isinstance(X, RowSource))

    @lazy_on_dask
    def transform(self, X: Any) -> Any:
        """Return the rows as numbers.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d)

        Returns
        -------
        array of shape (n, n_features_out), float32 for float32 rows, else float64; a frame where
        `set_output` asks for one; rows for rows, always
        """
        check_is_fitted(self, "scale_")
        raw = self.columns_ is not None
        source = predict_source(self, X, raw=raw)
        if raw and self.missing != "error":
            source = raw_of(source)
        return self._prepared(source, self.columns_, lazy=isinstance(X, RowSource))

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the outputs, such as age_missing, carrier_AA, date_weekday_sin.

        Parameters
        ----------
        input_features : array of str, optional
            The names of the inputs where they have none, by default x0, x1, ...

        Returns
        -------
        object array of shape (n_features_out,)
        """
        check_is_fitted(self, "scale_")
        names = _check_feature_names_in(self, input_features)
        if self.columns_ is None:
            return np.asarray(names, dtype=object)
        parts = zip(names, self.columns_, strict=True)
        full = [f"{name}{suffix}" for name, column in parts for suffix in column.suffixes]
        return np.asarray(unique_names(full), dtype=object)

    def _learn(self, X: Any, y: Any) -> tuple[RowSource, list[Column] | None]:
        """Learn, and return the rows and the columns as they meet the rows of the fit."""
        self._check()
        tabular = isinstance(X, RowSource) or is_frame(X) or is_dask_frame(X)
        source = fit_source(self, X, needs_y=False, raw=tabular or self.missing != "error")
        if self.missing != "error":
            source = raw_of(source)
        columns = columns_of(
            source, self.missing, self.categories, self.max_categories, self.categorical
        )
        self.report_: dict[str, str] = {}
        if self.missing == "error" and all(isinstance(c, NumberColumn) for c in columns):
            source = plain_of(source)
            self.columns_ = None
            self._scale_numbers(source)
            return source, None
        if any(isinstance(column, TargetColumn) for column in columns):
            source = _with_target(source, X, y)
        self._learn_columns(source, columns)
        return source, columns

    def _check(self) -> None:
        check_choice("scaler", self.scaler, SCALERS)
        if self.missing == "drop":
            raise InvalidInputError(
                "missing='drop' does not exist, because every row given to predict gets a "
                f"prediction; choose one of {', '.join(map(repr, MISSING))}"
            )
        check_choice("missing", self.missing, MISSING)
        check_choice("categories", self.categories, CATEGORIES)
        check_integer("max_categories", self.max_categories, 2)

    def _learn_columns(self, source: RowSource, columns: list[Column]) -> None:
        engine = engine_for(source, self.n_jobs)
        sums = engine.reduce(
            source,
            lambda: Together(**{str(c.place): c.statistic() for c in columns}),
            "looking at columns",
        )
        for column in columns:
            column.learn(sums[str(column.place)])
            if column.describe():
                self.report_[column.name] = column.describe()
        self.columns_ = [column.for_new_rows() for column in columns]
        spreads = [spread for column in columns for spread in column.spreads]
        table = np.array([spread or Spread(0.0, 1.0, 0.0, 1.0) for spread in spreads])
        self._set_scale(*table.T)

    def _scale_numbers(self, source: RowSource) -> None:
        d = source.n_features
        if self.scaler == "none":
            self.offset_, self.scale_ = np.zeros(d), np.ones(d)
            return
        engine = engine_for(source, self.n_jobs)
        seen = engine.reduce(source, lambda: Moments("X"), "scaling")
        self._set_scale(seen.mean, seen.variance, seen.low, seen.high)

    def _set_scale(
        self, mean: np.ndarray, variance: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> None:
        if self.scaler == "none":
            self.offset_, self.scale_ = np.zeros(len(mean)), np.ones(len(mean))
            return
        if self.scaler == "standard":
            self.offset_, spread = mean, np.sqrt(variance)
        else:
            self.offset_, spread = low, high - low
        self.scale_ = np.where(spread > 0, spread, 1.0)
        if not np.isfinite(self.scale_).all():
            column = int(np.flatnonzero(~np.isfinite(self.scale_))[0])
            name = column if self.columns_ is None else repr(self.get_feature_names_out()[column])
            raise InvalidInputError(
                f"column {name} of X has values too large to scale in float64; divide it by a "
                "constant first"
            )

    def _prepared(self, source: RowSource, columns: list[Column] | None, *, lazy: bool) -> Any:
        """Return the rows as numbers: lazily as a source, or at once as an array."""
        names = list(self.get_feature_names_out())
        if lazy and columns is None:
            return source.map(self._scaled, len(names))
        if columns is None:
            (block,) = source.blocks(source.n_rows)
            return self._scaled(block.X)
        dtype, width = source.dtype, len(names)

        def numbers(block: Block) -> np.ndarray:
            out = np.empty((len(block), width))
            low = 0
            for column in columns:
                high = low + len(column.suffixes)
                column.encode(block, out[:, low:high])
                low = high
            return self._scaled(out).astype(dtype, copy=False)

        if lazy:
            return source.map_blocks(numbers, width, dtype)
        (block,) = source.blocks(source.n_rows)
        return numbers(block)

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
        tags.input_tags.allow_nan = self.missing != "error"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        arrays = {"offset_": self.offset_, "scale_": self.scale_}
        if self.columns_ is None:
            return {}, arrays
        described, own = put_down(self.columns_)
        return {"columns": described, "report_": self.report_}, arrays | own

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        check_values(vars(self), {"missing": str, "scaler": str, "categories": str})
        self.offset_, self.scale_ = arrays["offset_"], arrays["scale_"]
        self.columns_ = take_up(meta["columns"], arrays) if "columns" in meta else None
        self.report_ = meta.get("report_", {})
        names = self.get_feature_names_out()
        check_arrays(arrays, {"offset_": "c", "scale_": "c"}, c=len(names))


def _with_target(source: RowSource, X: Any, y: Any) -> RowSource:
    if isinstance(X, RowSource):
        if not source.n_outputs:
            raise InvalidInputError(
                f"categories='target' needs a target, and {source.name} has none; "
                "use rows(..., target='column')"
            )
        return source
    if y is None:
        raise InvalidInputError("categories='target' needs the target; call fit(X, y)")
    if is_dask(X):
        return dask_source(X, y, raw=True)
    (block,) = source.blocks(source.n_rows)
    return source_of_rows(block.X, _numbers_of(y, source.n_rows), None, source)


def _numbers_of(y: Any, n_rows: int) -> np.ndarray:
    """Return a target as numbers: labels that are texts become one column of 0 and 1 each.

    Of two labels one column is enough.
    """
    labels = np.asarray(y)
    if labels.ndim != 1 or not any(isinstance(label, str) for label in labels.tolist()):
        return checked_target(y, n_rows)
    if not all(isinstance(label, str) for label in labels.tolist()):
        raise InvalidInputError("y mixes labels of text with others; make all of them text")
    classes = np.unique(labels.astype(str))
    indicators = (labels[:, None] == classes).astype(np.float64)
    return checked_target(indicators[:, 1] if len(classes) == 2 else indicators, n_rows)
