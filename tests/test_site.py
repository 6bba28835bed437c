"""The site and the README: links that lead somewhere, pages that run, a picture that is true.

What the pages print is made by `make docs`; here is what can be held without Sphinx.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_floors import APART, FLOORS, PACKAGE, modules

import scalekern

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```[ ]*$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"^```\{run\}[ ]*\n((?::[^\n]*\n)*)(.*?)^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """Return the page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub and the site make them."""
    headings = re.findall(r"^#{1,6} (.+)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.strip().replace(" ", "-") for heading in plain}


def dead_links(page: Path) -> list[str]:
    """Return the links of a page that lead nowhere within the repository."""
    dead = []
    for found in LINK.finditer(prose(page)):
        address = found[1] or found[2]
        if re.match(r"[a-z]+:", address):
            continue
        path, _, anchor = address.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(address)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_dead(page):
    assert dead_links(page) == []


def test_a_planted_dead_link_is_found(tmp_path):
    (tmp_path / "other.md").write_text("# Some Title: here\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md#some-title-here) [b](gone.md) [c](other.md#gone) ![d](no.png) [e](http://x/y)"
        "\n```\n[f](in-code.md)\n```\n"
    )
    assert dead_links(page) == ["gone.md", "other.md#gone", "no.png"]


def toctrees(page: Path) -> list[str]:
    """Return the pages that the toctrees of a page name."""
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(":")]


def test_every_page_is_in_the_site_and_every_entry_is_a_page():
    found = {DOCS / "index.md"}
    for page in DOCS.rglob("*.md"):
        for entry in toctrees(page):
            if "generated" in entry:
                continue
            matches = list(page.parent.glob(f"{entry}.md"))
            assert matches, f"{page.relative_to(ROOT)} names {entry}, which is not there"
            found.update(match.resolve() for match in matches)
    parts = set((DOCS / "benchmarks").glob("*.md"))  # which pages include
    including = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert not [
        part.name for part in parts if f"{{include}} benchmarks/{part.name}" not in including
    ]
    pages = {page.resolve() for page in DOCS.rglob("*.md")}
    missing = pages - {page.resolve() for page in found} - {part.resolve() for part in parts}
    assert not missing, f"no toctree names {sorted(missing)}; docs/measured.md or howto/index.md?"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if CELL.search(page.read_text(encoding="utf-8"))],
    ids=lambda page: page.stem,
)  # fmt: skip
def test_the_cells_of_a_page_are_python_that_imports_what_is_there(page):
    for _, code in CELL.findall(page.read_text(encoding="utf-8")):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module == "scalekern":
                assert {alias.name for alias in node.names} <= set(scalekern.__all__)


def test_what_was_recorded_is_of_the_pages_as_they_are():
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(DOCS / "_ext")!r})
import runs
for name in {[str(key.parent.relative_to(DOCS / "recorded")) for key in DOCS.rglob("key")]}:
    print(runs.results_of(Path({str(DOCS)!r}), name).recorded)
"""
    environment = {"PATH": "/usr/bin", "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) <= {"True"}


def test_the_examples_of_the_readme_run_and_give_what_they_say():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    own = [block for block in blocks if "flights/*.parquet" not in block]  # files of the reader's
    assert len(own) == len(blocks) - 1 >= 2
    scope = {}
    for block in own:
        exec(block.replace("random_state=0)", "random_state=0, n_components=300)"), scope)
    assert scope["model"].report_["approximation"] == "nystroem"
    said = float(re.search(r"# about ([\d.]+)", text)[1])
    assert scope["model"].predict([[1.0, 2.0]])[0] == pytest.approx(said, abs=0.05)


# ---------------------------------------------------------------- the picture of the floors


def floors_drawn() -> list[set[str]]:
    """Return the floors of docs/architecture.md, from the bottom."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    picture = re.search(r"```text\n(.*?)```", text, re.DOTALL)[1]
    rows = [re.split(r" {2,}", line)[0].split(" | ") for line in picture.splitlines()]
    return [set(row) for row in reversed(rows)]


def test_the_picture_of_the_floors_is_that_of_the_imports():
    houses = {module.partition(".")[0] for module in modules(PACKAGE)}
    assert floors_drawn() == FLOORS
    assert set().union(*FLOORS) == houses - {"", APART}


# ---------------------------------------------------------------- public names


def test_public_names_are_sorted_so_that_they_are_found():
    assert scalekern.__all__ == sorted(scalekern.__all__)
    assert all(inspect.getdoc(getattr(scalekern, name)) for name in scalekern.__all__)
