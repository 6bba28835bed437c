"""What a fit decides by itself before it begins: the map of the inputs, the kernel, which model.

All of it on a sample drawn by hash, by errors on rows held out and never by a clock. What was tried
goes into the report.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from scalekern.engine import Engine, HashSample, memory_budget
from scalekern.errors import UnsupportedError
from scalekern.estimators.approximation import Approximation, Job
from scalekern.estimators.approximations import approximation_named
from scalekern.estimators.fitting import require_room
from scalekern.estimators.input_map import InputMap, check_metric, in_map, require_map_fits
from scalekern.estimators.iterating import (
    ALPHA_ROWS,
    MOST_EXACT_WORK,
    conditioning,
    fewest_passes,
)
from scalekern.estimators.prediction import kernel_predictor
from scalekern.features.curves import Curves, normal_scores
from scalekern.features.parameters import seed_of
from scalekern.features.survey import BANDWIDTH_ROWS, Survey, survey
from scalekern.kernels import Kernel, Precomputed, as_kernel
from scalekern.kernels.radial import RadialKernel
from scalekern.rows import ArraySource, RowSource
from scalekern.rows.base import dense_rows, take_rows
from scalekern.selection.bandwidth import select_kernel, without_bandwidth
from scalekern.selection.closed_form import left_out_errors
from scalekern.selection.local_trial import TrialRows
from scalekern.selection.metric import WIDE, LearnedMetric, is_better, relevances
from scalekern.selection.trials import (
    FEWEST_ROWS,
    LOCAL_KERNELS,
    MOST_FEATURES,
    NEIGHBORS,
    SIZES,
    TRIAL_ROWS,
    best_neighborhoods,
    best_of_fewer,
    given_metric,
    learned_metric,
    sample_size,
    starting_metric,
    trial_rows,
)
from scalekern.solvers import AlphaRule
from scalekern.solvers.exact_cg import preconditioner_rank

MOST_DENSE_ROWS = 2_500
"""Up to here the decomposition costs less than a sum over 1,000 components, and exact is tried; of
more rows Nyström stands in for it, whose error is a little larger."""
MOST_EXACT_ROWS = 60_000
"""Up to here exact is taken where the kernel lets iterations do it with `MOST_EXACT_WORK`."""
CURVED_VALUES = 1 << 21
"""Curves of columns are tried on so many values: fewer rows where these are wide."""
LEFT_OUT = 20
"""Fewer rows, left out in turn, say nothing of the units of their columns."""
MOST_LEFT = 0.05
"""Of the trace of the Gram matrix: where landmarks leave more, they stand in for nothing."""
FindMetric = Callable[[Engine, TrialRows, np.ndarray, RadialKernel, int], LearnedMetric]


@dataclass
class Choice:
    """What was decided.

    Attributes
    ----------
    approximation : Approximation
    kernel, gamma : as the parameters of the estimator
    n_neighbors : int
    input_map : float64 array of shape (d,) or (d, k), or None
    curves : Curves or None
        Of columns, before the map.
    report : dict
    errors : float64 array of shape (rows,)
        Squared errors on rows held out, where there was a choice.
    seen : Survey or None
        Of the rows, where models were tried.
    start : (float, float) or None
        The length factor and alpha of local models that were tried.
    tried_rows : int
        How many rows of the sample `errors` took, if not all that can be tried.
    """

    approximation: Approximation
    kernel: Any
    gamma: Any
    n_neighbors: int
    input_map: np.ndarray | None = None
    curves: Curves | None = None
    relevances: np.ndarray | None = None
    report: dict[str, Any] = field(default_factory=dict)
    errors: np.ndarray = field(default_factory=lambda: np.zeros(0))
    seen: Survey | None = None
    start: tuple[float, float] | None = None
    tried_rows: int = 0


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
        sample = _first(seen.sample, sample_size(source.n_rows, source.n_features))
        search = _Search(engine.local, params, rule, sample, source.n_rows, known.given)
        best = search.best(known.names, known.why, learn=known.learn)
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
        sample = _with(seen.sample, InputMap(curves)(seen.sample.X))
        search = _Search(engine.local, params, rule, sample, n_rows, None)
        rows, spread = trial_rows(sample)
        found.append(search.of_one(rows, 1 / spread, held_out=False, preferred=True))
        found[-1].curves = curves
    best = found[0]
    for other in found[1:]:
        best = other if is_better(other.errors, best.errors) else best
    words = "as they are" if best.input_map is None else "scaled"
    best.report |= {"why": known.why, "metric": words}
    if best.curves is not None:
        best.report["curved_features"] = best.curves.columns.tolist()
    return best


def survey_size(params: dict[str, Any], names: list[str], source: RowSource) -> int:
    """Return the rows to draw for trials and for any model that may follow."""
    sizes = [approximation_named(name, params["solver"]).sample_size(params) for name in names]
    return max(BANDWIDTH_ROWS, sample_size(source.n_rows, source.n_features), *sizes)


def survey_of(engine: Engine, source: RowSource, choice: Choice, params: dict[str, Any]) -> Survey:
    """Return the survey for the model that was chosen, of the rows in its map.

    Rows are read once more only where trials did not, or gamma="scale" is of all rows in a map.
    """
    size, seen = choice.approximation.sample_size(params), choice.seen
    scales = isinstance(params["gamma"], str) and params["gamma"] == "scale"
    to = InputMap(choice.curves, choice.input_map)
    if seen is None or (scales and to):
        return survey(engine, source, size, params["random_state"], gamma=params["gamma"])
    sample = _first(seen.sample, max(size, BANDWIDTH_ROWS))
    return replace(seen, sample=_with(sample, to(sample.X)))


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


@dataclass
class _Search:
    """The sample of all rows, which are `n_rows`, and what is tried on it."""

    engine: Engine
    params: dict[str, Any]
    rule: AlphaRule
    sample: HashSample
    n_rows: int
    given: np.ndarray | None

    def best(self, names: list[str], why: str, *, learn: bool) -> Choice:
        """Try the approximations and return the best; a later one must be better."""
        if self.given is not None:
            self.sample = _with(self.sample, in_map(self.sample.X, self.given))
        kernels = local_kernels(self.params)
        k = self.params["n_neighbors"]
        teacher = kernels[0] if len(kernels) == 1 else LOCAL_KERNELS[0]
        find, own = (learned_metric, NEIGHBORS) if learn else (given_metric, SIZES[0])
        k = k if isinstance(k, int) else own
        curves, metric = self._curves(find, teacher, k)
        if curves is not None:
            self.sample = _with(self.sample, curves(self.sample.X))
        rows, spread = trial_rows(self.sample)
        metric = metric or find(self.engine, rows, spread, teacher, k)
        found: list[Choice] = []
        for name in names:
            if name == "local":
                as_many = found[0].tried_rows if found else 0
                found.append(self._local(rows, spread, metric, kernels, as_many))
            else:
                transform = _composed(metric, spread)
                found.append(self.of_one(rows, transform, held_out=len(names) > 1))
        best = found[0]
        for other in found[1:]:
            best = other if is_better(other.errors, best.errors) else best
        if len(found) > 1:
            best.report["held_out_errors"] = {
                choice.approximation.name: float(np.sqrt(choice.errors.mean())) for choice in found
            }
            best.report["held_out_rows"] = rows.n_scored
        best.report = {"why": why, **metric.report, **best.report}
        if learn:
            _note_learned(best, spread)
        if curves is not None:
            best.curves = curves
            best.report["curved_features"] = curves.columns.tolist()
        if self.given is not None:
            best.input_map = self.given
        return best

    def _curves(
        self, find: FindMetric, teacher: RadialKernel, k: int
    ) -> tuple[Curves | None, LearnedMetric | None]:
        """Return curves of columns with heavy tails, if local models are better for them.

        Where they are so by no more than noise from the start, both are learned and the better
        comes along: a matrix after the curves has more to part. Not of wide rows, which are seen by
        their principal components.
        """
        curves = normal_scores(self.sample.X) if chooses_map(self.params) else None
        if curves is None:
            return None, None
        few = _first(self.sample, max(FEWEST_ROWS, CURVED_VALUES // self.sample.X.shape[1]))
        plain, curved = (
            starting_metric(self.engine, *trial_rows(sample), teacher, min(k, len(few.X) - 1))
            for sample in (few, _with(few, curves(few.X)))
        )
        if is_better(curved.trial.errors, plain.trial.errors):
            return curves, None
        lower = curved.trial.errors.mean() < plain.trial.errors.mean()
        if self.sample.X.shape[1] > WIDE or not lower:
            return None, None
        plain, curved = (
            find(self.engine, *trial_rows(sample), teacher, k)
            for sample in (self.sample, _with(self.sample, curves(self.sample.X)))
        )
        better = is_better(curved.trial.errors, plain.trial.errors)
        return (curves, curved) if better else (None, plain)

    def _local(
        self,
        rows: TrialRows,
        spread: np.ndarray,
        metric: LearnedMetric,
        kernels: list[RadialKernel],
        as_many: int,
    ) -> Choice:
        """Choose kernel and size on all rows of the sample; errors are of `as_many` of them."""
        asked = self.params["n_neighbors"]
        sizes = [asked] if isinstance(asked, int) else [k for k in SIZES if k < len(rows.X)]
        kernel = self.params["kernel"]
        if kernels:
            trial = best_neighborhoods(self.engine, rows, metric, kernels, sizes)
            kernel, k = trial.kernel, trial.n_neighbors
            size = as_many or len(rows.X)
            errors = best_of_fewer(self.engine, rows, metric, trial, size).errors
            start, more = (trial.factor, trial.alpha), {"local_settings": trial.settings}
        else:
            metric.trial.refine()
            start, k, errors, more = None, sizes[0], metric.trial.errors, {}
        approximation = approximation_named("local", self.params["solver"])
        transform = _composed(metric, spread)
        return Choice(
            approximation,
            kernel,
            self.params["gamma"],
            k,
            transform,
            report=more,
            errors=errors,
            start=start,
        )

    def of_one(
        self,
        rows: TrialRows,
        transform: np.ndarray | None,
        *,
        held_out: bool,
        preferred: bool = False,
    ) -> Choice:
        """Return one model of all rows, in the map or not; measure the model itself if asked to.

        The map is chosen by errors in closed form on few rows, which are what else is returned.
        """
        errors = np.zeros(0)
        kernel, report, seen = self._kernel(transform, self.params["kernel"])
        if transform is not None:
            asked = self.params["kernel"]
            if asked == "auto" and not preferred:  # of few rows all families cost next to nothing
                asked = without_bandwidth(kernel)
            plain, plain_report, plain_seen = self._kernel(None, asked)
            mapped, as_given = self._left_out(kernel, seen), self._left_out(plain, plain_seen)
            # What makes rows cheaper need not be better as well.
            preferred |= transform.ndim == 2 and transform.shape[1] < len(transform)
            keep = not is_better(as_given, mapped) if preferred else is_better(mapped, as_given)
            errors = mapped if keep else as_given
            if not keep:
                kernel, report, transform = plain, report | plain_report, None
        width = self.sample.X.shape[1] if transform is None else transform.shape[-1]
        names, why = candidates(self.params, self.n_rows, width)
        report = report | {"why": why}
        approximation = approximation_named(names[0], self.params["solver"])
        k = self.params["n_neighbors"]
        choice = Choice(
            approximation,
            kernel,
            self.params["gamma"],
            k if isinstance(k, int) else SIZES[0],
            transform,
            report=report,
            errors=errors,
        )
        if held_out and not self._tried_on_few(choice, rows):
            choice.errors = self._errors(choice, rows)
        return choice

    def _tried_on_few(self, choice: Choice, rows: TrialRows) -> bool:
        """Measure an exact model on few rows, where Nyström is no model of it; say if so.

        By leave-one-out errors in closed form, as those of local models are.
        """
        n = self.n_rows
        if choice.approximation.name != "exact" or n <= MOST_DENSE_ROWS:
            return False
        X = self.sample.X if choice.input_map is None else in_map(self.sample.X, choice.input_map)
        few = take_rows(X, np.arange(min(ALPHA_ROWS, len(rows.X))))
        if conditioning(choice.kernel, few, n, self.sample.seed).share <= MOST_LEFT:
            return False
        sample = _with(self.sample, X)
        sample.y, sample.weight = rows.y, rows.weight
        seen = Survey(sample, np.zeros(rows.y.shape[1]), 1.0)
        (left,) = left_out_errors(self.engine, [choice.kernel], self.rule, seen, ALPHA_ROWS)
        choice.errors, choice.tried_rows = left.errors[: rows.n_scored], len(left.errors)
        choice.report["tried"] = f"exact on {len(left.errors)} rows"
        return True

    def _kernel(
        self, transform: np.ndarray | None, kernel: Any
    ) -> tuple[Kernel, dict[str, Any], Survey]:
        X = self.sample.X if transform is None else in_map(self.sample.X, transform)
        y_mean = np.average(np.asarray(self.sample.y), axis=0, weights=self.sample.weight)
        seen = Survey(_with(self.sample, X), y_mean, _variance(X))
        found, report = select_kernel(self.engine, kernel, self.params["gamma"], self.rule, seen)
        return found, report, seen

    def _left_out(self, kernel: Kernel, seen: Survey) -> np.ndarray:
        (left,) = left_out_errors(self.engine, [kernel], self.rule, seen, BANDWIDTH_ROWS)
        return left.errors

    def _errors(self, choice: Choice, rows: TrialRows) -> np.ndarray:
        """Return squared errors on the rows held out, of a model of the other rows."""
        X, transform = self.sample.X, choice.input_map
        X = X if transform is None else in_map(X, transform)
        out, kept = np.arange(rows.n_scored), np.arange(rows.n_scored, min(len(rows.X), TRIAL_ROWS))
        weight = rows.weight
        source = ArraySource(
            take_rows(X, kept), rows.y[kept], None if weight is None else weight[kept]
        )
        approximation, params = choice.approximation, self.params
        if approximation.name == "exact" and len(kept) > MOST_DENSE_ROWS:
            params = params | {"solver": "cholesky"}
            approximation = approximation_named("nystroem", "cholesky")
            choice.report["tried"] = "nystroem for exact"
        size = approximation.sample_size(params)
        seen = survey(self.engine, source, size, self.sample.seed)
        fitted = approximation.fit(Job(self.engine, source, choice.kernel, self.rule, seen, params))
        predict = kernel_predictor(
            choice.kernel,
            fitted.arrays["landmarks_"],
            fitted.arrays["dual_coef_"],
            fitted.solution.intercept,
            np.dtype(np.float64),
        )
        errors = np.square(predict(take_rows(X, out)) - rows.y[out]).mean(axis=1)
        return errors if weight is None else errors * weight[out]


def _note_learned(choice: Choice, spread: np.ndarray) -> None:
    """Note what a learned map says of the features, or that there is none."""
    if choice.input_map is None:
        choice.report["metric"] = "none"
    else:
        choice.relevances = relevances(choice.input_map, spread**2)


def _composed(metric: LearnedMetric, spread: np.ndarray) -> np.ndarray | None:
    """Return the map of rows as they are, from one of standardised rows; None for the identity."""
    if metric.kind == "none":
        return None
    transform = metric.map / (spread if metric.map.ndim == 1 else spread[:, None])
    return np.asarray(transform)


def _first(sample: HashSample, size: int) -> HashSample:
    return sample.part(np.arange(min(size, len(sample.numbers))))


def _with(sample: HashSample, X: Any) -> HashSample:
    new = copy(sample)
    new.X = X
    return new


def _variance(X: Any) -> float:
    return float(np.var(dense_rows(X), dtype=np.float64))
