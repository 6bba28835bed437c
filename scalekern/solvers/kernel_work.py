"""How much work kernel values are, in counts of each kind, and whether they are kept for it.

Of shapes alone: a plan counts with it, and a fit by iterations asks it whether tiles go to a file.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass

import numpy as np

from scalekern.engine import memory_budget
from scalekern.kernels import BlockKernel, Kernel, Laplacian, Linear, PairwiseKernel, Precomputed
from scalekern.kernels.combinations import Combination, Constant
from scalekern.kernels.radial import RadialKernel
from scalekern.solvers.tiles import kept_bytes

EXPONENTIALS = {"RBF": 1.0, "Matern": 2.0}
"""What a value of a kernel costs beyond its product, in exponentials; 3 for others, with powers."""
EXPONENTIAL, READ_BYTE = 20.0, 25.0
"""What an exponential, and a byte that is read from a file, cost in multiplications."""
SHARE_OF_DISK = 0.5


@dataclass(frozen=True)
class Tile:
    """The dtype of tiles and the columns of rows, which the counts of one fit share."""

    dtype: np.dtype
    d: int

    @property
    def bits(self) -> str:
        """The bits of a number, as the kinds of work name them."""
        return "32" if self.dtype == np.float32 else "64"


def products(flops: float, bits: str = "64") -> Counter[str]:
    """Return the work of matrix products."""
    return Counter({"product" + bits: flops})


def kernel_values(kernel: Kernel, count: float, tile: Tile) -> Counter[str] | None:
    """Return the work of `count` kernel values; None for kernels that only a run could time."""
    work: Counter[str] = Counter({"kernel_values": count})
    if isinstance(kernel, Constant):
        return work
    if isinstance(kernel, Combination):
        parts = [kernel_values(part, count, tile) for part in (kernel.k1, kernel.k2)]
        if parts[0] is None or parts[1] is None:
            return None
        return parts[0] + parts[1] - work
    if not kernel.takes_vectors or isinstance(kernel, (PairwiseKernel, BlockKernel)):
        return None
    return work + _of_vectors(kernel, count, tile)


def _of_vectors(kernel: Kernel, count: float, tile: Tile) -> Counter[str]:
    size = tile.dtype.itemsize
    if isinstance(kernel, Precomputed):
        return Counter({"move": 2.0 * size * count})
    if isinstance(kernel, Laplacian):
        # Differences column by column: each is an elementwise step over the tile.
        return Counter({"exp" + tile.bits: count, "move": 3.0 * size * tile.d * count})
    # Products of few columns are over before the tile is written.
    work = products(2.0 * (tile.d + 2) * count, tile.bits) + Counter({"move": size * count})
    if isinstance(kernel, Linear):
        return work
    cost = EXPONENTIALS.get(type(kernel).__name__, 3.0 if isinstance(kernel, RadialKernel) else 1.0)
    return work + Counter({"exp" + tile.bits: cost * count})


def keeps_tiles(kernel: Kernel, n: int, tile: Tile) -> bool:
    """Return whether kernel values are dearer than to read them again, and a file of them fits.

    Of vectors a file must fit in memory, too, or it would be read from the disk. The results are
    the same either way.
    """
    work = kernel_values(kernel, 1.0, tile)
    if isinstance(kernel, Precomputed) or not _fits_on_disk(n, tile):
        return False
    if work is None:
        return True
    if kept_bytes(n, tile.dtype) > memory_budget() // 2:
        return False
    flops, exps = (sum(v for k, v in work.items() if k.startswith(w)) for w in ("product", "exp"))
    return flops / 2 + EXPONENTIAL * exps + work["move"] > READ_BYTE * tile.dtype.itemsize


def _fits_on_disk(n: int, tile: Tile) -> bool:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return kept_bytes(n, tile.dtype) < SHARE_OF_DISK * free
