"""The plan of a similarity model: what it looks at and tries first, then its approximation.

The choices are the estimator's own, asked without rows, so that a plan cannot say one thing and the
fit do another.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from scalekern.approximations.base import Approximation
from scalekern.approximations.registry import approximation_named
from scalekern.engine.cost import tasks_of
from scalekern.estimators.input_map import InputMap
from scalekern.estimators.outset import Outset, chooses_map, outset, survey_size
from scalekern.estimators.similarity import SimilarityRegressor
from scalekern.features.curves import most_bytes
from scalekern.features.survey import BANDWIDTH_ROWS
from scalekern.kernels import as_kernel
from scalekern.planning import counting as count
from scalekern.planning.exact import plan_exact
from scalekern.planning.features import plan_features
from scalekern.planning.local import plan_local
from scalekern.planning.outlook import Outlook
from scalekern.planning.shape import Shape
from scalekern.planning.trials import plan_trials
from scalekern.solvers import alpha_rule


def plan_similarity(model: SimilarityRegressor, shape: Shape) -> Outlook:
    """Return what a fit of a similarity model would do."""
    # What `fit` itself asks first, so that the two cannot differ.
    rule, _ = model._checked()  # noqa: SLF001
    params = model.get_params(deep=False)
    known = outset(params, shape.source)
    approximation = approximation_named(known.names[0], model.solver)
    kernel = as_kernel("rbf" if known.kernel == "auto" else known.kernel)
    plan = Outlook(approximation.name, known.why)
    _look(plan, params, known, approximation, shape)
    if known.trials:
        plan_trials(plan, params, known, kernel, shape)
    shape = _mapped(plan, params, known, shape)
    families = isinstance(known.kernel, str) and known.kernel == "auto"
    opens = count.bandwidth(model.gamma, kernel, shape.n, shape.d, families=families)
    if opens and approximation.name != "local":
        what = "choosing the kernel" if families else "choosing the bandwidth"
        plan.add(what, f"gamma={model.gamma!r}", opens)
    first, _, second = approximation.name.partition("+")
    if first == "local":
        plan_local(plan, known.n_neighbors, kernel, rule, shape)
    else:
        parts = plan_exact if first == "exact" else plan_features
        parts(plan, model, kernel, rule, shape)
    if second:
        _residuals(plan, second, known.n_neighbors, kernel, shape)
    return plan


def _look(
    plan: Outlook, params: Any, known: Outset, approximation: Approximation, shape: Shape
) -> None:
    """Add the pass that draws rows to choose by."""
    size = max(BANDWIDTH_ROWS, approximation.sample_size(params))
    if known.trials:
        size = survey_size(params, known.names, shape.source)
    size = min(shape.n, size)
    looks = f"mean target, and {size} rows to draw from"
    looking = count.sample(shape.n, size, tasks_of(shape.n, shape.d))
    kept = 8 * size * (shape.d + shape.t + 3)
    plan.steps.append(shape.a_pass("looking at the rows", looks, looking, None, kept))


def _mapped(plan: Outlook, params: Any, known: Outset, shape: Shape) -> Shape:
    """Count the bytes of what rows go through before similarities; return their shape after it."""
    if known.scales:
        plan.model_bytes += 8 * shape.d
    if (known.trials or known.scales) and chooses_map(params):
        plan.model_bytes += most_bytes(shape.d)
        plan.notes.append(
            "columns with heavy tails may be transformed, which depends on the rows; the model's "
            "size is the most it can be"
        )
    if known.given is None:
        return shape
    plan.model_bytes += known.given.nbytes
    return replace(shape, source=InputMap(linear=known.given).source(shape.source))


def _residuals(plan: Outlook, name: str, k: int, kernel: Any, shape: Shape) -> None:
    """Add the local models of what a global one leaves."""
    rest = Outlook(name, "of the residuals")
    plan_local(rest, k, kernel, alpha_rule("loo"), shape)
    plan.steps += [shape.a_pass("looking at the residuals", "", Counter()), *rest.steps]
    plan.predict += rest.predict
    plan.limits += rest.limits
    plan.held_bytes += rest.held_bytes
    plan.model_bytes += rest.model_bytes
