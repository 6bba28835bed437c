"""What is decided of a fit before any row is read, by its parameters and the shape of the rows.

Apart from what trials on rows decide, since a plan asks this, too, and has no rows to try.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.approximations.registry import approximation_named
from scalekern.approximations.solver_choice import MOST_EXACT_WORK, fewest_passes
from scalekern.engine import memory_budget
from scalekern.errors import UnsupportedError
from scalekern.estimators.input_map import check_metric, require_map_fits
from scalekern.features.survey import BANDWIDTH_ROWS
from scalekern.kernels import Precomputed, as_kernel
from scalekern.kernels.radial import RadialKernel
from scalekern.rows import RowSource
from scalekern.selection.trials import (
    FEWEST_ROWS,
    LOCAL_KERNELS,
    MOST_FEATURES,
    SIZES,
    sample_size,
)
from scalekern.solvers.exact_cg import preconditioner_rank

MOST_DENSE_ROWS = 2_500
"""Up to here the decomposition costs less than a sum over 1,000 components, and exact is tried; of
more rows Nyström stands in for it, whose error is a little larger."""
MOST_EXACT_ROWS = 60_000
"""Up to here exact is taken where the kernel lets iterations do it with `MOST_EXACT_WORK`."""
LEFT_OUT = 20
"""Fewer rows, left out in turn, say nothing of the units of their columns."""


@dataclass(frozen=True)
class Outset:
    """What is decided before any row is read.

    Attributes
    ----------
    names : list of str
        The approximations that may be taken, the first where nothing speaks against it.
    why : str
    kernel : as the parameter of the estimator
    n_neighbors : int
        The fewest, where trials choose.
    given : float64 array or None
        The map of the inputs.
    learn : bool
        Whether a map is to be learned.
    trials : bool
        Whether models are tried on a sample of the rows; if not, the first name is taken.
    scales : bool
        Whether rows are too few for that, and only the units of their columns are chosen.
    """

    names: list[str]
    why: str
    kernel: Any
    n_neighbors: int
    given: np.ndarray | None
    learn: bool
    trials: bool
    scales: bool


def outset(params: dict[str, Any], source: RowSource, n_rows: int | None = None) -> Outset:
    """Return what the parameters and the shape of the rows decide; a plan asks this, too.

    Where it is known that only `n_rows` have a weight, models are tried as on so many.
    """
    n_rows = source.n_rows if n_rows is None else n_rows
    names, why = candidates(params, source.n_rows, source.n_features)
    given = check_metric(params["metric"])
    learn = given is None and _learns(params, source)
    if (learn or given is not None) and not _of_vectors(params["kernel"], source):
        raise UnsupportedError(
            f"metric={params['metric']!r} needs rows of numbers, which a map can multiply; use "
            "metric='euclidean'"
        )
    if given is not None:
        require_map_fits(given, source)
    few, wide = n_rows < FEWEST_ROWS, source.n_features > MOST_FEATURES
    sized = isinstance(params["n_neighbors"], int)
    local = "local" in names and not sized and bool(local_kernels(params))
    trials = not few and not wide and (learn or len(names) > 1 or local)
    scales = few and not wide and learn and n_rows >= LEFT_OUT and names[0] != "local"
    k = params["n_neighbors"] if sized else min(SIZES[0], n_rows)
    return Outset(names, why, _settled(names[0], params), k, given, learn, trials, scales)


def survey_size(params: dict[str, Any], names: list[str], source: RowSource) -> int:
    """Return the rows to draw for trials and for any model that may follow."""
    sizes = [approximation_named(name, params["solver"]).sample_size(params) for name in names]
    return max(BANDWIDTH_ROWS, sample_size(source.n_rows, source.n_features), *sizes)


def candidates(params: dict[str, Any], n: int, d: int) -> tuple[list[str], str]:
    """Return the approximations that may be taken, the first where nothing speaks against it."""
    name, kernel = params["approximation"], params["kernel"]
    if name != "auto":
        return [name], "asked for"
    if isinstance(kernel, Precomputed) or (isinstance(kernel, str) and kernel == "precomputed"):
        return ["exact"], "the similarities are precomputed"
    if not isinstance(params["landmarks"], str):
        return ["nystroem"], "landmarks were given"
    first = "exact" if exact_fits(params, n, d) else "nystroem"
    names = [first, "local"] if local_kernels(params) and params["solver"] == "auto" else [first]
    if n <= MOST_DENSE_ROWS:
        return (
            names,
            f"{n:,} rows, and up to {MOST_DENSE_ROWS:,} an exact model can be solved directly",
        )
    least, most = f"{fewest_passes(n, d):.1e}", f"{MOST_EXACT_WORK:.1e}"
    work = f"{least} multiplications or more, and {most} are allowed"
    return names, f"{n:,} rows of {d:,} columns, of which an exact model takes {work}"


def decomposes(n: int) -> bool:
    """Return whether rows are so few that an exact model of them is taken and tried as it is."""
    return n <= MOST_DENSE_ROWS


def exact_fits(params: dict[str, Any], n: int, d: int) -> bool:
    """Return whether an exact model is small enough, by decomposition or else by iterations."""
    kernel = params["kernel"]
    if n <= MOST_DENSE_ROWS:
        return True
    automatic = isinstance(kernel, str) and kernel == "auto"
    iterates = d and params["solver"] in ("auto", "cg")
    if not iterates or not (automatic or as_kernel(kernel).positive_definite):
        return False
    held = 8 * n * preconditioner_rank(n)
    return (
        n <= MOST_EXACT_ROWS
        and fewest_passes(n, d) <= MOST_EXACT_WORK
        and held <= memory_budget() // 2
    )


def local_kernels(params: dict[str, Any]) -> list[RadialKernel]:
    """Return the kernels that local models may choose from; none where these are not open."""
    kernel = params["kernel"]
    if not isinstance(params["gamma"], str):
        return []
    if isinstance(kernel, str) and kernel == "auto":
        return list(LOCAL_KERNELS)
    kernel = as_kernel(kernel)
    return [kernel] if isinstance(kernel, RadialKernel) and kernel.needs_gamma else []


def _learns(params: dict[str, Any], source: RowSource) -> bool:
    """Return whether a map is to be learned: where lengths are to be chosen, if nothing is said."""
    if isinstance(params["metric"], str) and params["metric"] == "learned":
        return True
    return source.n_features > 1 and chooses_map(params)


def chooses_map(params: dict[str, Any]) -> bool:
    """Return whether rows held out decide what rows go through first."""
    if not isinstance(params["metric"], str) or params["metric"] == "euclidean":
        return False
    chosen = isinstance(params["gamma"], str) and params["gamma"] == "cv"
    return params["metric"] == "learned" or (chosen and bool(local_kernels(params)))


def _of_vectors(kernel: Any, source: RowSource) -> bool:
    """Return whether rows may be multiplied by a map; similarities are no coordinates."""
    if not source.n_features:
        return False
    return kernel == "auto" or not isinstance(as_kernel(kernel), Precomputed)


def _settled(name: str, params: dict[str, Any]) -> Any:
    """Return the kernel for a fit without trials."""
    automatic = isinstance(params["kernel"], str) and params["kernel"] == "auto"
    if not automatic or name != "local":
        return params["kernel"]
    return LOCAL_KERNELS[0] if isinstance(params["gamma"], str) else "rbf"
