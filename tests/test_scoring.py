"""Batch scoring: a part for each part, resumed where it stopped, and never two stories at once."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern import KNeighborsClassifier, LinearRegressor, RowPreparer, SimilarityRegressor
from scalekern.cli import main
from scalekern.errors import InvalidInputError

N, PARTS = 600, 4
RNG = np.random.default_rng(7)
TABLE = pa.table({
    "id": np.arange(N), "a": RNG.normal(size=N), "b": RNG.normal(size=N),
    "kind": pa.array(RNG.choice(["x", "y", "z"], N)), "y": RNG.normal(size=N),
})  # fmt: skip
STEP = N // PARTS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A stored model of numbers and text, and its predictions for the whole table."""
    fitted = make_pipeline(
        RowPreparer(), SimilarityRegressor(n_components=20, random_state=0, gamma=0.5, alpha=0.1)
    ).fit(sk.rows(TABLE, target="y", drop=["id"], raw=True))
    path = tmp_path_factory.mktemp("models") / "model"
    sk.save(fitted, path)
    return path, fitted.predict(TABLE.select(["a", "b", "kind"]).to_pandas())


@pytest.fixture
def data(tmp_path):
    """A folder of partitions, two parts in each."""
    for number in range(PARTS):
        write(tmp_path / "data", number, TABLE.slice(number * STEP, STEP))
    return tmp_path / "data"


def write(folder: Path, number: int, table: pa.Table, **options) -> Path:
    file = folder / f"month={number // 2 + 1}" / f"part-{number}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, **options)
    return file


def scores_of(folder: Path) -> np.ndarray:
    files = sorted(folder.rglob("part-*.parquet"))
    return np.concatenate([pq.read_table(f)["prediction"].to_numpy() for f in files])


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "_scalekern" / "manifest.json").read_text())


def states(scoring) -> list[str]:
    return [part["state"] for part in scoring.parts]


# ---------------------------------------------------------------- what comes out


def test_each_part_has_the_predictions_of_its_rows_in_order_with_the_key(model, data, tmp_path):
    path, expected = model
    done = sk.predict_files(path, data, tmp_path / "out", key="id", keep=["kind"])
    assert done.complete
    assert done.rows == N
    np.testing.assert_allclose(scores_of(tmp_path / "out"), expected, atol=1e-10)
    read = pq.read_table(tmp_path / "out")
    assert read.column_names == ["id", "kind", "prediction", "month"]  # the partitions are kept
    assert read["id"].to_pylist() == list(range(N))
    assert read["kind"].equals(TABLE["kind"])


def test_the_manifest_says_what_was_made_of_what(model, data, tmp_path):
    path, _ = model
    sk.predict_files(path, data, tmp_path / "out", key="id")
    manifest = manifest_of(tmp_path / "out")
    assert manifest["complete"] is True
    assert manifest["model"]["sha256"] == json.loads((path / "model.json").read_text())["sha256"]
    assert manifest["columns"]["kind"] == "string"
    assert (manifest["rows_in"], manifest["rows_out"]) == (N, N)
    assert [part["name"] for part in manifest["parts"]] == [
        f"month={i // 2 + 1}/part-{i}.parquet" for i in range(PARTS)
    ]
    for part in manifest["parts"]:
        assert part["bytes"] == (tmp_path / "out" / part["name"]).stat().st_size
        assert part["rows_in"] == part["rows_out"] == STEP
    log = json.loads(next((tmp_path / "out" / "_scalekern").glob("run-*.json")).read_text())
    assert [part["rows"] for part in log["parts"]] == [STEP] * PARTS
    assert all(part["seconds"] > 0 for part in log["parts"])


@pytest.mark.parametrize("pattern", ["", "*/*.parquet", "month=2", "month=2/*.parquet",
                                     "month=2/part-2.parquet"])  # fmt: skip
def test_names_of_parts_do_not_depend_on_how_the_data_are_named(model, data, tmp_path, pattern):
    path, _ = model
    done = sk.predict_files(path, f"{data}/{pattern}", tmp_path / "out")
    assert {part["name"] for part in done.parts} <= {
        f"month={i // 2 + 1}/part-{i}.parquet" for i in range(PARTS)
    }


