"""Workers read a bucket and write a bucket for themselves: one is killed, and nothing is lost."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import clone

pytest.importorskip("distributed")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto, flask, flask-cors are not installed")

from cluster_processes import cluster_command  # noqa: E402

import scalekern as sk  # noqa: E402
from scalekern.engine.connect import connected  # noqa: E402

N, PARTS = 800, 8
STEP = N // PARTS
RNG = np.random.default_rng(5)
TABLE = pa.table({"id": np.arange(N), "a": RNG.normal(size=N), "y": RNG.normal(size=N)})


@pytest.fixture
def bucket(monkeypatch):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = s3fs.S3FileSystem()
    server.mkdir("rows-and-scores")
    for i in range(PARTS):
        with server.open(f"rows-and-scores/data/part-{i}.parquet", "wb") as file:
            pq.write_table(TABLE.slice(i * STEP, STEP), file)
    yield server, "s3://rows-and-scores"
    for system in list(s3fs.S3FileSystem._cache.values()):
        system.close_session(system.loop, system._s3)
    s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


def test_a_bucket_is_fitted_and_scored_by_workers_of_which_one_is_killed(bucket, tmp_path):
    server, url = bucket
    marks = str(tmp_path / "died")

    def set_trap():
        import os
        import signal
        from pathlib import Path

        import s3fs

        real = s3fs.S3FileSystem._put_file

        def die_once(remote):
            if "part-3" in remote and not Path(marks).exists():
                Path(marks).touch()
                os.kill(os.getpid(), signal.SIGKILL)

        async def put_file(self, local, remote, *args, **kwargs):
            die_once(remote)
            return await real(self, local, remote, *args, **kwargs)

        s3fs.S3FileSystem._put_file = put_file
        # One that has read rows already is bound to the real one.
        s3fs.S3FileSystem.clear_instance_cache()

    source = sk.rows(f"{url}/data", target="y", features=["a"])
    here = sk.SimilarityRegressor("rbf", approximation="nystroem", n_components=20, random_state=0)
    here.fit(source)
    with cluster_command("--workers", "2") as (address, _), connected(address) as client:
        there = clone(here).fit(source)
        np.testing.assert_array_equal(there.dual_coef_, here.dual_coef_)
        sk.save(there, f"{url}/model")
        client.run(set_trap)
        done = sk.predict_files(f"{url}/model", f"{url}/data", f"{url}/scores", key="id")
    assert (tmp_path / "died").exists()
    assert done.complete, done.parts
    server.invalidate_cache()
    read = [pq.read_table(server.open(f"{url}/scores/part-{i}.parquet")) for i in range(PARTS)]
    assert np.concatenate([t["id"].to_numpy() for t in read]).tolist() == list(range(N))
    predicted = np.concatenate([t["prediction"].to_numpy() for t in read])
    expected = here.predict(TABLE.select(["a"]).to_pandas())
    np.testing.assert_allclose(predicted, expected, atol=1e-12)
