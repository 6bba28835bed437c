"""What all neighbour estimators share: the index, its recall, and its answers.

Separate from how neighbours are weighed, which only predictions need.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from scalekern.approximations.explain_arrays import kept_ids
from scalekern.approximations.gathered import gather, gathered
from scalekern.engine import Engine, engine_for, require_memory
from scalekern.engine.limits import resolve_threads
from scalekern.engine.statistic import under
from scalekern.errors import InvalidInputError
from scalekern.estimators.intervals import RESIDUALS
from scalekern.estimators.neighbor_graphs import NeighborGraphs
from scalekern.features.parameters import check_integer, seed_of
from scalekern.neighbors import (
    BuiltIndex,
    NeighborIndex,
    build_index,
    build_index_on_disk,
    index_from_state,
    takes_objects,
    without_itself,
)
from scalekern.neighbors.altered import AlteredIndex
from scalekern.neighbors.metrics import canonical_metric
from scalekern.neighbors.sharding import index_in_shards, indexes_in_shards, shard_algorithm
from scalekern.rows import Block, RowSource, source_of
from scalekern.rows.base import dense_rows
from scalekern.rows.validate import predict_source
from scalekern.storage.agreement import Kinds, check_arrays, check_values

FEWEST_QUERY_ROWS, QUERY_ROWS = 256, 4_096
AXES = {"explain_ids_": "n?", RESIDUALS: "ct"}
"""Of the arrays that a model may have: see `check_arrays`."""


class NeighborSearch(NeighborGraphs, BaseEstimator):
    """The index, its recall, `kneighbors`, and how they are put down."""

    n_neighbors: int
    metric: Any
    algorithm: str
    target_recall: float
    expected_queries: int | None
    search_parameters: dict[str, int] | None
    index_path: str | os.PathLike[str] | None
    random_state: Any
    n_jobs: int | None

    def _fit_index(self, source: RowSource) -> np.ndarray:
        """Build the index over the rows and return their targets."""
        k = check_integer("n_neighbors", self.n_neighbors)
        if source.has_weight:
            raise InvalidInputError(
                "k-NN cannot use sample weights; leave weight=... out of rows()"
            )
        if k > source.n_rows:
            raise InvalidInputError(
                f"n_neighbors={k} but n_samples={source.n_rows}; ask for fewer neighbours"
            )
        for name in AXES:
            self.__dict__.pop(name, None)
        if self.index_path is not None:
            return self._fit_on_disk(source, Path(os.fspath(self.index_path)), k)
        engine = engine_for(source, self.n_jobs)
        if indexes_in_shards(engine, source) and not takes_objects(self.metric):
            return self._fit_shards(engine, source, k)
        self._require_memory(source)
        rows = gather(source) if source.n_outputs else gathered(source)
        for name, ids in kept_ids(rows.ids).items():
            setattr(self, name, ids)
        X = dense_rows(rows.X)
        self._keep(self._build_over(X, rows.y))
        return rows.y

    def _build_over(self, X: Any, y: np.ndarray) -> BuiltIndex:
        """Build the index over rows in memory."""
        settings = self._settings(seed_of(self.random_state))
        return build_index(X, **settings, **self._goal(y), n_neighbors=self.n_neighbors)

    def _settings(self, seed: int) -> dict[str, Any]:
        """Return what `build_index` is told, beside the goal."""
        return {
            "metric": self.metric,
            "algorithm": self.algorithm,
            "target_recall": self.target_recall,
            "expected_queries": self._expected_queries(),
            "search_parameters": self.search_parameters,
            "seed": seed,
            "n_jobs": self.n_jobs,
            "graph_threads": self._graph_threads(),
        }

    def _fit_shards(self, engine: Engine, source: RowSource, k: int) -> np.ndarray:
        """Build an index of each run of rows where the rows are, and return the targets, mapped."""
        settings, unfitted = self._settings(seed_of(self.random_state)), clone(self)
        settings["algorithm"] = shard_algorithm(
            self.algorithm,
            source,
            str(canonical_metric(self.metric)),
            self.target_recall,
            settings["expected_queries"],
        )

        def build(X: np.ndarray, y: np.ndarray) -> BuiltIndex:
            goal = unfitted._goal(y)  # noqa: SLF001
            return build_index(X, **settings, **goal, n_neighbors=min(k, len(X)))

        found = index_in_shards(engine, source, build)
        for name, ids in kept_ids(found.ids).items():
            setattr(self, name, ids)
        self._keep(found.built)
        return found.y

    def _fit_on_disk(self, source: RowSource, folder: Path, k: int) -> np.ndarray:
        """Build the index in a folder, and return the targets, mapped."""
        built, targets = build_index_on_disk(
            source,
            folder,
            metric=self.metric,
            algorithm=self.algorithm,
            target_recall=self.target_recall,
            n_neighbors=k,
            search_parameters=self.search_parameters,
            seed=0 if self.random_state is None else seed_of(self.random_state),
            n_jobs=self.n_jobs,
            **self._goal_on_disk(),
        )
        self._keep(built)
        return targets

    def _require_memory(self, source: RowSource) -> None:
        """Raise before rows are gathered that do not fit."""
        if source.n_features and not source.in_memory:
            require_memory(
                2 * source.n_rows * source.n_features * np.dtype(source.dtype).itemsize,
                f"an index of {source.n_rows} rows in memory",
                "give index_path, a folder to build it in",
            )

    def _keep(self, built: BuiltIndex) -> None:
        self._index: NeighborIndex = built.index
        self.recall_, self.index_description_ = built.recall, built.description
        self.tuning_, self.tuned_ = built.tuning, built.tuned
        self.n_samples_fit_ = built.index.n_rows
        self.report_ = {
            "index": built.description,
            "exact": built.index.exact,
            "recall": built.recall,
            "rows": built.index.n_rows,
        }

    def _goal(self, y: np.ndarray) -> dict[str, Any]:
        """Return what `build_index` takes to tune to something else than recall."""
        del y
        return {}

    def _goal_on_disk(self) -> dict[str, Any]:
        """Return what `build_index_on_disk` takes to tune to something else than recall."""
        return {}

    def _expected_queries(self) -> int | None:
        if self.expected_queries is None:
            return None
        return check_integer("expected_queries", self.expected_queries)

    def _graph_threads(self) -> int:
        """Return the threads to build a graph on: a seed asks for the same one every time."""
        return resolve_threads(self.n_jobs) if self.random_state is None else 1

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Return the nearest training rows of each row.

        Parameters
        ----------
        X : array, frame or rows of shape (n, d), or objects; None, default
            None asks for each training row's neighbours other than itself.
        n_neighbors : int, default=None
            As in the constructor if None.
        return_distance : bool, default=True

        Returns
        -------
        distances : float64 array of shape (n, n_neighbors)
            True (not squared) distances, ascending; left out if `return_distance` is False.
        indices : int64 array of shape (n, n_neighbors)
            Numbers of training rows; -1, at distance inf, where fewer were found.
        """
        check_is_fitted(self)
        k = check_integer("n_neighbors", self.n_neighbors if n_neighbors is None else n_neighbors)
        least = self._index.n_rows - (X is None)
        if k > least:
            raise ValueError(
                f"Expected n_neighbors <= n_samples_fit, but n_neighbors = {k}, "
                f"n_samples_fit = {self._index.n_rows}"
            )
        if X is None:
            self._refuse_removed()
            distances, indices = self._search_all(k + 1)
            indices, distances = without_itself(np.arange(len(indices)), indices, distances)
        else:
            distances, indices = self._search(X, k)
        return (distances, indices) if return_distance else indices

    def _refuse_removed(self) -> None:
        """Raise where not every training row is there, and so not each can be asked for."""
        if self._index.n_rows < self.n_samples_fit_:
            raise InvalidInputError(
                f"{self.n_samples_fit_ - self._index.n_rows} training rows were removed; give the "
                "rows to ask for as X"
            )

    def _search_all(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self._found(source_of(self._index.rows), k)

    def _search(self, X: Any, k: int) -> tuple[np.ndarray, np.ndarray]:
        return self._found(predict_source(self, X, objects=takes_objects(self.metric)), k)

    def _found(self, source: RowSource, k: int) -> tuple[np.ndarray, np.ndarray]:
        distances = np.empty((source.n_rows, k))
        indices = np.empty((source.n_rows, k), dtype=np.int64)

        def write(block: Block, found: tuple[np.ndarray, np.ndarray]) -> None:
            distances[block.rows], indices[block.rows] = found

        self._map_neighbors(source, k, lambda d, i: (d, i), write)
        return distances, indices

    def _map_neighbors(
        self,
        source: RowSource,
        k: int,
        function: Callable[[np.ndarray, np.ndarray], Any],
        sink: Callable[[Block, Any], None],
        what: str = "searching neighbours",
        *,
        exact: bool = True,
    ) -> None:
        """Search block by block; only what `function` makes of the neighbours is kept.

        Where exact distances are not needed, those of neighbours found are 1.
        """

        def of_block(block: Block) -> Any:
            X = dense_rows(block.X)
            if not exact:
                numbers = self._index.nearest(X, k)
                return function(np.where(numbers < 0, np.inf, 1.0), numbers)
            return function(*self._index.search(X, k))

        engine = engine_for(source, self.n_jobs)
        size = query_rows(source.n_rows, engine.n_threads)
        engine.map_blocks(source, of_block, sink, what, size)

    def _takes_objects(self) -> bool:
        return takes_objects(self.metric)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        text = super().__repr__(N_CHAR_MAX)
        if hasattr(self, "report_") and not self.report_["exact"]:
            return f"{text}  # approximate, recall {self.recall_:.3f}"
        return text

    def fitted_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was fitted: values for JSON, and arrays."""
        meta, arrays = self._index.state()
        names = (
            "recall_",
            "index_description_",
            "tuning_",
            "tuned_",
            "n_samples_fit_",
            "report_",
        )
        own = {name: getattr(self, name) for name in (*names, *self._own_names)}
        optional = [name for name in AXES if hasattr(self, name)]
        targets = {name: getattr(self, name) for name in (*self._own_axes, *optional)}
        return own | {"index": meta}, targets | {f"index-{k}": v for k, v in arrays.items()}

    def restore_state(self, meta: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `fitted_state` gave."""
        function = self.metric if callable(self.metric) else None
        index_meta = meta.pop("index")
        self._index = index_from_state(index_meta, under("index-", arrays), function)
        kinds: dict[str, Kinds] = {"n_samples_fit_": int, "report_": dict, "recall_": (int, float)}
        if not callable(self.metric):
            check_values(vars(self), {"metric": str})
        # Those of the first version have one output.
        check_values({"outputs_2d_": False} | meta, kinds | dict.fromkeys(self._own_names, bool))
        check_values(meta["report_"], {"exact": bool})
        # Rows that were removed keep their numbers.
        n = meta["n_samples_fit_"]
        if index_meta["name"] != AlteredIndex.name and self._index.n_rows != n:
            raise ValueError(f"n_samples_fit_={n}, but the index has {self._index.n_rows} rows")
        d = {"d": self.n_features_in_} if hasattr(self, "n_features_in_") else {}
        check_arrays(arrays, AXES | self._own_axes | {"index-rows": "rd"}, n=n, **d)
        # Models stored by the first version do not say what the tuning chose.
        for name, value in ({"tuned_": {}} | meta).items():
            setattr(self, name, value)
        for name in (*self._own_axes, *(AXES.keys() & arrays.keys())):
            setattr(self, name, arrays[name])

    _own_names: tuple[str, ...] = ()
    _own_axes: ClassVar[dict[str, str]] = {}


def query_rows(n_rows: int, n_threads: int) -> int:
    """Return the queries of a block: the same number for each thread, from 256 up to 4,096.

    The neighbours of a query do not depend on its block.
    """
    rounds = -(-n_rows // (QUERY_ROWS * n_threads))
    return max(FEWEST_QUERY_ROWS, -(-n_rows // (rounds * n_threads)))