def test_partitions_can_be_features(data, tmp_path):
    rows = sk.rows(data, target="y", features=["a", "month"], raw=True)
    fitted = make_pipeline(RowPreparer(), LinearRegressor()).fit(rows)
    sk.save(fitted, tmp_path / "model")
    assert sk.predict_files(tmp_path / "model", data, tmp_path / "scores").complete
    frame = TABLE.select(["a"]).to_pandas().assign(month=np.arange(N) // (2 * STEP) + 1)
    np.testing.assert_allclose(scores_of(tmp_path / "scores"), fitted.predict(frame))
    # One of the partitions alone has the same column.
    again = sk.predict_files(tmp_path / "model", data / "month=2", tmp_path / "second")
    assert again.complete
    with pytest.raises(InvalidInputError, match="'month' comes from the names of the folders"):
        sk.predict_files(tmp_path / "model", data, tmp_path / "third", keep=["month"])


def test_row_groups_can_be_parts(model, tmp_path):
    path, expected = model
    write(tmp_path / "data", 0, TABLE, row_group_size=250)
    done = sk.predict_files(path, tmp_path / "data", tmp_path / "out", by_row_group=True)
    names = [f"month=1/part-0.group-{i:05d}.parquet" for i in range(3)]
    assert [part["name"] for part in done.parts] == names
    assert [part["rows"] for part in done.parts] == [250, 250, 100]
    np.testing.assert_allclose(scores_of(tmp_path / "out"), expected, atol=1e-10)


def test_a_part_without_rows_gives_one_without_rows_and_the_same_columns(model, data, tmp_path):
    path, _ = model
    write(data, 4, TABLE.slice(0, 0))
    done = sk.predict_files(path, data, tmp_path / "out", keep=["kind"])
    assert done.complete
    files = sorted((tmp_path / "out").rglob("part-*.parquet"))
    assert pq.read_table(files[-1]).num_rows == 0
    first, last = (pq.read_schema(file) for file in (files[0], files[-1]))
    assert first.names == last.names
    assert first.types == last.types


def test_labels_and_several_targets_have_their_columns(data, tmp_path):
    numbers = TABLE.select(["a", "b"])
    labels = KNeighborsClassifier().fit(numbers.to_pandas(), TABLE["kind"].to_pylist())
    sk.save(labels, tmp_path / "labels")
    for name, table in (("some", numbers), ("none", numbers.slice(0, 0))):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    done = sk.predict_files(tmp_path / "labels", tmp_path / "*.parquet", tmp_path / "out0")
    assert done.complete, done.parts
    written = pq.read_table(tmp_path / "out0" / "some.parquet")["prediction"].to_pylist()
    assert written == labels.predict(numbers.to_pandas()).tolist()
    assert pq.read_schema(tmp_path / "out0" / "none.parquet").types == [pa.string()]
    two = LinearRegressor().fit(sk.rows(data, target=["y", "a"], features=["b"]))
    sk.save(two, tmp_path / "two")
    sk.predict_files(tmp_path / "two", data, tmp_path / "out1")
    names = pq.read_table(tmp_path / "out1").column_names
    assert names == ["prediction_0", "prediction_1", "month"]


def test_intervals_are_those_of_the_model(data, tmp_path):
    source = sk.rows(data, target="y", features=["a", "b"])
    fitted = LinearRegressor().fit(source)
    fitted.calibrate(TABLE.select(["a", "b"]).to_pandas(), TABLE["y"].to_numpy())
    sk.save(fitted, tmp_path / "line")
    sk.predict_files(tmp_path / "line", data, tmp_path / "out", coverage=0.8)
    read = pq.read_table(tmp_path / "out")
    low, high = fitted.predict_interval(TABLE.select(["a", "b"]).to_pandas(), coverage=0.8)
    np.testing.assert_allclose(read["lower"].to_numpy(), low, atol=1e-12)
    np.testing.assert_allclose(read["upper"].to_numpy(), high, atol=1e-12)


# ---------------------------------------------------------------- resumed


def test_resume_does_only_what_is_missing_or_changed(model, data, tmp_path):
    path, expected = model
    out = tmp_path / "out"
    sk.predict_files(path, data, out)
    assert states(sk.predict_files(path, data, out, resume=True)) == ["skipped"] * PARTS
    kept = out / "month=1" / "part-0.parquet"
    before = kept.stat().st_mtime_ns
    (out / "month=1" / "part-1.parquet").unlink()
    write(data, 2, TABLE.slice(0, STEP))  # another input under the same name
    broken = out / "month=2" / "part-3.parquet"
    broken.write_bytes(broken.read_bytes()[:-10])
    write(data, 5, TABLE.slice(STEP, STEP))
    done = sk.predict_files(path, data, out, resume=True)
    assert states(done) == ["skipped", "done", "done", "done", "done"]
    assert kept.stat().st_mtime_ns == before
    again = np.r_[expected[: 2 * STEP], expected[:STEP], expected[3 * STEP :]]
    again = np.r_[again, expected[STEP : 2 * STEP]]
    np.testing.assert_allclose(scores_of(out), again, atol=1e-10)
    assert manifest_of(out)["complete"] is True


def test_another_model_other_options_or_other_data_are_refused(model, data, tmp_path):
    path, _ = model
    out = tmp_path / "out"
    sk.predict_files(path, data, out)
    with pytest.raises(InvalidInputError, match="is not empty; --resume goes on"):
        sk.predict_files(path, data, out)
    with pytest.raises(InvalidInputError, match="made with other options"):
        sk.predict_files(path, data, out, resume=True, keep=["id"])
    with pytest.raises(InvalidInputError, match=r"2 file.s. that are not in DATA"):
        sk.predict_files(path, data / "month=1", out, resume=True)
    other = LinearRegressor().fit(sk.rows(data, target="y", features=["a", "b"]))
    sk.save(other, tmp_path / "other")
    with pytest.raises(InvalidInputError, match="made with another model"):
        sk.predict_files(tmp_path / "other", data, out, resume=True)
    assert states(sk.predict_files(path, data, out, resume=True)) == ["skipped"] * PARTS


def test_a_folder_of_something_else_is_left_as_it_is(model, data, tmp_path):
    path, _ = model
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InvalidInputError, match=r"not empty|no earlier run can be resumed"):
            sk.predict_files(path, data, tmp_path / "out", resume=resume)
    assert [f.name for f in (tmp_path / "out").iterdir()] == ["notes.txt"]
    with pytest.raises(InvalidInputError, match="overlaps with the data"):
        sk.predict_files(path, data, data)
    with pytest.raises(InvalidInputError, match="overlaps with the data"):
        sk.predict_files(path, data, data / "month=1")


