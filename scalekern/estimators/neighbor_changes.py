"""`add` and `remove`: k-NN models whose rows come and go, without being fitted anew each time."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.explain_arrays import kept_ids
from scalekern.approximations.gathered import gather
from scalekern.engine.progress import whole
from scalekern.errors import InvalidInputError
from scalekern.estimators.intervals import RESIDUALS
from scalekern.neighbors import NeighborIndex, build_index, takes_objects
from scalekern.neighbors.altered import AlteredIndex, added_rows, with_rows, without_rows
from scalekern.rows.base import dense_rows
from scalekern.rows.validate import fit_source

MOST_ADDED, MOST_REMOVED = 0.25, 0.3
"""Beyond these shares of the rows of an index it is built anew."""
FEWEST_ADDED = 1_000


class ChangingRows:
    """Adds rows to a fitted model, and removes some."""

    metric: Any
    n_neighbors: int
    index_path: Any
    n_samples_fit_: int
    report_: dict[str, Any]
    y_: np.ndarray
    _index: NeighborIndex
    _build_over: Any
    _keep: Any

    @whole("adding rows")
    def add(self, X: Any, y: Any = None) -> Any:
        """Add training rows to the fitted model.

        They are found at once. Up to a quarter as many as the index holds they are scanned beside
        it, and then it is built anew; with `index_path` it never is. `calibrate` must be called
        again. A row's number, once given, stays its own.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows as in `fit`
        y : array of shape (n,) or (n, n_outputs)
            Left out where X is rows that carry their target. New labels are new classes.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            If rows, targets or columns are wrong.

        Examples
        --------
        >>> from scalekern import KNeighborsRegressor
        >>> model = KNeighborsRegressor(1).fit([[0.0], [1.0]], [0.0, 1.0])
        >>> model.add([[5.0]], [5.0]).predict([[4.0]])
        array([5.])
        """
        check_is_fitted(self)
        numbers, labels = self._targets_to_add(y)
        objects = takes_objects(self.metric)
        rows = gather(fit_source(self, X, numbers, objects=objects, reset=False))
        more = dense_rows(rows.X)
        ids = self._ids_with(rows.ids)
        extra = build_index(
            added_rows(self._index, more), metric=self.metric, algorithm="brute", n_neighbors=1
        )
        self._add_targets(rows.y if labels is None else labels)
        self._changed(with_rows(self._index, extra.index), ids)
        return self

    @whole("removing rows")
    def remove(self, ids: Any) -> Any:
        """Remove training rows from the fitted model.

        They are passed over from now on. Where they are more than 0.3 of the rows of the index, it
        is built anew without them; with `index_path` it never is. `calibrate` must be called again.

        Parameters
        ----------
        ids : array of row ids
            The numbers of the rows, as `kneighbors` gives them; or their keys, where the rows of
            `fit` had a key.

        Returns
        -------
        self

        Raises
        ------
        InvalidInputError
            If there is no such row (any more), or fewer than `n_neighbors` would be left.

        Examples
        --------
        >>> from scalekern import KNeighborsRegressor
        >>> model = KNeighborsRegressor(1).fit([[0.0], [1.0], [5.0]], [0.0, 1.0, 5.0])
        >>> model.remove([2]).predict([[4.0]])
        array([1.])
        """
        check_is_fitted(self)
        numbers = self._numbers_of(np.unique(np.atleast_1d(np.asarray(ids))))
        left = self._index.n_rows - len(numbers)
        if left < self.n_neighbors:
            raise InvalidInputError(
                f"{left} rows would be left, fewer than n_neighbors={self.n_neighbors}; remove "
                "fewer"
            )
        self._changed(without_rows(self._index, numbers), getattr(self, "explain_ids_", None))
        return self

    def _targets_to_add(self, y: Any) -> tuple[Any, np.ndarray | None]:
        """Return targets as numbers, and labels where they are labels."""
        return y, None

    def _add_targets(self, y: np.ndarray) -> None:
        """Put the targets of new rows to those of the model."""
        self.y_ = np.concatenate([self.y_, y])

    def _there(self) -> np.ndarray | slice:
        """Return which rows are there, to index targets with."""
        index = self._index
        return index.numbers if isinstance(index, AlteredIndex) else slice(None)

    def _numbers_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the numbers of rows that are there, by their ids."""
        n = self.n_samples_fit_
        names = np.asarray(getattr(self, "explain_ids_", np.arange(n)))
        order = np.argsort(names, kind="stable")
        try:
            places = order[np.minimum(np.searchsorted(names, ids, sorter=order), n - 1)]
            known = names[places] == ids
        except TypeError:  # numbers and texts do not compare
            places, known = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.bool_)
        there = np.zeros(n, dtype=np.bool_)
        there[self._there()] = True
        known = known & there[places]
        if not known.all():
            raise InvalidInputError(
                f"the model has no row {ids[~known].tolist()[0]!r} ({int((~known).sum())} of "
                f"{len(ids)} are not in it); give the numbers that kneighbors gives, or the keys "
                "of the rows"
            )
        return places

    def _ids_with(self, ids: np.ndarray) -> np.ndarray | None:
        """Return all row ids after adding rows, None where they are numbers."""
        known = getattr(self, "explain_ids_", None)
        if known is None:
            if kept_ids(ids):
                raise InvalidInputError(
                    "the rows to add have a key, and those that were fitted had none; leave "
                    "key=... out of rows()"
                )
            return None
        if not kept_ids(ids):
            raise InvalidInputError(
                "the fitted rows have a key and those to add have none; give it to rows(key=...)"
            )
        return np.concatenate([known, ids])

    def _changed(self, index: AlteredIndex, ids: np.ndarray | None) -> None:
        """Take the index, or build a new one where too much of it is added or removed."""
        self.__dict__.pop(RESIDUALS, None)
        if ids is not None:
            self.explain_ids_ = ids
        base = index.parts[0][0].n_rows
        much = index.n_added > max(FEWEST_ADDED, MOST_ADDED * base)
        if (much or index.share_removed > MOST_REMOVED) and self.index_path is None:
            self._rebuild(index)
            return
        self._index = index
        self.n_samples_fit_ = len(index.removed)
        self.report_ = self.report_ | {"index": index.description, "rows": index.n_rows}

    def _rebuild(self, index: AlteredIndex) -> None:
        """Build a new index over the rows that are there, which keep their numbers."""
        numbers = index.numbers
        built = self._build_over(index.rows, np.asarray(self.y_)[numbers].reshape(len(numbers), -1))
        self._keep(built)
        self._index = AlteredIndex([(built.index, numbers)], index.removed)
        self.n_samples_fit_ = len(index.removed)
