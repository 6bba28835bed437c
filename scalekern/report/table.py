"""The comparison as a table: for a terminal with colours, and as plain text for a log or a README.

Both are made from the same cells, so they cannot differ in what they say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scalekern.errors import InvalidInputError
from scalekern.report.names import name_of, rows_noted

if TYPE_CHECKING:
    from rich.table import Table

SIGNIFICANT = 6  # of errors: enough to tell the article's 3.640627 from a near miss
NOTE = 20  # letters of a note that a column has room for
UNKNOWN = "–"
BEST = "*"


def comparison_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the comparison as a Rich table, the lowest RMSE in bold and marked with a star.

    Parameters
    ----------
    rows : sequence of mappings
        One a model, with `model`, `rmse`, `mae`, `r2`, `fit_seconds`, `predict_seconds`,
        `model_bytes`, and if known `gap_to_exact`, `n_train` and `note`. Columns that no row knows
        are left out.

    Returns
    -------
    rich.table.Table

    Raises
    ------
    InvalidInputError
        If there are no rows.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    header, cells, best = table_cells(rows)
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in header:
        words = name in {"model", "note"}
        table.add_column(name, justify="left" if words else "right", no_wrap=name != "note")
    for number, line in enumerate(cells):
        style = "bold green" if number == best else ""
        table.add_row(*(Text(cell, style=style) for cell in line))
    return table


def comparison_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the comparison as plain text in aligned columns, the lowest RMSE marked with a star.

    Parameters
    ----------
    rows : sequence of mappings
        As in `comparison_table`.

    Returns
    -------
    str

    Raises
    ------
    InvalidInputError
        If there are no rows.

    Examples
    --------
    >>> from scalekern.report.table import comparison_text
    >>> row = dict(mae=2.5, r2=0.7, fit_seconds=0.0123, predict_seconds=2.0, model_bytes=4_096_000)
    >>> print(comparison_text([dict(row, model="exact", rmse=3.640627),
    ...                        dict(row, model="linear", rmse=4.537698)]))
                                          fit  predict   model
    model       RMSE      MAE      R²     (s)      (s)    size
    exact   3.64063*  2.50000  0.7000  0.0123     2.00  4.1 MB
    linear  4.53770   2.50000  0.7000  0.0123     2.00  4.1 MB
    """
    header, cells, _ = table_cells(rows)
    # Words of a header stand above each other, so that a terminal of 80 columns is wide enough.
    above, below = zip(*(name.rpartition("\n")[::2] for name in header), strict=True)
    lines = [above, below, *cells]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    left = [name in {"model", "note"} for name in header]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if at_left else cell.rjust(width)
            for cell, width, at_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    ) + _remarks(rows)


def _remarks(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the notes that are too long for a column, one a line."""
    long = [(name_of(str(row["model"])), _note(row)) for row in rows if _is_long(_note(row))]
    return "".join(f"\n{name}: {note}" for name, note in long)


def _note(row: Mapping[str, Any]) -> str:
    return str(row.get("note") or "")


def _is_long(note: str) -> bool:
    return len(note) > NOTE


def table_cells(
    rows: Sequence[Mapping[str, Any]], *, all_notes: bool = False
) -> tuple[list[str], list[list[str]], int | None]:
    """Return the header, the cells of each row, and which row has the lowest RMSE.

    Long notes only with `all_notes`.
    """
    if not rows:
        raise InvalidInputError("there is nothing to show: give at least one row")
    best = best_row(rows)
    rmse = _errors(rows, "rmse")
    if best is not None:
        # A space below the star keeps the decimal points in line.
        rmse = [text + (BEST if i == best else " ") for i, text in enumerate(rmse)]
    columns = {
        "model": named(rows),
        "RMSE": rmse,
        "MAE": _errors(rows, "mae"),
        "R²": [_number(row.get("r2"), "{:.4f}") for row in rows],
        "gap to\nexact": [_number(row.get("gap_to_exact"), "{:.3g}") for row in rows],
        "fit\n(s)": [_seconds(row.get("fit_seconds")) for row in rows],
        "predict\n(s)": [_seconds(row.get("predict_seconds")) for row in rows],
        "model\nsize": [bytes_text(row.get("model_bytes")) for row in rows],
        "training\nrows": [_number(row.get("n_train"), "{:,.0f}") for row in rows],
        "note": ["" if _is_long(_note(row)) and not all_notes else _note(row) for row in rows],
    }
    shown = {name: cells for name, cells in columns.items() if {*cells} - {UNKNOWN, ""}}
    return list(shown), [list(line) for line in zip(*shown.values(), strict=True)], best


def named(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the name of each model, with its rows where it was fitted on fewer than others."""
    names = (name_of(str(row["model"])) for row in rows)
    return [f"{name}{note}" for name, note in zip(names, rows_noted(rows), strict=True)]


def best_row(rows: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the number of the row with the lowest RMSE; None where there is only one."""
    known = [i for i, row in enumerate(rows) if _is_known(row.get("rmse"))]
    return min(known, key=lambda i: float(rows[i]["rmse"])) if len(known) > 1 else None


def bytes_text(size: float | None) -> str:
    """Return a number of bytes in the largest unit that leaves it above 1, as 4.1 MB."""
    if size is None or size < 1000:
        return UNKNOWN if size is None else f"{size:.0f} B"
    power = min(int(math.log10(size * 1.00005) // 3), 4)  # 999,950 is shown as 1.0 MB
    return f"{size / 1000**power:.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"


def _errors(rows: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    """Return errors with the same decimals, so many that the smallest has six digits."""
    known = [float(row[key]) for row in rows if _is_known(row.get(key)) and row[key] > 0]
    digits = math.floor(math.log10(min(known))) + 1 if known else 1
    decimals = min(max(SIGNIFICANT - digits, 0), 9)
    return [_number(row.get(key), f"{{:.{decimals}f}}") for row in rows]


def _seconds(value: float | None) -> str:
    return "<0.001" if _is_known(value) and float(value or 0) < 0.001 else _number(value, "{:#.3g}")


def _number(value: float | None, form: str) -> str:
    return form.format(float(value)).rstrip(".") if _is_known(value) else UNKNOWN  # type: ignore[arg-type]


def _is_known(value: Any) -> bool:
    return value is not None and math.isfinite(value)