STOPS_IN_PART_1 = """
import sys, time, pyarrow.parquet as pq, scalekern
real = pq.ParquetWriter.write_table
def write_table(self, table, *args, **kwargs):
    real(self, table, *args, **kwargs)
    if "part-1" in str(self.where):
        print("in the middle", flush=True)
        time.sleep(600)
pq.ParquetWriter.write_table = write_table
scalekern.predict_files(*sys.argv[1:], n_jobs=1)
"""


def test_a_process_that_is_killed_leaves_only_whole_parts_and_is_resumed(model, data, tmp_path):
    path, expected = model
    out = tmp_path / "out"
    words = [sys.executable, "-c", STOPS_IN_PART_1, path, data, out]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "in the middle\n"
        process.kill()
    assert [f.name for f in out.rglob("part-*")] == ["part-0.parquet"]
    assert len(list(out.rglob(".part-1*.part"))) == 1
    assert (out / "_scalekern" / "lock.json").exists()
    assert manifest_of(out)["complete"] is False
    done = sk.predict_files(path, data, out, resume=True)  # its lock was of a process that is gone
    assert states(done) == ["skipped", "done", "done", "done"]
    np.testing.assert_allclose(scores_of(out), expected, atol=1e-10)
    assert not [f for f in out.rglob("*") if f.name.endswith(".part") or "lock" in f.name]


# ---------------------------------------------------------------- what fails


def test_a_damaged_part_is_listed_and_does_not_stop_the_others(model, data, tmp_path):
    path, expected = model
    bad = data / "month=1" / "part-1.parquet"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    done = sk.predict_files(path, data, tmp_path / "out")
    assert states(done) == ["done", "failed", "done", "done"]
    assert "part-1.parquet cannot be read as Parquet" in done.parts[1]["error"]
    assert "1 of 4 parts failed" in str(done)
    assert not done.complete
    manifest = manifest_of(tmp_path / "out")
    assert manifest["complete"] is False
    assert [part["name"] for part in manifest["failed"]] == ["month=1/part-1.parquet"]
    bad.write_bytes(whole)
    done = sk.predict_files(path, data, tmp_path / "out", resume=True)
    assert states(done) == ["skipped", "done", "skipped", "skipped"]
    np.testing.assert_allclose(scores_of(tmp_path / "out"), expected, atol=1e-10)


