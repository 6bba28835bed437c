"""What `scalekern.rows` promises of files and frames: the same rows, or an error with its place."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scalekern
from scalekern.errors import InvalidInputError

N = 103
RNG = np.random.default_rng(0)
TABLE = pa.table(
    {
        "a": RNG.normal(size=N),
        "n": RNG.integers(-5, 5, size=N),
        "b": RNG.random(N) < 0.5,
        "f": RNG.normal(size=N).astype(np.float32),
        "y": RNG.normal(size=N),
        "w": RNG.random(N),
        "id": [f"row{i}" for i in range(N)],
        "when": pa.array(np.arange(N, dtype=np.int32), pa.date32()),
        "tags": [["x"]] * N,
    }
)
NUMBERS = ["a", "n", "b", "f"]
X = np.column_stack([np.asarray(TABLE[name], dtype=np.float64) for name in NUMBERS])
Y = np.asarray(TABLE["y"])


def read(source, max_rows=1000):
    """Return all of a source, checking on the way that its blocks are in order."""
    blocks = list(source.blocks(max_rows))
    starts = np.cumsum([0, *map(len, blocks)])
    assert [block.start for block in blocks] == starts[:-1].tolist()
    assert starts[-1] == source.n_rows
    # All but the last are full: blocks do not depend on how rows lie in files.
    assert all(len(block) == max_rows for block in blocks[:-1])
    return blocks


def matrix(source, max_rows=1000):
    return np.concatenate([block.X for block in read(source, max_rows)])


def write_parts(folder, table=TABLE, lengths=(0, 1, 40, 0, 7, 55, 0), group=9):
    folder.mkdir(exist_ok=True)
    start = 0
    for number, length in enumerate(lengths):
        part = table.slice(start, length)
        pq.write_table(part, folder / f"part-{number}.parquet", row_group_size=group + number)
        start += length
    assert start == table.num_rows
    return folder


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same numbers as every container that `rows` reads."""
    folder = tmp_path_factory.mktemp("sources")
    table = TABLE.select([*NUMBERS, "y"])
    frame = table.to_pandas()
    pq.write_table(table, folder / "one.parquet", row_group_size=10)
    parts = write_parts(folder / "parts", table)
    frame.to_csv(folder / "one.csv", index=False)
    frame.to_csv(folder / "zipped.csv.gz", index=False)
    return {
        "file": folder / "one.parquet",
        "text": str(folder / "one.parquet"),
        "folder": parts,
        "glob": str(parts / "part-*.parquet"),
        "csv": folder / "one.csv",
        "csv.gz": folder / "zipped.csv.gz",
        "pandas": frame,
        "polars": pl.from_arrow(table),
        "arrow": table,
    }


KINDS = ["file", "text", "folder", "glob", "csv", "csv.gz", "pandas", "polars", "arrow"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_gives_the_same_rows(sources, kind):
    source = scalekern.rows(sources[kind], target="y")
    assert (source.n_rows, source.n_features, source.n_outputs) == (N, 4, 1)
    assert source.feature_names == tuple(NUMBERS)
    assert source.dtype == np.float64
    # pandas writes a float32 with the digits that float32 needs, so CSV is that close.
    np.testing.assert_allclose(matrix(source), X, rtol=1e-6)
    np.testing.assert_array_equal(np.concatenate([b.y for b in read(source)])[:, 0], Y)
    if not kind.startswith("csv"):
        np.testing.assert_array_equal(matrix(source), X)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("max_rows", [1, 7, 40, 102, 103, 5000])
def test_blocks_of_any_size_give_the_same_rows(sources, kind, max_rows):
    source = scalekern.rows(sources[kind], target="y")
    whole, blocks = read(source)[0], read(source, max_rows)
    np.testing.assert_array_equal(np.concatenate([b.X for b in blocks]), whole.X)
    np.testing.assert_array_equal(np.concatenate([b.y for b in blocks]), whole.y)
    np.testing.assert_array_equal(np.concatenate([b.ids for b in blocks]), np.arange(N))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6), st.integers(1, 40), st.integers(1, 50))
