"""The runs of pages with cells: which are due, where their results are, and who runs them.

A page is run when it or the package has changed, into build/docs-runs. Some pages need data that no
package carries: they are run where SCALEKERN_DATA is set, and what came out is recorded in
docs/recorded, for where it is not. Apart from the directives, for the tests have no Sphinx.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import scalekern

CELL = re.compile(
    r"^```\{(run|shell)\}[ ]*\n((?::[a-z-]+:[^\n]*\n)*)(.*?)^```", re.MULTILINE | re.DOTALL
)
DATA = "SCALEKERN_DATA"
KEEP = "DOCS_KEEP_RUNS"  # for writers: pages are run when they have changed, the package or not
LIMIT_SECONDS = 900
_failed: dict[str, str] = {}  # a page with a mistake is run once, and told at each of its cells


class PageError(Exception):
    """A page that cannot be shown; the message says where and why."""


@dataclass(frozen=True)
class Cell:
    """Code of a page, and whether its failure is what the page shows."""

    kind: str
    code: str
    fails: bool
    place: str


def cells_of(page: Path) -> list[Cell]:
    """Return the cells of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Cell(found[1], found[3], ":fails:" in found[2],
             f"{page}:{text.count(chr(10), 0, found.start()) + 1}")
        for found in CELL.finditer(text)
    ]  # fmt: skip


@dataclass(frozen=True)
class Results:
    """Where the results of a page are, and whether they were recorded earlier."""

    folder: Path
    recorded: bool

    def cell(self, number: int) -> dict[str, Any]:
        """Return what the cell of this number printed and drew."""
        return json.loads((self.folder / "results.json").read_text(encoding="utf-8"))[number]

    def figures(self) -> list[Path]:
        """Return every picture of the page."""
        cells = json.loads((self.folder / "results.json").read_text(encoding="utf-8"))
        return [self.folder / name for cell in cells for name in cell["figures"]]


def results_of(source: Path, name: str) -> Results:
    """Return the results of a page, from a run unless nothing has changed since the last."""
    page = source / f"{name}.md"
    cells = cells_of(page)
    recorded = source / "recorded" / name
    if _needs_data(cells):
        if not os.environ.get(DATA):
            return _recorded(recorded, cells, page)
        found = Results(_run(cells, _cache_folder(source, name), _package_digest()), recorded=False)
        if not _is_current(recorded, _digest(cells)):
            _record(found.folder, recorded, cells)
        return found
    return Results(_run(cells, _cache_folder(source, name), _package_digest()), recorded=False)


def is_stale(source: Path, name: str) -> bool:
    """Return whether a page would be run anew, though its text may be as it was."""
    page = source / f"{name}.md"
    cells = cells_of(page) if page.exists() else []
    if not cells or (_needs_data(cells) and not os.environ.get(DATA)):
        return False
    return not _is_current(_cache_folder(source, name), _digest(cells) + _package_digest())


def _needs_data(cells: list[Cell]) -> bool:
    return any(DATA in cell.code for cell in cells)


def _cache_folder(source: Path, name: str) -> Path:
    return source.parent / "build" / "docs-runs" / name


def _run(cells: list[Cell], folder: Path, package: str) -> Path:
    key = _digest(cells) + package
    if _is_current(folder, key):
        return folder
    if key in _failed:
        raise PageError(_failed[key])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "MPLBACKEND": "agg",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("run_cells.py")), folder / "results.json"],
        input=json.dumps([asdict(cell) for cell in cells]), capture_output=True, text=True,
        env=environment, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        _failed[key] = done.stderr
        raise PageError(done.stderr)
    (folder / "key").write_text(key, encoding="utf-8")
    return folder


def _recorded(folder: Path, cells: list[Cell], page: Path) -> Results:
    if not _is_current(folder, _digest(cells)):
        raise PageError(
            f"{page} has changed since its outputs were recorded: build once with {DATA} set to "
            "the folder that benchmarks/fetch_data.py fills, and commit docs/recorded"
        )
    return Results(folder, recorded=True)


def _record(found: Path, folder: Path, cells: list[Cell]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(found, folder)
    (folder / "key").write_text(_digest(cells), encoding="utf-8")


def _is_current(folder: Path, key: str) -> bool:
    held = folder / "key"
    return held.exists() and held.read_text(encoding="utf-8").startswith(key)


def _digest(cells: list[Cell]) -> str:
    content = [(cell.kind, cell.code, cell.fails) for cell in cells]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


@cache
def _package_digest() -> str:
    if os.environ.get(KEEP):
        return ""
    digest = hashlib.sha256()
    for file in sorted(Path(scalekern.__path__[0]).rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()
