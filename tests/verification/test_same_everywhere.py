"""One model, whoever reads the rows and adds them up; and no more rows held than needed."""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("dask")
pytest.importorskip("distributed")
pytest.importorskip("pyarrow")

import dask
import dask.dataframe as dd
import pandas as pd
from sklearn.base import clone

import scalekern
from scalekern import (
    KNeighborsRegressor,
    LinearRegressor,
    SimilarityClassifier,
    SimilarityRegressor,
)
from scalekern.engine import Moments, ThreadEngine
from scalekern.engine.plan import chunk_rows
from scalekern.rows import source_of

N = 12_000
NAMES = ["a", "b", "c"]
OPTIONS = {"n_components": 40, "random_state": 0}
NYSTROEM = SimilarityRegressor(approximation="nystroem", **OPTIONS)
FOURIER = SimilarityRegressor(approximation="fourier", **OPTIONS)
MODELS = {
    "nystroem": NYSTROEM,
    "nystroem, gcv": clone(NYSTROEM).set_params(alpha="gcv", landmarks="rpcholesky"),
    "nystroem, sgd": clone(NYSTROEM).set_params(solver="sgd"),
    "nystroem, cg": clone(NYSTROEM).set_params(solver="cg", alpha=0.1),
    "exact, cg": SimilarityRegressor(
        approximation="exact", solver="cg", gamma=0.5, alpha=10.0, random_state=0
    ),
    "fourier": FOURIER,
    "fourier, sgd": clone(FOURIER).set_params(solver="sgd"),
    "classes": SimilarityClassifier(approximation="nystroem", **OPTIONS),
    "linear": LinearRegressor(),
    "k-NN": KNeighborsRegressor(3),
}


@pytest.fixture(scope="module")
def frame():
    X = np.random.default_rng(0).normal(size=(N, 3))
    table = pd.DataFrame(X, columns=NAMES)
    table["y"] = np.sin(X).sum(axis=1)
    return table.assign(sign=(table["y"] > 0).astype(int))


@pytest.fixture(scope="module")
def parquet(frame, tmp_path_factory):
    """The rows in uneven files: one is empty, one has its columns in another order."""
    folder = tmp_path_factory.mktemp("rows")
    cuts = [0, 2_500, 2_500, 8_000, N]
    for number, (low, high) in enumerate(pairwise(cuts)):
        part = frame.iloc[low:high]
        part = part[part.columns[::-1]] if number == 2 else part
        part.to_parquet(folder / f"{number}.parquet", row_group_size=1_100, index=False)
    return folder


@pytest.fixture(scope="module")
def expected(frame):
    """Each model, fitted on arrays in one thread."""
    found = {}
    for name, model in MODELS.items():
        y = frame["sign" if name == "classes" else "y"]
        found[name] = clone(model).set_params(n_jobs=1).fit(frame[NAMES], y)
    return found


@pytest.fixture(scope="module")
def clients():
    from distributed import Client, LocalCluster

    def start(n_workers, **options):
        options = {"threads_per_worker": 1, "dashboard_address": ":0"} | options
        cluster = LocalCluster(n_workers=n_workers, **options)
        return cluster, Client(cluster, set_as_default=False)

    started = {
        "3 processes": start(3, processes=True),
        "one process": start(2, processes=False, threads_per_worker=2),
    }
    yield {name: client for name, (_, client) in started.items()}
    for cluster, client in started.values():
        client.close()
        cluster.close()


def sources(place, frame, parquet, target):
    if place in ("3 threads", "3 processes, files"):
        return (scalekern.rows(parquet, target=target, features=NAMES),)
    lazy = dd.from_pandas(frame, npartitions=5)
    return lazy[NAMES[::-1]][NAMES], lazy[target]


@contextmanager
def on(place, clients):
    client = clients.get(place.partition(",")[0])
    if client is None:
        yield
        return
    engine = "dask" if "files" in place else None
    with dask.config.set(scheduler=client), scalekern.config_context(engine=engine):
        yield


PLACES = ["3 threads", "one process", "3 processes", "3 processes, files"]


CASES = [
    (place, name)
    for place in PLACES
    for name in MODELS
    if place != "one process" or name in ("nystroem", "nystroem, cg")
]


