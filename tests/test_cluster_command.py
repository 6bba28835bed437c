"""`scalekern cluster`, and fit and predict that run on it: the same results from elsewhere."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("distributed")

from click.testing import CliRunner
from cluster_processes import certificates, cluster_command

import scalekern as sk
from scalekern.cli import main
from scalekern.engine import connect
from scalekern.engine.connect import connected
from scalekern.errors import ClusterError, InvalidInputError

N, PARTS = 12_000, 4
RNG = np.random.default_rng(1)
TABLE = pa.table({
    "id": np.arange(N), "a": RNG.normal(size=N), "b": RNG.normal(size=N),
    "kind": RNG.choice(["x", "y"], N), "y": RNG.normal(size=N),
})  # fmt: skip
FIT = ("--target", "y", "--drop", "id", "--categories", "onehot", "--model", "nystroem",
       "--n-components", "30", "--kernel", "rbf", "--gamma", "median",
       "--metric", "euclidean")  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Rows in four files, in row groups that are not blocks, and a model of them."""
    folder = tmp_path_factory.mktemp("cluster")
    step = N // PARTS
    (folder / "data").mkdir()
    for i in range(PARTS):
        pq.write_table(
            TABLE.slice(i * step, step), folder / "data" / f"{i}.parquet", row_group_size=700
        )
    result = run("fit", folder / "data", *FIT, "-o", folder / "model")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of two workers whose temporary files are not those of this process."""
    other = tmp_path_factory.mktemp("other-host")
    with cluster_command("--workers", "2", "--memory", "1GB", TMPDIR=str(other)) as (address, _):
        yield address


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def arrays_of(folder):
    return {file.name: np.load(file) for file in sorted(folder.glob("*.npy"))}


def scores_of(folder):
    parts = [pq.read_table(file)["prediction"].to_numpy() for file in sorted(folder.glob("*.par*"))]
    return np.concatenate(parts)


def test_a_fit_on_the_cluster_is_the_fit_on_threads_to_the_last_bit(folder, cluster, tmp_path):
    words = ("fit", folder / "data", *FIT, "-o", tmp_path / "model", "--scheduler", cluster)
    report = tmp_path / "report.html"
    result = run(*words, "--performance-report", report)
    assert result.exit_code == 0, result.output
    here, there = arrays_of(folder / "model"), arrays_of(tmp_path / "model")
    assert list(here) == list(there)
    for name, values in here.items():
        np.testing.assert_array_equal(values, there[name], err_msg=name)
    assert "Dask Performance Report" in report.read_text()


def test_scores_from_the_cluster_are_those_from_threads(folder, cluster, tmp_path):
    for out, more in (("here", ()), ("there", ("--scheduler", cluster))):
        words = ("predict", folder / "model", folder / "data", "-o", tmp_path / out, "--key", "id")
        result = run(*words, *more, "--json", tmp_path / f"{out}.json")
        assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(scores_of(tmp_path / "here"), scores_of(tmp_path / "there"))
    logs = [json.loads((tmp_path / f"{out}.json").read_text()) for out in ("here", "there")]
    assert all(part["worker"] == "here" for part in logs[0]["parts"])
    assert all(part["worker"].startswith("tcp://127.0.0.1:") for part in logs[1]["parts"])
    assert [part["rows"] for part in logs[1]["parts"]] == [N // PARTS] * PARTS


def test_one_file_from_the_cluster_too(folder, cluster, tmp_path):
    words = ("predict", folder / "model", folder / "data", "--keep", "id")
    for out, more in (("here", ()), ("there", ("--scheduler", cluster))):
        result = run(*words, "-o", tmp_path / f"{out}.parquet", *more)
        assert result.exit_code == 0, result.output
    assert pq.read_table(tmp_path / "here.parquet").equals(
        pq.read_table(tmp_path / "there.parquet")
    )


def test_hosts_that_cannot_read_the_model_get_one_copy(folder, cluster, tmp_path):
    pytest.importorskip("fsspec")

    def copies():
        from scalekern.storage.hosted import _models

        return str(_models()), tuple(sorted(file.name for file in _models().iterdir()))

    url = "memory://models/only-in-this-process"
    sk.save(sk.load(folder / "model"), url)
    with connected(cluster) as client:
        done = sk.predict_files(url, folder / "data", tmp_path / "out")
        places = set(client.run(copies).values())
    assert done.complete, done.parts
    assert {len(names) for _, names in places} == {1}  # two workers, one folder of copies
    sk.predict_files(folder / "model", folder / "data", tmp_path / "here")
    np.testing.assert_array_equal(scores_of(tmp_path / "out"), scores_of(tmp_path / "here"))


def test_workers_hold_to_one_thread_each(cluster):
    with connected(cluster) as client:
        found = client.run(lambda: (os.environ["OMP_NUM_THREADS"], os.environ["MKL_NUM_THREADS"]))
        assert set(found.values()) == {("1", "1")}
        assert set(client.nthreads().values()) == {1}
        limits = {w["memory_limit"] for w in client.scheduler_info()["workers"].values()}
        assert limits == {10**9}


def test_other_versions_are_refused_before_any_work(cluster, monkeypatch):
    real = connect.version
    other = {"numpy": "0.1", "dask": "0.2"}
    monkeypatch.setattr(connect, "version", lambda name: other.get(name) or real(name))
    with pytest.raises(ClusterError, match=r"numpy is \S+ on worker \S+ and 0\.1 here.*1 more"):
        connected(cluster).__enter__()


def test_a_scheduler_that_is_not_there_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(connect, "SECONDS", 1)
    words = ("predict", folder / "model", folder / "data", "-o", tmp_path / "out", "--scheduler")
    result = run(*words, "tcp://127.0.0.1:1")
    assert result.exit_code == 2
    assert "no scheduler answers at tcp://127.0.0.1:1" in result.stderr
    result = run(*words, "127.0.0.1")
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1", "udp://127.0.0.1:1"])
def test_a_client_that_finds_no_scheduler_is_closed_at_once(address, monkeypatch):
    monkeypatch.setattr(connect, "SECONDS", 1)
    before = {thread.ident for thread in threading.enumerate()}
    with pytest.raises((ClusterError, InvalidInputError)) as refused:
        connected(address).__enter__()
    loops = [thread for thread in threading.enumerate() if thread.name.startswith("IO loop")]
    assert refused.value.__cause__ is not None  # and with it the frames that hold the client
    assert {thread.ident for thread in loops} <= before


def test_ctrl_c_stops_the_scheduler_and_all_workers():
    with cluster_command("--workers", "2") as (address, process):
        assert address.startswith("tcp://127.0.0.1:")
        with connected(address) as client:
            pids = list(client.run(os.getpid).values())
        assert len(pids) == 2
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0
        assert out == ""
        assert err.splitlines()[-1] == "Stopped."
        assert "Traceback" not in err
    deadline = time.monotonic() + 10
    while any(map(_lives, pids)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_lives, pids))


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_others_than_this_machine_need_tls():
    result = run("cluster", "--workers", "1", "--host", "0.0.0.0")
    assert result.exit_code == 2
    assert "whoever reaches a scheduler can run code" in result.stderr
    result = run("cluster", "--workers", "1", "--tls-ca", __file__)
    assert result.exit_code == 2
    assert "--tls-cert is missing" in result.stderr
    result = run("cluster", "--workers", "1", "--memory", "much")
    assert "--memory 'much' is no size" in result.stderr


SHORT = """
from scalekern.cli import main
from scalekern.engine import connect
connect.SECONDS = 2
main()
"""


def test_with_tls_only_certificates_of_the_authority_are_let_in(folder, tmp_path):
    pytest.importorskip("cryptography")
    own, foreign = certificates(tmp_path / "own"), certificates(tmp_path / "foreign")
    words = ("predict", folder / "model", folder / "data", "-o", tmp_path / "out", "--scheduler")
    with cluster_command("--workers", "1", *own) as (address, _):
        assert address.startswith("tls://")
        result = run(*words, address, *own)
        assert result.exit_code == 0, result.output
        # A process each, as a client that fails leaves its loop of events behind for a while.
        refused = [
            subprocess.Popen(
                [sys.executable, "-c", SHORT, *map(str, words), there, *more],
                stderr=subprocess.PIPE,
                text=True,
            )
            for there, more in ((address, foreign), (address, ()))
        ]
        for process in refused:
            _, text = process.communicate(timeout=60)
            assert process.returncode == 2, text
            assert "no scheduler answers" in text
            assert "do both sides use TLS" in text