def test_damage_in_the_middle_of_a_part_leaves_nothing_of_it(model, tmp_path):
    path, _ = model
    file = write(tmp_path / "data", 0, TABLE, row_group_size=100)
    data = bytearray(file.read_bytes())
    place = pq.ParquetFile(file).metadata.row_group(4).column(1).data_page_offset
    data[place : place + 60] = b"\xff" * 60
    file.write_bytes(bytes(data))
    done = sk.predict_files(path, tmp_path / "data", tmp_path / "out")
    assert states(done) == ["failed"]
    assert "is damaged" in done.parts[0]["error"]
    assert not list((tmp_path / "out").rglob("*.parquet*"))


def test_too_many_failures_stop_the_run(model, data, tmp_path):
    path, _ = model
    for number in (0, 1):
        (data / "month=1" / f"part-{number}.parquet").write_bytes(b"no")
    done = sk.predict_files(path, data, tmp_path / "out", max_failures=1, n_jobs=1)
    assert states(done)[:2] == ["failed", "failed"]
    assert "not tried" in states(done)
    assert "were not tried" in str(done)
    done = sk.predict_files(path, data, tmp_path / "out", max_failures=2, resume=True)
    assert sorted(states(done)[2:]) == ["done", "done"] or "skipped" in states(done)


def test_a_full_disk_is_an_error_of_its_part_and_leaves_no_half(model, data, tmp_path, monkeypatch):
    path, expected = model
    real = pq.ParquetWriter.write_table

    def full(self, table, *args, **kwargs):
        if "part-2" in str(self.where):
            raise OSError(28, "No space left on device")
        return real(self, table, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    done = sk.predict_files(path, data, tmp_path / "out")
    assert states(done) == ["done", "done", "failed", "done"]
    assert "No space left" in done.parts[2]["error"]
    assert not [f for f in (tmp_path / "out").rglob("*") if f.name.endswith(".part")]
    monkeypatch.undo()
    sk.predict_files(path, data, tmp_path / "out", resume=True)
    np.testing.assert_allclose(scores_of(tmp_path / "out"), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("change", "match", "cure"),
    [
        (lambda t: t.drop(["a"]), "no column 'a'", None),
        (lambda t: t.rename_columns(["id", "aa", "b", "kind", "y"]),
         r"'a'; it has 'aa' instead.*--rename a=NAME", None),
        (lambda t: t.append_column("new", t["a"]), "the extra column 'new'", {"columns": "used"}),
        (lambda t: t.drop(["y"]), "no column 'y'", {"columns": "used"}),
        (lambda t: t.set_column(1, "a", t["a"].cast(pa.string())), "is string, but double.*--cast",
         {"cast": {"a": "float64"}}),
        (lambda t: t.set_column(4, "y", t["y"].cast(pa.string())), "'y'.*is string", {"columns":
         "used"}),
    ],
)  # fmt: skip
def test_columns_that_differ_are_refused_by_part_or_mapped(
    model, data, tmp_path, change, match, cure
):
    path, expected = model
    write(data, 3, change(TABLE.slice(3 * STEP, STEP)))
    done = sk.predict_files(path, data, tmp_path / "out")
    assert states(done) == ["done", "done", "done", "failed"]
    assert re.search(match, done.parts[3]["error"]), done.parts[3]["error"]
    if cure:
        done = sk.predict_files(path, data, tmp_path / "cured", **cure)
        assert done.complete, done.parts
        np.testing.assert_allclose(scores_of(tmp_path / "cured"), expected, atol=1e-10)


def test_columns_with_other_names_are_mapped(model, data, tmp_path):
    path, expected = model
    for number in range(PARTS):
        table = TABLE.slice(number * STEP, STEP)
        write(data, number, table.rename_columns(["id", "alpha", "b", "sort", "y"]))
    done = sk.predict_files(
        path, data, tmp_path / "out", rename={"a": "alpha", "kind": "sort"}, keep=["kind"]
    )
    assert done.complete, done.parts
    np.testing.assert_allclose(scores_of(tmp_path / "out"), expected, atol=1e-10)
    assert pq.read_table(tmp_path / "out")["kind"].equals(TABLE["kind"])


def test_the_numbers_of_parts_may_be_of_any_width(model, data, tmp_path):
    path, _ = model
    table = TABLE.slice(3 * STEP, STEP)
    write(data, 3, table.set_column(0, "id", table["id"].cast(pa.int32())))
    assert sk.predict_files(path, data, tmp_path / "out", key="id").complete


def test_a_key_with_missing_values_is_refused(model, data, tmp_path):
    path, _ = model
    table = TABLE.slice(0, STEP)
    ids = pa.array([None, *range(1, STEP)])
    write(data, 0, table.set_column(0, "id", ids))
    done = sk.predict_files(path, data, tmp_path / "out", key="id")
    assert states(done)[0] == "failed"
    assert "'id', the key, has 1 missing value" in done.parts[0]["error"]
    assert sk.predict_files(path, data, tmp_path / "kept", keep=["id"]).complete


def test_what_a_worker_wrote_to_a_disk_of_its_own_is_not_done(model, data, tmp_path, monkeypatch):
    from scalekern.scoring import run

    real = run.score_part

    def elsewhere(job, part):
        outcome = real(job, part)
        if "part-2" in part.name:
            (tmp_path / "out" / part.name).rename(tmp_path / "of-the-worker.parquet")
        return outcome

    monkeypatch.setattr(run, "score_part", elsewhere)
    done = sk.predict_files(model[0], data, tmp_path / "out")
    assert states(done) == ["done", "done", "failed", "done"]
    assert "on a disk that is not seen from here" in done.parts[2]["error"]
    assert manifest_of(tmp_path / "out")["complete"] is False


def test_an_input_that_is_gone_is_said_to_be(model, data, tmp_path, monkeypatch):
    from scalekern.scoring import run

    real = run.score_part

    def gone(job, part):
        if "part-2" in part.name:
            part.view.file.unlink()
        return real(job, part)

    monkeypatch.setattr(run, "score_part", gone)
    done = sk.predict_files(model[0], data, tmp_path / "out")
    assert states(done) == ["done", "done", "failed", "done"]
    assert "part-2.parquet" in done.parts[2]["error"]


# ---------------------------------------------------------------- the lock


def test_a_second_job_on_an_output_is_refused_until_the_lock_is_broken(model, data, tmp_path):
    path, _ = model
    out = tmp_path / "out"
    lock = out / "_scalekern" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 7, "since": "yesterday"}))
    with pytest.raises(InvalidInputError, match=r"process 7 on elsewhere, since yesterday.*break"):
        sk.predict_files(path, data, out)
    assert sk.predict_files(path, data, out, break_lock=True).complete
    assert not lock.exists()


