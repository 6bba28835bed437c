"""Indices built in a folder: the same answers, whole after being killed, refused if altered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor, NeighborsTransformer
from scalekern.errors import InvalidInputError, ModelFormatError, UnsupportedError
from scalekern.neighbors import approximate, on_disk

D = 12


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    centres = 4 * rng.normal(size=(60, D))
    X = (centres[rng.integers(60, size=40_000)] + rng.normal(size=(40_000, D))).astype(np.float32)
    y = X[:, 0] + X[:, 1] ** 2
    columns = {f"x{j}": X[:, j] for j in range(D)} | {"y": y, "label": (y > 3).astype(np.int64)}
    table = pa.table(columns)
    for i in range(4):
        part = table.slice(10_000 * i, 10_000)
        parquet.write_table(part, folder / f"{i}.parquet", row_group_size=3_000)
    return folder, X, y


def source(files, target="y"):
    features = [f"x{j}" for j in range(D)]
    return scalekern.rows(files[0] / "*.parquet", target=target, features=features)


def named(X):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(X, columns=[f"x{j}" for j in range(D)])


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(on_disk, "BLOCK_ROWS", 1_000)
    monkeypatch.setattr(on_disk, "SAFE_ROWS", 5_000)


@pytest.fixture(scope="module")
def whole(files, tmp_path_factory):
    """A model whose index was built in short blocks without a stop, and its folder."""
    path = tmp_path_factory.mktemp("whole") / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(on_disk, "BLOCK_ROWS", 1_000)
        patch.setattr(on_disk, "SAFE_ROWS", 5_000)
        return KNeighborsRegressor(index_path=path, random_state=0).fit(source(files)), path


def test_it_answers_as_an_index_in_memory_does(files, tmp_path):
    _, X, y = files
    path = tmp_path / "index"
    model = KNeighborsRegressor(8, index_path=path, random_state=0).fit(source(files))
    assert {file.name for file in path.iterdir()} == {
        "build.json", "center.npy", "index.faiss", "rows.npy", "targets.npy",
    }  # fmt: skip
    assert isinstance(model._index.rows, np.memmap)
    assert isinstance(model.y_, np.memmap)
    exact = KNeighborsRegressor(8, algorithm="brute").fit(X, y)
    Q = X[::40] + np.float32(0.1)
    (near, found), (_, true) = model.kneighbors(named(Q)), exact.kneighbors(Q)
    recall = np.mean([len({*a} & {*b}) / 8 for a, b in zip(found, true, strict=True)])
    assert model.recall_ >= 0.95
    assert recall > 0.93
    direct = np.linalg.norm(Q[:, None].astype(float) - X[found], axis=2)
    np.testing.assert_allclose(near, direct, rtol=1e-6)
    expected = y.astype(float)[found].mean(axis=1)
    np.testing.assert_allclose(model.predict(named(Q)), expected, rtol=1e-9)


def test_pages_are_given_back_where_the_rows_are_more_than_may_stay(files, tmp_path, monkeypatch):
    _, X, _ = files
    Q = named(X[::40] + np.float32(0.1))
    free = KNeighborsRegressor(8, index_path=tmp_path / "a", random_state=0).fit(source(files))
    given = []
    monkeypatch.setattr(approximate, "forget_pages", lambda rows: given.append(len(rows)))
    expected = free.predict(Q)
    assert not given
    with scalekern.config_context(memory_limit=2_000_000):  # the rows are more than half of that
        tight = KNeighborsRegressor(8, index_path=tmp_path / "a", random_state=0).fit(source(files))
    given.clear()
    np.testing.assert_array_equal(tight.predict(Q), expected)
    assert len(given) > 10


def test_a_finished_index_is_used_again_and_saved(files, tmp_path):
    path = str(tmp_path / "index")
    model = KNeighborsRegressor(5, index_path=path, random_state=0).fit(source(files))
    Q = named(files[1][:500])
    before = (tmp_path / "index" / "index.faiss").stat().st_mtime_ns
    again = KNeighborsRegressor(5, index_path=path, random_state=0).fit(source(files))
    assert (tmp_path / "index" / "index.faiss").stat().st_mtime_ns == before
    scalekern.save(model, tmp_path / "model")
    for other in (again, scalekern.load(tmp_path / "model")):
        np.testing.assert_array_equal(other.predict(Q), model.predict(Q))


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_other_metrics_and_estimators_build_on_disk(files, tmp_path, metric):
    _, X, y = files
    model = KNeighborsClassifier(
        5, index_path=tmp_path / "c", metric=metric, target_error=0.1, random_state=0
    ).fit(source(files, "label"))
    assert model.score(named(X[:2000]), y[:2000] > 3) > 0.8
    assert model.tuned_["excess_error"] <= 0.1
    graph = NeighborsTransformer(5, index_path=tmp_path / "t", metric=metric, random_state=0)
    assert graph.fit(X[:5000]).transform(X[:10]).shape == (10, 5000)


def test_the_same_rows_give_the_same_index_whatever_the_threads(
    files, whole, tmp_path, small_blocks
):
    expected = (whole[1] / "index.faiss").read_bytes()
    for n in (1, 3):
        path = tmp_path / str(n)
        KNeighborsRegressor(index_path=path, random_state=0, n_jobs=n).fit(source(files))
        assert (path / "index.faiss").read_bytes() == expected


class KilledError(Exception):
    pass


@pytest.mark.parametrize("stage", ["train", "write_rows", "assemble"])
@pytest.mark.parametrize("after", [False, True])
def test_a_build_that_stopped_is_taken_up(
    files, whole, tmp_path, monkeypatch, small_blocks, stage, after
):
    model, folder = whole
    path = tmp_path / "broken"
    real = getattr(on_disk._Build, stage)

    def stopping(self, *args):
        if after:
            real(self, *args)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(on_disk._Build, stage, stopping)
        with pytest.raises(KilledError):
            KNeighborsRegressor(index_path=path, random_state=0).fit(source(files))
    again = KNeighborsRegressor(index_path=path, random_state=0).fit(source(files))
    assert (path / "index.faiss").read_bytes() == (folder / "index.faiss").read_bytes()
    np.testing.assert_array_equal(again._index.rows, model._index.rows)
    np.testing.assert_array_equal(again.y_, model.y_)


def test_rows_that_were_safe_are_not_read_again(files, tmp_path, monkeypatch, small_blocks):
    path = tmp_path / "index"
    written = []
    append = on_disk.Column.append

    def failing(self, part):
        if len(written) > 4 * 23:
            raise KilledError
        written.append(len(part))
        append(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(on_disk.Column, "append", failing)
        with pytest.raises(KilledError):
            KNeighborsRegressor(index_path=path, random_state=0).fit(source(files))
    assert json.loads((path / "build.json").read_text())["done"] == 20_000
    counted = []

    def counting(self, part):
        counted.append(len(part))
        append(self, part)

    monkeypatch.setattr(on_disk.Column, "append", counting)
    model = KNeighborsRegressor(index_path=path, random_state=0).fit(source(files))
    assert sum(counted) == 4 * 20_000
    np.testing.assert_array_equal(model._index.rows, files[1])


KILLED = """
import sys, scalekern
from scalekern.neighbors import approximate, on_disk
on_disk.BLOCK_ROWS, on_disk.SAFE_ROWS = 1_000, 2_000
append = on_disk.Column.append
def slow(self, part):
    import time; time.sleep(0.02); append(self, part)
