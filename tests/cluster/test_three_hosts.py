"""Fit and predict on hosts with their own addresses, over TLS, one of them 20 ms away."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("distributed")
pytest.importorskip("cryptography", reason="cryptography, which makes certificates, is missing")

sys.path.insert(0, str(Path(__file__).parent))

from cluster_processes import certificates
from hosts import ADDRESSES, DELAY, three_hosts, why_not

N, PARTS = 24_000, 8
FIT = ("--target", "y", "--drop", "id", "--categories", "onehot", "--model", "nystroem",
       "--n-components", "40")  # fmt: skip
COMMAND = [sys.executable, "-c", "from scalekern.cli import main; main()"]
SHORT = [*COMMAND[:2], "from scalekern.engine import connect as c; c.SECONDS = 3; " + COMMAND[2]]
PROBE = """
import json, socket, sys, time
from scalekern.engine.connect import connected
with connected(sys.argv[1], **json.loads(sys.argv[2])) as client:
    found = {}
    for address in client.scheduler_info()["workers"]:
        host, _, port = address.partition("//")[2].partition(":")
        start = time.perf_counter()
        socket.create_connection((host, port)).close()
        found[host] = time.perf_counter() - start
    def copies():
        import os, tempfile
        folder = os.path.join(tempfile.gettempdir(), "scalekern-models-0")
        return len(os.listdir(folder)) if os.path.isdir(folder) else 0
    print(json.dumps({"seconds": found, "copies": list(client.run(copies).values())}))
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with three_hosts(tmp_path_factory.mktemp("hosts")) as hosts:
        yield hosts


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def cluster(hosts, tls):
    """The address of a scheduler on `front`, with a worker on each of the others."""
    words = ["--tls-ca-file", tls[1], "--tls-cert", tls[3], "--tls-key", tls[5]]
    address = f"tls://{ADDRESSES['front']}:8786"
    scheduler = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--protocol", "tls",
                 "--host", ADDRESSES["front"], "--port", "8786", "--no-dashboard"]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [hosts.start("front", [*scheduler, *words], **quiet)]
    for host in ("near", "far"):
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1",
                  "--no-dashboard", "--host", ADDRESSES[host]]  # fmt: skip
        running.append(hosts.start(host, [*worker, *words], **quiet))
    try:
        succeeds(start(hosts, sys.executable, "-c", WAIT, address, json.dumps(tls)))
        yield address
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(timeout=30)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(2)
    table = pa.table({
        "id": np.arange(N), "a": rng.normal(size=N), "b": rng.normal(size=N),
        "kind": rng.choice(["x", "y", "z"], N), "y": rng.normal(size=N),
    })  # fmt: skip
    for i in range(PARTS):
        pq.write_table(table.slice(i * N // PARTS, N // PARTS), folder / f"{i}.parquet")
    return folder


def succeeds(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def start(hosts, *words):
    return hosts.start("front", words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def probed(hosts, cluster, tls):
    files = json.dumps({word[6:]: file for word, file in zip(tls[::2], tls[1::2], strict=True)})
    out = succeeds(start(hosts, sys.executable, "-c", PROBE, cluster, files))
    return json.loads(out.splitlines()[-1])


def test_one_of_two_workers_is_20_ms_away(hosts, cluster, tls):
    seconds = probed(hosts, cluster, tls)["seconds"]
    assert set(seconds) == {ADDRESSES["near"], ADDRESSES["far"]}
    assert seconds[ADDRESSES["far"]] >= DELAY
    assert seconds[ADDRESSES["near"]] < DELAY


WAIT = """
import json, sys
from scalekern.engine import connect
connect.SECONDS = 60
tls = json.loads(sys.argv[2])
files = {word[6:]: file for word, file in zip(tls[::2], tls[1::2])}
with connect.connected(sys.argv[1], **files) as client:
    client.wait_for_workers(2, timeout=60)
"""


def test_a_fit_on_the_hosts_is_the_fit_on_threads(hosts, cluster, tls, data, tmp_path):
    for name, more in (("here", ()), ("there", ("--scheduler", cluster, *tls))):
        words = (*COMMAND, "fit", data, *FIT, "-o", tmp_path / name)
        succeeds(start(hosts, *words, *more))
    for file in sorted((tmp_path / "here").glob("*.npy")):
        there = np.load(tmp_path / "there" / file.name)
        np.testing.assert_array_equal(np.load(file), there, err_msg=file.name)


def test_scores_from_the_hosts_are_those_from_threads(hosts, cluster, tls, data, tmp_path):
    succeeds(start(hosts, *COMMAND, "fit", data, *FIT, "-o", tmp_path / "model"))
    for name, more in (("here", ()), ("there", ("--scheduler", cluster, *tls))):
        words = (*COMMAND, "predict", tmp_path / "model", data, "-o", tmp_path / name)
        succeeds(start(hosts, *words, "--key", "id", *more))
    for i in range(PARTS):
        here, there = (pq.read_table(tmp_path / n / f"{i}.parquet") for n in ("here", "there"))
        assert here.equals(there)
    log = json.loads(next((tmp_path / "there" / "_scalekern").glob("run-*")).read_text())
    used = {part["worker"].partition("//")[2].partition(":")[0] for part in log["parts"]}
    assert used == {ADDRESSES["near"], ADDRESSES["far"]}


def test_hosts_that_cannot_read_the_model_get_one_copy_each(hosts, cluster, tls, data, tmp_path):
    model = tmp_path / "model"
    succeeds(start(hosts, *COMMAND, "fit", data, *FIT, "-o", model))
    code = HIDDEN.format(model=str(model), data=str(data), out=str(tmp_path / "out"))
    succeeds(start(hosts, sys.executable, "-c", code, cluster, json.dumps(tls)))
    assert probed(hosts, cluster, tls)["copies"] == [1, 1]


HIDDEN = """
import json, sys, scalekern
from scalekern.engine.connect import connected
tls = json.loads(sys.argv[2])
files = {{word[6:]: file for word, file in zip(tls[::2], tls[1::2])}}
scalekern.save(scalekern.load({model!r}), "memory://only/here")
with connected(sys.argv[1], **files):
    done = scalekern.predict_files("memory://only/here", {data!r}, {out!r})
assert done.complete, done.parts
"""


def test_a_client_without_the_certificate_is_refused(hosts, cluster, data, tmp_path):
    words = ("predict", tmp_path / "model", data, "-o", tmp_path / "out", "--scheduler")
    for address in (cluster, "tcp" + cluster[3:]):
        process = start(hosts, *SHORT, *words, address)
        _, err = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "no scheduler answers" in err
