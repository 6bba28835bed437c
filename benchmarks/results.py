"""How every suite ends: its tables as Markdown, its numbers as JSON, its ratios in a history.

A run with `--record` replaces `docs/benchmarks/NAME.json` and `NAME.md`, which a page of the docs
includes, and adds a line for each ratio to `docs/benchmarks/history.csv`; without it, both are
written to `build/benchmarks` alone. `python -m benchmarks.results` prints the history, and points
out what became worse.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
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


def parser(name: str, about: str | None) -> argparse.ArgumentParser:
    """Return the command of a suite, which has `--record` as all have."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--record", action="store_true", help="keep the results in docs/benchmarks")
    return made


def say(line: str) -> None:
    """Tell how far a suite is, beside what it prints in the end."""
    print(f"  {line}", file=sys.stderr, flush=True)


def keep(
    name: str,
    page: str,
    results: Mapping[str, Any],
    ratios: Mapping[str, Sequence[float]] | None = None,
    *,
    record: bool,
) -> Path:
    """Print the tables of a suite and write them and its results; return the file of the latter.

    `ratios` go to the history of a run that is recorded. More is better in all of them.
    """
    folder = KEPT if record else Path("build/benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    target, found = folder / f"{name}.json", {key: list(r) for key, r in (ratios or {}).items()}
    about = {"benchmark": name, "command": command(name), "date": today(), "machine": machine()}
    whole = about | {"ratios": found} | dict(results)
    target.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    head = f"`{command(name)}` on {today()}: {machine()}."
    target.with_suffix(".md").write_text(f"{head}\n\n{page}\n", encoding="utf-8")
    if record:
        _append(name, found)
    print(f"\n{page}\n\nWrote {target} and {target.with_suffix('.md').name}")
    return target


def command(name: str) -> str:
    """Return the command that is running, as it can be given again."""
    words = [word for word in sys.argv[1:] if word != "--record"]
    return shlex.join(["python", "-m", f"benchmarks.{name}", *words])


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
