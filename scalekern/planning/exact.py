"""The plan of an exact model: its Gram matrix, or iterations without it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from scalekern.approximations.solver_choice import ALPHA_ROWS, EXACT_PASSES, exact_solver
from scalekern.approximations.whole_gram import exact_need
from scalekern.engine.cost import Step
from scalekern.features.parameters import tile_dtype_of
from scalekern.kernels import Precomputed
from scalekern.planning import counting as count
from scalekern.planning.counting import alpha_path, solving_words
from scalekern.planning.outlook import Limit, Outlook
from scalekern.planning.shape import Shape
from scalekern.solvers import AlphaRule
from scalekern.solvers.exact_cg import cg_need, preconditioner_rank
from scalekern.solvers.kernel_work import Tile, keeps_tiles, kernel_values, products
from scalekern.solvers.tiles import TILE_ROWS

GRAM_ROWS = 512
"""Rows of a block of the Gram matrix."""


def plan_exact(plan: Outlook, model: Any, kernel: Any, rule: AlphaRule, shape: Shape) -> None:
    """Add what a fit of an exact model would do."""
    n, t = shape.n, shape.t
    path, path_bytes = alpha_path(rule, np.float64)
    tile = Tile(np.dtype(float), shape.d)
    plan.solver, _ = exact_solver(model.solver, kernel, rule, n, shape.d)
    plan.held_bytes = shape.row_bytes
    plan.steps.append(shape.gather("the Gram matrix is of all rows"))
    gram = kernel_values(kernel, float(n) * n, tile)
    if plan.solver == "cg":
        _exact_iterations(plan, kernel, rule, path, shape)
    else:
        plan.limits.append(Limit("rows", n, lambda rows: exact_need(rows, rule)))
        plan.add("the Gram matrix", f"{n} x {n} similarities", gram, -(-n // GRAM_ROWS))
        spectral = path or plan.solver == "pinv" or rule.smallest == 0
        solving = count.spectrum(n, max(path, 1) if spectral else 0, rule.n_folds)
        plan.add("solving", solving_words(rule, path), solving)
    predicting = None if gram is None else gram + products(2.0 * n * n * t)
    plan.predict = [shape.a_pass("predicting", "", predicting)]
    landmarks = 8 * n if isinstance(kernel, Precomputed) else n * shape.d * shape.item
    plan.model_bytes += landmarks + 8 * t * (n + 2) + path_bytes
    plan.explain_bytes = 8 * (t * (n + 1) + 1)


def _exact_iterations(plan: Outlook, kernel: Any, rule: AlphaRule, path: int, shape: Shape) -> None:
    n, tile = shape.n, Tile(tile_dtype_of(shape.source), shape.d)
    plan.limits.append(Limit("rows", n, lambda rows: cg_need(rows, shape.t)))
    if path:
        few = min(n, ALPHA_ROWS)
        choosing = count.spectrum(few, path, rule.n_folds)
        plan.add("choosing alpha", f"{solving_words(rule, path)} on {few} rows", choosing)
    rank = preconditioner_rank(n)
    once = f"of rank {rank}, for a model of all rows and one without some"
    plan.add("the preconditioner", once, products(7.0 * n * rank**2))
    kept = keeps_tiles(kernel, n, tile)
    values = kernel_values(kernel, (1 if kept else EXACT_PASSES) * float(n) * n / 2, tile)
    if values is not None:
        # Each product reads its tiles twice, and the factor twice for both models.
        tiles = float(n) * n * tile.dtype.itemsize * (2 if kept else 1)
        values = values + Counter({"move": EXACT_PASSES * (tiles + 4 * 8.0 * n * rank)})
    where = "kept in a temporary file" if kept else "that are not stored"
    why = f"about {EXACT_PASSES}, over similarities {where}"
    blocks, repeats = -(-n // TILE_ROWS), 0 if kept else EXACT_PASSES
    known, own = values is not None, 2 * 4 * n * shape.t
    step = Step("conjugate gradients", why, 0, blocks, 0, values or {}, known, own, 0, repeats)
    plan.steps.append(step)
