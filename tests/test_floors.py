"""The house keeps its floors: the sources themselves are read, nothing is run but one import.

The checker stands beside its tests, which first plant each violation in a small fake package.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest

# From the bottom. A file imports from lower floors and its own name, never from beside it.
FLOORS = [
    {"errors"},
    {"_config", "paths"},
    {"rows", "storage"},
    {"kernels"},
    {"engine"},
    {"features", "neighbors"},
    {"solvers"},
    {"selection"},
    {"approximations"},
    {"estimators"},
    {"planning"},
    {"report", "checkup", "scoring"},
    {"cli"},
    {"__main__"},
]
APART = "reference"  # the oracle: imports nothing of the package, and nothing builds on it
FLOOR_OF = {name: level for level, names in enumerate(FLOORS) for name in names}
VAGUE = {"util", "utils", "helper", "helpers", "manager", "managers", "common"}
HEAVY = [
    "faiss", "pyarrow", "matplotlib", "pandas", "polars", "dask", "distributed", "zarr", "fsspec",
]  # fmt: skip

PACKAGE = Path(next(iter(find_spec("scalekern").submodule_search_locations)))


def modules(package: Path) -> dict[str, Path]:
    """Return the file of each module; the root's own name is '', else 'rows', 'rows.base', …."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = file
    return found


