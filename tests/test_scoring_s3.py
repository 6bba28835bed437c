"""Every path may be a URL: models, rows and results in a bucket of moto's S3 server on loopback."""

from __future__ import annotations

import inspect
import json
import logging
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
moto_server = pytest.importorskip(
    "moto.server", reason="moto, flask and flask-cors are not installed"
)

from click.testing import CliRunner  # noqa: E402

import scalekern as sk  # noqa: E402
from scalekern.cli import main  # noqa: E402
from scalekern.errors import InvalidInputError, MissingExtraError, ModelFormatError  # noqa: E402
from scalekern.paths import RemotePath, open_folder  # noqa: E402
from scalekern.storage import hosted  # noqa: E402

N, PARTS = 400, 4
RNG = np.random.default_rng(3)
TABLE = pa.table({"id": np.arange(N), "a": RNG.normal(size=N), "b": RNG.normal(size=N)})
TABLE = TABLE.append_column("y", pa.array(TABLE["a"].to_numpy() + np.sin(TABLE["b"].to_numpy())))
STEP = N // PARTS


@pytest.fixture(scope="module")
def server():
    """The environment of a machine whose S3 is moto's."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        yield s3fs.S3FileSystem()
    # Each thread had a file system of its own, whose connections nobody else closes.
    for system in list(s3fs.S3FileSystem._cache.values()):
        system.close_session(system.loop, system._s3)
    s3fs.S3FileSystem.clear_instance_cache()
    moto.stop()


@pytest.fixture
def bucket(server, request, tmp_path, monkeypatch):
    """A bucket with four parts of rows, and a folder of temporary files of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    name = "bucket-" + str(abs(hash(request.node.name)))
    server.mkdir(name)
    for number in range(PARTS):
        with server.open(f"{name}/data/month={number}/part.parquet", "wb") as file:
            pq.write_table(TABLE.slice(number * STEP, STEP), file)
    return f"s3://{name}"


@pytest.fixture
def model(bucket):
    """The URL of a stored model, and its predictions for the whole table."""
    source = sk.rows(f"{bucket}/data/*/*.parquet", target="y", drop=["id"])
    fitted = sk.SimilarityRegressor("rbf", gamma=0.5, alpha=0.1, approximation="exact").fit(source)
    sk.save(fitted, f"{bucket}/models/m")
    return f"{bucket}/models/m", fitted.predict(TABLE.select(["a", "b"]).to_pandas())


def scores_of(server, url):
    files = sorted(server.glob(f"{url}/*/part.parquet"))
    parts = [pq.read_table(server.open(file))["prediction"].to_numpy() for file in files]
    return np.concatenate(parts)


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_rows_are_read_from_a_folder_a_glob_and_a_file(bucket):
    there = f"{bucket}/data"
    for url in (there, f"{there}/", f"{there}/*", f"{there}/month=*/part.parquet"):
        source = sk.rows(url, target="y", features=["a", "b"])
        (block,) = source.blocks(N)
        np.testing.assert_array_equal(block.X[:, 0], TABLE["a"].to_numpy())
    assert sk.rows(f"{there}/month=1/part.parquet", target="y").n_rows == STEP


def test_other_kinds_of_files_are_read_too(bucket, server, tmp_path):
    zarr = pytest.importorskip("zarr")
    X = np.column_stack([TABLE["a"], TABLE["b"]])
    np.save(tmp_path / "x.npy", X)
    (tmp_path / "x.csv").write_text("a,b\n1,2\n3,4\n")
    zarr.save(str(tmp_path / "x.zarr"), X)
    for name in ("x.npy", "x.csv"):
        server.put_file(str(tmp_path / name), f"{bucket}/{name}")
    server.put(str(tmp_path / "x.zarr"), f"{bucket}/x.zarr", recursive=True)
    assert sk.rows(f"{bucket}/x.csv", target="b").n_rows == 2
    (block,) = sk.rows(f"{bucket}/x.npy", target="1").blocks(N)
    np.testing.assert_array_equal(block.X[:, 0], X[:, 0])
    # In a process of its own: zarr leaves its connection open, which is a warning at the end.
    code = f"import scalekern as s; print(s.rows('{bucket}/x.zarr', target='1').take([7])[0, 0])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == X[7, 0]
    (tmp_path / "bad.csv").write_text("a,b\n1\n3,4\n")
    server.put_file(str(tmp_path / "bad.csv"), f"{bucket}/bad.csv")
    with pytest.raises(InvalidInputError, match=f"{bucket}/bad.csv cannot be read"):
        sk.rows(f"{bucket}/bad.csv", target="b")


def test_a_model_is_the_same_from_a_bucket(bucket, model):
    url, expected = model
    loaded = sk.load(url)
    np.testing.assert_array_equal(loaded.predict(TABLE.select(["a", "b"]).to_pandas()), expected)


def test_a_host_fetches_a_model_once(bucket, model, server, monkeypatch):
    url, _ = model
    fetched = []
    real = hosted.fetch
    monkeypatch.setattr(hosted, "fetch", lambda *words: (fetched.append(words), real(*words)))
    for _ in range(3):
        sk.load(url)
    assert len(fetched) == 1


def test_a_model_is_replaced_and_what_is_no_longer_of_it_goes(bucket, model):
    url, _ = model
    before = set(open_folder(url).names())
    sk.save(sk.LinearRegressor().fit([[0.0], [1.0]], [0.0, 2.0]), url)
    after = set(open_folder(url).names())
    assert "0-landmarks_.npy" in before - after
    assert sk.load(url).predict([[2.0]]).round(6).tolist() == [4.0]


