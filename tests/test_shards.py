"""Indices in shards answer as one index over all rows, and reach each host as files."""

from __future__ import annotations

import gc
import pickle
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("dask")

import dask
import dask.array as da
from sklearn.base import clone

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor, SimilarityRegressor
from scalekern.engine import parcels
from scalekern.engine.parcels import Parcel, deliver, missing
from scalekern.errors import ClusterError, ModelFormatError
from scalekern.neighbors import build_index, index_from_state, sharding
from scalekern.neighbors.shards import Shard, ShardedIndex

CUTS = (0, 700, 701, 1_500, 2_400)


def indices(X, **options):
    """Return one index over all rows, and one of shards."""
    states = [
        build_index(X[a:b], n_neighbors=min(5, b - a), **options).index.state()
        for a, b in pairwise(CUTS)
    ]
    shards = [Shard(*state, index_from_state) for state in states]
    return build_index(X, n_neighbors=5, **options).index, ShardedIndex(shards, exact=True)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(sharding, "LEAST_ROWS", 500)
    monkeypatch.setattr(sharding, "SHARD_BYTES", 1)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat_shards_find_exactly_what_one_flat_index_finds(metric, dtype):
    # Of whole numbers many are equally far, across shards too; some rows have no direction.
    X = np.random.default_rng(0).integers(-2, 3, size=(CUTS[-1], 3)).astype(dtype)
    one, many = indices(X, metric=metric, algorithm="brute")
    for k in (1, 7, 900):
        for a, b in zip(one.search(X[:50], k), many.search(X[:50], k), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(one.within(X[:20], 1.0), many.within(X[:20], 1.0), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_trees_in_shards_are_exact_too():
    X = np.random.default_rng(1).normal(size=(CUTS[-1], 4))
    one, many = indices(X, algorithm="kd_tree")
    for a, b in zip(one.search(X[::40], 6), many.search(X[::40], 6), strict=True):
        np.testing.assert_array_equal(a, b)


def test_rows_of_shards_are_those_of_the_data():
    X = np.random.default_rng(2).normal(size=(CUTS[-1], 3))
    _, many = indices(X)
    wanted = np.array([[2_399, 0], [700, 699], [1_500, 701]])
    np.testing.assert_array_equal(many.rows[wanted], X[wanted])
    np.testing.assert_array_equal(np.concatenate([b.X for b in many.rows.blocks(999)]), X)
    (block,) = many.rows.runs(np.array([2]), 1_000)
    np.testing.assert_array_equal(block.X, X[2_000:])


def test_shards_that_disagree_are_refused():
    _, many = indices(np.random.default_rng(2).normal(size=(CUTS[-1], 3)))
    meta, arrays = many.state()
    for wrong in (
        arrays | {"9.rows": arrays["0.rows"]},
        arrays | {"0.rows": arrays["0.rows"][:-1]},
        {name: value for name, value in arrays.items() if not name.startswith("2.")},
    ):
        with pytest.raises(ModelFormatError):
            index_from_state(meta, wrong)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(2_400, 3))
    return X, np.sin(X).sum(axis=1), rng.uniform(0.5, 2.0, 2_400) * (rng.uniform(size=2_400) > 0.1)


def on_dask(*arrays):
    return [da.from_array(a, chunks=(c, *a.shape[1:])) for a, c in zip(arrays, (700, 999, 301),
                                                                       strict=False)]  # fmt: skip


MODELS = {
    "k-NN": KNeighborsRegressor(4, weights="distance"),
    "k-NN, flat": KNeighborsRegressor(4, algorithm="brute", metric="cosine"),
    "local": SimilarityRegressor(approximation="local", n_neighbors=12, random_state=0),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_on_shards_predict_what_those_in_memory_do(name, data, small_shards, tmp_path):
    X, y, _ = data
    here, there = clone(MODELS[name]).fit(X, y), clone(MODELS[name]).fit(*on_dask(X, y))
    index = there.local_.index if name == "local" else there._index
    assert index.description.startswith("5 shards of")
    expected = here.predict(X[:300] + 0.1)
    np.testing.assert_array_equal(there.predict(X[:300] + 0.1), expected)
    np.testing.assert_allclose(there.predict(on_dask(X)[0]).compute(), here.predict(X), atol=1e-12)
    scalekern.save(there, tmp_path / "model")
    files = sorted(file.name for file in (tmp_path / "model").iterdir())
    assert sum("rows.npy" in file for file in files) == 5
    loaded = scalekern.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(X[:300] + 0.1), expected)
    np.testing.assert_array_equal(loaded.predict(on_dask(X[:300] + 0.1)[0]).compute(), expected)


def test_rows_of_no_weight_are_in_no_shard(data, small_shards):
    model = MODELS["local"]
    here, there = clone(model).fit(*data), clone(model).fit(*on_dask(*data))
    assert there.local_.index.n_rows == (data[2] > 0).sum()
    np.testing.assert_allclose(there.predict(data[0]), here.predict(data[0]), atol=1e-12)


def test_classes_and_graphs_of_shards_are_those_in_memory(data, small_shards):
    X, y, _ = data
    here = KNeighborsClassifier(3).fit(X, y > 0)
    there = KNeighborsClassifier(3).fit(*on_dask(X, y > 0))
    np.testing.assert_array_equal(there.predict_proba(X), here.predict_proba(X))
    assert (there.kneighbors_graph() != here.kneighbors_graph()).nnz == 0
    assert there.explain(X[:2]).row_id.tolist() == here.explain(X[:2]).row_id.tolist()


def test_an_approximate_index_in_shards_keeps_its_recall(small_shards):
    X = np.random.default_rng(4).normal(size=(3_000, 12))
    model = KNeighborsRegressor(5, algorithm="ivf", target_recall=0.9, random_state=0)
    lazy = da.from_array(X, chunks=(1_000, -1))
    model.fit(lazy, lazy[:, 0])
    exact = build_index(X, algorithm="brute", n_neighbors=5).index.search(X[:500], 5)[1]
    found = model.kneighbors(X[:500], return_distance=False)
    shared = [len(set(a) & set(b)) for a, b in zip(exact, found, strict=True)]
    assert not model.report_["exact"]
    assert np.mean(shared) / 5 > 0.9
    assert {line["shard"] for line in model.tuning_} == set(range(6))


def test_the_files_of_a_dropped_model_are_removed(data, small_shards):
    model = KNeighborsRegressor(4).fit(*on_dask(*data[:2]))
    folder = model._index._shards[0].arrays["rows"].filename
    assert parcels.Path(folder).exists()
    del model
    gc.collect()
    assert not parcels.Path(folder).exists()


def test_large_arrays_are_not_in_the_pickle_of_a_parcel(tmp_path):
    large, small = np.arange(200_000.0), np.arange(5.0)
    np.save(tmp_path / "a.npy", large[::-1])
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    sent = pickle.dumps(Parcel({"large": large, "again": large, "mapped": mapped, "small": small}))
    assert len(sent) < 5_000
    parcel = pickle.loads(sent)
    assert len(parcel.parts) == 2
    assert parcel.parts[1].file == str(tmp_path / "a.npy")
    for name, value in (("large", large), ("mapped", large[::-1]), ("small", small)):
        np.testing.assert_array_equal(parcel.value[name], value)
    assert isinstance(parcel.value["large"], np.memmap)
    assert not parcel.value["large"].flags.writeable


def test_content_names_a_parcel(tmp_path):
    first, second = (Parcel([np.arange(200_000.0), 1]) for _ in range(2))
    assert first.digest == second.digest != Parcel([np.arange(200_000.0) + 1, 1]).digest


def test_a_part_of_a_map_is_sent_as_itself(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(400_000.0))
    half = np.load(tmp_path / "a.npy", mmap_mode="r")[200_000:]
    value = pickle.loads(pickle.dumps(Parcel(half))).value
    np.testing.assert_array_equal(value, np.arange(200_000.0, 400_000.0))


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_host_without_the_file_is_sent_a_copy_once(client, tmp_path, monkeypatch):
    large = np.arange(7.0, 200_007.0)
    np.save(tmp_path / "a.npy", large)
    parcel = Parcel(np.load(tmp_path / "a.npy", mmap_mode="r")).packed()
    np.save(tmp_path / "a.npy", large + 1)  # as another host has another file of this name
    with pytest.raises(ClusterError, match="cannot read"):
        parcels.Part(**vars(parcel.parts[0]) | {"file": str(tmp_path / "none")}).mapped()
    assert missing(parcel.parts) == list(parcel.parts)
    sent = []
    monkeypatch.setattr(parcels, "_bytes", lambda part: sent.append(part) or large.tobytes())
    deliver(client, parcel)
    deliver(client, parcel)
    assert len(sent) == 1  # both workers are on one host
    for address in client.scheduler_info()["workers"]:
        total = client.submit(lambda p: p.value.sum(), parcel, workers=[address], pure=False)
        assert total.result() == large.sum()


def test_workers_map_the_files_of_shards(client, data, small_shards, monkeypatch):
    monkeypatch.setattr(parcels, "LEAST_BYTES", 1_000)
    X, y, _ = data
    with dask.config.set(scheduler=client):
        model = KNeighborsRegressor(4, algorithm="brute").fit(*on_dask(X, y))
        predicted = model.predict(on_dask(X)[0])
        graph = pickle.dumps(dict(predicted.__dask_graph__()))
        assert len(graph) - X.nbytes < 60_000  # the rows of X are in it, those of the model not
        np.testing.assert_array_equal(predicted.compute(), model.predict(X))

    def kind(parcel):
        return type(parcel.value._index._shards[1].arrays["rows"]).__name__

    assert client.submit(kind, Parcel(model)).result() == "memmap"
