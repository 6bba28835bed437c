"""What a pass adds up: the one idea of the package is that a fit is a sum over blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalekern.rows import Block


class Statistic(ABC):
    """A sum over rows; partial sums of different blocks merge into that of all."""

    @abstractmethod
    def update(self, block: Block) -> None:
        """Add one block of rows."""

    @abstractmethod
    def merge(self, other: Any) -> None:
        """Add the partial sum of other rows, which come later in order."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays, for checkpoints and for the wire."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave; the inverse on an empty statistic."""


class Sums(Statistic):
    """Arrays that add up element by element: those of the attributes that `names` lists."""

    names: tuple[str, ...]

    def merge(self, other: Any) -> None:
        """Add the sums of other rows."""
        for name in self.names:
            getattr(self, name).__iadd__(getattr(other, name))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sums as plain arrays."""
        return {name: getattr(self, name) for name in self.names}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sums that `arrays` gave."""
        for name in self.names:
            setattr(self, name, arrays[name])


class Walk(ABC):
    """What a walk over batches carries from one to the next, and what tells where it is."""

    @abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as plain arrays, for checkpoints."""

    @abstractmethod
    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the state that `arrays` gave."""


class Together(Statistic):
    """Several statistics of the same rows, so that one pass serves all."""

    def __init__(self, **parts: Statistic) -> None:
        self.parts = parts

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def update(self, block: Block) -> None:
        """Add one block of rows to each part."""
        for part in self.parts.values():
            part.update(block)

    def merge(self, other: Together) -> None:
        """Add each part of `other` to its counterpart."""
        for name, part in self.parts.items():
            part.merge(other.parts[name])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of each part under 'name.key'."""
        return {
            f"{name}.{key}": value
            for name, part in self.parts.items()
            for key, value in part.arrays().items()
        }

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Give each part its arrays back."""
        for name, part in self.parts.items():
            part.restore(under(f"{name}.", arrays))


def under(start: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays whose names begin with `start`, by the rest of their names.

    Examples
    --------
    >>> under("x.", {"x.sum": 1, "x.count": 2, "y.sum": 3})
    {'sum': 1, 'count': 2}
    """
    return {name[len(start) :]: v for name, v in arrays.items() if name.startswith(start)}
