"""approximation="local": an exact model on the nearest training rows of each query.

It keeps all rows in an index, and no coefficients: each prediction finds its neighbours and solves
their system, thousands of queries at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from scalekern.approximations.base import Approximation, Fitted, Job
from scalekern.approximations.explain_arrays import kept_ids
from scalekern.approximations.gathered import gather
from scalekern.approximations.local_answers import LocalWeigher, local_predictions
from scalekern.approximations.local_rows import LocalRows
from scalekern.approximations.weighers import Weigher
from scalekern.engine import Need
from scalekern.engine.statistic import under
from scalekern.errors import InvalidInputError
from scalekern.features.survey import Survey, resolve_kernel
from scalekern.kernels import Kernel, Laplacian, as_kernel
from scalekern.neighbors import (
    BuiltIndex,
    build_index,
    index_from_state,
)
from scalekern.neighbors.sharding import (
    IndexedRows,
    index_in_shards,
    indexes_in_shards,
    shard_algorithm,
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
    length_of,
    require_local,
)
from scalekern.storage.agreement import check_values

SAMPLE_ROWS = 1_000
"""Rows left out to choose by, and as many others to measure errors on, if there are so many."""
FEWEST_ROWS = 200
"""So many rows are all chosen by, and all measured on."""
SEARCH_ROWS = 256
_INDEX, _ARRAYS = "index-", ("targets_", "spread_", "weight_")
TIMES_RADIUS = "x the distance to the last neighbour"
"""How a length scale of its own for each query is reported."""
FACTORS = (int, float, type(None))
"""What a factor of a length may be: None where it is not fixed."""


def local_need(n_threads: int, k: int) -> Need:
    """Return what one model on k neighbours in each thread needs."""
    size = 24 * (k + 1) ** 2 * n_threads
    return Need(size, f"models on {k} neighbours", "use fewer n_neighbors")


def is_local_array(name: str) -> bool:
    """Return whether a stored array is one that `Local.state` gave."""
    return name in _ARRAYS or name.startswith(_INDEX)


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
            "length": f"{choice.factor:g} {TIMES_RADIUS}" if length is None else length,
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
        return lambda X: local_predictions(model, X, with_std=False)[0]

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the function from X to predictions and standard deviations."""
        freedom = model.local_.n_neighbors - bool(model.fit_intercept)
        if freedom < 1:
            raise InvalidInputError(
                "return_std=True needs n_neighbors of at least 2; fit with more"
            )
        return lambda X: local_predictions(model, X, with_std=True)

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
        index = index_from_state(meta.pop("index"), under(_INDEX, arrays))
        arrays = {name: value for name, value in arrays.items() if not name.startswith(_INDEX)}
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
        lambda block: local.others(block.X, own[block.rows]),
        lambda _, found: near.append(found),
        "searching neighbours",
        SEARCH_ROWS,
    )
    distances, indices = (np.concatenate(parts) for parts in zip(*near, strict=True))

    def around(block: Block) -> Neighborhoods:
        return local.gathered(block.X, distances[block.rows], indices[block.rows])

    return LeftOut(ArraySource(X, sample.y, sample.weight), around)
