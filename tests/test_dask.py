"""Dask gives the results of threads: the same rows, to the last bit, whatever the scheduler."""

from __future__ import annotations

import os

import numpy as np
import pytest

pytest.importorskip("dask")
pytest.importorskip("distributed")

import dask
import dask.array as da
import dask.dataframe as dd
import pandas as pd
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

import scalekern
from scalekern import (
    FourierFeatures,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LinearRegressor,
    Nystroem,
    RowPreparer,
    SimilarityClassifier,
    SimilarityRegressor,
)
from scalekern.engine import Moments, ThreadEngine, engine_for
from scalekern.engine.dask import DaskEngine
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import BlockKernel
from scalekern.rows import source_of
from scalekern.rows.dask_rows import dask_source
from scalekern.solvers.tiles import GramProduct

N = 12_000
CUTS = (4_000, 0, 5_000, 3_000)  # one partition is empty, none ends where a block does
NAMES = ["a", "b", "c", "d"]
PLAIN = {"kernel": "rbf", "gamma": "median", "metric": "euclidean"}  # no model is tried
SIMILARITY = {**PLAIN, "approximation": "nystroem", "n_components": 60, "random_state": 0}


@pytest.fixture(scope="module")
def client():
    """A client of two worker processes; not the default one, so that nothing takes it unasked."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


SCHEDULERS = ["sync", "threads", "workers"]


@pytest.fixture(params=SCHEDULERS)
def scheduler(request):
    """Run what Dask computes on one scheduler after another."""
    if request.param != "workers":
        with dask.config.set(scheduler=request.param):
            yield request.param
        return
    client = request.getfixturevalue("client")
    with dask.config.set(scheduler=client):
        yield request.param


@pytest.fixture
def workers(client):
    """Run what Dask computes on worker processes."""
    with dask.config.set(scheduler=client):
        yield


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    y = np.sin(X).sum(axis=1) + 0.1 * rng.normal(size=N)
    weight = rng.uniform(0.5, 2.0, size=N)
    weight[::50] = 0.0
    return X, y, weight


def as_dask(*arrays):
    """Cut X, y and weights by rows, each at other places."""
    cuts = (CUTS, 5_000, (N - 1, 1))
    chunks = [(c, -1) if a.ndim == 2 else (c,) for a, c in zip(arrays, cuts, strict=False)]
    return [da.from_array(a, chunks=c) for a, c in zip(arrays, chunks, strict=True)]


def frames(table):
    X, y, _ = table
    frame = pd.DataFrame(X, columns=NAMES)
    frame.index = frame.index + 100
    frame["y"], frame["label"] = y, np.where(y > 0.5, "high", np.where(y > -0.5, "mid", "low"))
    return frame, dd.from_pandas(frame, npartitions=3)


def assert_same_fit(a, b):
    """Hold two models to the same fitted arrays, to the last bit."""
    of_a, of_b = (model.fitted_state()[1] for model in (a, b))
    assert of_a.keys() == of_b.keys()
    for name in of_a:
        np.testing.assert_array_equal(of_a[name], of_b[name], err_msg=name)


STREAMING = {
    "nystroem": SimilarityRegressor(**SIMILARITY),
    "nystroem, cv": SimilarityRegressor(**SIMILARITY | {"alpha": "cv", "gamma": "scale"}),
    "nystroem, sgd": SimilarityRegressor(**SIMILARITY, solver="sgd"),
    "fourier": SimilarityRegressor(**{**SIMILARITY, "approximation": "fourier"}),
    "fourier, sgd": SimilarityRegressor(**{**SIMILARITY, "approximation": "fourier"}, solver="sgd"),
    "linear": LinearRegressor(),
    "metric given": SimilarityRegressor(**SIMILARITY | {"metric": np.eye(4)[:, :3] * 0.5}),
    "metric given, sgd": SimilarityRegressor(
        **SIMILARITY | {"metric": [1.0, 2, 0, 1], "solver": "sgd"}
    ),
}


@pytest.mark.parametrize("name", STREAMING)
def test_a_fit_on_dask_is_that_on_arrays_to_the_last_bit(name, table, scheduler):
    here = clone(STREAMING[name]).fit(*table)
    there = clone(STREAMING[name]).fit(*as_dask(*table))
    assert_same_fit(here, there)
    predicted = there.predict(as_dask(table[0])[0])
    assert isinstance(predicted, da.Array)
    assert predicted.chunks == (CUTS,)
    np.testing.assert_allclose(predicted.compute(), here.predict(table[0]), rtol=1e-9, atol=1e-9)


def test_float32_rows_stay_float32(table):
    X, y, _ = table
    X = X.astype(np.float32)
    here = SimilarityRegressor(**SIMILARITY).fit(X, y)
    there = SimilarityRegressor(**SIMILARITY).fit(*as_dask(X, y))
    assert here.report_["tile_dtype"] == there.report_["tile_dtype"] == "float32"
    assert_same_fit(here, there)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_a_classifier_of_text_labels_is_that_of_the_frame(loss, table, workers):
    frame, lazy = frames(table)
    model = SimilarityClassifier(**SIMILARITY, loss=loss)
    here = clone(model).fit(frame[NAMES], frame["label"])
    there = clone(model).fit(lazy[NAMES], lazy["label"])
    assert there.classes_.tolist() == ["high", "low", "mid"]
    assert_same_fit(here, there)
    shares = there.predict_proba(lazy[NAMES])
    assert shares.columns.tolist() == ["high", "low", "mid"]
    assert shares.divisions == lazy.divisions
    found = shares.compute()
    assert found.index.equals(frame.index)
    np.testing.assert_allclose(found, here.predict_proba(frame[NAMES]), atol=1e-9)
    labels = there.predict(lazy[NAMES]).compute()
    assert labels.tolist() == here.predict(frame[NAMES]).tolist()


def test_columns_are_matched_by_name_and_the_index_is_kept(table):
    frame, lazy = frames(table)
    model = SimilarityRegressor(**SIMILARITY).fit(lazy[NAMES], lazy["y"])
    predicted = model.predict(lazy[NAMES[::-1]])
    assert predicted.divisions == lazy.divisions
    series = predicted.compute()
    assert isinstance(series, pd.Series)
    assert series.name == "prediction"
    assert series.index.equals(frame.index)
    np.testing.assert_allclose(series, model.predict(frame[NAMES]), atol=1e-10)
    with pytest.raises(InvalidInputError, match="'d'"):
        model.predict(lazy[NAMES[:3]])


def test_lengths_that_are_not_known_are_counted(table):
    X, y, _ = table
    lazy = da.from_array(np.column_stack([X, y]), chunks=(5_000, -1))
    kept = lazy[lazy[:, 0] > 0]
    assert np.isnan(kept.shape[0])
    there = SimilarityRegressor(**SIMILARITY).fit(kept[:, :4], kept[:, 4])
    here = SimilarityRegressor(**SIMILARITY).fit(X[X[:, 0] > 0], y[X[:, 0] > 0])
    assert_same_fit(here, there)
    assert len(there.predict(kept[:, :4]).compute()) == (X[:, 0] > 0).sum()


def test_partitions_without_rows_are_predicted_as_none(table):
    _, lazy = frames(table)
    model = LinearRegressor().fit(lazy[NAMES], lazy["y"])
    none = lazy[lazy["a"] > 1e9]
    predicted = model.predict(none[NAMES]).compute()
    assert predicted.shape == (0,)
    assert predicted.dtype == np.float64
    with pytest.raises(InvalidInputError, match="0 rows"):
        LinearRegressor().fit(none[NAMES], none["y"])


@pytest.mark.parametrize("model", [
    SimilarityRegressor(**PLAIN, approximation="exact", random_state=0),
    SimilarityRegressor(**PLAIN, approximation="local", random_state=0),
    KNeighborsRegressor(3),
], ids=["exact", "local", "k-NN"])  # fmt: skip
def test_models_that_keep_all_rows_are_those_of_arrays(model, table):
    X, y, _ = (a[:300] for a in table)
    lazy = da.from_array(X, chunks=(130, -1)), da.from_array(y, chunks=99)
    here, there = clone(model).fit(X, y), clone(model).fit(*lazy)
    np.testing.assert_allclose(there.predict(lazy[0]).compute(), here.predict(X), atol=1e-10)


def test_an_exact_model_by_iterations_is_that_of_arrays_to_the_last_bit(table, scheduler):
    X, y, weight = (a[:1_300] for a in table)
    lazy = [da.from_array(a, chunks=(700, -1)[: a.ndim]) for a in (X, y, weight)]
    model = SimilarityRegressor(
        **PLAIN | {"gamma": 0.3}, approximation="exact", solver="cg", alpha=10.0, random_state=0
    )
    assert_same_fit(clone(model).fit(X, y, weight), clone(model).fit(*lazy))


def test_tiles_of_an_exact_model_are_made_by_the_workers(table, workers, client):
    kernel = BlockKernel(lambda X, Z: np.full((len(X), len(Z)), os.getpid() / 2))
    one = np.eye(1_100)[:, :1]
    found = set(GramProduct(DaskEngine(), kernel, table[0][:1_100], float, keep=False)(one)[:, 0])
    pids = set(client.run(os.getpid).values())
    assert found <= {pid / 2 for pid in pids}
    kept = GramProduct(DaskEngine(), kernel, table[0][:1_100], float, keep=True)
    assert set(kept(one)[:, 0]) == {os.getpid() / 2}


def test_an_exact_model_of_more_rows_than_fit_is_refused_before_any_is_tried(table, monkeypatch):
    monkeypatch.setattr("scalekern.estimators.choosing.survey", None)
    X, y, _ = as_dask(*table)
    with (
        scalekern.config_context(memory_limit=10_000),
        pytest.raises(InvalidInputError, match=r"use approximation='nystroem' .*memory_limit"),
    ):
        SimilarityRegressor(approximation="exact", gamma=1.0).fit(X, y)
    # What iterations need is asked for before the rows come to this process.
    monkeypatch.undo()
    with (
        scalekern.config_context(memory_limit=2_000_000),
        pytest.raises(InvalidInputError, match=r"12000 rows by cg .*use approximation='nystroem'"),
    ):
        SimilarityRegressor(approximation="exact", solver="cg", gamma=1.0, alpha=1.0).fit(X, y)


def test_knn_votes_of_dask_are_those_of_the_frame(table):
    frame, lazy = frames(table)
    here = KNeighborsClassifier(3).fit(frame[NAMES], frame["label"])
    there = KNeighborsClassifier(3).fit(lazy[NAMES], lazy["label"])
    expected = here.predict_proba(frame[NAMES])
    np.testing.assert_array_equal(there.predict_proba(lazy[NAMES]).compute(), expected)


@pytest.mark.parametrize("transformer", [
    Nystroem(n_components=20, random_state=0),
    FourierFeatures(n_components=20, random_state=0),
    RowPreparer("minmax"),
], ids=["Nystroem", "FourierFeatures", "RowPreparer"])  # fmt: skip
def test_transformers_are_lazy_too(transformer, table):
    X, lazy = table[0], as_dask(table[0])[0]
    here, there = clone(transformer).fit(X), clone(transformer).fit(lazy)
    features = there.transform(lazy)
    assert isinstance(features, da.Array)
    np.testing.assert_allclose(features.compute(), here.transform(X), atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"categories": "target"}, {"missing": "median"}])
def test_a_pipeline_prepares_a_dask_frame_as_it_does_the_frame(options, table, workers):
    frame, lazy = frames(table)
    columns = [*NAMES, "label"]
    pipeline = make_pipeline(RowPreparer(**options), SimilarityRegressor(**SIMILARITY))
    here = clone(pipeline).fit(frame[columns], frame["y"])
    there = clone(pipeline).fit(lazy[columns], lazy["y"])
    assert_same_fit(here[-1], there[-1])
    predicted = there.predict(lazy[columns]).compute()
    assert predicted.index.equals(frame.index)
    np.testing.assert_allclose(predicted, here.predict(frame[columns]), atol=1e-9)
    np.testing.assert_array_equal(there.predict(frame[columns]), here.predict(frame[columns]))


def test_missing_values_of_an_array_are_filled_in(table):
    X = table[0].copy()
    X[7, 2] = np.nan
    lazy = da.from_array(X, chunks=(5_000, -1))
    here, there = RowPreparer(missing="mean").fit(X), RowPreparer(missing="mean").fit(lazy)
    np.testing.assert_array_equal(there.transform(lazy).compute(), here.transform(X))


def test_a_missing_value_is_named_by_partition_and_row(table):
    X, y, _ = table
    frame, _ = frames(table)
    frame.iloc[5_000, 1] = np.nan
    lazy = dd.from_pandas(frame, npartitions=3)
    with pytest.raises(InvalidInputError, match=r"'b' of partition 1 of X .*row 1000"):
        LinearRegressor().fit(lazy[NAMES], lazy["y"])
    X = X.copy()
    X[5_000, 1] = np.inf
    with pytest.raises(InvalidInputError, match="row 5000, column 1"):
        LinearRegressor().fit(*as_dask(X, y))
    y = y.copy()
    y[77] = np.nan
    with pytest.raises(InvalidInputError, match=r"y has a missing value .* row 77"):
        LinearRegressor().fit(*as_dask(table[0], y))


def test_wrong_collections_are_refused(table):
    X, y, _ = as_dask(*table)
    for wrong, words in (
        ((X, y[:-1]), "must match"),
        ((X[:, 0], y), "1 dimension"),
        ((table[0], y), "X as a Dask collection"),
        ((X.astype(str), y), "no number"),
        ((X.to_dask_dataframe().to_bag(), y), "give a Dask array"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            LinearRegressor().fit(*wrong)


def test_rows_of_a_dask_frame_play_their_parts(table):
    frame, lazy = frames(table)
    lazy, frame = lazy.drop(columns="label"), frame.drop(columns="label")
    parts = {"target": "y", "weight": "a", "features": ["c", "b"]}
    frame["a"], lazy["a"] = frame["a"].abs(), lazy["a"].abs()
    here = LinearRegressor().fit(scalekern.rows(frame, **parts))
    assert_same_fit(here, LinearRegressor().fit(scalekern.rows(lazy, **parts)))


def test_texts_in_a_dask_frame_are_compared_as_they_are():
    pytest.importorskip("rapidfuzz")
    texts = pd.DataFrame({"word": ["apple", "apples", "pear", "pears", "plum"] * 3})
    y = pd.Series(np.arange(15.0))
    lazy = dd.from_pandas(texts, npartitions=2)
    model = SimilarityRegressor(
        "edit_distance", gamma=0.3, approximation="nystroem", n_components=4, random_state=0
    )
    here = clone(model).fit(texts["word"], y)
    there = clone(model).fit(lazy, dd.from_pandas(y, npartitions=3))
    assert_same_fit(here, there)
    np.testing.assert_allclose(there.predict(lazy).compute(), here.predict(texts["word"]))


def test_sums_of_many_blocks_are_merged_in_one_order(scheduler):
    # More than eight blocks, and more than eight times eight.
    x = np.random.default_rng(0).lognormal(size=(270_000, 1), sigma=9.0)
    here = ThreadEngine().reduce(source_of(x), Moments).arrays()
    lazy = dask_source(da.from_array(x, chunks=(50_000, -1)))
    there = engine_for(lazy).reduce(lazy, Moments).arrays()
    for name, value in here.items():
        np.testing.assert_array_equal(there[name], value, err_msg=name)
    here = ThreadEngine().reduce(source_of(x), Moments, max_rows=9_000).arrays()
    there = engine_for(lazy).reduce(lazy, Moments, max_rows=9_000).arrays()
    for name, value in here.items():
        np.testing.assert_array_equal(there[name], value, err_msg=name)


def test_what_is_chosen_on_dask_is_what_is_chosen_on_arrays():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4))
    y = np.sin(3 * X[:, 0])
    model = SimilarityRegressor("auto", gamma="cv", metric="learned", random_state=0)
    here = clone(model).fit(X, y)
    there = clone(model).fit(da.from_array(X, chunks=(150, -1)), da.from_array(y, chunks=150))
    assert here.report_["metric"] != "none"
    assert_same_fit(here, there)
    predicted = there.predict(da.from_array(X, chunks=(300, -1)))
    np.testing.assert_allclose(predicted.compute(), here.predict(X), rtol=1e-9, atol=1e-9)


def test_partial_fit_takes_dask_blocks(table):
    X, y, _ = table
    here, there = (SimilarityRegressor(**SIMILARITY) for _ in range(2))
    for rows in (slice(0, 5_000), slice(5_000, N)):
        here.partial_fit(X[rows], y[rows])
        there.partial_fit(da.from_array(X[rows], chunks=(999, -1)), da.from_array(y[rows]))
    assert_same_fit(here, there)


def test_an_open_client_leaves_arrays_alone(table, client):
    X = table[0]
    with dask.config.set(scheduler=client):
        assert isinstance(engine_for(source_of(X)), ThreadEngine)
        assert isinstance(engine_for(dask_source(as_dask(X)[0])), DaskEngine)
    with scalekern.config_context(engine="dask"):
        assert isinstance(engine_for(source_of(X)), DaskEngine)


def test_dask_runs_arrays_and_files_where_the_setting_asks_for_it(table, workers, tmp_path):
    frame, _ = frames(table)
    path = tmp_path / "rows.parquet"
    frame.drop(columns="label").to_parquet(path, row_group_size=3_000)
    model = SimilarityRegressor(**SIMILARITY)
    rows = scalekern.rows(path, target="y")
    here = clone(model).fit(rows)
    expected = here.predict(rows)
    with scalekern.config_context(engine="dask"):
        assert_same_fit(here, clone(model).fit(rows))
        assert_same_fit(here, clone(model).fit(table[0], table[1]))
        np.testing.assert_array_equal(here.predict(rows), expected)


def test_asynchronous_clients_are_refused(table, client):
    import asyncio

    from distributed import Client

    async def fit():
        async with Client(client.scheduler.address, asynchronous=True):
            LinearRegressor().fit(*as_dask(*table))

    with pytest.raises(UnsupportedError, match="asynchronous"):
        asyncio.run(fit())


def test_the_model_is_one_task_of_the_graph(table):
    X, y, _ = as_dask(*table)
    predicted = SimilarityRegressor(**SIMILARITY).fit(X, y).predict(X)
    ours = [key for key in predicted.__dask_graph__() if "SimilarityRegressor" in str(key)]
    assert len(ours) == 1
    again = SimilarityRegressor(**SIMILARITY).fit(X, y).predict(X)
    assert ours[0] in again.__dask_graph__()


def test_blocks_come_cut_as_asked_for_and_in_order(table):
    X, y, weight = table
    source = dask_source(*as_dask(*table))
    blocks = list(source.blocks(2_500))
    assert [len(block) for block in blocks] == [2_500] * 4 + [2_000]
    np.testing.assert_array_equal(np.concatenate([block.X for block in blocks]), X)
    np.testing.assert_array_equal(np.concatenate([block.y[:, 0] for block in blocks]), y)
    np.testing.assert_array_equal(np.concatenate([block.weight for block in blocks]), weight)
    some = list(source.runs(np.array([1, 4]), 2_500))
    assert [block.start for block in some] == [2_500, 10_000]
    np.testing.assert_array_equal(some[1].X, X[10_000:])
    np.testing.assert_array_equal(source.take(np.array([11_999, 3])), X[[11_999, 3]])
