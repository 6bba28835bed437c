"""What tells rows from others: a digest of each block, as a statistic like any other.

Blocks do not depend on the engine, so what was begun on one can be finished on another.
"""

from __future__ import annotations

import hashlib

import numpy as np

from scalekern.engine.base import Engine
from scalekern.engine.statistic import Statistic
from scalekern.rows import Block, RowSource


class Digests(Statistic):
    """A digest of the rows, targets and weights of each block, in order."""

    def __init__(self) -> None:
        self.found = np.zeros((0, 16), np.uint8)

    def update(self, block: Block) -> None:
        """Add the digest of one block."""
        digest = hashlib.blake2b(digest_size=16)
        X = block.X
        parts = (X.data, X.indices, X.indptr) if hasattr(X, "tocsr") else (X,)
        for part in (*parts, block.y, block.weight):
            if part is not None:
                digest.update(np.ascontiguousarray(part).tobytes())
        own = np.frombuffer(digest.digest(), np.uint8)
        self.found = np.concatenate([self.found, own[None]])

    def merge(self, other: Digests) -> None:
        """Add those of later blocks."""
        self.found = np.concatenate([self.found, other.found])

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the digests."""
        return {"found": self.found}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take what `arrays` gave."""
        self.found = arrays["found"]


def fingerprint(engine: Engine, source: RowSource) -> str:
    """Return a digest of all rows, targets and weights, from one pass over them."""
    found = engine.reduce(source, Digests, "comparing the rows").found
    shape = (source.n_rows, source.n_features, source.feature_names)
    return hashlib.blake2b(repr(shape).encode() + found.tobytes(), digest_size=16).hexdigest()
