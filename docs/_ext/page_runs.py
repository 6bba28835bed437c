"""Pages whose outputs are those of real runs: the directives `run`, `shell` and `gallery`.

A page with cells is run when it or the package has changed, into build/docs-runs. Some pages need
data that no package carries: they are run where SCALEKERN_DATA is set, and what came out is
recorded in docs/recorded, for where it is not.
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

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

import scalekern

logger = logging.getLogger(__name__)
CELL = re.compile(
    r"^```\{(run|shell)\}[ ]*\n((?::[a-z-]+:[^\n]*\n)*)(.*?)^```", re.MULTILINE | re.DOTALL
)
DATA = "SCALEKERN_DATA"
KEEP = "DOCS_KEEP_RUNS"  # for writers: pages are run when they have changed, the package or not
LIMIT_SECONDS = 900
_failed: dict[str, str] = {}  # a page with a mistake is run once, and told at each of its cells


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
    if any(DATA in cell.code for cell in cells):
        if not os.environ.get(DATA):
            return _recorded(recorded, cells, page)
        found = Results(_run(cells, _cache_folder(source, name), _package_digest()), recorded=False)
        if not _is_current(recorded, _digest(cells)):
            _record(found.folder, recorded, cells)
        return found
    return Results(_run(cells, _cache_folder(source, name), _package_digest()), recorded=False)


def _cache_folder(source: Path, name: str) -> Path:
    return source.parent / "build" / "docs-runs" / name


def _run(cells: list[Cell], folder: Path, package: str) -> Path:
    key = _digest(cells) + package
    if _is_current(folder, key):
        return folder
    if key in _failed:
        raise ExtensionError(_failed[key])
    logger.info("running %s", cells[0].place.rpartition(":")[0])
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
        raise ExtensionError(done.stderr)
    (folder / "key").write_text(key, encoding="utf-8")
    return folder


def _recorded(folder: Path, cells: list[Cell], page: Path) -> Results:
    if not _is_current(folder, _digest(cells)):
        raise ExtensionError(
            f"{page} has changed since its outputs were recorded: build once with {DATA} set to "
            "the folder that benchmarks/fetch_data.py fills, and commit docs/recorded"
        )
    return Results(folder, recorded=True)


def _record(found: Path, folder: Path, cells: list[Cell]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(found, folder)
    (folder / "key").write_text(_digest(cells), encoding="utf-8")
    logger.info("recorded %s; commit it", folder)


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


class RunDirective(SphinxDirective):
    """Code, then what it printed and drew."""

    has_content = True
    option_spec = {"fails": directives.flag}  # noqa: RUF012 - docutils' word

    def run(self) -> list[nodes.Node]:
        """Return the code and its output."""
        try:
            results = results_of(Path(self.env.srcdir), self.env.docname)
        except ExtensionError as error:
            raise self.error(str(error)) from error
        self.env.note_dependency(str(results.folder / "results.json"))
        number = self.env.temp_data.get("runs", 0)
        self.env.temp_data["runs"] = number + 1
        language = {"run": "python", "shell": "bash"}[self.name]
        code = nodes.literal_block("\n".join(self.content), "\n".join(self.content))
        code["language"] = language
        found = results.cell(number)
        output = nodes.container(classes=["run-output"])
        if found["text"]:
            shown = nodes.literal_block(found["text"], found["text"])
            shown["language"] = "text"
            output += shown
        for name in found["figures"]:
            output += nodes.image(uri=self._uri(results.folder / name), alt=f"what {name} shows")
        shown_nodes = [code, output] if output.children else [code]
        if results.recorded and number == 0:
            note = (
                "Outputs on this page were recorded: its data come from `benchmarks/fetch_data.py`."
            )
            return [nodes.paragraph(note, note, classes=["run-note"]), *shown_nodes]
        return shown_nodes

    def _uri(self, path: Path) -> str:
        return "/" + os.path.relpath(path, self.env.srcdir)


class GalleryDirective(SphinxDirective):
    """A card for each page: its first picture, its title and its first paragraph."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the grid of cards."""
        grid = nodes.container(classes=["gallery"])
        for name in filter(None, map(str.strip, self.content)):
            grid += self._card(name)
        return [grid]

    def _card(self, name: str) -> nodes.Node:
        source = Path(self.env.srcdir)
        page = str((Path(self.env.docname).parent / name).as_posix())
        results = results_of(source, page)
        self.env.note_dependency(str(results.folder / "results.json"))
        title, _, rest = (source / f"{page}.md").read_text(encoding="utf-8").partition("\n")
        about = rest.strip().split("\n\n")[0].replace("\n", " ")
        card = nodes.container(classes=["gallery-card"])
        picture = results.figures()[0]
        address = f"{name}.html"
        link = nodes.reference(refuri=address)
        link += nodes.image(uri="/" + os.path.relpath(picture, source), alt=title.strip("# "))
        card += nodes.paragraph("", "", link)
        words = nodes.reference("", title.strip("# "), refuri=address)
        card += nodes.paragraph("", "", nodes.strong("", "", words))
        parsed, _ = self.parse_inline(about)
        card += nodes.paragraph("", "", *parsed)
        return card


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("run", RunDirective)
    app.add_directive("shell", RunDirective)
    app.add_directive("gallery", GalleryDirective)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
