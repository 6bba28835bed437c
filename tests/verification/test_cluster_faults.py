"""What a cluster loses: real worker processes are killed, and the results are those of no loss."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dask")
pytest.importorskip("distributed")

import dask
import dask.array as da

import scalekern
from scalekern import SimilarityRegressor
from scalekern.errors import ClusterError

N = 12_000
SECONDS = 150


@pytest.fixture(autouse=True)
def hard_timeout():
    """A cluster that waits forever is a failure of its test, not of the whole run."""

    def stop(*_):
        pytest.fail(f"no end after {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 4))
    return X, np.sin(X).sum(axis=1)


@pytest.fixture(scope="module")
def cluster():
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        # Not dask.config.set(scheduler=client): nannies send the settings to workers they restart,
        # and a client cannot be sent.
        with client.as_current():
            yield client


def deadly(X, visits: Path, deaths: set[int]):
    """Return X as a Dask array whose last block kills its worker at some of its readings."""

    def read(block, block_info=None):
        if block_info and block_info[0]["chunk-location"][0] == 2:
            visits.mkdir(exist_ok=True)
            number = len(list(visits.iterdir()))
            (visits / str(number)).touch()
            if number in deaths:
                os.kill(os.getpid(), signal.SIGKILL)
        return block

    return da.from_array(X, chunks=(5_000, -1)).map_blocks(read, dtype=X.dtype, meta=X[:0])


def model(**options):
    options = {"approximation": "nystroem", "n_components": 60, "random_state": 0} | options
    return SimilarityRegressor(**options)


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}], ids=["cholesky", "sgd"])
def test_workers_killed_in_each_pass_change_nothing(options, table, client, tmp_path):
    X, y = table
    here = model(**options).fit(X, y)
    # Each pass reads the block once more: the first reading of the first two passes is deadly.
    lazy = deadly(X, tmp_path / "visits", {0, 2})
    there = model(**options).fit(lazy, da.from_array(y, chunks=7_000))
    assert len(list((tmp_path / "visits").iterdir())) >= 4
    np.testing.assert_array_equal(there.dual_coef_, here.dual_coef_)


def test_a_worker_killed_while_predicting_loses_and_doubles_nothing(table, client, tmp_path):
    X, y = table
    fitted = model().fit(X, y)
    predicted = fitted.predict(deadly(X, tmp_path / "visits", {0})).compute()
    assert len(list((tmp_path / "visits").iterdir())) == 2
    np.testing.assert_allclose(predicted, fitted.predict(X), atol=1e-10)


def test_blocks_are_given_once_where_a_worker_dies(table, client, tmp_path):
    X, y = table
    fitted = model().fit(X, y)
    from scalekern.rows.dask_rows import dask_source

    starts = []
    source = dask_source(deadly(X, tmp_path / "visits", {0}))
    fitted.predict_blocks(source, lambda block, _: starts.append(block.start))
    assert starts == [0, 4_096, 8_192]


def test_a_task_that_kills_every_worker_is_an_error(table, client, tmp_path):
    X, y = table
    lazy = deadly(X, tmp_path / "visits", set(range(100)))
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):  # noqa: SIM117
        with pytest.raises(ClusterError, match=r"again and again|were lost 4 times"):
            model().fit(lazy, da.from_array(y, chunks=7_000))


def test_what_a_lost_worker_held_is_sent_again(table, tmp_path):
    from distributed import Client, LocalCluster

    X, y = table
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        client.as_current(),
    ):
        # The only worker takes with it what all tasks share.
        lazy = deadly(X, tmp_path / "visits", {0})
        there = model().fit(lazy, da.from_array(y, chunks=7_000))
    np.testing.assert_array_equal(there.dual_coef_, model().fit(X, y).dual_coef_)


def test_a_scheduler_that_is_gone_is_a_clear_error(table):
    from distributed import Client, LocalCluster

    X, y = table
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0")
    client = Client(cluster, set_as_default=False)
    lazy = da.from_array(X, chunks=(5_000, -1)), da.from_array(y, chunks=7_000)
    try:
        with client.as_current():
            cluster.close()
            with pytest.raises(ClusterError, match="scheduler is gone"):
                model().fit(*lazy)
    finally:
        client.close()
    with scalekern.config_context(engine="threads"):
        model().fit(*lazy)
