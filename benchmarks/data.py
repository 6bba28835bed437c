"""The data of the benchmarks, prepared once into plain arrays.

The flights of January to June 2001 (US Bureau of Transportation Statistics, through vega-datasets)
and NASA's airfoil noise (UCI 291) are read from the folder that SCALEKERN_DATA names.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

TEST_ROWS = 250_000


def folder() -> Path | None:
    """Return the folder of the data, or None where SCALEKERN_DATA is not set."""
    name = os.environ.get("SCALEKERN_DATA")
    return None if not name else Path(name)


def flights(cache: Path) -> Path:
    """Make the flights' arrays in `cache` unless they are there, and return it.

    `X.npy` float32 of shape (3,000,000, 8), not yet standardised, and `y.npy` float32: rows
    shuffled by `default_rng(0).permutation`, the last 250,000 for testing.
    """
    if (cache / "y.npy").exists():
        return cache
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
    from pyarrow import csv

    source = folder()
    if source is None:
        raise SystemExit("set SCALEKERN_DATA to the folder that holds flights-3m.parquet")
    table = pq.read_table(source / "flights-3m.parquet")
    airports = csv.read_csv(source / "airports.csv")
    date, day = table["date"], pc.day(table["date"])
    share = pc.divide(pc.cast(pc.subtract(day, 1), "float64"), 31.0)
    month = pc.add(pc.cast(pc.month(date), "float64"), share)
    minute = pc.add(pc.multiply(pc.hour(date), 60), pc.minute(date))
    columns = [month, pc.day_of_week(date), minute, table["distance"]]
    for end in ("origin", "destination"):
        place = pc.index_in(table[end], airports["iata"])
        columns += [airports[name].take(place) for name in ("latitude", "longitude")]
    X = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    order = np.random.default_rng(0).permutation(len(X))
    cache.mkdir(parents=True, exist_ok=True)
    np.save(cache / "X.npy", X[order].astype(np.float32))
    np.save(cache / "y.npy", np.asarray(table["delay"], dtype=np.float32)[order])
    return cache


def standardized(cache: Path, n_train: int) -> tuple[np.ndarray, ...]:
    """Return X_train, y_train, X_test, y_test, float32, standardised on the training rows."""
    X, y = np.load(cache / "X.npy", mmap_mode="r"), np.load(cache / "y.npy")
    train, test = X[:n_train], X[-TEST_ROWS:]
    mean = train.mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = train.std(axis=0, dtype=np.float64).astype(np.float32)
    X_train, X_test = (
        np.divide(part - mean, scale, dtype=np.float32, casting="same_kind")
        for part in (train, test)
    )
    return X_train, y[:n_train], X_test, y[-TEST_ROWS:]


def airfoil() -> tuple[np.ndarray, ...]:
    """Return the article's split: X_train, X_test, y_train, y_test, min-max scaled."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import MinMaxScaler

    source = folder()
    if source is None:
        raise SystemExit("set SCALEKERN_DATA to the folder that holds airfoil.csv")
    table = np.loadtxt(source / "airfoil.csv", delimiter=",", skiprows=1)
    X_train, X_test, y_train, y_test = train_test_split(
        table[:, :-1], table[:, -1], test_size=0.25, random_state=69
    )
    scaler = MinMaxScaler().fit(X_train)
    return scaler.transform(X_train), scaler.transform(X_test), y_train, y_test
