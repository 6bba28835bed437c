"""Approximate FAISS indices: one setting (efSearch or nprobe) trades recall for work.

The setting is passed with each query, never written into the FAISS index: several threads search
the same one. HNSW, IVF and factory indices differ only in how they are built and described.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scalekern.errors import ModelFormatError
from scalekern.neighbors.base import Indices, State, stored
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import FaissIndex
from scalekern.neighbors.knobs import find_knob, search_parameters


class ApproximateIndex(FaissIndex):
    """A FAISS index searched at one setting of its `knob`."""

    exact: ClassVar[bool] = False
    #: more candidates than asked for, k·more + 8, since FAISS's order is only that of float32
    #: or of compressed codes
    more: ClassVar[int] = 1

    def __init__(self, embedding: Embedding, index: Any, setting: int = 1) -> None:
        super().__init__(embedding, index)
        self.setting = setting
        self.knob = find_knob(index)

    def at(self, setting: int) -> Self:
        """Return the same index, searched at another setting; the FAISS index is shared."""
        other = object.__new__(type(self))
        other.__dict__.update({**self.__dict__, "setting": setting})
        return other

    def work(self) -> int:
        """Return how many distances one query computes at this setting, on average at most."""
        knob = self.knob
        return round(min(knob.fixed_work + self.setting * knob.work_per_unit, 2.0 * self.n_rows))

    @property
    def description(self) -> str:
        at = f", {self.knob.name} {self.setting}" if self.knob.name else ""
        return f"{self._words()}{at}, {self.metric} distances"

    @abstractmethod
    def _words(self) -> str:
        """Name the index and what it was built with."""

    def _candidates(self, points: NDArray[np.float32], k: int) -> Indices:
        wanted = min(k * self.more + 8, self.n_rows)
        parameters = search_parameters(self._index, self.setting)
        _, labels = self._index.search(points, wanted, params=parameters)
        return labels.astype(np.int64, copy=False)

    def state(self) -> State:
        meta, arrays = super().state()
        return {**meta, "setting": self.setting, "class": type(self._index).__name__}, arrays

    @classmethod
    def _restore(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> Self:
        if type(index).__name__ != stored(meta, "class"):
            raise ModelFormatError(
                f"index.faiss is a {type(index).__name__}, but the model says {meta['class']}; "
                "the model was altered"
            )
        restored = cls._around(meta, embedding, index)
        setting = stored(meta, "setting")
        if not isinstance(setting, int) or not 1 <= setting <= max(restored.knob.largest, 1):
            raise ModelFormatError(f"the stored setting {setting!r} is out of range")
        return restored.at(setting)

    @classmethod
    def _around(cls, meta: Mapping[str, Any], embedding: Embedding, index: Any) -> Self:
        return cls(embedding, index)