def test_the_lock_of_a_living_process_of_this_machine_is_respected(model, data, tmp_path):
    from scalekern.paths import open_folder
    from scalekern.scoring.lock import locked

    path, _ = model
    held = locked(open_folder(tmp_path / "out"))
    with held, pytest.raises(InvalidInputError, match=f"process {os.getpid()} on"):
        sk.predict_files(path, data, tmp_path / "out")
    assert sk.predict_files(path, data, tmp_path / "out").complete


NO_RECORDS = [b"", b"{", b"[]", b"3", b"null", b"\xff", b'{"pid": 1e999}', b'{"format": [1]}',
              b"[" * 100_000]  # fmt: skip


@pytest.mark.parametrize("content", NO_RECORDS)
def test_a_lock_that_says_nothing_is_respected_until_it_is_broken(content, model, data, tmp_path):
    lock = tmp_path / "out" / "_scalekern" / "lock.json"
    lock.parent.mkdir(parents=True)
    lock.write_bytes(content)
    with pytest.raises(InvalidInputError, match="another job writes to"):
        sk.predict_files(model[0], data, tmp_path / "out")
    assert lock.read_bytes() == content
    assert sk.predict_files(model[0], data, tmp_path / "out", break_lock=True).complete


def test_a_lock_of_this_machine_with_a_process_that_cannot_be_is_taken(model, data, tmp_path):
    from scalekern.scoring.lock import _machine

    lock = tmp_path / "out" / "_scalekern" / "lock.json"
    lock.parent.mkdir(parents=True)
    for pid in ("1e999", "-1", '"x"', "[]", "1e300"):
        lock.write_text(f'{{"machine": {json.dumps(_machine())}, "pid": {pid}, "started": "1"}}')
        done = sk.predict_files(model[0], data, tmp_path / "out", resume=lock.parent.joinpath(
            "manifest.json").exists())  # fmt: skip
        assert done.complete


