"""How much work the parts of a fit are, in counts of each kind: what plans are made of.

Separate from the modules that say what parts there are, since these are formulas of shapes alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalekern.features.survey import BANDWIDTH_ROWS
from scalekern.kernels import Kernel
from scalekern.selection.bandwidth import FAMILIES, FEW_ROWS, LAST
from scalekern.selection.local import FEWEST
from scalekern.solvers import AlphaRule
from scalekern.solvers.kernel_work import EXPONENTIALS, Tile, kernel_values, products
from scalekern.solvers.sgd_problem import POWER_STEPS, PROBES

ELIMINATED, FINISHED = 0.5, 1.75
"""Multiplications and additions a row of Nyström features takes, in m^2: before sums, and in all.

With landmarks in one block 0 and 2, in two halves 1/2 and 3/2; one or two blocks are usual.
"""
GATHERED = 24.0
"""What a number that is taken from rows anywhere in memory costs, in numbers moved; as measured."""
CURVE_BITS = 10
"""Of each column in the order in which rows go into a KD-tree, 62 in all at most."""
PLACES, PLACES_OF_MORE = 14, 5
"""Bandwidths that are usually looked at, on few rows and on more."""


def whitening(m: int) -> Counter[str]:
    """Return the work of factoring the landmarks' Gram matrix: Cholesky, inverse, two blocks."""
    return products(m**3 * (1.0 / 3 + 1.0 + 2.0 * 2))


def nystroem_rows(
    kernel: Kernel, n: float, m: int, tile: Tile, share: float = ELIMINATED
) -> Counter[str] | None:
    """Return the work of Nyström features of n rows, by default of those that are to be summed."""
    values = kernel_values(kernel, n * m, tile)
    return None if values is None else values + products(share * n * m**2, tile.bits)


def fourier_rows(n: float, m: int, tile: Tile) -> Counter[str]:
    """Return the work of random Fourier features of n rows."""
    moved = 4.0 * tile.dtype.itemsize * n * m
    waves = Counter({"wave" + tile.bits: n * m, "move": moved})
    return products(n * tile.d * m, tile.bits) + waves


def descent(n: float, m: int, t: int, batch: int) -> Counter[str]:
    """Return the work of a pass of gradient steps, beyond making the features of its batches."""
    # Each is centred, its leverage looked at, and read twice; a step reads three matrices. Twice
    # of that is what passes of 200 to 1,500 features were measured to take.
    moved = 2.0 * (n * (24.0 + 16.0 + 16.0) * m + n / batch * 24.0 * m**2)
    flops = n * m * (2.0 * PROBES + 4.0 * t) + n / batch * 6.0 * m**2 * t
    return products(flops) + Counter({"move": moved})


def choice_of_step(rows: int, m: int) -> Counter[str]:
    """Return the work of a sketch's preconditioner and of the step that is safe on some rows."""
    return products(m**2 * (2.0 * rows + 4.0 * m)) + Counter(
        {"eigen": float(m) ** 3, "move": 16.0 * POWER_STEPS * rows * m}
    )


