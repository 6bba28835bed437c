"""No public name without a docstring: what goes in, what comes out, and an example that runs.

The examples are run as doctests; here it is held that they are there.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import pytest

import scalekern

sys.path.insert(0, str(Path(__file__).parents[1] / "docs" / "_ext"))
from public import own_methods, public_names

NAMES = dict(public_names())
CLASSES = {name: value for name, value in NAMES.items() if inspect.isclass(value)}
METHODS = {
    f"{name}.{method}": (value, method)
    for name, value in CLASSES.items()
    for method in own_methods(value)
}


def test_the_api_reference_lists_every_public_name_once():
    page = Path(__file__).parents[1] / "docs" / "api" / "index.md"
    groups = re.findall(r"^```\{api\}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert sorted(" ".join(groups).split()) == sorted(NAMES)


def documented(docs: str, section: str = "Parameters") -> set[str]:
    """Return the names that a section of a docstring tells of."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", docs, flags=re.MULTILINE)
    body = dict(zip(parts[1::2], parts[2::2], strict=True)).get(section, "")
    entries = [line.partition(" : ")[0] for line in body.splitlines() if line[:1].strip()]
    return {word for entry in entries for word in re.findall(r"\w+", entry)}


def wanted(function) -> set[str]:
    """Return the parameters that a caller gives."""
    parameters = inspect.signature(function).parameters.values()
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return set(named) - {"self", "cls"}


def examples_of(value) -> str:
    """Return the code of the examples of a docstring."""
    lines = (inspect.getdoc(value) or "").splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith((">>>", "...")))


def places(method: str) -> list:
    """Return the classes that have a method, and all their methods: it is shown on one of these."""
    homes = [cls for cls in CLASSES.values() if hasattr(cls, method)]
    return homes + [getattr(cls, name) for cls in homes for name in own_methods(cls)]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_says_what_it_takes_and_shows_it(name):
    value = NAMES[name]
    docs = inspect.getdoc(value)
    assert docs
    if inspect.isclass(value) and issubclass(value, (Exception, Warning)):
        return
    assert wanted(value) <= documented(docs)
    if not inspect.isabstract(value):
        assert examples_of(value), f"{name} has no example"


# What is wrong is what doctor finds; these kernels have no parameters, or those of their parts.
NEVER_FAIL = {"doctor", "kernels.kernel_names"} | {
    f"kernels.{name}" for name in ("Constant", "Cosine", "Linear", "Product", "Sum")
}


def test_what_can_fail_says_with_what():
    final = {n: v for n, v in NAMES.items() if not inspect.isabstract(v)}
    errors = {n for n, v in CLASSES.items() if issubclass(v, (Exception, Warning))}
    silent = {n for n, v in final.items() if "Raises\n------" not in (inspect.getdoc(v) or "")}
    assert silent - errors == NEVER_FAIL


@pytest.mark.parametrize("name", METHODS)
def test_a_public_method_says_what_it_takes_and_returns_and_is_shown(name):
    cls, method = METHODS[name]
    value = inspect.getattr_static(cls, method)
    docs = inspect.getdoc(getattr(cls, method))
    assert docs
    if not isinstance(value, property):
        assert wanted(getattr(cls, method)) <= documented(docs)
        assert documented(docs, "Returns")
    shown = "\n".join(examples_of(other) for other in places(method))
    assert re.search(rf"\.{method}\b", shown), f"no example uses {method}"


def test_every_module_says_why_it_is_there():
    for file in Path(scalekern.__path__[0]).rglob("*.py"):
        first = file.read_text(encoding="utf-8").split('"""')[1]
        assert len(first.split()) >= 5, f"{file} opens with {first!r}"