def test_blocks_do_not_depend_on_files_and_row_groups(tmp_path_factory, lengths, group, max_rows):
    lengths = [*lengths, 1]
    table = TABLE.slice(0, 0)
    table = pa.concat_tables([TABLE] * (1 + sum(lengths) // N)).slice(0, sum(lengths))
    folder = write_parts(tmp_path_factory.mktemp("parts"), table, lengths, group)
    options = {"target": "y", "weight": "w", "key": "id", "features": NUMBERS}
    from_files = read(scalekern.rows(folder, **options), max_rows)
    in_memory = read(scalekern.rows(table, **options), max_rows)
    assert len(from_files) == len(in_memory)
    for a, b in zip(from_files, in_memory, strict=True):
        for name in ("X", "y", "weight", "ids"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("kind", KINDS)
def test_take_returns_the_rows_asked_for_in_their_order(sources, kind):
    source = scalekern.rows(sources[kind], target="y")
    numbers = np.array([102, 0, 41, 41, 7, 1])
    np.testing.assert_array_equal(source.take(numbers), matrix(source)[numbers])
    assert source.take(np.array([], dtype=int)).shape == (0, 4)


def test_features_drop_weight_and_key_take_their_columns_out():
    drop = ["when", "tags"]
    source = scalekern.rows(TABLE, target="y", drop=drop, weight="w", key="id")
    assert source.feature_names == tuple(NUMBERS)
    (block,) = source.blocks(N)
    np.testing.assert_array_equal(block.weight, np.asarray(TABLE["w"]))
    assert block.ids.tolist() == TABLE["id"].to_pylist()
    chosen = scalekern.rows(TABLE, target=["y", "w"], features=["f", "a"])
    assert (chosen.feature_names, chosen.n_outputs) == (("f", "a"), 2)
    np.testing.assert_array_equal(matrix(chosen), X[:, [3, 0]])


def test_one_name_may_stand_for_a_list():
    source = scalekern.rows(TABLE, target="y", features="a")
    assert source.feature_names == ("a",)
    left = scalekern.rows(TABLE.select(["a", "n", "y"]), target="y", drop="n")
    assert left.feature_names == ("a",)


def test_float32_only_where_all_features_are(tmp_path):
    half = pa.table({"a": np.ones(3, np.float32), "b": np.ones(3, np.float16), "y": np.ones(3)})
    assert scalekern.rows(half, target="y").dtype == np.float32
    mixed = half.append_column("n", pa.array([1, 2, 3]))
    assert scalekern.rows(mixed, target="y").dtype == np.float64
    pq.write_table(half, tmp_path / "0.parquet")
    pq.write_table(half.set_column(0, "a", pa.array(np.ones(3))), tmp_path / "1.parquet")
    assert scalekern.rows(tmp_path, target="y").dtype == np.float64
    assert scalekern.rows(tmp_path / "0.parquet", target="y").dtype == np.float32


@pytest.mark.parametrize("kind", ["folder", "arrow"])
def test_a_dtype_that_was_asked_for_stays_when_columns_are_selected(sources, kind):
    source = scalekern.rows(sources[kind], target="y", dtype="float32")
    some = source.select(["n", "a"])
    assert (source.dtype, some.dtype) == (np.float32, np.float32)
    np.testing.assert_array_equal(matrix(some), X[:, [1, 0]].astype(np.float32))
    with pytest.raises(InvalidInputError, match=r"no column 'z'.*'a'"):
        source.select(["z"])
    with pytest.raises(InvalidInputError, match="dtype='int8'"):
        scalekern.rows(sources[kind], dtype="int8")


# ---------------------------------------------------------------- CSV and NumPy files


def test_csv_without_header_has_numbered_columns(tmp_path):
    file = tmp_path / "plain.csv"
    np.savetxt(file, X, delimiter=",")
    source = scalekern.rows(file, target="-1")
    assert source.feature_names == ("0", "1", "2")
    np.testing.assert_array_equal(matrix(source), X[:, :3])
    zipped = tmp_path / "plain.csv.gz"
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    np.testing.assert_array_equal(matrix(scalekern.rows(zipped, target=3)), X[:, :3])


def test_an_empty_cell_in_the_first_line_does_not_make_it_a_header(tmp_path):
    file = tmp_path / "gap.csv"
    file.write_text("1,2,\n3,4,5\n")
    with pytest.raises(InvalidInputError, match=r"column '2' of gap.csv .*first at row 0"):
        matrix(scalekern.rows(file, target="0"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "bad.csv is empty"),
        ("a,b\n", r"has no rows"),
        ("a,b\n1,2\n3\n", "Expected 2 columns, got 1"),
        ("a;b\n1;2\n", "separated by commas"),
        ("a,a,b\n1,2,3\n", "more than one column 'a'"),
        ("a,b\n,1\n,2\n", "column 'a' of bad.csv has no values"),
        ("a,b,c\n7,1,3\ny,2,4\n", r"column 'a' of bad.csv is string.*first 'y' at row 1.*drop"),
        ("a,b\n2020-01-01,1\n", r"column 'a' of bad.csv is date32.*not a number.*drop"),
    ],
)
def test_a_bad_csv_file_is_named_with_its_fault(tmp_path, text, message):
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=message) as caught:
        scalekern.rows(file, target="b")
    assert "bad.csv" in str(caught.value)


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", ">f8", "i4", "u1", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_and_npz_give_their_numbers(tmp_path, dtype, order):
    array = np.asarray(np.abs(X) > 0.3 if dtype == "?" else np.abs(X) * 9, dtype=dtype, order=order)
    np.save(tmp_path / "x.npy", array)
    np.savez(tmp_path / "x.npz", X=array, y=Y, w=np.ones(N))
    from_npy = scalekern.rows(tmp_path / "x.npy")
    from_npz = scalekern.rows(tmp_path / "x.npz", target="y", weight="w")
    assert from_npy.feature_names == from_npz.feature_names == ("0", "1", "2", "3")
    assert from_npy.dtype == (np.float32 if dtype in {"f4", "f2"} else np.float64)
    for source in (from_npy, from_npz):
        np.testing.assert_array_equal(matrix(source), array.astype(np.float64))


@pytest.mark.parametrize("option", ["features", "drop", "target"])
def test_negative_numbers_count_columns_from_the_end(tmp_path, option):
    np.save(tmp_path / "x.npy", X)
    source = scalekern.rows(tmp_path / "x.npy", **{option: [-2]})
    assert source.feature_names == (("2",) if option == "features" else ("0", "1", "3"))
    with pytest.raises(InvalidInputError, match=r"no column '-5'"):
        scalekern.rows(tmp_path / "x.npy", **{option: "-5"})


def bad_numpy_files(folder):
    np.savez(folder / "whole.npz", X=X, y=Y)
    whole = (folder / "whole.npz").read_bytes()
    flipped = bytearray(whole)
    flipped[500] ^= 255
    (folder / "truncated.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.npz").write_bytes(flipped)
    np.savez(folder / "nameless.npz", y=Y)
    np.savez(folder / "short.npz", X=X, y=Y[:5])
    np.savez(folder / "clash.npz", X=X, **{"0": Y})
    np.save(folder / "vector.npy", Y)
    np.save(folder / "empty.npy", np.empty((0, 3)))
    np.save(folder / "complex.npy", X.astype(complex))
    np.save(folder / "objects.npy", X.astype(object))
    np.save(folder / "text.npy", X.astype(str))
    np.save(folder / "truncated.npy", X)
    (folder / "truncated.npy").write_bytes((folder / "truncated.npy").read_bytes()[:200])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("truncated.npz", "cannot be read"),
        ("flipped.npz", "cannot be read"),
        ("nameless.npz", "no array 'X'"),
        ("short.npz", r"'y' .*shape \(5,\)"),
        ("clash.npz", "name of a column of X"),
        ("vector.npy", r"X of shape \(103,\)"),
        ("empty.npy", "no rows"),
        ("complex.npy", "complex128, which is not a plain number"),
        ("objects.npy", "plain numbers"),
        ("text.npy", "not a number"),
        ("truncated.npy", "cannot be read"),
    ],
)
def test_a_bad_numpy_file_is_named_with_its_fault(tmp_path, name, message):
    bad_numpy_files(tmp_path)
    with pytest.raises(InvalidInputError, match=message) as caught:
        scalekern.rows(tmp_path / name)
    assert name in str(caught.value)


