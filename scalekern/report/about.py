"""What a reader must know to make a comparison again: versions, the machine, the call.

Apart from the page because it is read from the running process, not from the comparison.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from scalekern.report.markup import shortened

PACKAGES = ("numpy", "scipy", "scikit-learn", "faiss-cpu", "pyarrow", "matplotlib")


def versions() -> dict[str, str]:
    """Return the versions of scalekern, Python and what it computes with, and the machine."""
    from scalekern import __version__
    from scalekern.engine.limits import resolve_threads

    found = {"scalekern": __version__, "Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.machine()}, {resolve_threads(None)} threads"
    return found | {"system": system}


def written(value: Any) -> str:
    """Return a parameter as it would stand in code, shortened."""
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    return shortened(" ".join(repr(value).split()), 200)


def call_text(settings: Mapping[str, Any], defaults: Mapping[str, Any], *, has_y: bool) -> str:
    """Return the call of `compare`, with the parameters that are not the defaults.

    Examples
    --------
    >>> from scalekern.report.about import call_text
    >>> call_text({"kernel": "cosine", "gamma": 1}, {"kernel": "rbf", "gamma": 1}, has_y=True)
    "scalekern.compare(X, y, kernel='cosine')"
    """
    words = [
        f"{name}={written(value)}"
        for name, value in settings.items()
        if name not in defaults or written(value) != written(defaults[name])
    ]
    return f"scalekern.compare({', '.join(['X', *(['y'] if has_y else []), *words])})"
