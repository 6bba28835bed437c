"""A page for each public name, written before Sphinx reads: what is public is what the code says.

Methods that a class has from scikit-learn alone are left to scikit-learn's pages.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import scalekern


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield each public name with its dots, and what it names."""
    seen = set()
    for name in scalekern.__all__:
        value = getattr(scalekern, name)
        if not inspect.ismodule(value):
            seen.add(value)
            yield name, value
            continue
        for inner in getattr(value, "__all__", None) or _classes(value):
            if getattr(value, inner) not in seen:
                yield f"{name}.{inner}", getattr(value, inner)


def _classes(module: Any) -> list[str]:
    return [name for name, value in vars(module).items() if inspect.isclass(value)
            and value.__module__ == module.__name__]  # fmt: skip


# What other floors call: storage, streaming and intervals.
INTERNAL = {"fitted_state", "restore_state", "predict_blocks", "interval_half_width"}


def own_methods(cls: type) -> list[str]:
    """Return the public methods and properties that the package itself defines for a class.

    Those of all kernels are documented once, on the abstract classes.
    """
    if cls.__module__.startswith("scalekern.kernels") and not inspect.isabstract(cls):
        return []
    found = []
    for name in dir(cls):
        if name.startswith("_") or name in INTERNAL:
            continue
        home = next(base for base in cls.__mro__ if name in vars(base))
        value = vars(home)[name]
        is_method = callable(value) or isinstance(value, (property, classmethod, staticmethod))
        if home.__module__.startswith("scalekern") and is_method and not inspect.isclass(value):
            found.append(name)
    return found


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
