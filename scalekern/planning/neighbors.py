"""The plan of neighbours: the index, which local models have, too, and k-NN on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from scalekern.engine.machine import tree_coordinates
from scalekern.estimators.neighbor_search import QUERY_ROWS
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.features.parameters import check_integer
from scalekern.neighbors.centres import ITERATIONS
from scalekern.neighbors.ivf import LISTS, TRAINING_ROWS_A_LIST, IVFPQIndex, lists_for
from scalekern.neighbors.kinds import kind_for_function, kind_for_rows, kind_for_texts
from scalekern.neighbors.metrics import canonical_metric, takes_objects
from scalekern.planning import counting as count
from scalekern.planning.outlook import Outlook
from scalekern.planning.shape import INDEXING, Shape
from scalekern.solvers.kernel_work import products

BUILDING = ("building the index", "tuning the index")


def plan_neighbors(model: WeighedNeighbors, shape: Shape) -> Outlook:
    """Return what a fit of k-NN would do."""
    n, d, metric = shape.n, shape.d, canonical_metric(model.metric)
    if takes_objects(metric):
        of = kind_for_function if callable(metric) else kind_for_texts
        kind = of(model.algorithm)
    else:
        expected = model.expected_queries
        kind = kind_for_rows(model.algorithm, n, d, str(metric), model.target_recall, expected)
    k = check_integer("n_neighbors", model.n_neighbors)
    why = f"{n} rows of {d} columns, {metric if isinstance(metric, str) else 'a'} metric"
    # Which one, the fit finds out by counted work.
    name = "approximate index" if kind == "contest" else kind
    plan = Outlook(name, why if model.algorithm == "auto" else "asked for")
    shape.collect(plan, takes_objects(metric))
    query = plan_index(plan, shape, kind, k)
    shared_out(plan)
    work = None if query is None else count.times(query, n)
    plan.predict = [shape.a_pass("predicting", "", work, QUERY_ROWS)]
    plan.model_bytes += shape.n * (d * shape.item + 8 * shape.t)
    return plan


def shared_out(plan: Outlook) -> bool:
    """Let the workers build what becomes a shard each: it is work of the pass that indexes.

    Return whether they do.
    """
    names = [step.what for step in plan.steps]
    if INDEXING not in names:
        return False
    at = names.index(INDEXING)
    built = [step for step in plan.steps[at:] if step.what in BUILDING]
    work = sum((Counter(step.work) for step in built), Counter(plan.steps[at].work))
    known = all(step.known for step in built)
    plan.steps = [step for step in plan.steps if step not in built]
    plan.steps[at] = replace(plan.steps[at], work=work, known=known)
    return True


def plan_index(plan: Outlook, shape: Shape, kind: str, k: int) -> Counter[str] | None:
    """Add the building of an index and its bytes; return the work of one query, None if unknown."""
    n, d = shape.n, shape.d
    scan = products(2.0 * n * d, "32") + Counter({"move": 4.0 * n})
    if kind == "kd_tree":
        plan.add("building the index", "KD-tree", count.tree(n, d))
        return Counter({"tree": tree_coordinates(n, d, k)})
    if kind == "flat":
        plan.add("building the index", "a scan of all rows", Counter({"move": 24.0 * n * d}))
        _indexed(plan, shape, 4 * n * d + 8 * d)
        return scan
    if kind not in ("contest", *LISTS):
        plan.add("building the index", kind, None)
        plan.notes.append(f"the seconds and bytes of a {kind} index are not known before it runs")
        return None
    index = LISTS.get(kind, IVFPQIndex)
    lists = lists_for(n, index.density)
    trained = min(n, TRAINING_ROWS_A_LIST * lists)
    train = products(2.0 * d * lists * (float(ITERATIONS) * trained + n), "32")
    plan.add("building the index", f"k-means of {lists} lists", train)
    # Some eight settings are tried; a middling one looks at 1 row in 20.
    tuning = count.times(scan, 400 * (1 + 8 * 0.05))
    plan.add("tuning the index", "recall of 400 rows against a scan", tuning)
    row_bytes = {"ivf": 4 * d, "ivfsq": d}.get(kind, d // 4)
    _indexed(plan, shape, n * (row_bytes + 8) + lists * 4 * d)
    plan.notes.append("the work of a query depends on the recall that is measured in the fit")
    return count.times(scan, 0.05)


def _indexed(plan: Outlook, shape: Shape, size: int) -> None:
    """Count an index, and the float32 rows that it is made from beside those that are held."""
    plan.model_bytes += size
    plan.held_bytes += size + 4 * shape.n * shape.d
