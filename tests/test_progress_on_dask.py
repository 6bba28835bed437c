"""Each pass on Dask says how far it is, from whatever process does the work."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest

pytest.importorskip("distributed")

import dask
import dask.array as da

import scalekern as sk
from scalekern.engine import told

N = 40_000
X = np.random.default_rng(0).normal(size=(N, 3))
Y = X.sum(axis=1)


@pytest.fixture
def bars(monkeypatch):
    """The rows that each bar was told of."""
    seen = {}

    @contextmanager
    def bar(what, n_rows, **_):
        seen[what] = (n_rows, [])
        yield seen[what][1].append

    monkeypatch.setattr(told, "progress_bar", bar)
    return seen


def fit(**settings):
    lazy = da.from_array(X, chunks=(9_000, -1)), da.from_array(Y, chunks=9_000)
    model = sk.SimilarityRegressor(
        "rbf", gamma=1.0, metric="euclidean", approximation="nystroem", n_components=20,
        random_state=0,
    )  # fmt: skip
    with sk.config_context(**settings):
        return model.fit(*lazy)


def check(bars, least=N):
    assert len(bars) >= 2  # one for each pass
    for what, (n_rows, told_rows) in bars.items():
        assert n_rows == N
        assert least <= sum(told_rows) <= N, what
        assert len(told_rows) > 4, what


def test_on_threads_every_row_is_told_of_once(bars):
    with dask.config.set(scheduler="threads"):
        fit(progress=True)
    check(bars)


def test_workers_tell_the_process_that_waits(bars):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        fit(progress=True)
    check(bars, least=N // 2)  # what the last tasks tell may come after the result


def test_nothing_is_told_where_no_bar_is_shown(bars):
    with dask.config.set(scheduler="threads"):
        fit(progress=False)
    assert not bars
