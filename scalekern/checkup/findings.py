"""What a check says: a level, what was looked at, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True)
class Finding:
    """One line of a checkup.

    Attributes
    ----------
    level : {"ok", "warning", "problem"}
        A problem makes scalekern fail or at least half as fast; a warning may be meant.
    what : str
    found : str
    cure : str
        What to do; empty for "ok".
    """

    level: str
    what: str
    found: str
    cure: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.what:<18} {self.found}"
        return f"{line}\n{'':<28}-> {self.cure}" if self.cure else line


@dataclass(frozen=True)
class Checkup:
    """All findings, in the order of the checks."""

    findings: tuple[Finding, ...]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Those that need doing something about."""
        return tuple(f for f in self.findings if f.level == PROBLEM)

    def to_dict(self) -> dict[str, Any]:
        """Return the checkup as plain values."""
        return {
            "problems": len(self.problems),
            "findings": [asdict(finding) for finding in self.findings],
        }

    def __str__(self) -> str:
        warnings = sum(f.level == WARNING for f in self.findings)
        end = (
            f"{_counted(len(self.problems), PROBLEM)}, {_counted(warnings, WARNING)}.".capitalize()
        )
        return "\n".join([*map(str, self.findings), end])

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>"
            + "".join(
                f"<td align=left>{escape(v)}</td>" for v in (f.level, f.what, f.found, f.cure)
            )
            + "</tr>"
            for f in self.findings
        )
        return f"<table>{rows}</table>"


def _counted(count: int, noun: str) -> str:
    return f"{count or 'no'} {noun}{'' if count == 1 else 's'}"