# ---------------------------------------------------------------- Parquet files and folders


def test_hidden_files_are_no_data(tmp_path):
    folder = write_parts(tmp_path / "parts")
    (folder / ".hidden.parquet").write_text("no Parquet")
    (folder / "_metadata.parquet").write_text("no Parquet")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "x.parquet").write_text("no Parquet")
    assert scalekern.rows(folder, features=NUMBERS).n_rows == N


def test_folders_in_folders_are_read_and_told_apart(tmp_path):
    for year in ("2001", "2002"):
        (tmp_path / year).mkdir()
        a = [1.0, None if year == "2002" else 2.0]
        pq.write_table(pa.table({"a": a}), tmp_path / year / "part.parquet")
    source = scalekern.rows(tmp_path)
    assert source.n_rows == 4
    with pytest.raises(InvalidInputError, match=r"'a' of 2002.part.parquet .*first at row 1"):
        read(source)


def test_a_folder_that_is_called_parquet_is_read_as_a_folder(tmp_path):
    inside = tmp_path / "spark.parquet"
    write_parts(inside)
    for data in (inside, tmp_path, tmp_path / "*.parquet"):
        assert scalekern.rows(data, features=NUMBERS).n_rows == N


def test_files_without_rows_need_not_know_their_types(tmp_path):
    pq.write_table(pa.table({"a": pa.array([], pa.null())}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"other": pa.array([], pa.string())}), tmp_path / "2.parquet")
    np.testing.assert_array_equal(matrix(scalekern.rows(tmp_path)), [[1.0], [2.0]])


