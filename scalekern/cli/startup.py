"""Keeps pandas and `scipy.stats` out of a command that needs neither.

scikit-learn imports both as it starts, which takes longer than the rest of it, and uses them in a
few functions only. This is for our own process: a library may not put placeholders into somebody
else's, where another thread could find them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_IMPORTERS = ("sklearn.utils.fixes", "sklearn.preprocessing._data")
_LATER = ("pandas", "scipy.stats")


def postpone_imports() -> None:
    """Let scikit-learn start without `_LATER`: whatever uses them imports them then."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the modules of scikit-learn that import them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _IMPORTERS:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Runs a module while placeholders stand where `_LATER` would be."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        with _placeholders():
            self._loader.exec_module(module)


@contextmanager
def _placeholders() -> Iterator[None]:
    absent = [name for name in _LATER if name not in sys.modules and find_spec(name)]
    placed = {name: _placeholder(name) for name in absent}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name, module in placed.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def _placeholder(name: str) -> ModuleType:
    """Return a module that imports the real one as soon as anything is asked of it."""
    module = ModuleType(name)

    def real(attribute: str) -> Any:
        if sys.modules.get(name) is module:
            del sys.modules[name]
        return getattr(importlib.import_module(name), attribute)

    module.__getattr__ = real  # type: ignore[method-assign]
    return module
