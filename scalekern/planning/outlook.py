"""What is known of a fit before it: its steps, what limits it, what it keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from scalekern.engine import Need
from scalekern.engine.cost import Step


@dataclass(frozen=True)
class Limit:
    """A need that grows with a size that the user can choose.

    Attributes
    ----------
    name : str
        "rows", or the parameter.
    size : int
    need_of : callable
        From a size to what it needs; the fit asks the same function.
    """

    name: str
    size: int
    need_of: Callable[[int], Need]

    @property
    def need(self) -> Need:
        """What this fit needs."""
        return self.need_of(self.size)

    def largest(self, budget: int) -> int:
        """Return the largest size that fits in so many bytes, at most this one; 0 where none."""
        low, high = 0, self.size
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (
                (middle, high) if self.need_of(middle).bytes <= budget else (low, middle - 1)
            )
        return low


@dataclass
class Outlook:
    """What is known of a fit before it.

    Attributes
    ----------
    name, why, solver : str
        The approximation or index, the reason for it, and the solver ("" where there is none).
    steps, predict : list of Step
        Of the fit, and of predictions for as many rows.
    limits : list of Limit
        What `memory_limit` is compared with.
    held_bytes : int
        Of the rows and of an index, where the fit holds them all.
    model_bytes : int
        Of the arrays that the model keeps to predict.
    explain_bytes : int
        Of those that it keeps to explain its predictions; the most that there will be.
    notes : list of str
    """

    name: str
    why: str
    solver: str = ""
    steps: list[Step] = field(default_factory=list)
    predict: list[Step] = field(default_factory=list)
    limits: list[Limit] = field(default_factory=list)
    held_bytes: int = 0
    model_bytes: int = 0
    explain_bytes: int = 0
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, why: str, work: Counter[str] | None, tasks: int = 1) -> None:
        """Add what is done between passes."""
        self.steps.append(Step(what, why, 0, tasks, 0, work or {}, work is not None))
