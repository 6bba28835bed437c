"""What a fit would do, from the outline of its rows: the passes, and what is needed and kept.

The choices are the estimators' own, asked without rows (`_outset`, `exact_need`, `kind_for_rows`),
so that a plan cannot say one thing and the fit do another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from scalekern.engine import Need
from scalekern.engine.choose import crew_for
from scalekern.engine.cost import PLAIN_ROW_SECONDS, Step, rows_of_task, tasks_of
from scalekern.engine.limits import resolve_threads
from scalekern.engine.machine import tree_coordinates
from scalekern.errors import UnsupportedError
from scalekern.estimators import counting as count
from scalekern.estimators.approximations import LOO_ROWS, approximation_named
from scalekern.estimators.choosing import (
    MOST_DENSE_ROWS,
    MOST_EXACT_ROWS,
    Outset,
    chooses_map,
    local_kernels,
    survey_size,
)
from scalekern.estimators.counting import Tile
from scalekern.estimators.descent import SGD_PASSES, most_passes, sample_rows
from scalekern.estimators.fitting import exact_need, sums_need
from scalekern.estimators.input_map import InputMap
from scalekern.estimators.iterating import (
    ALPHA_ROWS,
    EXACT_PASSES,
    USUAL_PASSES,
    exact_solver,
    landmark_solver,
)
from scalekern.estimators.linear import LinearRegressor
from scalekern.estimators.local import SAMPLE_ROWS, local_need
from scalekern.estimators.neighbor_search import QUERY_ROWS
from scalekern.estimators.neighbor_weights import WeighedNeighbors
from scalekern.estimators.sharding import shard_rows
from scalekern.estimators.similarity import SimilarityRegressor
from scalekern.estimators.weighing import EXPLAIN_ROWS, MOST_COMPONENTS
from scalekern.features.curves import most_bytes
from scalekern.features.parameters import check_integer, tile_dtype_of
from scalekern.features.survey import BANDWIDTH_ROWS
from scalekern.kernels import Laplacian, Precomputed, as_kernel
from scalekern.neighbors.centres import ITERATIONS
from scalekern.neighbors.ivf import LISTS, TRAINING_ROWS_A_LIST, IVFPQIndex, lists_for
from scalekern.neighbors.kinds import kind_for_function, kind_for_rows, kind_for_texts
from scalekern.neighbors.metrics import canonical_metric, takes_objects
from scalekern.rows import RowSource
from scalekern.selection.local import ALPHAS, FACTORS
from scalekern.selection.local_trial import SHORT_ROWS
from scalekern.selection.metric import WIDE
from scalekern.selection.trials import NEIGHBORS, SIZES, sample_size, scored_rows, sloped_rows
from scalekern.solvers import AlphaRule, alpha_rule
from scalekern.solvers.exact_cg import cg_need, preconditioner_rank
from scalekern.solvers.sgd import BATCH_ROWS, sketch_need
from scalekern.solvers.sketch import sketch_size
from scalekern.solvers.tiles import TILE_ROWS

USUAL_ROUNDS, USUAL_SETTINGS = 5, 12
"""Of learning a metric: rounds, and the lengths and alphas tried in each."""
INDEXING, BUILDING = "indexing", ("building the index", "tuning the index")
GRAM_ROWS = 512
"""Rows of a block of the Gram matrix."""


@dataclass(frozen=True)
class Limit:
    """A need that grows with a size that the user can choose.

    Attributes
    ----------
    name : str
        "rows", or the parameter.
    size : int
    need_of : callable
        From a size to what it needs; the fit asks the same function.
    """

    name: str
    size: int
    need_of: Callable[[int], Need]

    @property
    def need(self) -> Need:
        """What this fit needs."""
        return self.need_of(self.size)

    def largest(self, budget: int) -> int:
        """Return the largest size that fits in so many bytes, at most this one; 0 where none."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if self.need_of(middle).bytes <= budget else (low, middle - 1)
            )
        return low


