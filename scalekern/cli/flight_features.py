"""What is known of a flight before it leaves, as numbers in which near means similar.

Apart from the files because it is the demo's modelling: a similarity model weighs columns alike
after scaling, so how many columns speak of a thing is how much it matters. Nothing here reads a
departure, an arrival or a delay, of this flight or of another.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.cli.flight_tables import (
    airports_with_caribbean,
    hours_of,
    look_up,
    numbers,
    read_table,
)
from scalekern.cli.flight_weather import weather_features

# Waves a year. Twelve columns tell days apart: with the highest at 32, flights eight days apart are
# hardly alike, while the low ones still carry the season.
YEAR_WAVES = (1, 2, 4, 8, 16, 32)
HOW = (
    "time: the scheduled minute of the day (as it is and on a circle), the weekday on a circle, "
    "the day of the year as waves of 1, 2, 4, 8, 16 and 32 a year; "
    "route: longitude of the origin, latitude and longitude of the destination, scheduled minutes "
    "from gate to gate (time zones taken out), departures scheduled at the airport in that hour; "
    "carrier: how many flights it has and their mean distance, as log10; "
    "plane: seats; weather at the origin in the scheduled hour and the six hours up to it: "
    "temperature, dew point, wind, pressure and its change, gusts, rain, lowest visibility"
)


def feature_columns(flights: Any) -> dict[str, np.ndarray]:
    """Return the features of each flight by name, each (n,) float64, unknown values as NaN.

    Parameters
    ----------
    flights : Arrow table
        All scheduled flights: busy hours and the sizes of carriers are counted over them.
    """
    airports = airports_with_caribbean(read_table("airports"))
    return {
        **_time(flights),
        **_route(flights, airports),
        **_carrier(flights),
        "plane_seats": look_up(flights["tailnum"], read_table("planes"), "tailnum", ["seats"])[
            "seats"
        ],
        **weather_features(flights, read_table("weather")),
    }


def dates_of(flights: Any) -> np.ndarray:
    """Return the day each flight was due to leave, in local time, shape (n,), datetime64[D]."""
    year, month, day = (numbers(flights, name).astype(int) for name in ("year", "month", "day"))
    months = np.array(year - 1970, dtype="datetime64[Y]").astype("datetime64[M]") + (month - 1)
    return months.astype("datetime64[D]") + (day - 1)


def _circle(name: str, turns: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}_sin": np.sin(2 * np.pi * turns), f"{name}_cos": np.cos(2 * np.pi * turns)}


def _minute_of_day(clock: np.ndarray) -> np.ndarray:
    """Return minutes since midnight of times written as hhmm."""
    return clock // 100 * 60 + clock % 100


def _time(flights: Any) -> dict[str, np.ndarray]:
    minute = _minute_of_day(numbers(flights, "sched_dep_time"))
    dates = dates_of(flights)
    day = (dates - dates.astype("datetime64[Y]")).astype(float)
    weekday = (dates.astype(int) + 3) % 7  # 1970 began on a Thursday; Monday is 0
    columns = {"sched_minute": minute, **_circle("minute", minute / 1440)}
    columns |= _circle("weekday", weekday / 7)
    for waves in YEAR_WAVES:
        columns |= _circle(f"year{waves}", waves * day / 365)
    return columns


def _route(flights: Any, airports: Any) -> dict[str, np.ndarray]:
    origin = look_up(flights["origin"], airports, "faa", ["lon"])
    dest = look_up(flights["dest"], airports, "faa", ["lat", "lon", "tz", "summer_time"])
    return {
        "origin_lon": origin["lon"],
        "dest_lat": dest["lat"],
        "dest_lon": dest["lon"],
        "sched_elapsed": _scheduled_minutes(flights, dest),
        "departures_that_hour": _share_an_hour(flights),
    }


def _scheduled_minutes(flights: Any, dest: dict[str, np.ndarray]) -> np.ndarray:
    """Return minutes from scheduled departure to scheduled arrival, both in local times."""
    minutes = _minute_of_day(numbers(flights, "sched_arr_time"))
    minutes = minutes - _minute_of_day(numbers(flights, "sched_dep_time"))
    # New York's offset from UTC, -5 or -4 with summer time, is the local hour less the one in UTC.
    here = (numbers(flights, "hour") - hours_of(flights) % 24 + 12) % 24 - 12
    there = dest["tz"] + dest["summer_time"] * (here + 5)
    return (minutes - 60 * (there - here)) % 1440


def _share_an_hour(flights: Any) -> np.ndarray:
    """Return how many flights are due to leave the same airport in the same hour."""
    import pyarrow.compute as pc

    airport = np.asarray(pc.index_in(flights["origin"], pc.unique(flights["origin"])).to_numpy())
    hour = hours_of(flights)
    _, group, sizes = np.unique(hour * 8 + airport, return_inverse=True, return_counts=True)
    return sizes[group].astype(float)


def _carrier(flights: Any) -> dict[str, np.ndarray]:
    """Return what a carrier is like rather than which: one column each would swamp the distance."""
    _, group, sizes = np.unique(
        np.asarray(flights["carrier"].to_pylist()), return_inverse=True, return_counts=True
    )
    distance = np.bincount(group, weights=numbers(flights, "distance")) / sizes
    return {
        "carrier_flights": np.log10(sizes)[group],
        "carrier_distance": np.log10(distance)[group],
    }
