"""What batch scoring on a cluster loses: workers and schedulers are killed, and it goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("distributed")

from cluster_processes import cluster_command

import scalekern as sk
from scalekern.engine.connect import connected
from scalekern.errors import ClusterError

N, PARTS = 800, 8
STEP = N // PARTS
RNG = np.random.default_rng(5)
TABLE = pa.table({"id": np.arange(N), "a": RNG.normal(size=N), "y": RNG.normal(size=N)})


@pytest.fixture
def job(tmp_path):
    """A stored model, its rows in eight parts, an output, and what is to be in it."""
    (tmp_path / "data").mkdir()
    for i in range(PARTS):
        pq.write_table(TABLE.slice(i * STEP, STEP), tmp_path / "data" / f"part-{i}.parquet")
    model = sk.SimilarityRegressor(n_components=20, random_state=0).fit(
        sk.rows(tmp_path / "data", target="y", features=["a"])
    )
    sk.save(model, tmp_path / "model")
    expected = model.predict(TABLE.select(["a"]).to_pandas())
    return tmp_path / "model", tmp_path / "data", tmp_path / "out", expected


def trap(part: str, marks: str, deaths: int, action: str):
    """Return a function for workers: writing a part, they die or wait, so many times in all."""

    def set_trap():
        import os
        import signal
        import time
        from pathlib import Path

        import pyarrow.parquet as pq

        real = pq.ParquetWriter.write_table

        def write_table(self, table, *args, **kwargs):
            real(self, table, *args, **kwargs)
            folder = Path(marks)
            folder.mkdir(exist_ok=True)
            if part in str(self.where) and len(list(folder.iterdir())) < deaths:
                (folder / str(time.time_ns())).touch()
                if action == "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(20)

        pq.ParquetWriter.write_table = write_table

    return set_trap


def in_the_middle(out, marks):
    """Wait until some parts are done and one is being written."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if marks.exists() and len(list(out.glob("part-*"))) >= 2:
            return
        time.sleep(0.05)
    raise TimeoutError("no part was begun")


def check_whole(out, expected):
    """Every row once, in order, none doubled, and nothing but whole parts."""
    read = [pq.read_table(out / f"part-{i}.parquet") for i in range(PARTS)]
    assert np.concatenate([t["id"].to_numpy() for t in read]).tolist() == list(range(N))
    predicted = np.concatenate([t["prediction"].to_numpy() for t in read])
    np.testing.assert_allclose(predicted, expected, atol=1e-12)


def test_a_worker_killed_while_it_writes_loses_and_doubles_nothing(job, tmp_path):
    model, data, out, expected = job
    marks = tmp_path / "marks"
    with cluster_command("--workers", "2") as (address, _), connected(address) as client:
        client.run(trap("part-3", str(marks), 1, "die"))
        done = sk.predict_files(model, data, out, key="id")
    assert len(list(marks.iterdir())) == 1  # it did die
    assert done.complete, done.parts
    check_whole(out, expected)


def test_a_part_that_kills_every_worker_is_listed_and_the_others_are_done(job, tmp_path):
    model, data, out, expected = job
    marks = str(tmp_path / "marks")
    with cluster_command("--workers", "2") as (address, _), connected(address) as client:
        # Nannies run this in each worker that they start again, too.
        from distributed import WorkerPlugin

        class Trap(WorkerPlugin):
            set_trap = staticmethod(trap("part-3", marks, 100, "die"))

            def setup(self, worker):
                self.set_trap()

        client.register_plugin(Trap())
        done = sk.predict_files(model, data, out, key="id")
    states = [part["state"] for part in done.parts]
    assert states == ["done"] * 3 + ["failed"] + ["done"] * 4, done.parts
    assert "workers died again and again" in done.parts[3]["error"]
    assert sk.predict_files(model, data, out, key="id", resume=True).complete
    check_whole(out, expected)


def test_a_scheduler_that_goes_away_is_a_clear_error_and_the_run_is_resumed(job, tmp_path):
    model, data, out, expected = job
    marks = tmp_path / "marks"
    with cluster_command("--workers", "2") as (address, process), connected(address) as client:
        pids = list(client.run(os.getpid).values())
        client.run(trap("part-5", str(marks), 1, "wait"))

        def kill():
            in_the_middle(out, marks)
            for pid in (process.pid, *pids):
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(ClusterError, match="scheduler is gone"):
            sk.predict_files(model, data, out, key="id")
        killer.join()
    assert not (out / "_scalekern" / "lock.json").exists()
    log = next((out / "_scalekern").glob("run-*.json")).read_text()
    assert '"not tried"' in log
    done = sk.predict_files(model, data, out, key="id", resume=True)
    assert done.complete, done.parts
    assert len(done.of_state("skipped")) >= 2
    check_whole(out, expected)


def test_the_predicting_process_killed_on_a_cluster_is_resumed_there(job, tmp_path):
    import sys

    model, data, out, expected = job
    marks = tmp_path / "marks"
    code = "from scalekern.cli import main; main()"
    words = ["predict", model, data, "-o", out, "--key", "id"]
    with cluster_command("--workers", "2") as (address, _), connected(address) as client:
        client.run(trap("part-5", str(marks), 1, "wait"))
        words += ["--scheduler", address]
        with subprocess.Popen([sys.executable, "-c", code, *map(str, words)]) as process:
            in_the_middle(out, marks)
            process.kill()
        # The task that waits is not stopped, and writes its part later: the same one.
        done = sk.predict_files(model, data, out, key="id", resume=True)
    assert done.complete, done.parts
    assert len(done.of_state("skipped")) >= 2
    check_whole(out, expected)


def test_a_full_disk_is_an_error_of_the_parts_that_had_no_place(job, tmp_path):
    model, data, _, expected = job
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", str(small)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine lets no small disk be made ({error})")
    try:
        done = sk.predict_files(model, data, small / "out", key="id", n_jobs=1)
        assert not done.complete
        failed = done.of_state("failed")
        assert failed
        assert all("No space left" in part["error"] for part in failed)
        left = {path.name for path in Path(small / "out").glob("*part*")}
        assert left == {part["name"] for part in done.of_state("done")}
        subprocess.run(["mount", "-o", "remount,size=1m", str(small)], check=True)
        assert sk.predict_files(model, data, small / "out", key="id", resume=True).complete
        check_whole(small / "out", expected)
    finally:
        subprocess.run(["umount", str(small)], check=True)
