"""A page for each public name, written before Sphinx reads: public is what the code says is."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

from public import own_methods, public_names
from sphinx.application import Sphinx


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


def setup(app: Sphinx) -> dict[str, Any]:
    """Have the pages written before any is read."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