def test_columns_may_stand_in_another_order_in_each_file(tmp_path):
    pq.write_table(TABLE.select(["a", "n"]), tmp_path / "0.parquet")
    pq.write_table(TABLE.select(["n", "a"]), tmp_path / "1.parquet")
    source = scalekern.rows(tmp_path)
    np.testing.assert_array_equal(matrix(source), np.concatenate([X[:, :2]] * 2))


def test_a_column_name_with_a_dot_is_one_column(tmp_path):
    pq.write_table(pa.table({"a.b": [1.0], "a": [2.0]}), tmp_path / "x.parquet")
    source = scalekern.rows(tmp_path / "x.parquet", target="a.b")
    (block,) = source.blocks(9)
    assert (block.X.item(), block.y.item()) == (2.0, 1.0)


@pytest.mark.parametrize("column", ["id", "when", "tags"])
def test_columns_that_are_no_numbers_are_refused_with_advice(tmp_path, column):
    pq.write_table(TABLE, tmp_path / "x.parquet")
    for data in (TABLE, tmp_path / "x.parquet"):
        with pytest.raises(InvalidInputError, match=rf"column '{column}' of .*not a number.*drop"):
            scalekern.rows(data, target="y", features=["a", column])
        for role in ("target", "weight"):
            with pytest.raises(InvalidInputError, match=rf"column '{column}' .*not a number"):
                scalekern.rows(data, features=["a"], **{role: column})


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "missing"), (np.nan, r"missing \(NaN\)"), (-np.inf, "infinite")]
)
@pytest.mark.parametrize("role", ["a", "y", "w"])
@pytest.mark.parametrize("max_rows", [4, 1000])
def test_a_bad_value_is_found_by_column_file_and_row(tmp_path, value, kind, role, max_rows):
    values = {name: TABLE[name].to_pylist() for name in ("a", "y", "w")}
    values[role][71] = value
    table = pa.table(values)
    write_parts(tmp_path / "parts", table)
    pq.write_table(table, tmp_path / "whole.parquet")
    # Row 71 of all is row 23 of the sixth file, which starts at row 48.
    for data, place in (
        (tmp_path / "parts", "part-5.parquet .*row 23"),
        (tmp_path / "whole.parquet", "whole.parquet .*row 71"),
        (table, "the frame .*row 71"),
    ):
        source = scalekern.rows(data, target="y", weight="w")
        message = rf"column '{role}' of {place}"
        with pytest.raises(InvalidInputError, match=message) as caught:
            read(source, max_rows)
        assert ("1 " + kind.replace("\\", "")) in str(caught.value)
        assert "fill" in str(caught.value)


def test_a_negative_weight_is_found_by_its_row_in_the_file(tmp_path):
    weights = np.ones(N)
    weights[71] = -2.0
    write_parts(tmp_path / "parts", pa.table({"a": np.ones(N), "w": weights}))
    source = scalekern.rows(tmp_path / "parts", weight="w")
    with pytest.raises(InvalidInputError, match=r"'w' of part-5.parquet .*row 23 has -2.0"):
        read(source, 5)


def test_a_missing_key_is_an_error():
    table = pa.table({"a": [1.0, 2.0], "id": ["x", None]})
    with pytest.raises(InvalidInputError, match=r"column 'id' .*missing .*row 1"):
        read(scalekern.rows(table, key="id"))