def test_a_model_that_is_not_whole_is_not_loaded(bucket, model, server):
    url, _ = model
    server.rm_file(f"{url}/0-dual_coef_.npy".removeprefix("s3://"))
    with pytest.raises(ModelFormatError, match=r"has no file '0-dual_coef_\.npy'"):
        sk.load(url)
    server.rm_file(f"{url}/model.json".removeprefix("s3://"))
    with pytest.raises(ModelFormatError, match=r"it has no model\.json"):
        sk.load(url)
    server.pipe_file(f"{url}/notes.txt", b"mine")
    with pytest.raises(InvalidInputError, match=r"also holds 'notes\.txt'"):
        sk.save(sk.LinearRegressor().fit([[0.0], [1.0]], [0.0, 2.0]), url)


def test_scores_of_a_bucket_in_a_bucket(bucket, model, server):
    url, expected = model
    out = f"{bucket}/scores"
    done = sk.predict_files(url, f"{bucket}/data", out, key="id")
    assert done.complete, done.parts
    np.testing.assert_allclose(scores_of(server, out), expected, atol=1e-12)
    manifest = json.loads(server.cat(f"{out}/_scalekern/manifest.json"))
    assert manifest["complete"] is True
    assert manifest["rows_out"] == N
    assert not server.exists(f"{out}/_scalekern/lock.json")
    server.invalidate_cache()
    sizes = {part["name"]: part["bytes"] for part in manifest["parts"]}
    assert sizes == {name: server.info(f"{out}/{name}")["size"] for name in sizes}


def test_resume_in_a_bucket_does_what_is_missing_or_changed(bucket, model, server):
    url, expected = model
    out = f"{bucket}/scores"
    sk.predict_files(url, f"{bucket}/data", out)
    with pytest.raises(InvalidInputError, match="--resume goes on"):
        sk.predict_files(url, f"{bucket}/data", out)
    server.rm_file(f"{out}/month=2/part.parquet".removeprefix("s3://"))
    with server.open(f"{bucket}/data/month=1/part.parquet", "wb") as file:
        pq.write_table(TABLE.slice(0, STEP), file)
    done = sk.predict_files(url, f"{bucket}/data", out, resume=True)
    assert [part["state"] for part in done.parts] == ["skipped", "done", "done", "skipped"]
    again = np.r_[expected[:STEP], expected[:STEP], expected[2 * STEP :]]
    np.testing.assert_allclose(scores_of(server, out), again, atol=1e-12)


def test_a_half_that_a_store_never_shows_is_no_part(bucket, model, server, monkeypatch):
    url, expected = model
    real = RemotePath.filesystem

    class Full:
        def put_file(self, *_):
            raise OSError(28, "No space left on device")

    def filesystem(self):
        system, path = real(self)
        full = "scores/month=3" in path and inspect.stack()[1].function == "whole_file"
        return (Full(), path) if full else (system, path)

    monkeypatch.setattr(RemotePath, "filesystem", filesystem)
    done = sk.predict_files(url, f"{bucket}/data", f"{bucket}/scores")
    assert [part["state"] for part in done.parts] == ["done", "done", "done", "failed"]
    assert "No space left" in done.parts[3]["error"]
    monkeypatch.undo()
    done = sk.predict_files(url, f"{bucket}/data", f"{bucket}/scores", resume=True)
    assert done.complete
    np.testing.assert_allclose(scores_of(server, f"{bucket}/scores"), expected, atol=1e-12)


def test_a_lock_in_a_bucket_refuses_a_second_job(bucket, model):
    url, _ = model
    out = open_folder(f"{bucket}/scores")
    holder = json.dumps({"host": "elsewhere", "pid": 7, "since": "yesterday"}).encode()
    assert out.create("_scalekern/lock.json", holder)
    assert not out.create("_scalekern/lock.json", b"{}")  # a conditional write: one wins
    with pytest.raises(InvalidInputError, match="process 7 on elsewhere"):
        sk.predict_files(url, f"{bucket}/data", f"{bucket}/scores")
    assert sk.predict_files(url, f"{bucket}/data", f"{bucket}/scores", break_lock=True).complete


def test_the_commands_take_urls_for_every_path(bucket, server):
    data, model = f"{bucket}/data", f"{bucket}/models/line"
    words = ("--target", "y", "--drop", "id", "--model", "linear", "-o", model)
    result = run("fit", data, *words)
    assert result.exit_code == 0, result.output
    result = run("predict", model, data, "-o", f"{bucket}/scores", "--keep", "id")
    assert result.exit_code == 0, result.output
    result = run("predict", model, data, "-o", f"{bucket}/all.parquet")
    assert result.exit_code == 0, result.output
    server.invalidate_cache()
    one = pq.read_table(server.open(f"{bucket}/all.parquet"))["prediction"].to_numpy()
    np.testing.assert_allclose(scores_of(server, f"{bucket}/scores"), one, atol=1e-12)


def test_what_is_wrong_with_a_url_is_said_in_a_line(bucket, monkeypatch):
    with pytest.raises(InvalidInputError, match=r"no\*\.parquet does not exist"):
        sk.rows(f"{bucket}/data/no*.parquet", target="y")
    with pytest.raises(InvalidInputError, match="does not exist"):
        sk.rows("s3://no-such-bucket-at-all/x.parquet", target="y")
    with pytest.raises(InvalidInputError, match="Protocol not known: nowhere"):
        sk.rows("nowhere://x/y.parquet", target="y")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(MissingExtraError, match="pip install gcsfs"):
        sk.rows("gs://x/y.parquet", target="y")
