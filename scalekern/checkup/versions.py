"""Which versions are installed, against the bounds that this package's own metadata declares."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from importlib import metadata

from scalekern.checkup.findings import OK, PROBLEM, WARNING, Finding

OWN = "scalekern"
FOR_DEVELOPERS = {"all", "bench", "docs", "lint", "test"}
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)\s*(?:\[([^]]*)\])?\s*([^;]*)(?:;\s*(.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_BOUND = re.compile(r"(<=|>=|==|!=|~=|<|>)\s*([0-9][^,\s]*)")


def check_versions() -> Iterator[Finding]:
    """Yield Python, scalekern, and each dependency that is not what the bounds ask for."""
    yield _python()
    try:
        own = metadata.version(OWN)
    except metadata.PackageNotFoundError:
        yield Finding(
            WARNING, OWN, "is imported from a folder, not installed, so what it needs is not known",
            "pip install . in that folder",
        )  # fmt: skip
        return
    yield Finding(OK, OWN, own)
    for extra, name, bounds in requirements():
        if not extra:
            yield _dependency(name, bounds)


def check_extras() -> Iterator[Finding]:
    """Yield for each optional extra whether its packages are there, and how to get them."""
    extras: dict[str, list[Finding]] = {}
    for extra, name, bounds in requirements():
        if extra and extra not in FOR_DEVELOPERS and name != OWN:
            extras.setdefault(extra, []).append(_dependency(name, bounds))
    for extra, found in extras.items():
        wrong = [f for f in found if f.level != OK]
        if not wrong:
            names = ", ".join(f"{f.what} {f.found}" for f in found)
            yield Finding(OK, f"[{extra}]", names)
            continue
        cure = f"pip install 'scalekern[{extra}]', if you need it"
        names = "; ".join(f"{f.what} {f.found}" for f in wrong)
        broken = any("missing" not in f.found for f in wrong)
        yield Finding(WARNING if broken else OK, f"[{extra}]", f"optional: {names}", cure)


def requirements() -> list[tuple[str, str, str]]:
    """Return (extra or "", package, bounds) of everything that the package's metadata asks for."""
    try:
        declared = metadata.requires(OWN) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for line in declared:
        match = _REQUIREMENT.match(line)
        if match:
            name, _, bounds, marker = match.groups()
            extra = _EXTRA.search(marker or "")
            found.append((extra.group(1) if extra else "", name, bounds.strip()))
    return found


def fault(version: str, bounds: str) -> str:
    """Return "too old" or "too new" where a version is out of bounds, else "".

    Examples
    --------
    >>> fault("1.8.2", ">=1.9"), fault("2.0", ">=1.9,<2"), fault("1.10", ">=1.9,<2")
    ('too old', 'too new', '')
    """
    here = _numbers(version)
    for sign, text in _BOUND.findall(bounds):
        there = _numbers(text.rstrip(".*"))
        size = max(len(here), len(there))
        a, b = (v + (0,) * (size - len(v)) for v in (here, there))
        if (sign in (">=", "~=", "==") and a < b) or (sign == ">" and a <= b):
            return "too old"
        if (sign in ("<=", "==") and a > b) or (sign == "<" and a >= b):
            return "too new"
        if sign == "!=" and a == b:
            return "excluded"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _python() -> Finding:
    version = platform.python_version()
    try:
        bounds = metadata.metadata(OWN)["Requires-Python"] or ""
    except metadata.PackageNotFoundError:
        bounds = ""
    wrong = fault(version, bounds)
    if wrong:
        return Finding(PROBLEM, "Python", f"{version} is {wrong}", f"use Python {bounds}")
    return Finding(OK, "Python", version)


def _dependency(name: str, bounds: str) -> Finding:
    wanted = f"pip install '{name}{bounds}'"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(PROBLEM, name, "is missing", wanted)
    wrong = fault(version, bounds)
    if wrong:
        return Finding(PROBLEM, name, f"{version} is {wrong}; scalekern needs {bounds}", wanted)
    return Finding(OK, name, version)