def imports(package: Path, module: str, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Yield line and module of each import from the same package, wherever it stands in the file.

    ``from package import name`` is an import of the module `name` if there is one, else of ''. Only
    ``__version__`` may be taken from the root, which is set before anything is imported.
    """
    root, file = package.name, known[module]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = list(_imported_from(node, root, module, is_package=file.stem == "__init__"))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant)]
        else:
            continue
        for name in names:
            head, _, rest = str(name).partition(".")
            if head == root and rest != "__version__":
                yield node.lineno, _longest_known(rest, known)


def _imported_from(
    node: ast.ImportFrom, root: str, module: str, *, is_package: bool
) -> Iterator[str]:
    base = [node.module] if node.module else []
    if node.level:
        parts = [root, *module.split(".")] if module else [root]
        up = node.level - is_package
        base = parts[: len(parts) - up] + base
    for alias in node.names:
        yield ".".join([*base, alias.name])


def _longest_known(name: str, known: dict[str, Path]) -> str:
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def wrong_direction(importer: str, imported: str) -> str | None:
    """Say what is wrong with the import, or return None."""
    here, there = importer.partition(".")[0], imported.partition(".")[0]
    if APART in {here, there}:
        return "reference.py stands apart"
    if there == "":
        return "the package's own __init__ is the roof"
    if here != there and FLOOR_OF[here] == FLOOR_OF[there]:
        return "they stand side by side"
    if FLOOR_OF[here] < FLOOR_OF[there]:
        return "it is on a floor above"
    return None


def violations(package: Path) -> list[str]:
    """Return what breaks the rules of the house in `package`, one line each."""
    known = modules(package)
    found = [text for module in known for text in _bad_file(known[module], package)]
    homeless = sorted({module.split(".")[0] for module in known} - {"", APART, *FLOOR_OF})
    if homeless:
        return [*found, f"{homeless} have no floor; give them one in FLOORS"]
    graph: dict[str, set[str]] = {}
    for module in filter(None, known):
        for line, imported in imports(package, module, known):
            if reason := wrong_direction(module, imported):
                found.append(f"{module}:{line} imports '{imported}', but {reason}")
            graph.setdefault(module, set()).add(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append(f"imports run in a circle: {' < '.join(error.args[1])}")
    return found


def _bad_file(file: Path, package: Path) -> Iterator[str]:
    place = file.relative_to(package)
    if ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) is None:
        yield f"{place} does not open with a docstring"
    for part in place.with_suffix("").parts:
        if part.strip("_") in VAGUE:
            yield f"{place}: '{part}' says nothing of what is inside"


def heavy_imports(module: str, path: Path | None = None) -> list[str]:
    """Return the heavy packages that importing `module` asks for, in a fresh process.

    They are made to look absent, since scikit-learn itself imports pandas wherever it finds it.
    """
    code = f"""
import sys
sys.path[:0] = {[str(path)] if path else []}
asked = []
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {HEAVY}:
            asked.append(name)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import sklearn.base
asked.clear()
try:
    import {module}
except ModuleNotFoundError as error:
    if str(error) not in asked:
        raise
print(*asked)
"""
    return _run(code).split()


def _run(code: str) -> str:
    return subprocess.check_output([sys.executable, "-c", code], text=True)


def _installed_package() -> Path:
    """Return the folder that pip made importable: the checkout if the install is editable."""
    try:
        installed = distribution("scalekern")
    except PackageNotFoundError:
        pytest.skip("scalekern is not installed here; `make test` installs it")
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        return Path(url2pathname(urlparse(origin["url"]).path), "scalekern").resolve()
    return Path(str(installed.locate_file("scalekern"))).resolve()


def test_every_file_imports_only_from_floors_below():
    found = violations(PACKAGE)
    assert not found, "\n".join(found)


def test_importing_scalekern_imports_nothing_heavy():
    assert heavy_imports("scalekern, scalekern.estimators, scalekern.report.plan") == []


def test_what_is_tested_is_what_pip_installed():
    in_a_child = _run("import scalekern; print(scalekern.__path__[0])").strip()
    assert PACKAGE.resolve() == Path(in_a_child).resolve() == _installed_package()


SOUND = {
    "__init__.py": "__version__ = '1'\nfrom house.cli import main",
    "errors.py": "",
    "_config.py": "from house.errors import Wrong",
    "reference.py": "import math",
    "rows/__init__.py": "from house.rows.base import Block",
    "rows/base.py": "from .. import errors",
    "rows/files.py": "from .base import Block",
    "storage/__init__.py": "from house import __version__",
    "kernels/__init__.py": "from house import rows",
    "features/__init__.py": "from house.kernels import rbf",
    "neighbors/__init__.py": "import house.rows.base",
    "cli/__init__.py": "import importlib\nimportlib.import_module('house.features')",
}


@pytest.fixture
def build(tmp_path: Path):
    """Return a function that writes a package `house`: the sound one with `changes`."""

    def write(changes: dict[str, str]) -> Path:
        for name, code in {**SOUND, **changes}.items():
            file = tmp_path / "house" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code if code.startswith("#") else f'"""A module."""\n{code}\n')
        return tmp_path / "house"

    return write


def test_a_sound_house_passes(build):
    assert violations(build({})) == []


@pytest.mark.parametrize(
    ("name", "code", "complaint"),
    [
        ("rows/base.py", "from house.kernels import rbf", "on a floor above"),
        ("rows/base.py", "def f():\n    import house.cli", "rows.base:3 imports 'cli'"),
        ("rows/base.py", "from ..features import maps", "on a floor above"),
        ("rows/base.py", "from .. import kernels", "on a floor above"),
        ("rows/__init__.py", "from ..kernels import rbf", "on a floor above"),
        ("errors.py", "from . import _config", "on a floor above"),
        ("errors.py", "import importlib\nimportlib.import_module('house.cli')", "floor above"),
        ("features/__init__.py", "from house.neighbors import flat", "side by side"),
        ("storage/__init__.py", "import house.rows", "side by side"),
        ("reference.py", "from house.errors import Wrong", "stands apart"),
        ("kernels/__init__.py", "from house import reference", "stands apart"),
        ("cli/__init__.py", "from house import compare", "the roof"),
        ("rows/base.py", "def f():\n    from house.rows.files import rows", "in a circle"),
        ("rows/base.py", "from house.rows import Block", "in a circle"),
        ("kernels/rbf.py", "# no docstring", "does not open with a docstring"),
        ("kernels/_utils.py", "", "'_utils' says nothing"),
        ("common/rbf.py", "", "'common' says nothing"),
        ("misc.py", "", "['misc'] have no floor"),
    ],
)
def test_a_planted_violation_is_found(build, name, code, complaint):
    found = violations(build({name: code}))
    assert any(complaint in line for line in found), found


def test_a_planted_heavy_import_is_found(build):
    eager = "try:\n    import pandas\nexcept ImportError:\n    pass"
    house = build({"__init__.py": "", "errors.py": eager})
    assert heavy_imports("house.errors", house.parent) == ["pandas"]