@pytest.mark.parametrize("role", ["target", "features", "drop", "weight", "key"])
def test_a_column_that_is_not_there_is_an_error_that_lists_those_that_are(sources, role):
    for kind, where in (("file", "one.parquet"), ("csv", "one.csv"), ("pandas", "the frame")):
        with pytest.raises(InvalidInputError, match=rf"{where} has no column 'q'; it has 'a', 'n'"):
            scalekern.rows(sources[kind], **{role: "q"})


def test_a_file_that_lacks_a_column_is_named(tmp_path):
    pq.write_table(TABLE.select(["a", "y"]), tmp_path / "0.parquet")
    pq.write_table(TABLE.select(["a"]), tmp_path / "1.parquet")
    with pytest.raises(InvalidInputError, match=r"1.parquet has no column 'y'; it has 'a'"):
        scalekern.rows(tmp_path, target="y")


def test_a_column_cannot_have_two_parts():
    with pytest.raises(InvalidInputError, match="'a' is both feature and target"):
        scalekern.rows(TABLE, target="a", features=["a", "n"])
    with pytest.raises(InvalidInputError, match="'a' is both feature and dropped"):
        scalekern.rows(TABLE, features=["a", "n"], drop=["a"])
    with pytest.raises(InvalidInputError, match="no column left"):
        scalekern.rows(TABLE.select(["a"]), target="a")


def test_two_columns_of_one_name_are_refused(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["a", "a"])
    pq.write_table(twice, tmp_path / "twice.parquet")
    frame = pd.DataFrame([[1.0, 2.0]], columns=["a", "a"])
    for data in (twice, tmp_path / "twice.parquet", frame):
        with pytest.raises(InvalidInputError, match="more than one column 'a'"):
            scalekern.rows(data)


def test_pandas_columns_that_arrow_cannot_hold_are_named():
    for column in ([1, "x"], [1j, 2.0]):
        frame = pd.DataFrame({"odd": column, "b": [1.0, 2.0]})
        with pytest.raises(InvalidInputError, match="odd"):
            scalekern.rows(frame)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_truncated_parquet_is_an_error_that_names_the_file(tmp_path, keep):
    folder = write_parts(tmp_path / "parts")
    file = folder / "part-2.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InvalidInputError, match=r"part-2.parquet .*write it again"):
        read(scalekern.rows(folder, features=NUMBERS))


def test_corrupt_parquet_is_an_error_that_names_the_file_or_reads_as_many_rows(tmp_path):
    file = tmp_path / "x.parquet"
    pq.write_table(TABLE.select(["a"]), file, write_statistics=False)
    whole = file.read_bytes()
    messages = []
    for place in np.random.default_rng(0).integers(len(whole), size=150):
        altered = bytearray(whole)
        altered[place] ^= 1 << int(place % 8)
        file.write_bytes(altered)
        try:
            blocks = read(scalekern.rows(file))
        except InvalidInputError as error:
            messages.append(str(error))
        else:
            # Parquet has no checksums unless asked for: a changed number cannot be seen.
            assert sum(map(len, blocks)) == N
    assert len(messages) > 10
    assert all("x.parquet" in message for message in messages)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.parquet", "does not exist"),
        ("*.parquet", "does not exist"),
        ("empty", "has no .parquet files"),
        ("notes.txt", "of no known kind; the endings are .parquet"),
        ("*.csv", "matches 2 files; only Parquet can be many"),
    ],
)
def test_what_is_nothing_to_read_is_said(tmp_path, data, message):
    (tmp_path / "empty").mkdir()
    for name in ("notes.txt", "a.csv", "b.csv"):
        (tmp_path / name).write_text("a\n1\n")
    with pytest.raises(InvalidInputError, match=message) as caught:
        scalekern.rows(tmp_path / data)
    assert data in str(caught.value)


def test_arrays_and_lists_are_sent_to_fit():
    for data in (X, [[1.0]], 3):
        with pytest.raises(InvalidInputError, match="give a path, a glob or a frame"):
            scalekern.rows(data)


def test_files_without_any_rows_are_an_error(tmp_path):
    pq.write_table(TABLE.slice(0, 0), tmp_path / "0.parquet")
    for data in (tmp_path, TABLE.slice(0, 0), TABLE.slice(0, 0).to_pandas()):
        with pytest.raises(InvalidInputError, match="has no rows"):
            scalekern.rows(data, features=["a"])


