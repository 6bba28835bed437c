"""approximation="local": an exact model on the nearest training rows of each query.

It keeps all rows in an index, and no coefficients: each prediction finds its neighbours and solves
their system, thousands of queries at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scalekern.engine import Engine, Need
from scalekern.errors import InvalidInputError
from scalekern.estimators.approximation import Approximation, Fitted, Job
from scalekern.estimators.explanation import Candidates, named_rows
from scalekern.estimators.fitting import gather
from scalekern.estimators.sharding import (
    IndexedRows,
    index_in_shards,
    indexes_in_shards,
    shard_algorithm,
)
from scalekern.estimators.weighing import Sink, Weigher, kept_ids
from scalekern.features.survey import Survey, resolve_kernel
from scalekern.kernels import Kernel, Laplacian, as_kernel
from scalekern.neighbors import (
    BuiltIndex,
    NeighborIndex,
    build_index,
    index_from_state,
    without_itself,
)
from scalekern.rows import ArraySource, Block, RowSource
from scalekern.rows.base import dense_rows
from scalekern.selection.local import (
    DEFAULT_ALPHA,
    DEFAULT_FACTOR,
    LeftOut,
    LocalChoice,
    choose_local,
)
from scalekern.solvers import AlphaRule, Solution
from scalekern.solvers.local import (
    Neighborhoods,
    exponents,
    length_of,
    local_shares,
    require_local,
    similarities,
    solve_gram,
    solve_local,
)
from scalekern.storage.agreement import check_values

SAMPLE_ROWS = 1_000
"""Rows left out to choose by, and as many others to measure errors on, if there are so many."""
FEWEST_ROWS = 200
"""So many rows are all chosen by, and all measured on."""
BLOCK_BYTES = 1 << 20
SEARCH_BYTES, SEARCH_ROWS = 8 << 20, 256
_INDEX = "index-"
FACTORS = (int, float, type(None))
"""What a factor of a length may be: None where it is not fixed."""


def local_need(n_threads: int, k: int) -> Need:
    """Return what one model on k neighbours in each thread needs."""
    size = 24 * (k + 1) ** 2 * n_threads
    return Need(size, f"models on {k} neighbours", "use fewer n_neighbors")


@dataclass
class LocalRows:
    """The training rows of a local model, ready to be searched.

    Attributes
    ----------
    index : NeighborIndex
    targets : float64 array of shape (n, n_outputs)
    weight : float64 array of shape (n,) or None
    n_neighbors : int
    spread : float64 array of shape (n_outputs,)
        What multiplies variances; see `selection.local`.
    """

    index: NeighborIndex
    targets: np.ndarray
    weight: np.ndarray | None
    n_neighbors: int
    spread: np.ndarray

    @property
    def block_rows(self) -> int:
        """Queries whose matrices fit in the cache together."""
        k, d, t = self.n_neighbors + 1, self.index.rows.shape[1], self.targets.shape[1]
        return max(1, BLOCK_BYTES // (8 * k * (k + d + t)))

    def blocks(self, X: np.ndarray) -> Iterator[tuple[slice, np.ndarray, Neighborhoods]]:
        """Yield runs of queries with the numbers of their neighbours, and the neighbours."""
        k, many = self.n_neighbors, self.block_rows
        step = max(1, SEARCH_BYTES // (16 * k))
        for low in range(0, len(X), step):
            distances, indices = self.index.search(X[low : low + step], k)
            for first in range(0, len(distances), many):
                part = slice(first, first + many)
                rows = slice(low + first, low + first + len(distances[part]))
                yield rows, indices[part], self.gathered(X[rows], distances[part], indices[part])

    def others(self, X: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is nearest to training rows, whose numbers are `own`, but for themselves.

        Distances and numbers; where there are too few other rows, the last is not found.
        """
        distances, indices = self.index.search(X, self.n_neighbors + 1)
        indices, distances = without_itself(own, indices, distances)
        return distances, indices

    def gathered(self, X: np.ndarray, distances: np.ndarray, indices: np.ndarray) -> Neighborhoods:
        """Return queries with the rows and targets of their neighbours."""
        found = indices >= 0
        all_found = bool(found.all())
        safe = indices if all_found else np.where(found, indices, 0)
        radius = (distances if all_found else np.where(found, distances, 0.0)).max(axis=1)
        radius = np.where(np.isfinite(radius) & (radius > 0), radius, 1.0)
        return Neighborhoods(
            np.asarray(X, dtype=np.float64),
            self.index.rows[safe].astype(np.float64, copy=False),
            self.targets[safe],
            radius,
            None if self.weight is None else self.weight[safe],
            None if all_found else found,
        )


