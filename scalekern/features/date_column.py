"""Dates and times: when in the history, in the year, in the week and in the day.

The last three come round again, so each is a point on a circle, its sine and cosine: 31 December
is next to 1 January, and Sunday next to Monday.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.features.column_base import Column, NumberSums, no_values
from scalekern.rows import Block

DAY_MINUTES = 1_440.0
PARTS = {"date": ("yearday", "weekday"), "timestamp": ("yearday", "weekday", "minute"),
         "time": ("minute",)}  # fmt: skip


class DateColumn(Column):
    """A column of dates, points in time (in their own time zone), or times of day.

    Outputs, as far as the type knows them: `_year`, the year and its fraction that has passed
    (2013.5 is the middle of 2013), which is scaled like a number; sine and cosine of `_yearday`,
    the same fraction of the year; of `_weekday`, sevenths of the week from Monday; of `_minute`,
    the fraction of the day. A missing value becomes the mean or median year and the middle of each
    circle, (0, 0); where some were missing in `fit`, a last output `_missing` says which.
    """

    def __init__(self, name: str, place: int, missing: str, form: str = "timestamp") -> None:
        super().__init__(name, place, missing)
        self.form = form

    @property
    def kind(self) -> str:  # type: ignore[override]
        """What messages call the column."""
        return f"a {self.form}"

    def statistic(self) -> NumberSums:
        """Return the empty sums that the column learns from."""
        return NumberSums(self._main, median=self.missing == "median")

    def learn(self, sums: NumberSums) -> None:
        """Take what a missing year becomes, and the spread."""
        if not sums.moments.count:
            raise no_values(self.name)
        self.n_missing = int(sums.missing)
        spread = sums.spread()
        self.fill = spread.mean if self.missing != "median" else float(np.median(sums.sample.X))
        self._name_outputs()
        self.spreads = [spread if suffix == "_year" else None for suffix in self.suffixes]

    def encode(self, block: Block, out: np.ndarray) -> None:
        """Write the parts."""
        when, missing = self._when(block)
        parts = parts_of(when)
        j = 0
        if self.form != "time":
            out[:, 0] = np.where(missing, self.fill, parts["year"])
            j = 1
        for part in PARTS[self.form]:
            angle = 2 * np.pi * parts[part]
            out[:, j] = np.where(missing, 0.0, np.sin(angle))
            out[:, j + 1] = np.where(missing, 0.0, np.cos(angle))
            j += 2
        if self.n_missing:
            out[:, j] = missing

    def describe(self) -> str:
        """Return in words what the column becomes."""
        parts = ", ".join([*(["year"] if self.form != "time" else []), *PARTS[self.form]])
        return f"{self.form} into {parts}" + (
            f"; {self.n_missing:,} are missing" if self.n_missing else ""
        )

    def _when(self, block: Block) -> tuple[np.ndarray, np.ndarray]:
        """Return the points in time, 1970 where missing, and which are."""
        import pyarrow as pa

        array = self.arrow(block)
        times, numbers = (pa.time64("us"),), (pa.date32(), pa.timestamp("us"))
        allowed = (pa.null(), *(times if self.form == "time" else numbers))
        if array.type not in allowed:
            raise self._wrong_type(block, array.type)
        missing = np.asarray(array.is_null())
        self.check_missing(block, missing)
        if array.type == pa.time64("us"):
            array = array.cast(pa.int64())
        stamps = array.cast(pa.timestamp("us")).fill_null(0)
        return np.asarray(stamps.to_numpy(zero_copy_only=False)), missing

    def _main(self, block: Block) -> np.ndarray:
        when, missing = self._when(block)
        return np.where(missing, np.nan, parts_of(when)["year"])

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what was learned: values for JSON, and arrays."""
        return {"form": self.form, "fill": self.fill, "n_missing": self.n_missing}, {}

    def restore(self, values: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.form, self.fill = values["form"], values["fill"]
        self.n_missing = values["n_missing"]
        self._name_outputs()

    def _name_outputs(self) -> None:
        circles = [f"_{part}_{wave}" for part in PARTS[self.form] for wave in ("sin", "cos")]
        year = [] if self.form == "time" else ["_year"]
        self.suffixes = [*year, *circles, *(["_missing"] if self.n_missing else [])]


def parts_of(when: np.ndarray) -> dict[str, np.ndarray]:
    """Return year, and the turns of year, week and day, each (n,) float64.

    Parameters
    ----------
    when : datetime64 array of shape (n,), local time

    Examples
    --------
    >>> {k: float(v[0]) for k, v in parts_of(np.array(["2013-07-02T12:00"], "M8[us]")).items()}
    {'year': 2013.5, 'yearday': 0.5, 'weekday': 0.14285714285714285, 'minute': 0.5}
    """
    day, year = when.astype("datetime64[D]"), when.astype("datetime64[Y]")
    first, next_first = year.astype("datetime64[us]"), (year + 1).astype("datetime64[us]")
    turn = (when - first) / (next_first - first)
    minutes = (when - day) / np.timedelta64(1, "m")
    return {
        "year": year.astype(int) + 1970 + turn,
        "yearday": turn,
        "weekday": (day.astype(int) + 3) % 7 / 7,  # 1970 began on a Thursday
        "minute": minutes / DAY_MINUTES,
    }
