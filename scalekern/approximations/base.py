"""What an approximation of a similarity model promises, apart from those that there are.

Separate so that each may have a file of its own: `approximations` knows them all, they know only
this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from scalekern.approximations.certificate import Gap
from scalekern.approximations.explain_arrays import KEPT_ON_FEATURES
from scalekern.approximations.weighers import Weigher
from scalekern.engine import Engine
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features.parameters import tile_dtype_of
from scalekern.features.survey import Survey, resolve_kernel
from scalekern.kernels import Kernel
from scalekern.rows import RowSource
from scalekern.solvers import AlphaRule, Solution

LARGEST_TARGET = 1e15
"""Of float32 rows: the square of a sum over millions of them is still finite."""


@dataclass(frozen=True)
class Job:
    """What there is to fit.

    Attributes
    ----------
    engine : Engine
    source : RowSource
    kernel : Kernel
        With its bandwidth.
    rule : AlphaRule
    seen : Survey
    params : dict
        The parameters of the estimator.
    start : (float, float) or None
        Length factor and alpha of local models, to begin from where trials found them.
    left_out : callable, optional
        From ids of rows to which of them are to be scored by a model without them, if that comes
        with the fit.
    """

    engine: Engine
    source: RowSource
    kernel: Kernel
    rule: AlphaRule
    seen: Survey
    params: dict[str, Any]
    start: tuple[float, float] | None = None
    left_out: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def tile_dtype(self) -> np.dtype:
        """Of tiles of features; float32 for float32 rows only.

        Raises
        ------
        InvalidInputError
            If the targets are too large for it.
        """
        dtype = tile_dtype_of(self.source)
        if dtype == np.float32 and self.seen.y_size > LARGEST_TARGET:
            raise InvalidInputError(
                f"y has values of size {self.seen.y_size:.3g}, which are too large for rows of "
                "float32; rescale y, or give the rows as float64"
            )
        return dtype

    @property
    def fit_intercept(self) -> bool:
        """Whether the model has an intercept."""
        return bool(self.params["fit_intercept"])


@dataclass
class Fitted:
    """What a fit found: a solution, and the arrays that the model keeps, by attribute name.

    `left_out` are scores, targets and weights of the rows that the job wanted scored.
    """

    solution: Solution
    arrays: dict[str, Any]
    left_out: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


class Approximation(ABC):
    """One way to fit and evaluate a weighted sum of similarities.

    Attributes
    ----------
    name : str
        The value of the parameter `approximation`.
    solvers : tuple of str
        Those that go with it, the default first.
    keeps_rows : bool
        Whether the model keeps all rows, which must then fit into memory.
    axes : dict
        Of the arrays that are stored, for `check_arrays`.
    needed, kept_to_explain : tuple of str
        The arrays without which there are no predictions, and, all or none, no explanations.
    """

    name: ClassVar[str]
    solvers: ClassVar[tuple[str, ...]]
    keeps_rows: ClassVar[bool] = False
    axes: ClassVar[dict[str, str]] = {}
    needed: ClassVar[tuple[str, ...]] = ()
    kept_to_explain: ClassVar[tuple[str, ...]] = KEPT_ON_FEATURES

    def sample_size(self, params: dict[str, Any]) -> int:
        """Return how many rows the first pass must draw."""
        del params
        return 1

    @abstractmethod
    def fit(self, job: Job) -> Fitted:
        """Fit the model."""

    @abstractmethod
    def predictor(self, model: Any, dtype: np.dtype) -> Callable[[Any], np.ndarray]:
        """Return the function from a block's X to predictions of shape (rows, n_outputs)."""

    def select(
        self, kernel: Any, gamma: Any, rule: AlphaRule, seen: Survey
    ) -> tuple[Kernel, dict[str, Any]]:
        """Return the kernel with its bandwidth, and what to report of the choice."""
        del rule
        return resolve_kernel(kernel, gamma, seen), {}

    def std_predictor(self, model: Any) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
        """Return the function from X to predictions and standard deviations, (rows, n_outputs)."""
        del model
        raise UnsupportedError(
            f"return_std=True does not exist for approximation={self.name!r}; use 'exact', "
            "'nystroem', 'fourier' or 'local'"
        )

    def gap_to_exact(self, model: Any, queries: RowSource, rows: RowSource | None) -> Gap:
        """Return how far the model is from the exact one."""
        del model, queries, rows
        raise UnsupportedError(
            f"gap_to_exact does not exist for approximation={self.name!r}; use 'nystroem' or "
            "'fourier'"
        )

    def weigher(self, model: Any, rows: RowSource | None) -> Weigher:
        """Return what finds the weights of training rows in predictions, for `explain`."""
        del model, rows
        raise UnsupportedError(
            f"explain does not exist for approximation={self.name!r}; use 'exact', 'nystroem' or "
            "'fourier'"
        )

    def state(self, model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what is kept beside the arrays that all share: values for JSON, and arrays."""
        del model
        return {}, {}

    def restored(self, meta: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
        """Return the attributes of the model behind what was stored."""
        return meta | arrays
