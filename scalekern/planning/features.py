"""The plan of a model on features: Nyström, Fourier, and the columns themselves."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.approximations.by_sgd import SGD_PASSES, most_passes, sample_rows
from scalekern.approximations.explain_arrays import EXPLAIN_ROWS, MOST_COMPONENTS
from scalekern.approximations.feature_model import LOO_ROWS
from scalekern.approximations.feature_sums import sums_need
from scalekern.approximations.solver_choice import USUAL_PASSES, landmark_solver
from scalekern.engine.cost import PLAIN_ROW_SECONDS, Step, tasks_of
from scalekern.features.parameters import tile_dtype_of
from scalekern.planning import counting as count
from scalekern.planning.counting import alpha_path, solving_words
from scalekern.planning.outlook import Limit, Outlook
from scalekern.planning.shape import Shape
from scalekern.solvers import AlphaRule
from scalekern.solvers.kernel_work import Tile, kernel_values, products
from scalekern.solvers.sgd_problem import BATCH_ROWS
from scalekern.solvers.sketch import sketch_need, sketch_size


def plan_linear(shape: Shape) -> Outlook:
    """Return what a fit of the linear model would do."""
    n, d, t = shape.n, shape.d, shape.t
    tile, plan = Tile(np.dtype(float), d), Outlook("linear", "asked for", "cholesky")
    looking = count.sample(n, EXPLAIN_ROWS, tasks_of(n, d)) + Counter({"move": 64.0 * n * d})
    look = "means and spreads of the columns, and a sample to explain with"
    plan.steps += [
        shape.a_pass("looking at the rows", look, looking),
        shape.a_pass("adding up the sums", "the normal equations", count.sums(n, d, t, tile),
                     sum_bytes=8 * d * (d + t)),
    ]  # fmt: skip
    plan.add("solving", "the coefficients", count.ridge(d, 1, 0, 1))
    predicting = shape.a_pass("predicting", "", products(2.0 * n * d * t))
    plan.predict = [replace(predicting, row_seconds=PLAIN_ROW_SECONDS)]
    plan.model_bytes, plan.explain_bytes = 8 * t * (d + 1), _kept_to_explain(shape, d, 8)
    return plan


def plan_features(plan: Outlook, model: Any, kernel: Any, rule: AlphaRule, shape: Shape) -> None:
    """Add what a fit of a Nyström or Fourier model would do."""
    n, d, t = shape.n, shape.d, shape.t
    tile = Tile(tile_dtype_of(shape.source), d)
    path, path_bytes = alpha_path(rule, tile.dtype)
    m, kept = _components(plan, model, shape)
    nystroem = plan.name.startswith("nystroem")
    plan.solver = landmark_solver(model.solver, rule, n, m, d) if nystroem else model.solver
    plan.solver = "cholesky" if plan.solver == "auto" else plan.solver
    if nystroem:
        plan.add("factoring the landmarks", f"{m} x {m} similarities", count.whitening(m))
        made, doubles = count.nystroem_rows(kernel, n, m, tile), Tile(np.dtype(float), d)
        values = kernel_values(kernel, float(n) * m, doubles if d == 0 else tile)
        whole = count.nystroem_rows(kernel, n, m, tile, count.FINISHED)
    else:
        made = values = whole = count.fourier_rows(n, m, tile)
    sample = min(n, sample_rows(model.get_params(deep=False), LOO_ROWS))
    if plan.solver == "sgd":
        _descent(plan, model, shape, whole, m)
    elif plan.solver == "cg":
        _landmark_iterations(plan, shape, whole, values, m)
    else:
        threads = shape.n_threads
        plan.limits.append(Limit("n_components", m, lambda size: sums_need(threads, size, t, rule)))
        summed = None if made is None else made + count.sums(n, m, t, tile)
        why = f"{m} x {m} products of features"
        own = 8 * rule.n_folds * (m + 1) * (m + t)
        plan.steps.append(shape.a_pass("adding up the sums", why, summed, None, own))
    solving = count.ridge(m, path, sample if rule.rule == "loo" else 0, rule.n_folds)
    plan.add("solving", solving_words(rule, path), solving)
    if rule.rule == "gcv" and plan.solver == "cholesky":
        plan.notes.append("alpha='gcv' reads the rows once more where the sums leave only rounding")
    predicting = None if values is None else values + products(2.0 * n * m * t, tile.bits)
    plan.predict = [shape.a_pass("predicting", "", predicting)]
    # Weights, intercept, and the amplitude, which gradient steps do not tell.
    plan.model_bytes += kept + 8 * t * (m + 1 + (plan.solver != "sgd")) + path_bytes
    if plan.solver == "cholesky":
        # For Nyström, 4 is the most that a block elimination of the landmarks takes.
        plan.explain_bytes = _kept_to_explain(shape, m, 12 if nystroem else 8)


def _kept_to_explain(shape: Shape, m: int, per_pair: int) -> int:
    if m > MOST_COMPONENTS:
        return 0
    row = shape.d * shape.item + 8 * (shape.t + 1)
    return min(shape.n, EXPLAIN_ROWS) * row + 8 * (m + shape.t + 1) + per_pair * m * m


def _components(plan: Outlook, model: Any, shape: Shape) -> tuple[int, int]:
    """Return the most features that there will be, and the bytes of what makes them."""
    if plan.name == "fourier":
        half = -(-int(model.n_components) // 2)
        return 2 * half, 8 * shape.d * (half + 1)
    given = not isinstance(model.landmarks, str)
    m = min(shape.n, len(model.landmarks) if given else int(model.n_components))
    if given and np.ndim(model.landmarks) == 1 and shape.d:
        step = shape.a_pass("taking the landmarks", "their row numbers were given", Counter())
        plan.steps.append(step)
    plan.notes.append("landmarks that the others already span are left out, which saves bytes")
    return m, m * shape.d * shape.item


def _descent(plan: Outlook, model: Any, shape: Shape, made: Counter[str] | None, m: int) -> None:
    threads, t = shape.n_threads, shape.t
    plan.limits.append(Limit("n_components", m, lambda size: sketch_need(threads, size, t)))
    rows, item = sketch_size(m), 8 * (m + t + 1)
    plan.steps.append(_sketching(shape, made, m, rows * item))
    factoring = count.ridge(m, 1, rows, 1) + count.choice_of_step(rows, m)
    plan.add("factoring the sketch", "and its step", factoring)
    batch = BATCH_ROWS if model.batch_size == "auto" else int(model.batch_size)
    work = None if made is None else made + count.descent(shape.n, m, t, batch)
    # A sketch that holds every row is solved, and nothing is left to descend.
    passes = 0 if shape.n <= rows else most_passes(model.get_params(deep=False), SGD_PASSES)
    for number in range(2, passes + 1):
        what = f"pass {number} of at most {passes}"
        moved = shape.block_bytes
        plan.steps.append(shape.a_pass(what, "gradient steps, until tol", work, None, moved))


def _sketching(shape: Shape, made: Counter[str] | None, m: int, sum_bytes: int) -> Step:
    tile = Tile(tile_dtype_of(shape.source), shape.d)
    work = None if made is None else made + count.sketch(shape.n, m, tile)
    return shape.a_pass("sketching the rows", "the preconditioner", work, None, sum_bytes)


def _landmark_iterations(
    plan: Outlook, shape: Shape, made: Counter[str] | None, values: Counter[str] | None, m: int
) -> None:
    threads, t, rows = shape.n_threads, shape.t, sketch_size(m)
    plan.limits.append(Limit("n_components", m, lambda size: sketch_need(threads, size, t)))
    kept = rows * (m + t + 1) * shape.item
    plan.steps.append(_sketching(shape, made, m, kept))
    plan.add("factoring the sketch", "", count.ridge(m, 1, rows, 1))
    for number in range(1, USUAL_PASSES - 3):
        what = f"iteration {number}"
        plan.steps.append(shape.a_pass(what, "until tol", values, None, 8 * t * (m + 1)))
    plan.notes.append(f"iterations go on until tol; {USUAL_PASSES - 4} are usual")
