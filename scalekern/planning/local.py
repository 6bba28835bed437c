"""The plan of local models: an index of all rows, and what is chosen on some."""

from __future__ import annotations

from functools import partial
from typing import Any

from scalekern.approximations.local import SAMPLE_ROWS, local_need
from scalekern.kernels import Laplacian
from scalekern.neighbors.kinds import kind_for_rows
from scalekern.planning import counting as count
from scalekern.planning.neighbors import plan_index, shared_out
from scalekern.planning.outlook import Limit, Outlook
from scalekern.planning.shape import Shape
from scalekern.selection.local import ALPHAS, FACTORS
from scalekern.solvers import AlphaRule


def plan_local(plan: Outlook, k: int, kernel: Any, rule: AlphaRule, shape: Shape) -> None:
    """Add what a fit of models on k neighbours would do."""
    n, d, t = shape.n, shape.d, shape.t
    plan.solver = "cholesky"
    plan.limits.append(Limit("n_neighbors", k, partial(local_need, shape.n_threads)))
    shape.collect(plan)
    metric = "manhattan" if isinstance(kernel, Laplacian) else "euclidean"
    kind = kind_for_rows("auto", n, d, metric, 0.95)
    query = plan_index(plan, shape, kind, k)
    if shared_out(plan) and kind == "kd_tree":
        # Of a tree its rows are sent, and not its nodes.
        plan.add("opening the shards", "trees where they are searched", count.tree(n, d))
    tried, models = min(n, SAMPLE_ROWS), count.LocalModels(kernel, k, d, t)
    alphas = ALPHAS if rule.candidates is None else rule.candidates
    factors = len(FACTORS) if kernel.needs_gamma else 1
    choosing = None if query is None else models.chosen(query, tried, factors, len(alphas))
    plan.add("choosing the length", f"leave-one-out on {tried} rows", choosing)
    work = None if query is None else count.times(query + models.one(), n)
    plan.predict = [shape.a_pass("predicting", "", work)]
    path_bytes = 16 * len(alphas) if len(alphas) > 1 else 0
    plan.model_bytes += n * (d * shape.item + 8 * t) + 16 * t + path_bytes
