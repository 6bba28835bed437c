"""What is public: the names of `scalekern.__all__`, and the methods that the package gives them.

Apart from the pages made of it, because the tests hold every public name to its docstring.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import scalekern

# What other floors call: storage, streaming and intervals.
INTERNAL = {"fitted_state", "restore_state", "predict_blocks", "interval_half_width"}


def public_names() -> Iterator[tuple[str, Any]]:
    """Yield each public name with its dots, and what it names, each thing once."""
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


def own_methods(cls: type) -> list[str]:
    """Return the public methods and properties that the package itself defines for a class.

    Methods that a class has from scikit-learn alone are left to scikit-learn's pages; those of all
    kernels are documented once, on the abstract classes.
    """
    of_kernel = cls.__module__.startswith("scalekern.kernels")
    if of_kernel and not cls.__module__.endswith(".base"):
        return []
    names = vars(cls) if of_kernel else dir(cls)
    return sorted(name for name in names if name[0] != "_" and _is_own_method(cls, name))


def _is_own_method(cls: type, name: str) -> bool:
    home = next(base for base in cls.__mro__ if name in vars(base))
    # Methods that depend on parameters are descriptors, found only by asking the class.
    value = vars(home)[name] if isinstance(vars(home)[name], property) else getattr(cls, name, None)
    is_method = inspect.isroutine(value) or isinstance(value, property)
    written_here = home.__module__.startswith("scalekern")
    routing = getattr(value, "__module__", "").startswith("sklearn")  # set_fit_request and such
    return is_method and written_here and not routing and name not in INTERNAL
