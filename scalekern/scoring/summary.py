"""What became of a job, as a value: its text is for people, its document is the run log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MOST_SHOWN = 10


@dataclass(frozen=True)
class Scoring:
    """What a run did.

    Attributes
    ----------
    output : str
    complete : bool
        Whether all parts are there.
    n_parts : int
    rows : int
        Of all parts that are there.
    seconds : float
    parts : list of dict
        For each part of this run: name, input, state ("done", "failed", "skipped" for those that
        were done before, "not tried"), rows, seconds, bytes, worker, error.
    settings : dict
        What it was done with.
    """

    output: str
    complete: bool
    seconds: float
    parts: list[dict[str, Any]]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def n_parts(self) -> int:
        """How many parts there are."""
        return len(self.parts)

    @property
    def rows(self) -> int:
        """The rows of all parts that are there."""
        return sum(part["rows"] for part in self.parts)

    def of_state(self, state: str) -> list[dict[str, Any]]:
        """Return the parts of a state."""
        return [part for part in self.parts if part["state"] == state]

    def to_dict(self) -> dict[str, Any]:
        """Return the run log."""
        return {
            **self.settings,
            "output": self.output,
            "complete": self.complete,
            "rows": self.rows,
            "seconds": self.seconds,
            "parts": self.parts,
        }

    def __str__(self) -> str:
        done, failed = self.of_state("done"), self.of_state("failed")
        made = f"{len(done):,} part{'' if len(done) == 1 else 's'}"
        n_rows = sum(part["rows"] for part in done)
        lines = [f"Wrote {n_rows:,} predictions ({made}) to {self.output} in {self.seconds:.2f} s."]
        before, untried = self.of_state("skipped"), self.of_state("not tried")
        if before:
            lines.append(
                f"{len(before):,} part{'' if len(before) == 1 else 's'} had been made before."
            )
        if failed:
            lines.append(f"{len(failed):,} of {self.n_parts:,} parts failed:")
            lines += [f"  {part['input']}: {part['error']}" for part in failed[:MOST_SHOWN]]
            if len(failed) > MOST_SHOWN:
                lines.append(f"  and {len(failed) - MOST_SHOWN:,} more, in the run log")
        if untried:
            lines.append(f"{len(untried):,} parts were not tried, since too many failed.")
        if not self.complete:
            lines.append(
                "The output is incomplete: correct what failed, then repeat with --resume."
            )
        return "\n".join(lines)
