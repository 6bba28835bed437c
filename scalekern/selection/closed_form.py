"""Leave-one-out errors of the exact model of a few hundred rows, for every alpha at once.

One eigen-decomposition for each kernel tried, and nothing is fitted twice. Many kernels are tried,
one a thread: the engine's threads, so that no choice depends on how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.features.survey import Survey
from scalekern.kernels import Kernel
from scalekern.rows import ArraySource, Block
from scalekern.rows.base import slice_rows
from scalekern.solvers.path import AlphaRule, best


@dataclass(frozen=True)
class LeftOut:
    """What a kernel is worth on the sample.

    Attributes
    ----------
    error : float
        The mean squared error of rows left out, at the best alpha.
    alpha : float
    errors : float64 array of shape (rows,)
        Of each row, weighted, mean over the outputs.
    """

    error: float
    alpha: float
    errors: np.ndarray


@step("leave-one-out errors")
def left_out_errors(
    engine: Engine, kernels: Sequence[Kernel], rule: AlphaRule, seen: Survey, n_rows: int
) -> list[LeftOut]:
    """Return the leave-one-out errors of the exact models of the sample's first rows.

    Parameters
    ----------
    engine : Engine
    kernels : sequence of Kernel
        With their bandwidths.
    rule : AlphaRule
        The alphas that the final model may choose.
    seen : Survey
    n_rows : int
        How many of the sample's rows, or all there are.
    """
    found: list[LeftOut] = []

    def of_kernel(block: Block) -> LeftOut:
        return _left_out(block.X[0], rule, seen, n_rows)

    engine.map_blocks(
        ArraySource(list(kernels)),
        of_kernel,
        lambda _, result: found.append(result),
        "trying kernels",
        max_rows=1,
    )
    return found


def _left_out(kernel: Kernel, rule: AlphaRule, seen: Survey, n_rows: int) -> LeftOut:
    sample = seen.sample
    m = min(n_rows, len(sample.numbers))
    X = slice_rows(sample.X, 0, m)
    y = np.asarray(sample.y)[:m] - seen.y_mean
    root = np.sqrt(np.ones(m) if sample.weight is None else sample.weight[:m])[:, None]
    K = np.asarray(kernel.columns(X, np.float64)(X))
    L, V = np.linalg.eigh(root * K * root.T)
    alphas = rule.path(float(L.max(initial=0.0)), np.float64)
    inverse = np.maximum(np.maximum(L, 0)[:, None] + alphas, 1e-15 * max(L.max(), 1e-300)) ** -1.0
    # e_i = (A^-1 y)_i / (A^-1)_ii, the classic identity; in weighted units.
    diagonal = np.square(V) @ inverse
    C, n_outputs = V.T @ (root * y), y.shape[1]
    if n_outputs > m:  # their sum of squares depends on C @ C.T alone
        C = np.asarray(np.linalg.qr(C.T, mode="r")).T
    errors = sum(np.square(V @ (c[:, None] * inverse) / diagonal) for c in C.T) / n_outputs
    i = best(errors.mean(axis=0))
    return LeftOut(float(errors[:, i].mean()), float(alphas[i]), errors[:, i])
