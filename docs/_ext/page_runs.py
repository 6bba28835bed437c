"""Pages whose outputs are those of real runs: the directives `run`, `shell` and `gallery`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from runs import PageError, is_stale, results_of
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class RunDirective(SphinxDirective):
    """Code, then what it printed and drew."""

    has_content = True
    option_spec = {"fails": directives.flag}  # noqa: RUF012 - docutils' word

    def run(self) -> list[nodes.Node]:
        """Return the code and its output."""
        try:
            results = results_of(Path(self.env.srcdir), self.env.docname)
        except PageError as error:
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
                "Outputs on this page were recorded: its data come from benchmarks/fetch_data.py."
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


def pages_to_run(app: Sphinx, env: Any, *_changed: Any) -> list[str]:
    """Return the pages whose text is as it was, but not the package that they run."""
    return [name for name in env.found_docs if is_stale(Path(app.srcdir), name)]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("run", RunDirective)
    app.add_directive("shell", RunDirective)
    app.add_directive("gallery", GalleryDirective)
    app.connect("env-get-outdated", pages_to_run)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
