"""A plan says beforehand what the fit then does: the same choices, passes, bytes and refusals."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import scalekern
from scalekern import (
    KNeighborsRegressor,
    LinearRegressor,
    RowPreparer,
    SimilarityClassifier,
    SimilarityRegressor,
)
from scalekern.cli import main
from scalekern.engine import machine
from scalekern.engine.cost import (
    BLOCK_SECONDS,
    ROW_SECONDS,
    STEP_SECONDS,
    TASK_SECONDS,
    Crew,
    graph_tasks,
)
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import RBF, Laplacian, Matern
from scalekern.rows import ArraySource, RowSource
from scalekern.storage import model_bytes

RATES = dict.fromkeys(
    ("product32", "product64", "exp32", "exp64", "wave32", "wave64", "move", "eigen", "solve",
     "sort", "tree", "tree_build"), 1e9,
)  # fmt: skip


@pytest.fixture(autouse=True)
def known_rates(monkeypatch):
    """Plans are then the same on every machine, and quick."""
    monkeypatch.setattr("scalekern.report.plan.rates", lambda: RATES)


class Counting(RowSource):
    """Rows that count how often they are read; `unreadable` ones cannot be."""

    def __init__(self, X, y, *, unreadable=False):
        self._source, self._unreadable = ArraySource(X, y), unreadable
        for name in ("n_rows", "n_features", "dtype", "n_outputs", "target_is_vector"):
            setattr(self, name, getattr(self._source, name))
        self.passes, self.blocks_read = 0, []

    def blocks(self, max_rows):
        if self._unreadable:
            raise AssertionError("a plan read rows")
        self.passes += 1
        blocks = list(self._source.blocks(max_rows))
        self.blocks_read.append(len(blocks))
        return iter(blocks)

    def runs(self, numbers, length):
        if self._unreadable:
            raise AssertionError("a plan read rows")
        self.passes += not any(numbers[:1])  # an order drawn anew has row 0 somewhere
        return self._source.runs(numbers, length)

    def select(self, names):
        return self


def data(n=3_000, d=3, outputs=1, dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.uniform(size=(n, d)).astype(dtype)
    y = np.sin(6 * X[:, :1]) + X[:, 1:2] + 0.1 * rng.standard_normal((n, outputs))
    return X, y[:, 0] if outputs == 1 else y


PLAIN = {"kernel": "rbf", "gamma": "median"}
MODELS = {
    "exact": SimilarityRegressor(**PLAIN, approximation="exact"),
    "exact-fixed": SimilarityRegressor(approximation="exact", alpha=0.1, gamma=2.0),
    "exact-cv": SimilarityRegressor(**PLAIN, approximation="exact", alpha="cv"),
    "auto": SimilarityRegressor(gamma=2.0, n_components=60),
    "tried": SimilarityRegressor(n_components=60, random_state=0),
    "learned": SimilarityRegressor(metric="learned", approximation="nystroem", n_components=60),
    "scales": SimilarityRegressor("laplacian", metric=[1.0, 2.0, 1.0], approximation="nystroem",
                                  n_components=60),
    "nystroem": SimilarityRegressor("laplacian", approximation="nystroem", n_components=60),
    "nystroem-gcv": SimilarityRegressor(Matern(0.5), alpha="gcv", approximation="nystroem",
                                        n_components=60),
    "nystroem-numbers": SimilarityRegressor("laplacian", landmarks=np.arange(50)),
    "fourier": SimilarityRegressor(**PLAIN, approximation="fourier", n_components=61),
    "fourier-fixed": SimilarityRegressor(gamma=2.0, approximation="fourier",
                                         n_components=60, alpha=1.0),
    "local": SimilarityRegressor(**PLAIN, approximation="local"),
    "local-fixed": SimilarityRegressor(approximation="local", gamma=2.0, alpha=0.1),
    "linear": LinearRegressor(),
    "knn": KNeighborsRegressor(),
    "preparer": make_pipeline(RowPreparer(), SimilarityRegressor(**PLAIN, approximation="exact")),
    "unscaled": make_pipeline(RowPreparer("none"), LinearRegressor()),
}  # fmt: skip


def few_are_many(monkeypatch, n=500):
    """Let no more than n rows count as few enough for a decomposition."""
    monkeypatch.setattr("scalekern.estimators.outset.MOST_DENSE_ROWS", n)


@pytest.mark.parametrize("name", MODELS)
def test_passes_and_their_blocks_are_those_of_the_fit(name, monkeypatch):
    for bound in ("LEAST_CHUNK_ROWS", "MOST_CHUNK_ROWS"):
        monkeypatch.setattr(f"scalekern.engine.plan.{bound}", 512)
    few_are_many(monkeypatch)
    X, y = data(1_100 if "exact" not in name and name != "preparer" else 200)
    model = MODELS[name]
    plan = scalekern.plan(Counting(X, y, unreadable=True), estimator=model)
    source = Counting(X, y)
    model.fit(source)
    assert len(plan.passes) == source.passes
    if name == "nystroem-numbers":  # the landmarks are looked up by the source, in its own blocks
        return
    planned = [1 if step.what == "gathering the rows" else step.tasks for step in plan.passes]
    assert planned == source.blocks_read


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("tried", "learned")])
def test_model_bytes_are_those_of_the_fitted_model(name, outputs, dtype):
    X, y = data(300, outputs=outputs, dtype=dtype)
    model = MODELS[name]
    plan = scalekern.plan(X, y, estimator=model)
    model.fit(X, y)
    assert plan.model_bytes == model_bytes(model, explain=False)
    explains = model_bytes(model) - plan.model_bytes
    assert explains <= plan.explain_bytes <= 1.5 * explains


@pytest.mark.parametrize("n", [450, 700])
def test_what_only_the_rows_can_tell_is_said(n, monkeypatch):
    few_are_many(monkeypatch)
    X, y = data(n)
    tried, learned = MODELS["tried"], MODELS["learned"]
    plan = scalekern.plan(Counting(X, y, unreadable=True), estimator=tried)
    report = tried.fit(X, y).report_
    assert [plan.approximation, "local"] == list(report["held_out_errors"])
    assert any("takes 'local' instead if that is clearly better" in note for note in plan.notes)
    assert any("32 to 128 neighbours" in note for note in plan.notes)
    steps = [step.what for step in plan.steps]
    assert {"trying local models", f"trying {plan.approximation}"} <= set(steps)
    plan = scalekern.plan(X, y, estimator=learned)
    assert model_bytes(learned.fit(X, y), explain=False) <= plan.model_bytes
    assert any("whether a learned metric is kept" in note for note in plan.notes)
    settled = scalekern.plan(X, y, estimator=SimilarityRegressor(gamma=1.0))
    assert not any("depends on the rows" in note for note in settled.notes)


@pytest.mark.parametrize("n", [100, 400])
def test_model_bytes_are_an_upper_bound_where_columns_have_curves(n):
    X = np.exp(2 * np.random.default_rng(0).standard_normal((n, 2)))
    model = SimilarityRegressor("rbf", n_neighbors=16, random_state=0)
    plan = scalekern.plan(X, np.log(X).sum(axis=1), estimator=model)
    model.fit(X, np.log(X).sum(axis=1))
    assert len(model.curved_features_) == 2
    assert model_bytes(model, explain=False) <= plan.model_bytes
    assert any("columns with heavy tails may be transformed" in note for note in plan.notes)


def test_model_bytes_are_an_upper_bound_where_landmarks_span_each_other():
    X, y = data(600, d=2)
    model = SimilarityRegressor(gamma=0.1, approximation="nystroem", n_components=200)
    kept = model_bytes(model.fit(X, y), explain=False)
    assert scalekern.plan(X, y, estimator=model).model_bytes > kept


@pytest.mark.parametrize("n", [2_500, 2_501])
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_the_choice_and_its_reason_are_those_of_the_fit(n, kernel):
    X, y = data(n)
    model = SimilarityRegressor(kernel, gamma=1.0, alpha=0.1, n_components=20)
    plan = scalekern.plan(X, y, estimator=model)
    report = model.fit(X, y).report_
    assert plan.approximation == report["approximation"]
    assert plan.why == report["why"]
    assert plan.solver == report["solver"]
    assert plan.dtype == report["tile_dtype"]


def test_an_index_is_planned_as_it_is_chosen():
    few, many = np.empty((30_000, 4)), np.empty((30_000, 20))
    kinds = [
        scalekern.plan(X, estimator=KNeighborsRegressor(target_recall=recall)).approximation
        for X, recall in ((few, 0.95), (many, 0.95), (many, 1.0), (many[:100], 0.95))
    ]
    assert kinds == ["kd_tree", "approximate index", "flat", "flat"]


@pytest.mark.parametrize(("n", "d"), [(30_000, 4), (30_000, 20), (100, 20)])
def test_the_peak_of_a_fit_is_at_least_the_model_that_it_leaves(n, d):
    plan = scalekern.plan(np.empty((n, d)), estimator=KNeighborsRegressor())
    assert plan.memory_bytes >= plan.model_bytes


def test_descent_is_planned_with_all_the_passes_it_may_take():
    X, y = data(9_000)
    model = SimilarityRegressor(
        "laplacian", approximation="nystroem", n_components=20, solver="sgd", max_iter=4, tol=0.0,
        gamma=1.0,
    )  # fmt: skip
    plan = scalekern.plan(Counting(X, y, unreadable=True), estimator=model)
    model.fit(X, y)
    assert plan.solver == "sgd"
    assert len(plan.passes) == 1 + model.report_["passes"]


@pytest.mark.parametrize(
    ("model", "name", "limit"),
    [
        (SimilarityRegressor(**PLAIN, approximation="exact", alpha=1.0, solver="cholesky"),
         "rows", 7 * 8 * 400**2),
        (SimilarityRegressor(**PLAIN, approximation="exact", alpha="cv", solver="pinv"),
         "rows", 11 * 8 * 400**2),
        (SimilarityRegressor(**PLAIN, approximation="exact", alpha=1.0, solver="cg"),
         "rows", 8 * 400 * (50 + 12 + 10)),
        (SimilarityRegressor(**PLAIN, approximation="fourier", n_components=300, n_jobs=1),
         "n_components", 3 * 8 * 200 * 201),
        (SimilarityRegressor("laplacian", approximation="nystroem", n_components=300, n_jobs=1,
                             solver="sgd"), "n_components", 3 * 8 * 1024 * 202),
    ],
)  # fmt: skip
def test_the_plan_refuses_what_the_fit_refuses_and_says_what_would_fit(model, name, limit):
    X, y = data(1_000)
    with scalekern.config_context(memory_limit=limit):
        plan = scalekern.plan(X, y, estimator=model)
        with pytest.raises(InvalidInputError) as error:
            model.fit(X, y)
    assert not plan.fits
    assert plan.problem == str(error.value)
    assert name in plan.remedy
    largest = int(plan.remedy.split()[2].replace(",", ""))
    assert (largest, plan.problem in str(plan)) == (pytest.approx(largest), True)
    part, sized = slice(None, largest if name == "rows" else None), dict(model.get_params())
    if name == "n_components":
        sized[name] = largest
    with scalekern.config_context(memory_limit=limit):
        SimilarityRegressor(**sized).fit(X[part], y[part])
        more = slice(None, largest + 1 if name == "rows" else None)
        sized |= {name: largest + 1} if name == "n_components" else {}
        assert not scalekern.plan(X[more], y[more], estimator=SimilarityRegressor(**sized)).fits


def test_a_parquet_file_is_planned_from_its_footer(tmp_path, monkeypatch):
    X, y = data(5_000)
    file = tmp_path / "rows.parquet"
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "text": ["x" * 9] * len(X), "y": y})
    pq.write_table(table, file, row_group_size=1_000)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", None)
    source = scalekern.rows(file, target="y", features=["a", "b"])
    plan = scalekern.plan(source)
    meta = pq.ParquetFile(file).metadata
    one_pass = sum(
        meta.row_group(g).column(c).total_compressed_size for g in range(5) for c in (0, 1, 3)
    )
    assert plan.read_bytes == one_pass * len(plan.passes)
    raw = scalekern.rows(file, target="y", raw=True)
    model = make_pipeline(RowPreparer(max_categories=7), SimilarityRegressor())
    prepared = scalekern.plan(raw, estimator=model)
    assert prepared.columns == 2 + 7
    assert len(prepared.passes) == 3
    assert any("at most 9" in note for note in prepared.notes)


def test_frames_are_planned_by_their_columns(monkeypatch):
    X, y = data(3_000)
    table = pa.table({"a": X[:, 0], "b": X[:, 1].astype(np.float32)})
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    frames = [table, pandas.DataFrame({"a": X[:, 0], "b": X[:, 1]}), polars.from_arrow(table)]
    for frame in frames:
        plan = scalekern.plan(frame, y)
        assert (plan.rows, plan.columns, plan.dtype) == (3_000, 2, "float64")
    nystroem = SimilarityRegressor(approximation="nystroem")
    assert scalekern.plan(table.select(["b"]), y, estimator=nystroem).dtype == "float32"
    scaled = make_pipeline(StandardScaler(), SimilarityRegressor())
    assert len(scalekern.plan(X, y, estimator=scaled).passes) == 3


def test_kernels_of_ones_own_have_no_seconds_but_passes():
    texts = ["ab", "abc", "b"] * 10
    plan = scalekern.plan(texts, estimator=SimilarityRegressor(lambda a, b: float(a == b)))
    assert plan.seconds is None
    assert plan.solver == "pinv"
    assert "unknown" in str(plan)
    assert len(plan.passes) == 2


def test_seconds_are_the_work_over_the_rates_shared_by_the_threads(monkeypatch):
    X = np.empty((100_000, 10))
    model = SimilarityRegressor("linear", approximation="nystroem", n_components=64, n_jobs=1)
    (summing,) = [s for s in scalekern.plan(X, estimator=model).steps if "sums" in s.what]
    one, two = summing.seconds(RATES, Crew.here(1)), summing.seconds(RATES, Crew.here(2))
    twice = {kind: 2 * rate for kind, rate in RATES.items()}
    fixed = STEP_SECONDS + 100_000 * ROW_SECONDS + summing.tasks * BLOCK_SECONDS
    assert summing.tasks % 2 == 1
    assert two - fixed == pytest.approx((one - fixed) * (summing.tasks // 2 + 1) / summing.tasks)
    assert summing.seconds(twice, Crew.here(1)) - fixed == pytest.approx((one - fixed) / 2)


def test_kernel_values_are_counted_once_for_each_pair():
    X = np.empty((1_000, 4))
    for kernel in (RBF(1.0), Laplacian(1.0), RBF(1.0) + 2.0 * Matern(1.0)):
        model = SimilarityRegressor(kernel, approximation="exact")
        steps = {step.what: step for step in scalekern.plan(X, estimator=model).steps}
        assert steps["the Gram matrix"].work["kernel_values"] == 1_000 * 1_000


def test_rates_are_measured_once_and_are_those_that_plans_use():
    machine.rates.cache_clear()
    found = machine.rates()
    assert machine.rates() is found
    assert set(found) == set(RATES)
    assert all(np.isfinite(rate) and rate > 0 for rate in found.values())


def test_what_cannot_be_planned_is_refused_by_name():
    X, y = data(100)
    with pytest.raises(UnsupportedError, match="SimilarityClassifier cannot be planned"):
        scalekern.plan(X, y, estimator=SimilarityClassifier())
    from sklearn.decomposition import PCA

    with pytest.raises(UnsupportedError, match="with a PCA cannot be planned"):
        scalekern.plan(X, y, estimator=make_pipeline(PCA(), LinearRegressor()))
    with pytest.raises(UnsupportedError, match="does not go with"):
        scalekern.plan(X, y, estimator=SimilarityRegressor(approximation="local", solver="pinv"))


def test_the_plan_is_plain_values_and_safe_html():
    X, y = data(100)
    plan = scalekern.plan(X, y, estimator=SimilarityRegressor())
    document = json.loads(json.dumps(plan.to_dict()))
    assert document["passes"] == 2
    assert document["steps"][0]["rows"] == 100
    assert document["seconds"] == pytest.approx(plan.seconds)
    assert plan._repr_html_().count("<tr>") == 5 + 1 + len(plan.steps) + 1


def run(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return end.value.code, capsys.readouterr().out


def test_the_command_plans_what_fit_then_does(tmp_path, capsys):
    X, y = data(600)
    file, model = tmp_path / "rows.parquet", tmp_path / "model"
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "y": y}), file)
    options = (str(file), "--target", "y", "--model", "fourier", "--n-components", "50")
    code, out = run(capsys, "plan", *options, "--json", "-")
    assert code == 0
    plan = json.loads(out)
    code, out = run(capsys, "fit", *options, "-o", str(model), "--json", "-")
    assert code == 0
    report = json.loads(out)
    assert (
        plan["model_bytes"] < report["model_bytes"] <= plan["model_bytes"] + plan["explain_bytes"]
    )
    assert plan["passes"] == 3
    code, out = run(capsys, "plan", *options, "--memory-limit", "1000")
    assert code == 1
    assert "what to do" in out


def test_a_plan_of_dask_rows_counts_tasks_and_bytes_and_reads_nothing():
    da = pytest.importorskip("dask.array")

    def refused(block):
        raise AssertionError("a plan reads nothing")

    lazy = da.zeros((600_000, 4), chunks=(100_000, 4))
    lazy = lazy.map_blocks(refused, dtype=float, meta=np.zeros((0, 4)))
    model = SimilarityRegressor(approximation="nystroem", n_components=64, alpha=1.0)
    plan = scalekern.plan(lazy, estimator=model)
    (summing,) = [step for step in plan.steps if "sums" in step.what]
    assert summing.merged_bytes == summing.tasks * 8 * 65 * 65
    assert summing.graph_tasks == graph_tasks(summing.tasks, 6)
    assert plan.crew.workers == 1
    assert "tasks" in str(plan)
    here = scalekern.plan(np.empty((600_000, 4)), estimator=model)
    assert here.crew.workers == 0
    assert (here.passes[0].tasks, here.model_bytes) == (plan.passes[0].tasks, plan.model_bytes)
    with pytest.raises(InvalidInputError, match="compute_chunk_sizes"):
        scalekern.plan(lazy[lazy[:, 0] > 0], estimator=model)


def test_the_tasks_of_a_plan_are_those_of_the_graph():
    pytest.importorskip("dask")
    from scalekern.engine.dask import _tree

    for blocks in (1, 2, 8, 9, 64, 65, 100, 513):
        graph = _tree(0, list(range(blocks))).__dask_graph__()
        assert len(graph) == graph_tasks(blocks)


def test_more_workers_take_less_time_until_the_scheduler_is_busy():
    model = SimilarityRegressor(approximation="nystroem", n_components=1_000, alpha=1.0)
    plan = scalekern.plan(np.broadcast_to(0.0, (10**9, 8)), estimator=model)
    times = [plan.on_workers(count).seconds for count in (1, 10, 100, 10_000, 100_000)]
    assert times == sorted(times, reverse=True)
    assert 9 < times[0] / times[1] <= 10
    assert times[-1] > TASK_SECONDS * plan.graph_tasks


def test_iterations_of_an_exact_model_are_shared_by_the_workers():
    model = SimilarityRegressor(**PLAIN, approximation="exact", alpha=1.0, solver="cg")
    plan = scalekern.plan(np.empty((50_000, 4)), estimator=model)
    (step,) = [step for step in plan.steps if step.what == "conjugate gradients"]
    assert (step.repeats, step.rows) == (40, 0)
    times = [step.seconds(RATES, plan.on_workers(count).crew) for count in (1, 2, 10)]
    assert times[0] / times[1] == pytest.approx(2, rel=0.05)
    assert times[2] > TASK_SECONDS * step.graph_tasks


def test_neighbours_of_dask_rows_are_planned_in_shards():
    da = pytest.importorskip("dask.array")
    plan = scalekern.plan(da.zeros((3_000_000, 4)), estimator=KNeighborsRegressor())
    indexing = plan.passes[0]
    assert indexing.what == "indexing"
    assert indexing.tasks == 3
    assert plan.memory_bytes < 3_000_000 * 4 * 8


def test_local_models_of_dask_rows_build_the_trees_of_their_shards_again():
    da = pytest.importorskip("dask.array")
    model = SimilarityRegressor("matern32", approximation="local", metric="euclidean")
    plan = scalekern.plan(da.zeros((300_000, 4)), estimator=model)
    built = {step.what: step.work.get("tree_build") for step in plan.steps}
    assert built["opening the shards"] == built["indexing"] > 0
    local = scalekern.plan(np.zeros((300_000, 4)), estimator=model)
    assert "opening the shards" not in [step.what for step in local.steps]


def test_on_a_cluster_a_block_unpacks_its_row_group_from_the_beginning(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scalekern.rows.parquet_files import GROUP_ROWS

    n, group = 40_000, 2 * GROUP_ROWS
    table = pa.table({"x": np.random.default_rng(0).normal(size=n), "y": np.zeros(n)})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=group)
    source = scalekern.rows(str(tmp_path / "rows.parquet"), target="y")
    whole = source.pass_bytes()
    assert whole == source.pass_bytes(group) > 8 * n
    # Of the first group four blocks, two of which unpack half of it; the last is short.
    half = GROUP_ROWS // 2
    blocks, rest = group // half, n - group
    unpacked = (2 * 0.5 + 2 * 1.0) * group + -(-rest // half) * rest
    assert blocks == 4
    assert source.pass_bytes(half) == pytest.approx(unpacked / n * whole, rel=0.02)


def test_runs_of_a_row_group_are_the_rows_and_hold_no_others(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scalekern.rows import parquet, parquet_files

    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 64)
    made, keep = [], parquet.to_block
    monkeypatch.setattr(
        parquet, "to_block", lambda part, *rest: made.append(part.num_rows) or keep(part, *rest)
    )
    table = pa.table({"x": np.arange(1_000.0), "y": np.arange(1_000.0) % 7})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=300)
    source = scalekern.rows(str(tmp_path / "rows.parquet"), target="y")
    for numbers in ([4], [0, 1], [3, 5], [12], [2, 12]):
        made.clear()
        blocks = list(source.runs(np.array(numbers), 80))
        expected = [np.arange(80 * i, min(80 * (i + 1), 1_000)) for i in numbers]
        for block, rows in zip(blocks, expected, strict=True):
            np.testing.assert_array_equal(block.X[:, 0], rows)
            np.testing.assert_array_equal(block.ids, rows)
            assert block.start == rows[0]
        span = sum(80 for _ in range(numbers[0], numbers[-1] + 1))
        assert sum(made) <= span
