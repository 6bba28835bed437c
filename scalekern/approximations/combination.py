"""approximation="nystroem+local": a global model for what is smooth, a local one for what is left.

The second is fitted to what the first leaves of the targets, and predictions add up. Neither knows
of the other: rows whose targets are residuals are rows like any others. So this is one class for
any first part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from scalekern.approximations.base import Approximation, Fitted, Job
from scalekern.approximations.local import FACTORS, Local, is_local_array
from scalekern.approximations.local_rows import LocalRows
from scalekern.engine.progress import step
from scalekern.features.survey import Survey, survey
from scalekern.kernels import Kernel
from scalekern.rows import Block, RowSource
from scalekern.rows.base import MappedSource, then
from scalekern.solvers import AlphaRule, alpha_rule
from scalekern.storage.agreement import Kinds, check_values

Predict = Callable[[Any], np.ndarray]

KINDS: dict[str, Kinds] = {
    "kernel": Kernel, "alpha": (int, float), "fit_intercept": bool, "length_factor": FACTORS,
}  # fmt: skip


@dataclass
class LocalPart:
    """What `Local` asks of a model: the part that is fitted to the residuals."""

    kernel_: Kernel
    alpha_: float
    intercept_: np.ndarray
    fit_intercept: bool
    local_: LocalRows
    length_factor_: float | None


class WithLocal(Approximation):
    """The residuals of a global approximation, predicted by a local one.

    Parameters
    ----------
    first : Approximation
        Fitted to the targets; the model keeps its arrays under their usual names.
    """

    def __init__(self, first: Approximation) -> None:
        self.name = f"{first.name}+local"  # type: ignore[misc]
        self.solvers = first.solvers  # type: ignore[misc]
        self._first, self._second = first, Local()
        self.needed = first.needed  # type: ignore[misc]
        self.kept_to_explain = first.kept_to_explain  # type: ignore[misc]
        self.axes = first.axes | Local.axes | {"rest_intercept_": "t"}  # type: ignore[misc]

    def sample_size(self, params: dict[str, Any]) -> int:
        """Rows that the global part draws; the local part draws its own."""
        return self._first.sample_size(params)

    def select(
        self, kernel: Any, gamma: Any, rule: AlphaRule, seen: Survey
    ) -> tuple[Kernel, dict[str, Any]]:
        """Return the kernel of the global part."""
        self._second.select(kernel, "median", rule, seen)
        return self._first.select(kernel, gamma, rule, seen)

    def fit(self, job: Job) -> Fitted:
        """Fit the global part, and the local one to what it leaves.

        `gamma` and `alpha` are those of the global part. The local one has a length for each query
        and an alpha of its own, both by leave-one-out, unless the kernel itself brings a length.
        """
        fitted = self._first.fit(job)
        predict = self._first.predictor(_global_part(job, fitted), job.tile_dtype)
        source = ResidualSource(job.source, predict)
        rule, params = alpha_rule("loo"), job.params | {"solver": "auto"}
        size = self._second.sample_size(params)
        seen = survey(job.engine, source, size, job.seen.sample.seed)
        kernel, _ = self._second.select(params["kernel"], "median", rule, seen)
        with step("fitting the residuals"):
            rest = self._second.fit(Job(job.engine, source, kernel, rule, seen, params))
        part = LocalPart(
            kernel,
            rest.solution.alpha,
            rest.solution.intercept,
            job.fit_intercept,
            rest.arrays["local_"],
            rest.arrays["length_factor_"],
        )
        fitted.solution.report["rest"] = rest.solution.report | {"alpha": part.alpha_}
        return Fitted(fitted.solution, fitted.arrays | {"rest_": part})

    def predictor(self, model: Any, dtype: np.dtype) -> Predict:
        """Return the sum of both."""
        smooth = self._first.predictor(model, dtype)
        rest = self._second.predictor(model.rest_, dtype)
        return lambda X: smooth(X) + rest(X)

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the sum of both, and the deviations of the local part."""
        smooth = self._first.predictor(model, np.dtype(np.float64))
        rest = self._second.std_predictor(model.rest_)

        def predict(X: Any) -> tuple[np.ndarray, np.ndarray]:
            mean, std = rest(X)
            return smooth(X) + mean, std

        return predict

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the local part is: the index with its rows, and what the global one left."""
        part: LocalPart = model.rest_
        meta, arrays = self._second.state(part)
        own = {
            "kernel": part.kernel_,
            "alpha": part.alpha_,
            "fit_intercept": part.fit_intercept,
            "length_factor": meta.pop("length_factor_"),
        }
        first, more = self._first.state(model)
        return first | {"rest": own | meta}, more | arrays | {"rest_intercept_": part.intercept_}

    def restored(self, meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of the model, with its local part."""
        meta, arrays = dict(meta), dict(arrays)
        own = meta.pop("rest")
        check_values(own, KINDS)
        intercept = arrays.pop("rest_intercept_")
        local = self._second.restored(
            {"index": own["index"], "n_neighbors_": own["n_neighbors_"]},
            {name: arrays.pop(name) for name in list(arrays) if is_local_array(name)},
        )["local_"]
        part = LocalPart(
            own["kernel"],
            own["alpha"],
            intercept,
            own["fit_intercept"],
            local,
            own["length_factor"],
        )
        return self._first.restored(meta, arrays) | {"rest_": part}


class ResidualSource(MappedSource):
    """The rows of another source, whose targets are what a model leaves of them."""

    def __init__(self, source: RowSource, predict: Predict) -> None:
        super().__init__(source, lambda X: X, source.n_features)
        self._predict = predict

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield the blocks of the source with their residuals."""
        for block in self._source.blocks(max_rows):
            yield self._residuals(block)

    def runs(self, numbers: np.ndarray, length: int) -> Iterator[Block]:
        """Yield some of the blocks, with their residuals."""
        for block in self._source.runs(numbers, length):
            yield self._residuals(block)

    def split(self) -> tuple[RowSource, Callable[[Block], Block]]:
        """Return the source below, and what is made of its blocks."""
        return then(self._source, self._residuals)

    def _residuals(self, block: Block) -> Block:
        assert block.y is not None
        return replace(block, y=block.y - self._predict(block.X))


def _global_part(job: Job, fitted: Fitted) -> Any:
    """Return what the first approximation asks of a model to predict with."""
    solution = fitted.solution
    return SimpleNamespace(
        kernel_=job.kernel,
        alpha_=solution.alpha,
        intercept_=solution.intercept,
        **fitted.arrays,
    )