@pytest.mark.parametrize("content", NO_RECORDS)
def test_a_manifest_that_is_none_is_refused_and_left(content, model, data, tmp_path):
    out = tmp_path / "out"
    sk.predict_files(model[0], data, out)
    manifest = out / "_scalekern" / "manifest.json"
    manifest.write_bytes(content)
    with pytest.raises(
        InvalidInputError, match=r"manifest\.json (is incomplete|was written by another)"
    ):
        sk.predict_files(model[0], data, out, resume=True)
    assert manifest.read_bytes() == content


@pytest.mark.parametrize("content", NO_RECORDS)
def test_a_part_whose_record_is_none_is_refused_and_left(content, model, data, tmp_path):
    from scalekern.scoring.job import FOOTER

    out = tmp_path / "out"
    sk.predict_files(model[0], data, out)
    part = out / "month=1" / "part-0.parquet"
    table = pq.read_table(part, partitioning=None)
    pq.write_table(table.replace_schema_metadata({FOOTER: content}), part)
    before = part.read_bytes()
    with pytest.raises(InvalidInputError, match=r"part-0\.parquet was made with another model"):
        sk.predict_files(model[0], data, out, resume=True)
    assert part.read_bytes() == before


def test_of_two_that_create_a_file_one_wins(tmp_path):
    from scalekern.paths import open_folder

    folder = open_folder(tmp_path)
    assert folder.create("x", b"1")
    assert not folder.create("x", b"2")
    assert folder.read("x") == b"1"


# ---------------------------------------------------------------- the command


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_says_what_failed_and_its_exit_code_too(model, data, tmp_path):
    path, _ = model
    bad = data / "month=2" / "part-3.parquet"
    whole = bad.read_bytes()
    bad.write_bytes(b"PAR1")
    out = tmp_path / "out"
    result = run("predict", path, data, "-o", out, "--key", "id", "--json", tmp_path / "log.json")
    assert result.exit_code == 1, result.output
    assert "Wrote 450 predictions (3 parts)" in result.stdout
    assert "part-3.parquet: " in result.stdout
    assert "repeat with --resume" in result.stdout
    log = json.loads((tmp_path / "log.json").read_text())
    assert [part["state"] for part in log["parts"]] == ["done", "done", "done", "failed"]
    bad.write_bytes(whole)
    result = run("predict", path, data, "-o", out, "--key", "id", "--resume")
    assert result.exit_code == 0, result.output
    assert "3 parts had been made before" in result.stdout
    result = run("predict", path, data, "-o", out, "--key", "id")
    assert result.exit_code == 2
    assert "is not empty" in result.stderr


def test_options_of_folders_are_refused_with_a_file(model, data, tmp_path):
    path, _ = model
    for words in (["--resume"], ["--rename", "a=b"], ["--max-failures", "3"]):
        result = run("predict", path, data, "-o", tmp_path / "out.parquet", *words)
        assert result.exit_code == 2
        assert f"{words[0]} is only for a folder" in result.stderr
    result = run("predict", path, data, "-o", tmp_path / "out", "--cast", "a")
    assert "--cast a: write NAME=VALUE" in result.stderr
    result = run("predict", path, data, "-o", tmp_path / "out", "--cast", "a=floaty")
    assert "'floaty' is no type of a column" in result.output
    result = run("predict", path, data, "-o", tmp_path / "out", "--performance-report", "x.html")
    assert "go with --scheduler" in result.stderr


def test_the_model_may_move_while_nothing_runs(model, data, tmp_path):
    path, _ = model
    sk.predict_files(path, data, tmp_path / "out")
    shutil.copytree(path, tmp_path / "moved")
    done = sk.predict_files(tmp_path / "moved", data, tmp_path / "out", resume=True)
    assert states(done) == ["skipped"] * PARTS  # it is known by its content


def test_tasks_that_raise_are_results_like_the_others():
    from scalekern.engine.tasks import each_finished

    for n_jobs in (None, 1, 3):
        found = dict(each_finished(lambda piece: 6 / piece, [1, 2, 0, 3], n_jobs))
        assert isinstance(found.pop(0), ZeroDivisionError)
        assert found == {1: 6.0, 2: 3.0, 3: 2.0}
        (alone,) = each_finished(lambda piece: 6 / piece, [0], n_jobs)
        assert isinstance(alone[1], ZeroDivisionError)
