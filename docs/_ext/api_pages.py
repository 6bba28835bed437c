"""A page for each public name, written before Sphinx reads, and the directive `api` to list them.

Public is what the code says is. A name that no `api` lists is a page in no toctree, which Sphinx
reports; one that is not public is a page that is not there.
"""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes
from public import own_methods, public_names
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def write_pages(app: Sphinx) -> None:
    """Write docs/api/generated anew."""
    folder = Path(app.srcdir) / "api" / "generated"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, value in public_names():
        lines = [
            name,
            "=" * len(name),
            "",
            f".. currentmodule:: scalekern.{name}".rpartition(".")[0],
            "",
        ]
        short = name.rpartition(".")[2]
        if inspect.isclass(value):
            lines += [f".. autoclass:: {short}", ""]
            for method in own_methods(value):
                kind = "property" if isinstance(getattr(value, method), property) else "method"
                lines += [f"   .. auto{kind}:: {method}", ""]
        else:
            lines += [f".. autofunction:: {short}", ""]
        (folder / f"{name}.rst").write_text("\n".join(lines), encoding="utf-8")


class ApiDirective(SphinxDirective):
    """The names in its content, each with the first line of its docstring and its page."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return a table, and the toctree that the sidebar shows."""
        public = dict(public_names())
        names = [name.strip() for name in self.content if name.strip()]
        lines = ["| | |", "|---|---|"]
        for name in names:
            summary = (inspect.getdoc(public[name]) or "").partition("\n")[0].replace("|", r"\|")
            lines.append(f"| [{name}](generated/{name}.rst) | {summary} |")
        pages = [f"generated/{name}" for name in names]
        text = "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *pages, "```"])
        table = nodes.container(classes=["api-table"])
        table += self.parse_text_to_nodes(text)
        return [table]


def setup(app: Sphinx) -> dict[str, Any]:
    """Have the pages written before any is read."""
    app.add_directive("api", ApiDirective)
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