class Local(Approximation):
    """An exact model on the nearest rows of each query."""

    name = "local"
    solvers = ("cholesky",)
    keeps_rows = True
    axes: ClassVar[dict[str, str]] = {"targets_": "nt", "spread_": "t", "weight_": "n"}
    kept_to_explain = ()

    def sample_size(self, params: dict[str, Any]) -> int:
        """Rows to leave out."""
        del params
        return 2 * SAMPLE_ROWS

    def select(
        self, kernel: Any, gamma: Any, rule: AlphaRule, seen: Survey
    ) -> tuple[Kernel, dict[str, Any]]:
        """Return the kernel; its bandwidth stays open unless a number is given."""
        chosen: Kernel = require_local(as_kernel(kernel))
        if isinstance(gamma, str) and gamma in ("median", "scale", "cv"):
            return chosen, {}
        return resolve_kernel(chosen, gamma, seen), {}

    def fit(self, job: Job) -> Fitted:
        """Build the index, and choose the length scale and alpha."""
        kernel, k = job.kernel, int(job.params["n_neighbors"])
        local_need(job.engine.local.n_threads, k).require()
        rows = _indexed(job, k)
        built = rows.built
        if k > len(rows.y):
            raise InvalidInputError(
                f"n_neighbors={k} but n_samples={len(rows.y)}; ask for fewer neighbours, or use "
                "approximation='exact'"
            )
        weight = rows.weight if job.source.has_weight else None
        share = rows.weight / rows.weight.max()
        mean = share @ rows.y / share.sum()
        local = LocalRows(built.index, rows.y, weight, k, np.ones(rows.y.shape[1]))
        length = None if kernel.needs_gamma else length_of(kernel)
        choice = self._choose(job, local, rows.numbers, length)
        local.spread = choice.spread
        report = {
            "solver": "cholesky",
            "tile_dtype": "float64",
            "n_neighbors": k,
            "index": built.description,
            "recall": built.recall,
            "length": f"{choice.factor:g} x radius" if length is None else length,
            **choice.report,
        }
        solution = Solution(
            np.zeros((0, len(mean))),
            mean if job.fit_intercept else np.zeros_like(mean),
            choice.alpha,
            alphas=choice.alphas,
            scores=choice.scores,
            report=report,
        )
        factor = choice.factor if length is None else None
        kept = {"local_": local, "length_factor_": factor}
        return Fitted(solution, kept | kept_ids(rows.ids))

    def _choose(
        self, job: Job, local: LocalRows, numbers: np.ndarray, length: float | None
    ) -> LocalChoice:
        if local.index.n_rows == 1:
            alpha = DEFAULT_ALPHA if job.rule.candidates is None else job.rule.smallest
            return LocalChoice(alpha, DEFAULT_FACTOR, local.spread)
        n = len(job.seen.sample.numbers)
        size = min(SAMPLE_ROWS, n // 2 if n >= 2 * FEWEST_ROWS else n)
        chosen_by = np.arange(size)
        # Rows that were chosen by have errors that are a little too small.
        sample = _left_out(job, local, numbers, chosen_by)
        enough = n >= 2 * size
        return choose_local(
            job.engine.local,
            sample,
            _left_out(job, local, numbers, chosen_by + size) if enough else sample,
            job.kernel,
            job.rule,
            length,
            start=job.start,
            centre=job.fit_intercept,
            block_rows=local.block_rows,
        )

    def predictor(self, model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the function from a block's X to predictions."""
        del dtype
        return lambda X: _solved(model, X, with_std=False)[0]

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the function from X to predictions and standard deviations."""
        freedom = model.local_.n_neighbors - bool(model.fit_intercept)
        if freedom < 1:
            raise InvalidInputError("return_std=True needs n_neighbors of at least 2")
        return lambda X: _solved(model, X, with_std=True)

    def weigher(self, model: Any, rows: RowSource | None) -> Weigher:
        """Weigh the neighbours, which the model holds."""
        del rows
        return LocalWeigher(model)

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the index with its rows, and the targets."""
        local: LocalRows = model.local_
        meta, arrays = local.index.state()
        own = {"targets_": local.targets, "spread_": local.spread}
        if local.weight is not None:
            own["weight_"] = local.weight
        parts = {_INDEX + name: value for name, value in arrays.items()}
        fitted = {"length_factor_": model.length_factor_, "n_neighbors_": local.n_neighbors}
        return fitted | {"index": meta}, own | parts

    def restored(self, meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of the model, with the index built again."""
        meta, arrays = dict(meta), dict(arrays)
        parts = {n: arrays.pop(n) for n in list(arrays) if n.startswith(_INDEX)}
        index = index_from_state(
            meta.pop("index"), {name[len(_INDEX) :]: value for name, value in parts.items()}
        )
        meta = {"length_factor_": None} | meta
        check_values(meta, {"length_factor_": FACTORS, "n_neighbors_": int})
        targets, k = arrays.pop("targets_"), meta.pop("n_neighbors_")
        if not 0 < k <= len(targets):
            raise ValueError(f"n_neighbors_={k!r}, but there are {len(targets)} rows")
        if index.n_rows != len(targets):
            raise ValueError(f"the index has {index.n_rows} rows, of {len(targets)} targets")
        local = LocalRows(index, targets, arrays.pop("weight_", None), k, arrays.pop("spread_"))
        return meta | arrays | {"local_": local}


def _indexed(job: Job, k: int) -> IndexedRows:
    """Return all rows in an index: of one piece, or of shards where rows are on a cluster."""
    metric = "manhattan" if isinstance(job.kernel, Laplacian) else "euclidean"
    options: dict[str, Any] = {"metric": metric, "seed": job.seen.sample.seed}
    if indexes_in_shards(job.engine, job.source):
        algorithm = shard_algorithm("auto", job.source, metric, 0.95, None)

        def build(X: np.ndarray, y: np.ndarray) -> BuiltIndex:
            del y
            return build_index(X, **options, algorithm=algorithm, n_neighbors=min(k, len(X)))

        return index_in_shards(job.engine, job.source, build)
    rows = gather(job.source)
    built = build_index(dense_rows(rows.X), **options, n_neighbors=min(k, len(rows.y)))
    return IndexedRows(built, rows.y, rows.weight, rows.numbers, rows.ids)


def _left_out(job: Job, local: LocalRows, numbers: np.ndarray, some: np.ndarray) -> LeftOut:
    """Return some of the rows of the sample, and their neighbours, which are looked for once."""
    sample = job.seen.sample.part(some)
    X, own = dense_rows(sample.X), np.searchsorted(numbers, sample.numbers)
    near: list[tuple[np.ndarray, np.ndarray]] = []
    job.engine.local.map_blocks(
        ArraySource(X),
        lambda block: local.others(block.X, own[block.start : block.start + len(block)]),
        lambda _, found: near.append(found),
        "searching neighbours",
        SEARCH_ROWS,
    )
    distances, indices = (np.concatenate(parts) for parts in zip(*near, strict=True))

    def around(block: Block) -> Neighborhoods:
        part = slice(block.start, block.start + len(block))
        return local.gathered(block.X, distances[part], indices[part])

    return LeftOut(ArraySource(X, sample.y, sample.weight), around)


def _solved(model: Any, X: Any, *, with_std: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and, with_std, standard deviations, each of shape (rows, n_outputs)."""
    local: LocalRows = model.local_
    kernel = model.kernel_
    X = dense_rows(X)
    mean, std = np.empty((2, len(X), local.targets.shape[1]))
    for rows, _, hoods in local.blocks(X):
        lengths = _lengths(model, hoods)
        found = solve_local(
            kernel, hoods, lengths, model.alpha_, centre=model.fit_intercept, with_scale=with_std
        )
        mean[rows] = found.prediction
        if found.scale2 is not None:
            std[rows] = np.sqrt(local.spread * found.scale2 * found.variance[:, None])
        if hoods.found is not None:
            _from_all(mean[rows], std[rows], np.asarray(~hoods.found.any(axis=1)), model, local)
    return mean, std


def _lengths(model: Any, hoods: Neighborhoods) -> np.ndarray:
    """Return the length scale of each query."""
    if model.length_factor_:
        return np.asarray(model.length_factor_ * hoods.radius)
    return np.full(len(hoods.queries), length_of(model.kernel_))


class LocalWeigher(Weigher):
    """The neighbours of each query, as its own model weighs them."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.baseline, self.n_rows = np.atleast_1d(model.intercept_), model.local_.n_neighbors

    def weigh(self, X: Any, engine: Engine, sink: Sink) -> None:
        """Give the neighbours of all queries."""
        del engine
        parts = [
            self._candidates(indices, hoods)
            for _, indices, hoods in self._model.local_.blocks(dense_rows(X))
        ]
        names = ("row_id", "weight", "similarity", "target")
        sink(Candidates(*(np.concatenate([getattr(p, name) for p in parts]) for name in names)))

    def _candidates(self, indices: np.ndarray, hoods: Neighborhoods) -> Candidates:
        model, n = self._model, len(self._model.local_.targets)
        E = exponents(model.kernel_, hoods, _lengths(model, hoods))
        K = similarities(model.kernel_, E)
        solution = solve_gram(K, hoods, model.alpha_, centre=model.fit_intercept)
        return Candidates(
            named_rows(getattr(model, "explain_ids_", np.arange(n)), indices),
            local_shares(hoods, solution, centre=model.fit_intercept),
            np.where(indices >= 0, K[:, -1, :-1], 0.0),
            hoods.targets,
        )


def _from_all(
    mean: np.ndarray, std: np.ndarray, lost: np.ndarray, model: Any, local: LocalRows
) -> None:
    """Give queries for which the index found nothing the mean and deviation of all targets."""
    mean[lost] = model.intercept_
    std[lost] = local.targets.std(axis=0)
