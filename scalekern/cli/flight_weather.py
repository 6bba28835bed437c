"""The weather at the airport of origin when a flight is due to leave, and in the hours before it.

Apart from the other features because it looks along time: observations are laid on a grid of
airports and hours, so that "in the last six hours" is a window of the grid. Only the hour of
departure and earlier ones are read. The join is by the airport and the hour in UTC: among shifts of
-6 to 6 hours, rain and visibility of that hour go together with the delay best or within 0.003
(in correlation) of best.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.cli.flight_tables import hours_of, numbers

ORIGINS = ("EWR", "JFK", "LGA")
WINDOW = 6  # hours: the longest delays follow from what went wrong earlier in the day
FASTEST_WIND = 100.0  # mph; one row of the table claims 1,048


def weather_features(flights: Any, weather: Any) -> dict[str, np.ndarray]:
    """Return the weather of each flight, NaN where nothing was observed.

    Parameters
    ----------
    flights, weather : Arrow tables

    Returns
    -------
    dict of (n,) float64
        Temperature and dew point (°F), the wind's components (mph, from the east and from the
        north), pressure (mbar) and its change in six hours, the strongest gust (mph), the rain
        (log(1 + hundredths of an inch)) and the lowest visibility (miles) of the last six hours.
    """
    first = int(hours_of(weather).min()) - WINDOW
    length = int(max(hours_of(weather).max(), hours_of(flights).max())) - first + 1
    place = (_origins(weather), hours_of(weather) - first)

    def grid(values: np.ndarray) -> np.ndarray:
        laid = np.full((len(ORIGINS), length), np.nan)
        laid[place] = values
        return laid

    observed = _observed(weather)
    grids = {name: grid(observed[name]) for name in ("temp", "dewp", "wind_east", "wind_north")}
    grids["pressure"] = grid(observed["pressure"])
    grids["pressure_change"] = _change(grids["pressure"])
    grids["gust_6h"] = _over_window(grid(observed["gust"]), np.fmax.reduce)
    grids["rain_6h"] = np.log1p(100 * _over_window(grid(observed["precip"]), _sum_of_known))
    grids["visibility_6h"] = _over_window(grid(observed["visib"]), np.fmin.reduce)
    at = (_origins(flights), hours_of(flights) - first)
    return {name: values[at] for name, values in grids.items()}


def _observed(weather: Any) -> dict[str, np.ndarray]:
    """Return the observations, with the wind as components and impossible winds as missing."""
    observed = {
        name: numbers(weather, name) for name in ("temp", "dewp", "pressure", "precip", "visib")
    }
    speed, gust = numbers(weather, "wind_speed"), numbers(weather, "wind_gust")
    gust = np.where(np.isnan(gust), speed, gust)  # a gust is reported only where there is one
    speed = np.where(speed > FASTEST_WIND, np.nan, speed)
    observed["gust"] = np.where(gust > FASTEST_WIND, np.nan, gust)
    direction = np.deg2rad(numbers(weather, "wind_dir"))
    calm = np.isnan(direction)  # no direction is reported for calm and for variable winds
    observed["wind_east"] = speed * np.where(calm, 0.0, np.sin(direction))
    observed["wind_north"] = speed * np.where(calm, 0.0, np.cos(direction))
    return observed


def _origins(table: Any) -> np.ndarray:
    """Return the number of each row's airport of origin in `ORIGINS`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.index_in(table["origin"], value_set=pa.array(ORIGINS)).to_numpy())


def _over_window(grid: np.ndarray, summarise: Callable[..., np.ndarray]) -> np.ndarray:
    """Return a summary of each hour and the five before it; NaN where none was observed."""
    before = np.full((len(grid), WINDOW - 1), np.nan)
    padded = np.hstack([before, grid])
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    return summarise(windows, axis=-1)


def _sum_of_known(windows: np.ndarray, axis: int) -> np.ndarray:
    nothing = np.isnan(windows).all(axis=axis)
    return np.where(nothing, np.nan, np.nansum(windows, axis=axis))


def _change(grid: np.ndarray) -> np.ndarray:
    """Return the difference from six hours before."""
    change = np.full_like(grid, np.nan)
    change[:, WINDOW:] = grid[:, WINDOW:] - grid[:, :-WINDOW]
    return change