@dataclass
class Outlook:
    """What is known of a fit before it.

    Attributes
    ----------
    name, why, solver : str
        The approximation or index, the reason for it, and the solver ("" where there is none).
    steps, predict : list of Step
        Of the fit, and of predictions for as many rows.
    limits : list of Limit
        What `memory_limit` is compared with.
    held_bytes : int
        Of the rows and of an index, where the fit holds them all.
    model_bytes : int
        Of the arrays that the model keeps to predict.
    explain_bytes : int
        Of those that it keeps to explain its predictions; the most that there will be.
    notes : list of str
    """

    name: str
    why: str
    solver: str = ""
    steps: list[Step] = field(default_factory=list)
    predict: list[Step] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    held_bytes: int = 0
    model_bytes: int = 0
    explain_bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, why: str, work: Counter[str] | None, tasks: int = 1) -> None:
        """Add what is done between passes."""
        self.steps.append(Step(what, why, 0, tasks, 0, work or {}, work is not None))


@dataclass(frozen=True)
class _Shape:
    """The rows as the estimator sees them."""

    source: RowSource
    n_threads: int

    @property
    def n(self) -> int:
        return self.source.n_rows

    @property
    def d(self) -> int:
        return self.source.n_features

    @property
    def t(self) -> int:
        return max(1, self.source.n_outputs)

    @property
    def item(self) -> int:
        return 8 if self.source.dtype == object else self.source.dtype.itemsize

    @property
    def row_bytes(self) -> int:
        return self.n * (self.d * self.item + 8 * (self.t + 1))

    @property
    def block_bytes(self) -> int:
        """What a block is whose rows, and targets, go to this process."""
        return self.row_bytes // max(1, tasks_of(self.n, self.d))

    def collect(self, plan: Outlook, objects: bool = False) -> None:
        """Add the pass that brings all rows to an index: into memory, or into files from Dask."""
        if crew_for(self.source).workers and self.d and not objects:
            each = shard_rows(self.source)
            own = self.row_bytes * min(1.0, each / self.n)
            why = "shards of the index, kept in files"
            plan.steps.append(self.a_pass(INDEXING, why, Counter(), each, int(own)))
            return
        plan.held_bytes += self.row_bytes
        plan.steps.append(self.gather("the index holds them"))

    def gather(self, why: str) -> Step:
        return self.a_pass("gathering the rows", why, Counter(), None, self.block_bytes)

    def a_pass(
        self,
        what: str,
        why: str,
        work: Counter[str] | None,
        max_rows: int | None = None,
        sum_bytes: int = 0,
    ) -> Step:
        size = max_rows or rows_of_task(self.n, self.d)
        tasks = -(-self.n // size)
        done = None if work is None else work + Counter({"move": 2.0 * self.n * self.d * self.item})
        read, apart = self.source.pass_bytes(), self.source.pass_bytes(size)
        known, parts = work is not None, self.source.partitions
        step = Step(what, why, self.n, tasks, read, done or {}, known, sum_bytes, parts)
        return replace(step, apart_bytes=apart)


def outlook(model: Any, source: RowSource) -> Outlook:
    """Return what a fit of an unfitted estimator on rows like these would do.

    Raises
    ------
    UnsupportedError
        For estimators that cannot be planned.
    """
    shape = _Shape(source, resolve_threads(getattr(model, "n_jobs", None)))
    if isinstance(model, LinearRegressor):
        return _linear(shape)
    if isinstance(model, WeighedNeighbors):
        return _neighbors(model, shape)
    if isinstance(model, SimilarityRegressor):
        return _similarity(model, shape)
    raise UnsupportedError(
        f"a {type(model).__name__} cannot be planned; give a SimilarityRegressor, "
        "KNeighborsRegressor, KNeighborsClassifier or LinearRegressor, or a pipeline that ends in "
        "one"
    )


def _linear(shape: _Shape) -> Outlook:
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
    predicting = shape.a_pass("predicting", "", count.products(2.0 * n * d * t))
    plan.predict = [replace(predicting, row_seconds=PLAIN_ROW_SECONDS)]
    plan.model_bytes, plan.explain_bytes = 8 * t * (d + 1), _kept_of_features(shape, d, 8)
    return plan


def _neighbors(model: WeighedNeighbors, shape: _Shape) -> Outlook:
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
    query = _index(plan, shape, kind, k)
    _shared_out(plan)
    work = None if query is None else count.times(query, n)
    plan.predict = [shape.a_pass("predicting", "", work, QUERY_ROWS)]
    plan.model_bytes += shape.n * (d * shape.item + 8 * shape.t)
    return plan


def _shared_out(plan: Outlook) -> bool:
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


def _index(plan: Outlook, shape: _Shape, kind: str, k: int) -> Counter[str] | None:
    """Add the building of an index and its bytes; return the work of one query, None if unknown."""
    n, d = shape.n, shape.d
    scan = count.products(2.0 * n * d, "32") + Counter({"move": 4.0 * n})
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
    train = count.products(2.0 * d * lists * (float(ITERATIONS) * trained + n), "32")
    plan.add("building the index", f"k-means of {lists} lists", train)
    # Some eight settings are tried; a middling one looks at 1 row in 20.
    tuning = count.times(scan, 400 * (1 + 8 * 0.05))
    plan.add("tuning the index", "recall of 400 rows against a scan", tuning)
    row_bytes = {"ivf": 4 * d, "ivfsq": d}.get(kind, d // 4)
    _indexed(plan, shape, n * (row_bytes + 8) + lists * 4 * d)
    plan.notes.append("the work of a query depends on the recall that is measured in the fit")
    return count.times(scan, 0.05)


def _indexed(plan: Outlook, shape: _Shape, size: int) -> None:
    """Count an index, and the float32 rows that it is made from beside those that are held."""
    plan.model_bytes += size
    plan.held_bytes += size + 4 * shape.n * shape.d


def _similarity(model: SimilarityRegressor, shape: _Shape) -> Outlook:
    # What `fit` itself asks first, so that the two cannot differ.
    rule, _ = model._checked()  # noqa: SLF001
    known = model._outset(shape.source)  # noqa: SLF001
    approximation = approximation_named(known.names[0], model.solver)
    params = model.get_params(deep=False)
    kernel = as_kernel("rbf" if known.kernel == "auto" else known.kernel)
    plan = Outlook(approximation.name, known.why)
    size = max(BANDWIDTH_ROWS, approximation.sample_size(params))
    if known.trials:
        size = survey_size(params, known.names, shape.source)
    size = min(shape.n, size)
    looks = f"mean target, and {size} rows to draw from"
    looking = count.sample(shape.n, size, tasks_of(shape.n, shape.d))
    kept = 8 * size * (shape.d + shape.t + 3)
    plan.steps.append(shape.a_pass("looking at the rows", looks, looking, None, kept))
    if known.trials:
        _trials(plan, params, known, kernel, shape)
    if known.scales:
        plan.model_bytes += 8 * shape.d
    if (known.trials or known.scales) and chooses_map(params):
        plan.model_bytes += most_bytes(shape.d)
        plan.notes.append(
            "columns with heavy tails may be transformed, which depends on the rows; the model's "
            "size is the most it can be"
        )
    if known.given is not None:
        shape = replace(shape, source=InputMap(linear=known.given).source(shape.source))
        plan.model_bytes += known.given.nbytes
    families = isinstance(known.kernel, str) and known.kernel == "auto"
    opens = count.bandwidth(model.gamma, kernel, shape.n, shape.d, families=families)
    if opens and approximation.name != "local":
        plan.add("choosing the bandwidth", f"gamma={model.gamma!r}", opens)
    first, _, second = approximation.name.partition("+")
    if first == "local":
        _local(plan, known.n_neighbors, kernel, rule, shape)
    else:
        parts = _exact if first == "exact" else _on_features
        parts(plan, model, kernel, rule, shape)
    if second:
        rest = Outlook(second, "of the residuals")
        _local(rest, known.n_neighbors, kernel, alpha_rule("loo"), shape)
        plan.steps += [shape.a_pass("looking at the residuals", "", Counter()), *rest.steps]
        plan.predict += rest.predict
        plan.limits += rest.limits
        plan.held_bytes += rest.held_bytes
        plan.model_bytes += rest.model_bytes
    return plan


def _trials(plan: Outlook, params: Any, known: Outset, kernel: Any, shape: _Shape) -> None:
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
        if first == "exact" and rows <= MOST_DENSE_ROWS:
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


def _path(rule: AlphaRule, dtype: Any) -> tuple[int, int]:
    """Return how many alphas are tried, and the bytes of them and their scores."""
    if rule.rule == "fixed":
        return 0, 0
    alphas = rule.path(1.0, np.dtype(dtype))
    return len(alphas), alphas.nbytes + 8 * len(alphas)


def _exact(plan: Outlook, model: Any, kernel: Any, rule: AlphaRule, shape: _Shape) -> None:
    n, t = shape.n, shape.t
    path, path_bytes = _path(rule, np.float64)
    tile = Tile(np.dtype(float), shape.d)
    plan.solver, _ = exact_solver(model.solver, kernel, rule, n, shape.d)
    plan.held_bytes = shape.row_bytes
    plan.steps.append(shape.gather("the Gram matrix is of all rows"))
    gram = count.kernel_values(kernel, float(n) * n, tile)
    if plan.solver == "cg":
        _exact_iterations(plan, kernel, rule, path, shape)
    else:
        plan.limits.append(Limit("rows", n, lambda rows: exact_need(rows, rule)))
        plan.add("the Gram matrix", f"{n} x {n} similarities", gram, -(-n // GRAM_ROWS))
        spectral = path or plan.solver == "pinv" or rule.smallest == 0
        solving = count.spectrum(n, max(path, 1) if spectral else 0, rule.n_folds)
        plan.add("solving", _solving(rule, path), solving)
    predicting = None if gram is None else gram + count.products(2.0 * n * n * t)
    plan.predict = [shape.a_pass("predicting", "", predicting)]
    landmarks = 8 * n if isinstance(kernel, Precomputed) else n * shape.d * shape.item
    plan.model_bytes += landmarks + 8 * t * (n + 2) + path_bytes
    plan.explain_bytes = 8 * (t * (n + 1) + 1)


def _exact_iterations(
    plan: Outlook, kernel: Any, rule: AlphaRule, path: int, shape: _Shape
) -> None:
    n, tile = shape.n, Tile(tile_dtype_of(shape.source), shape.d)
    plan.limits.append(Limit("rows", n, lambda rows: cg_need(rows, shape.t)))
    if path:
        few = min(n, ALPHA_ROWS)
        choosing = count.spectrum(few, path, rule.n_folds)
        plan.add("choosing alpha", f"{_solving(rule, path)} on {few} rows", choosing)
    rank = preconditioner_rank(n)
    once = f"of rank {rank}, for a model of all rows and one without some"
    plan.add("the preconditioner", once, count.products(7.0 * n * rank**2))
    kept = count.keeps_tiles(kernel, n, tile)
    values = count.kernel_values(kernel, (1 if kept else EXACT_PASSES) * float(n) * n / 2, tile)
    if values is not None:
        # Each product reads its tiles twice, and the factor twice for both models.
        tiles = float(n) * n * tile.dtype.itemsize * (2 if kept else 1)
        values = values + Counter({"move": EXACT_PASSES * (tiles + 4 * 8.0 * n * rank)})
    where = "kept in a temporary file" if kept else "that are not stored"
    why = f"about {EXACT_PASSES}, over similarities {where}"
    blocks, repeats = -(-n // TILE_ROWS), 0 if kept else EXACT_PASSES
    known, own = values is not None, 2 * 4 * n * shape.t
    step = Step("iterations", why, 0, blocks, 0, values or {}, known, own, 0, repeats)
    plan.steps.append(step)


def _solving(rule: AlphaRule, path: int) -> str:
    if not path:
        return "one alpha"
    return f"eigenvalues, {path} alphas by alpha={rule.rule!r}"


def _on_features(plan: Outlook, model: Any, kernel: Any, rule: AlphaRule, shape: _Shape) -> None:
    n, d, t = shape.n, shape.d, shape.t
    tile = Tile(tile_dtype_of(shape.source), d)
    path, path_bytes = _path(rule, tile.dtype)
    m, kept = _components(plan, model, shape)
    nystroem = plan.name.startswith("nystroem")
    plan.solver = landmark_solver(model.solver, rule, n, m, d) if nystroem else model.solver
    plan.solver = "cholesky" if plan.solver == "auto" else plan.solver
    if nystroem:
        plan.add("factoring the landmarks", f"{m} x {m} similarities", count.whitening(m))
        made, doubles = count.nystroem_rows(kernel, n, m, tile), Tile(np.dtype(float), d)
        values = count.kernel_values(kernel, float(n) * m, doubles if d == 0 else tile)
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
    plan.add("solving", _solving(rule, path), solving)
    if rule.rule == "gcv" and plan.solver == "cholesky":
        plan.notes.append("alpha='gcv' reads the rows once more where the sums leave only rounding")
    predicting = None if values is None else values + count.products(2.0 * n * m * t, tile.bits)
    plan.predict = [shape.a_pass("predicting", "", predicting)]
    # Weights, intercept, and the amplitude, which gradient steps do not tell.
    plan.model_bytes += kept + 8 * t * (m + 1 + (plan.solver != "sgd")) + path_bytes
    if plan.solver == "cholesky":
        # For Nyström, 4 is the most that a block elimination of the landmarks takes.
        plan.explain_bytes = _kept_of_features(shape, m, 12 if nystroem else 8)


def _kept_of_features(shape: _Shape, m: int, per_pair: int) -> int:
    if m > MOST_COMPONENTS:
        return 0
    row = shape.d * shape.item + 8 * (shape.t + 1)
    return min(shape.n, EXPLAIN_ROWS) * row + 8 * (m + shape.t + 1) + per_pair * m * m


def _components(plan: Outlook, model: Any, shape: _Shape) -> tuple[int, int]:
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


def _descent(plan: Outlook, model: Any, shape: _Shape, made: Counter[str] | None, m: int) -> None:
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


def _sketching(shape: _Shape, made: Counter[str] | None, m: int, sum_bytes: int) -> Step:
    tile = Tile(tile_dtype_of(shape.source), shape.d)
    work = None if made is None else made + count.sketch(shape.n, m, tile)
    return shape.a_pass("sketching the rows", "the preconditioner", work, None, sum_bytes)


def _landmark_iterations(
    plan: Outlook, shape: _Shape, made: Counter[str] | None, values: Counter[str] | None, m: int
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


def _local(plan: Outlook, k: int, kernel: Any, rule: AlphaRule, shape: _Shape) -> None:
    n, d, t = shape.n, shape.d, shape.t
    plan.solver = "cholesky"
    plan.limits.append(Limit("n_neighbors", k, partial(local_need, shape.n_threads)))
    shape.collect(plan)
    metric = "manhattan" if isinstance(kernel, Laplacian) else "euclidean"
    kind = kind_for_rows("auto", n, d, metric, 0.95)
    query = _index(plan, shape, kind, k)
    if _shared_out(plan) and kind == "kd_tree":
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