@pytest.mark.parametrize(("place", "name"), CASES)
def test_coefficients_and_predictions_are_the_same(place, name, frame, parquet, expected, clients):
    model, target = clone(MODELS[name]), "sign" if name == "classes" else "y"
    here = expected[name]
    with on(place, clients):
        there = model.set_params(n_jobs=3).fit(*sources(place, frame, parquet, target))
        rows = sources(place, frame, parquet, target)[0]
        predicted = there.predict(rows)
        predicted = predicted.compute() if hasattr(predicted, "compute") else predicted
    if name != "k-NN":
        mine, theirs = (
            getattr(model, "model_", model).fitted_state()[1] for model in (here, there)
        )
        assert mine.keys() == theirs.keys()
        for key, value in mine.items():
            np.testing.assert_array_equal(theirs[key], value, err_msg=key)
    if isinstance(predicted, pd.Series):
        assert predicted.index.equals(frame.index)
    np.testing.assert_allclose(predicted, here.predict(frame[NAMES]), rtol=1e-10, atol=1e-10)


class Watched:
    """Counts the blocks of a source that are in memory."""

    def __init__(self, source):
        self.live = self.most = self.read = 0
        self.rows = source.map(self._seen, source.n_features)
        self._lock = threading.Lock()

    def _seen(self, X):
        X = X.copy()
        with self._lock:
            self.live, self.read = self.live + 1, self.read + 1
            self.most = max(self.most, self.live)
        weakref.finalize(X, self._gone)
        return X

    def _gone(self):
        with self._lock:
            self.live -= 1


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory):
    """Forty blocks of rows, in Parquet and in Zarr."""
    zarr = pytest.importorskip("zarr")
    X = np.random.default_rng(1).normal(size=(163_840, 2))
    folder = tmp_path_factory.mktemp("many")
    pd.DataFrame(X, columns=["0", "1"]).to_parquet(folder / "rows.parquet", row_group_size=9_999)
    zarr.create_array(str(folder / "rows.zarr"), data=X, chunks=(5_000, 2))
    return {kind: scalekern.rows(folder / f"rows.{kind}") for kind in ("parquet", "zarr")}


@pytest.mark.parametrize("kind", ["parquet", "zarr"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_a_pass_holds_a_block_a_thread_and_two_whatever_the_rows(kind, n_threads, many_rows):
    seen = Watched(many_rows[kind])
    ThreadEngine(n_threads).reduce(seen.rows, lambda: Moments("X"))
    assert seen.read == 40
    assert seen.most <= n_threads + 2


@pytest.mark.parametrize("kind", ["parquet", "zarr"])
def test_fewer_blocks_are_held_where_memory_is_limited(kind, many_rows):
    seen, size = Watched(many_rows[kind]), chunk_rows(163_840, 16) * 16
    with scalekern.config_context(memory_limit=3 * size):
        ThreadEngine(8).reduce(seen.rows, lambda: Moments("X"))
    assert seen.most <= 3
    # and results are written as they come
    seen = Watched(many_rows[kind])
    model = LinearRegressor(n_jobs=2).fit(np.eye(2), [0.0, 1.0])
    model.predict_blocks(seen.rows, lambda block, part: None)
    assert seen.most <= 4


@pytest.mark.parametrize("kind", ["parquet", "zarr"])
def test_the_next_block_is_read_while_one_is_computed(kind, many_rows):
    seen, ahead = Watched(many_rows[kind]), []

    def function(block):
        wanted = min(block.start // len(block) + 2, 40)
        for _ in range(2_000):
            if seen.read >= wanted:
                break
            threading.Event().wait(0.005)
        ahead.append(seen.read >= wanted)

    ThreadEngine(1).map_blocks(seen.rows, function, lambda *_: None)
    assert len(ahead) == 40
    assert all(ahead)


def test_rows_in_memory_are_not_copied_for_their_blocks():
    X = np.zeros((20_000, 3))
    shared = []
    ThreadEngine(2).map_blocks(
        source_of(X), lambda b: shared.append(np.shares_memory(b.X, X)), lambda *_: None
    )
    assert all(shared)