on_disk.Column.append = slow
features = [f"x{j}" for j in range(12)]
source = scalekern.rows(sys.argv[1], target="y", features=features)
scalekern.KNeighborsRegressor(index_path=sys.argv[2], random_state=0).fit(source)
"""


def test_a_process_killed_while_it_writes_leaves_what_can_be_taken_up(
    files, whole, tmp_path, small_blocks
):
    path = tmp_path / "index"
    command = [sys.executable, "-c", KILLED, f"{files[0]}/*.parquet", str(path)]
    child = subprocess.Popen(command)
    note = path / "build.json"
    until = time.monotonic() + 60
    while time.monotonic() < until and child.poll() is None:
        if note.exists() and json.loads(note.read_text()).get("done", 0) >= 4_000:
            break
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert 0 < json.loads(note.read_text())["done"] < 40_000
    model = KNeighborsRegressor(index_path=path, random_state=0).fit(source(files))
    Q = named(files[1][:300])
    np.testing.assert_array_equal(model.predict(Q), whole[0].predict(Q))


def test_what_is_not_an_index_of_these_rows_is_refused(files, tmp_path):
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("dear all")
    with pytest.raises(InvalidInputError, match="holds no index"):
        KNeighborsRegressor(index_path=tmp_path / "else").fit(source(files))
    assert (tmp_path / "else" / "letter.txt").read_text() == "dear all"
    KNeighborsRegressor(index_path=tmp_path / "i").fit(files[1][:3000], files[2][:3000])
    for X, y, more in (
        (files[1][:2999], files[2][:2999], {}),
        (files[1][1:3001], files[2][1:3001], {}),
        (files[1][:3000], files[2][:3000], {"metric": "cosine"}),
        (files[1][:3000].astype(float), files[2][:3000], {}),
    ):
        with pytest.raises(InvalidInputError, match="other rows or settings"):
            KNeighborsRegressor(index_path=tmp_path / "i", **more).fit(X, y)


def altered(data, rng):
    """Bytes with one bit turned, cut short, with some put in, or with eight others."""
    at = int(rng.integers(len(data)))
    return (
        data[:at] + bytes([data[at] ^ 1 << int(rng.integers(8))]) + data[at + 1 :],
        data[:at],
        data[:at] + rng.bytes(int(rng.integers(1, 60))) + data[at:],
        data[:at] + rng.bytes(8) + data[at + 8 :],
    )[rng.integers(4)]


def test_three_hundred_random_alterations_of_a_finished_folder_are_refused(files, tmp_path):
    X, y, path = files[1][:3000], files[2][:3000], tmp_path / "i"
    model = KNeighborsRegressor(index_path=path, random_state=0).fit(X, y)
    expected = model.predict(X[:50])
    rng = np.random.default_rng(0)
    whole = {file: file.read_bytes() for file in sorted(path.iterdir())}
    for _ in range(300):
        file = list(whole)[rng.integers(len(whole))]
        file.write_bytes(altered(whole[file], rng))
        with pytest.raises((ModelFormatError, InvalidInputError)):
            KNeighborsRegressor(index_path=path, random_state=0).fit(X, y)
        file.write_bytes(whole[file])
    again = KNeighborsRegressor(index_path=path, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.predict(X[:50]), expected)


@pytest.mark.parametrize(
    "name", ["build.json", "trained.faiss", "center.npy", "rows.npy", "codes.npy"]
)
def test_a_build_that_stopped_is_not_taken_up_from_altered_files(
    files, tmp_path, monkeypatch, small_blocks, name
):
    path = tmp_path / "i"

    def stopping(self):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(on_disk._Build, "assemble", stopping)
        with pytest.raises(KilledError):
            KNeighborsRegressor(index_path=path).fit(files[1][:3000], files[2][:3000])
    whole = (path / name).read_bytes()
    (path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises((ModelFormatError, InvalidInputError)):
        KNeighborsRegressor(index_path=path).fit(files[1][:3000], files[2][:3000])
    (path / name).unlink()
    with pytest.raises((ModelFormatError, InvalidInputError)):
        KNeighborsRegressor(index_path=path).fit(files[1][:3000], files[2][:3000])


def test_what_cannot_be_built_on_disk_is_refused(files, tmp_path):
    X, y = files[1][:300], files[2][:300]
    for more in (
        {"algorithm": "hnsw"},
        {"metric": "manhattan"},
        {"target_recall": 1.0},
        {"metric": lambda x, z: 0.0},
    ):
        with pytest.raises(UnsupportedError, match="index_path"):
            KNeighborsRegressor(index_path=tmp_path / "i", **more).fit(X, y)


def test_rows_beyond_memory_are_refused_before_they_are_read(files):
    with (
        scalekern.config_context(memory_limit=1 << 20),
        pytest.raises(InvalidInputError, match="index_path"),
    ):
        KNeighborsRegressor().fit(source(files))
