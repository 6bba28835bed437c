"""What a fit decides by itself before it begins: the map of the inputs, the kernel, which model.

Parameters decide some of it (`outset`), trials on a sample drawn by hash the rest (`model_search`),
or, of rows too few for them, errors in closed form. What was tried goes into the report.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scalekern.approximations.gathered import require_room
from scalekern.approximations.registry import approximation_named
from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.estimators.choice import Choice, best_of
from scalekern.estimators.global_trial import GlobalTrial
from scalekern.estimators.input_map import InputMap, in_map
from scalekern.estimators.model_search import best_model
from scalekern.estimators.outset import Outset, outset, survey_size
from scalekern.features.curves import normal_scores
from scalekern.features.parameters import seed_of
from scalekern.features.survey import BANDWIDTH_ROWS, Survey, survey
from scalekern.rows import RowSource
from scalekern.selection.trials import sample_size, trial_rows
from scalekern.solvers import AlphaRule


@step("choosing the model")
def choose(engine: Engine, source: RowSource, params: dict[str, Any], rule: AlphaRule) -> Choice:
    """Decide what the parameters leave open.

    Parameters
    ----------
    engine : Engine
    source : RowSource
    params : dict
        The parameters of the estimator.
    rule : AlphaRule
    """
    known = outset(params, source)
    if all(approximation_named(name, params["solver"]).keeps_rows for name in known.names):
        require_room(source)  # before models are tried, which may take a while
    seen = None
    if known.trials or known.scales:
        size = survey_size(params, known.names, source)
        seen = survey(engine, source, size, seed_of(params["random_state"]), gamma=params["gamma"])
        known = outset(params, source, min(source.n_rows, len(seen.sample.numbers)))
    if seen is None or not (known.trials or known.scales):
        chosen = Choice(
            approximation_named(known.names[0], params["solver"]),
            known.kernel,
            params["gamma"],
            known.n_neighbors,
            known.given,
            report={"why": known.why},
        )
        if known.learn:
            chosen.report["metric"] = f"none: {source.n_rows} rows of {source.n_features} features"
        return chosen
    if known.scales:
        best = _in_units(engine, seen, params, rule, known, source.n_rows)
    else:
        sample = seen.sample.first(sample_size(source.n_rows, source.n_features))
        if known.given is not None:
            sample = sample.over(in_map(sample.X, known.given))
        trial = GlobalTrial(engine.local, params, rule, sample, source.n_rows)
        best = best_model(trial, known.names, known.why, learn=known.learn)
        best.input_map = best.input_map if known.given is None else known.given
    best.seen = seen
    if params["gamma"] == "scale" and params["kernel"] != "auto":
        best.kernel = params["kernel"]  # of the variance of all rows
    return best


def _in_units(
    engine: Engine,
    seen: Survey,
    params: dict[str, Any],
    rule: AlphaRule,
    known: Outset,
    n_rows: int,
) -> Choice:
    """Choose the units of the columns by leave-one-out errors, where rows are few.

    Each of deviation 1, unless as they are is better; or with curves of those with heavy tails.
    """
    found: list[Choice] = []
    curved = normal_scores(seen.sample.X)
    for curves in (None,) if curved is None else (None, curved):
        sample = seen.sample.over(InputMap(curves)(seen.sample.X))
        trial = GlobalTrial(engine.local, params, rule, sample, n_rows)
        rows, spread = trial_rows(sample)
        found.append(trial.model(rows, 1 / spread, held_out=False, preferred=True))
        found[-1].curves = curves
    best = best_of(found)
    words = "as they are" if best.input_map is None else "scaled"
    best.report |= {"why": known.why, "metric": words}
    if best.curves is not None:
        best.report["curved_features"] = best.curves.columns.tolist()
    return best


def survey_of(engine: Engine, source: RowSource, choice: Choice, params: dict[str, Any]) -> Survey:
    """Return the survey for the model that was chosen, of the rows in its map.

    Rows are read once more only where trials did not, or gamma="scale" is of all rows in a map.
    """
    size, seen = choice.approximation.sample_size(params), choice.seen
    scales = isinstance(params["gamma"], str) and params["gamma"] == "scale"
    to = InputMap(choice.curves, choice.input_map)
    if seen is None or (scales and to):
        return survey(engine, source, size, params["random_state"], gamma=params["gamma"])
    sample = seen.sample.first(max(size, BANDWIDTH_ROWS))
    return replace(seen, sample=sample.over(to(sample.X)))
