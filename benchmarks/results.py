"""What benchmarks found: JSON of the last run, and a history of ratios in which a regression shows.

`python -m benchmarks.results` prints the history. A run with `--record` adds a line for each ratio
to `docs/benchmarks/history.csv` and replaces `docs/benchmarks/NAME.json`, which the tables of the
docs are made from, with `NAME.md`, the tables that a page includes; without it, they are written to
`build/benchmarks` alone.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import os
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

KEPT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
FIELDS = ("date", "version", "benchmark", "ratio", "median", "least", "most", "machine")
WORSE = 0.85
"""A ratio below this share of its best before is pointed out."""


def machine() -> str:
    """Return what the machine is, in a line."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line for line in info.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def spread(ratios: Sequence[float]) -> str:
    """Return the median of some ratios, and their range."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of Markdown that reads well on a terminal too: numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for cells in (header, rule, *rows):
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("| " + " | ".join(padded) + " |")
    return "\n".join(lines)


def today() -> str:
    """Return the date."""
    return dt.datetime.now(dt.UTC).date().isoformat()


def keep(
    name: str,
    results: dict[str, Any],
    ratios: dict[str, list[float]],
    *,
    record: bool,
    page: str | None = None,
) -> Path:
    """Write the results of a benchmark, and its ratios to the history if asked to.

    `page` are its tables as Markdown; the machine, the day and the command are put before them.
    """
    folder = KEPT if record else Path("build/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    whole = {"benchmark": name, "machine": machine(), "ratios": ratios} | results
    target.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    if page is not None:
        about = f"`python -m benchmarks {name}` on {today()}: {machine()}."
        target.with_suffix(".md").write_text(f"{about}\n\n{page}\n", encoding="utf-8")
    if record:
        _append(name, ratios)
    return target


def _append(name: str, ratios: dict[str, list[float]]) -> None:
    from scalekern import __version__

    path = KEPT / "history.csv"
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        if new:
            lines.writerow(FIELDS)
        for ratio, values in ratios.items():
            numbers = (statistics.median(values), min(values), max(values))
            rounded = [f"{number:.3g}" for number in numbers]
            lines.writerow([today(), __version__, name, ratio, *rounded, machine()])
    path.with_suffix(".md").write_text(f"{history_table()}\n", encoding="utf-8")


def history() -> list[dict[str, str]]:
    """Return the lines of the history, oldest first."""
    path = KEPT / "history.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def history_table() -> str:
    """Return the history as a table: a line for each ratio, a column for each day."""
    days = list(dict.fromkeys(line["date"] for line in history()))
    found: dict[tuple[str, str], dict[str, str]] = {}
    for line in history():
        cell = f"{line['median']} ({line['least']} to {line['most']})"
        found.setdefault((line["benchmark"], line["ratio"]), {})[line["date"]] = cell
    rows = [[f"{name}: {ratio}", *(cells.get(day, "") for day in days)]
            for (name, ratio), cells in found.items()]  # fmt: skip
    return table(["ratio", *days], rows)


def main() -> None:
    """Print each ratio's history, and point out what became worse."""
    best: dict[tuple[str, str], float] = {}
    for line in history():
        key, median = (line["benchmark"], line["ratio"]), float(line["median"])
        worse = median < WORSE * best.get(key, 0.0)
        best[key] = max(best.get(key, 0.0), median)
        sign = f"  WORSE than {best[key]:.3g}" if worse else ""
        print(f"{line['date']}  {line['benchmark']:<10} {line['ratio']:<44} {median:>8.3g}{sign}")
    if not best:
        print("No history yet: run a benchmark with --record.")


if __name__ == "__main__":
    main()