@pytest.mark.parametrize("kind", ["folder", "csv", "polars"])
def test_a_model_fits_the_same_from_rows_as_from_arrays(sources, kind):
    model = scalekern.LinearRegressor().fit(scalekern.rows(sources[kind], target="y"))
    same = scalekern.LinearRegressor().fit(X, Y)
    np.testing.assert_allclose(model.coef_, same.coef_, rtol=1e-5)
    assert list(model.feature_names_in_) == NUMBERS


def test_rows_with_another_number_of_columns_are_refused():
    model = scalekern.LinearRegressor().fit(X, Y)
    with pytest.raises(ValueError, match="X has 2 features, but LinearRegressor is expecting 4"):
        model.predict(scalekern.rows(TABLE, features=["a", "n"]))
    with pytest.raises(InvalidInputError, match="has no target"):
        model.fit(scalekern.rows(TABLE, features=["a", "n"]))
    with pytest.raises(InvalidInputError, match="leave y and sample_weight out"):
        model.fit(scalekern.rows(TABLE, features=["a"], target="y"), Y)


def write_months(folder):
    for number, month in enumerate(("1", "12", "1")):
        file = folder / f"month={month}" / "at=New%20York" / f"{number}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(TABLE.slice(30 * number, 30), file)


@pytest.mark.parametrize("raw", [False, True])
def test_partitions_are_columns_where_they_are_named(tmp_path, raw):
    write_months(tmp_path / "flights")
    there = ds.dataset(tmp_path / "flights", partitioning="hive").to_table()
    names = ["a", "month"] + ["at"] * raw
    source = scalekern.rows(tmp_path / "flights", target="y", features=names, key="id", raw=raw)
    found = {}
    for block in source.blocks(25):
        X = block.X.table if raw else None
        a = X["a"].to_numpy() if raw else block.X[:, 0]
        month = X["month"].to_numpy() if raw else block.X[:, 1]
        values = zip(a, month, block.y[:, 0], strict=True)
        found |= dict(zip(block.ids.tolist(), values, strict=True))
        assert not raw or set(X["at"].to_pylist()) == {"New York"}
    columns = (there[name].to_pylist() for name in ("a", "month", "y"))
    assert found == dict(zip(there["id"].to_pylist(), zip(*columns, strict=True), strict=True))
    # Else a folder is what it is however it is cut.
    own = scalekern.rows(tmp_path / "flights", target="y", drop=["id", "when", "tags"])
    assert "month" not in own.feature_names
    only = scalekern.rows(tmp_path / "flights", features=["month"])
    assert matrix(only, 20)[:, 0].tolist() == [1] * 60 + [12] * 30


def test_partitions_that_only_some_paths_tell_are_refused(tmp_path):
    write_months(tmp_path)
    pq.write_table(TABLE, tmp_path / "rest.parquet")
    with pytest.raises(InvalidInputError, match=r"'month' .*but not by that of .*rest\.parquet"):
        scalekern.rows(tmp_path, features=["a", "month"])


@pytest.mark.parametrize("raw", [False, True])
def test_rows_say_what_they_are_without_being_read(tmp_path, monkeypatch, raw):
    names = [*NUMBERS, "y"]
    for i, part in enumerate((TABLE[:60], TABLE[60:])):
        pq.write_table(part.select([*names, "w"]), tmp_path / f"{i}.parquet")
    pa.csv.write_csv(TABLE.select(names), tmp_path / "all.csv")
    files = scalekern.rows(tmp_path / "*.parquet", target="y", raw=raw)
    csv = scalekern.rows(tmp_path / "all.csv", target=["y", "f"], raw=raw)
    for kind in (type(files), type(csv)):
        monkeypatch.setattr(kind, "blocks", None)
    kind = "RawParquetSource" if raw else "ParquetSource"
    where = f"<{kind} {tmp_path / '*.parquet'}: "
    assert repr(files) == f"{where}103 rows, 5 columns (a, n, b, f, w), target y, 2 files>"
    kind = "RawTableSource" if raw else "TableSource"
    assert repr(csv) == f"<{kind} all.csv: 103 rows, 3 columns (a, n, b), target y, f>"
    wide = pa.table({f"c{i}": [1.0] for i in range(1_200)})
    shown = repr(scalekern.rows(wide, raw=raw))
    assert shown == f"<{kind} the frame: 1 row, 1,200 columns (c0, c1, c2, c3, c4, …)>"