def tree(n: float, d: int) -> Counter[str]:
    """Return the work of a KD-tree: rows in order along a curve, then the tree of them."""
    bits = min(CURVE_BITS, 62 // max(1, d)) * d
    moved = n * (72.0 * bits + 8.0 * GATHERED * d)
    # Rows in order are two thirds of the work of those in none.
    levels = float(np.log2(max(n, 2.0)))
    return Counter({"tree_build": 0.65 * n * levels, "sort": float(n), "move": moved})


def sample(n: float, size: int, tasks: int) -> Counter[str]:
    """Return the work of keeping the rows of the smallest hashes, and of merging such samples."""
    rows = -(-n // tasks)
    least = size if rows > 4 * size else rows
    return Counter({"sort": tasks * (least + 2.0 * min(rows, size)), "move": 48.0 * n})


def sketch(n: float, m: int, tile: Tile) -> Counter[str]:
    """Return the work of adding features of n rows to a sketch twice, each row with a sign."""
    return products(2.0 * n * m, tile.bits) + Counter({"move": 10.0 * tile.dtype.itemsize * n * m})


@dataclass(frozen=True)
class LocalModels:
    """The work of models on k neighbours, in the parts that choosing among them repeats."""

    kernel: Kernel
    k: int
    d: int
    t: int

    def hood(self) -> Counter[str]:
        """Return the work of gathering the neighbours of a query, and their exponents."""
        differences = (self.k + 1) ** 2 * (40.0 * self.d + 24.0)
        gathered = 8.0 * GATHERED * self.k * (self.d + self.t)
        return Counter({"move": differences + gathered})

    def similarities(self) -> Counter[str]:
        """Return the work of their similarities for a length scale."""
        pairs = (self.k + 1.0) ** 2
        cost = EXPONENTIALS.get(type(self.kernel).__name__, 3.0)
        return Counter({"exp64": cost * pairs, "move": 24.0 * pairs})

    def system(self) -> Counter[str]:
        """Return the work of a model for an alpha: the factor of k + 1 points and the targets."""
        size = self.k + 1.0 + self.t
        return Counter({"solve": size**3, "move": 48.0 * size**2})

    def one(self) -> Counter[str]:
        """Return the work of a model whose length scale and alpha are known."""
        return self.hood() + self.similarities() + self.system()

    def chosen(self, query: Counter[str], rows: int, factors: int, alphas: int) -> Counter[str]:
        """Return the work of choosing both on some rows, and of the errors on as many others.

        The whole grid is gone over on a quarter of the rows; then on all what is around the best,
        and its other alphas.
        """
        few = max(FEWEST, rows // 4) if factors > 1 and factors * alphas > 1 else 0
        near = min(3, factors) * min(3, alphas) if factors * alphas > 1 else 0
        looks = 1 + (near > 0) + (alphas > 3)
        systems = factors * alphas * few + (near + max(alphas - 3, 0) + 1) * rows
        lengths = factors * few + (min(3, factors) * (near > 0) + (alphas > 3) + 1) * rows
        parts = [
            (query, 2 * rows),
            (self.hood(), few + looks * rows),
            (self.similarities(), lengths),
        ]
        return sum((times(*part) for part in parts), times(self.system(), systems))


def times(work: Counter[str], number: float) -> Counter[str]:
    """Return the work so many times."""
    return Counter({kind: number * count for kind, count in work.items()})


def sums(n: float, m: int, t: int, tile: Tile) -> Counter[str]:
    """Return the work of the ridge sums of n rows: a symmetric product, and m^2 numbers a tile."""
    tiles = -(-n // 2_048)
    moved = Counter({"move": tiles * m**2 * (tile.dtype.itemsize + 16.0)})
    return products(n * m * (m + 2.0 * t), tile.bits) + moved


def ridge(m: int, path: int, sample: int, folds: int) -> Counter[str]:
    """Return the work of solving sums of m features for a path of alphas."""
    if path == 0:
        return products(m**3 * 2.0)
    work = Counter({"eigen": float(folds) * m**3 if folds > 1 else float(m) ** 3})
    # The sums become those of features, and the sample is made, then taken into eigenvectors.
    work += products(8.0 * m**3 + 4.0 * sample * m * m)
    return work + Counter({"move": path * sample * m * 16.0})


def spectrum(n: int, path: int, folds: int) -> Counter[str]:
    """Return the work of solving an exact model of n rows for a path of alphas."""
    if path == 0:
        return products(n**3 / 3.0) + Counter({"move": 32.0 * n * n})
    share = 1.0 if folds == 1 else 1.0 + folds * (1.0 - 1.0 / folds) ** 3
    # Each alpha reads the eigenvectors and their squares; before, they are reflected and squared.
    return Counter({"eigen": share * float(n) ** 3, "move": (path * 2.0 + 20.0) * 8.0 * n * n})


def bandwidth(
    gamma: Any, kernel: Kernel, n: int, d: int, *, families: bool = False
) -> Counter[str]:
    """Return the work of choosing the bandwidth where it is open, and the family if that is, too.

    The grid is gone over on few rows; the best, of families the best two, on more.
    """
    rows = min(n, BANDWIDTH_ROWS)
    if not kernel.needs_gamma or not isinstance(gamma, str) or gamma == "scale":
        return Counter()
    pairs = rows * (rows - 1) / 2.0
    median = Counter({"sort": pairs, "move": pairs * (8.0 * d + 64.0)})
    if gamma != "cv":
        return median
    few, more = min(n, FEW_ROWS), min(n // 2, BANDWIDTH_ROWS)
    grid, last = (len(FAMILIES), LAST) if families else (1, 1)
    eigen = grid * PLACES * float(few) ** 3 + last * PLACES_OF_MORE * float(more) ** 3
    squares = grid * PLACES * few**2 + last * PLACES_OF_MORE * more**2
    return median + Counter({"eigen": eigen, "move": 57 * 16.0 * squares})


def alpha_path(rule: AlphaRule, dtype: Any) -> tuple[int, int]:
    """Return how many alphas are tried, and the bytes of them and their scores."""
    if rule.rule == "fixed":
        return 0, 0
    alphas = rule.path(1.0, np.dtype(dtype))
    return len(alphas), alphas.nbytes + 8 * len(alphas)


def solving_words(rule: AlphaRule, path: int) -> str:
    """Return what is solved for: how many alphas, and by which rule."""
    if not path:
        return "one alpha"
    return f"eigenvalues, {path} alphas by alpha={rule.rule!r}"
