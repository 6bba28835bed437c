"""Which solver fits a model: by multiplications counted beforehand, the same on every machine.

Apart from the solvers, since whoever chooses among models, or plans one, asks it without a fit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.approximations.explain_arrays import MOST_COMPONENTS
from scalekern.approximations.whole_gram import GRAM_MATRICES
from scalekern.engine import memory_budget
from scalekern.engine.progress import step
from scalekern.features.pivoted import pivoted_cholesky
from scalekern.kernels import Kernel
from scalekern.solvers import AlphaRule, sketch_size
from scalekern.solvers.exact_cg import preconditioner_rank

ALPHA_ROWS = 3_000
"""An exact model by cg takes the alpha of the exact model of so many rows."""
KERNEL_VALUE = 60
"""Multiplications in a matrix product that cost as much as one kernel value beyond its products,
which are long and thin, and its share of the passes' own work; as measured."""
EIGENVALUES = 10
"""Multiplications of a matrix product that all eigenvalues and vectors cost, as shares of n^3."""
EXACT_PASSES = 40
"""Products with the Gram matrix that an exact model usually takes."""
FIRST_PASSES, PASSES_BY_ROOT = 4, 2.5
"""Products with it, and those for each root of the condition number; 2.1 to 3.5 were measured."""
DOUBLE = 3
"""What float64 tiles cost, in float32 ones."""
MOST_EXACT_WORK = 5e12
"""Multiplications of an exact model that chooses alpha itself: none so small that iterations would
take more, unless they are the first `LEAST_PASSES`."""
LEAST_PASSES = 20
TINY_ALPHA = 1e-9
"""As a share of n: from here on cg would take hundreds of products."""
USUAL_PASSES = 12
"""Passes of kernel values that a fit by cg takes, the sketch counted four times."""


def landmark_solver(solver: str, rule: AlphaRule, n: int, m: int, d: int) -> str:
    """Return the solver of a Nyström model.

    From sums come alpha by all rows and what explains predictions, so "auto" gives them up only
    where alpha is given and the model is too large to keep the latter.
    """
    if solver != "auto":
        return solver
    free = rule.rule == "fixed" and rule.smallest > 0 and m > MOST_COMPONENTS
    return "cg" if free and cg_is_cheaper(n, m, d) else "cholesky"


def cg_is_cheaper(n: int, m: int, d: int) -> bool:
    """Return whether landmarks are solved for with fewer multiplications by cg than from sums."""
    value = d + KERNEL_VALUE
    direct = n * m * (value + m / 2)
    size = sketch_size(m)
    iterative = USUAL_PASSES * n * m * value + 1.5 * size * m**2
    return n > size and iterative < direct


def exact_sample_rows(params: dict[str, Any]) -> int:
    """Return how many random rows an exact fit needs."""
    return ALPHA_ROWS if params["solver"] in ("auto", "cg") else 1


def exact_solver(solver: str, kernel: Kernel, rule: AlphaRule, n: int, d: int) -> tuple[str, str]:
    """Return the solver of an exact model of n rows of d columns, and why that one."""
    if solver != "auto":
        return solver, "asked for"
    if not kernel.positive_definite:
        return "pinv", "the kernel may be indefinite"
    fixed = rule.rule == "fixed"
    if fixed and rule.smallest <= TINY_ALPHA * n:
        return "cholesky", "alpha is tiny, which iterations are slow for"
    dense, iterative = exact_work(n, d, fixed=fixed)
    why = f"{dense:.1e} multiplications dense, {iterative:.1e} by cg"
    if GRAM_MATRICES[rule.rule] * 8 * n * n > memory_budget():
        return "cg", "the Gram matrix does not fit in memory"
    return ("cg" if iterative < dense else "cholesky"), why


def exact_work(n: int, d: int, *, fixed: bool) -> tuple[float, float]:
    """Return the multiplications of an exact fit, dense and by cg."""
    value, rank = d + KERNEL_VALUE, preconditioner_rank(n)
    of_alpha = 0 if fixed else EIGENVALUES * min(n, ALPHA_ROWS) ** 3
    dense = n**2 * value + (n**3 / 3 if fixed else EIGENVALUES * n**3)
    return dense, EXACT_PASSES * n**2 / 2 * value + 2 * n * rank**2 + of_alpha


@dataclass(frozen=True)
class Conditioning:
    """How hard an exact model of n rows is for iterations.

    The rank of the preconditioner leaves a share of the trace of K; that spread over as many
    directions again is about the norm of what is left, and its ratio to alpha the condition.

    Attributes
    ----------
    n : int
    left : float
        That norm.
    share : float
        Of the trace, that is left.
    """

    n: int
    left: float
    share: float

    def least_alpha(self, d: int, dtype: Any) -> float:
        """Return the alpha from which on no more than `MOST_EXACT_WORK` is expected.

        Of rows with weight 1; it is as many times larger as weights are on average.
        """
        value = (d + KERNEL_VALUE) * (DOUBLE if np.dtype(dtype) == np.float64 else 1)
        passes = max(MOST_EXACT_WORK / (self.n**2 / 2 * value), LEAST_PASSES)
        condition = ((passes - FIRST_PASSES) / PASSES_BY_ROOT) ** 2
        return self.left / (condition - 1.0)


def fewest_passes(n: int, d: int) -> float:
    """Return the multiplications of the least number of iterations that make an exact model."""
    return LEAST_PASSES * n**2 / 2 * (d + KERNEL_VALUE)


@step("looking at eigenvalues")
def conditioning(kernel: Kernel, X: Any, n: int, seed: int) -> Conditioning:
    """Return what some random rows say of all n.

    Parameters
    ----------
    kernel : Kernel
        With its bandwidth.
    X : rows
        Twice as many as the preconditioner's rank, at least, if there are.
    n : int
    seed : int
    """
    m = len(X) if isinstance(X, list) else X.shape[0]
    factor = pivoted_cholesky(kernel, X, min(preconditioner_rank(n), m // 2), seed)
    rank = len(factor.pivots)
    left = float(factor.left.sum()) / max(1, m - rank)
    return Conditioning(n, left * n / max(1, rank), left * m / (factor.trace or 1.0))
