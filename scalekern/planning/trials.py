"""The plan of what is tried on a sample of the rows before a similarity model is fitted."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from scalekern.approximations.feature_model import LOO_ROWS
from scalekern.estimators.outset import MOST_EXACT_ROWS, Outset, decomposes, local_kernels
from scalekern.planning import counting as count
from scalekern.planning.outlook import Outlook
from scalekern.planning.shape import Shape
from scalekern.selection.local import ALPHAS
from scalekern.selection.local_trial import SHORT_ROWS
from scalekern.selection.metric import WIDE
from scalekern.selection.trials import NEIGHBORS, SIZES, sample_size, scored_rows, sloped_rows
from scalekern.solvers.kernel_work import Tile

USUAL_ROUNDS, USUAL_SETTINGS = 5, 12
"""Of learning a metric: rounds, and the lengths and alphas tried in each."""


def plan_trials(plan: Outlook, params: Any, known: Outset, kernel: Any, shape: Shape) -> None:
    """Add what is tried on the sample."""
    rows = min(shape.n, sample_size(shape.n, shape.d))
    tried = scored_rows(rows)
    if known.learn:
        plan.add("learning the metric", "gradients of local models", _rounds(rows, shape.d))
        plan.model_bytes += 8 * shape.d * (shape.d + 1)
        plan.notes.append(
            "whether a learned metric is kept depends on the rows; the model's size is the most "
            "it can be"
        )
        if shape.d > WIDE and known.names[0] == "nystroem" and shape.n <= MOST_EXACT_ROWS:
            plan.notes.append("if a learned metric has fewer columns, the fit may be exact instead")
    if "local" in known.names and local_kernels(params):
        sizes = SIZES[:2] if isinstance(params["n_neighbors"], str) else (known.n_neighbors,)
        work = sum((_systems(16 * tried, k, shape.d) for k in sizes), Counter[str]())
        plan.add("trying local models", f"leave-one-out on {tried} rows", work)
        if len(sizes) > 1:
            plan.notes.append(
                f"local models have {SIZES[0]} to {SIZES[-1]} neighbours; how many depends on the "
                "rows"
            )
    if len(known.names) > 1:
        first, other = known.names
        tile = Tile(np.dtype(float), shape.d)
        if first == "exact" and decomposes(rows):
            work = count.spectrum(rows, len(ALPHAS), 1)
        else:
            m = min(rows, int(params["n_components"]))
            made = count.nystroem_rows(kernel, rows, m, tile) or Counter()
            work = made + count.sums(rows, m, shape.t, tile) + count.ridge(m, 100, LOO_ROWS, 1)
        plan.add(f"trying {first}", f"errors on {tried} rows held out", work)
        plan.notes.append(
            f"the fit takes {other!r} instead if that is clearly better on held-out rows; "
            f"approximation={first!r} (--model {first}) rules it out"
        )


def _rounds(rows: int, d: int) -> Counter[str]:
    """Return the work of as many rounds of learning a metric as are usual on a sample.

    A gradient is a solve by elimination, twice the work of a factor.
    """
    scored, sloped = scored_rows(rows), sloped_rows(rows)
    systems = USUAL_ROUNDS * (2 * (sloped + SHORT_ROWS) + scored * USUAL_SETTINGS)
    return _systems(systems, NEIGHBORS, d)


def _systems(number: int, k: int, d: int) -> Counter[str]:
    """Return the work of as many models on k neighbours."""
    one = Counter({"solve": 1.0 * (k + 1) ** 3, "move": 16.0 * (k + 1) ** 2 * (d + 4)})
    return count.times(one, number)
