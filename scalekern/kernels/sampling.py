"""Points to draw frequencies from: at random, orthogonal to each other, or filling space evenly.

Apart from the kernels because what they add is only how lengths are distributed.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.special import ndtri

from scalekern.errors import InvalidInputError

Sampling = Literal["orthogonal", "qmc", "random"]
SAMPLINGS: tuple[str, ...] = get_args(Sampling)
MOST_SOBOL = 21_201
"""Coordinates that Sobol's sequence is known for."""


def uniform_points(n: int, d: int, rng: np.random.Generator, sampling: Sampling) -> np.ndarray:
    """Return n points of the open unit cube, scrambled Sobol ones for "qmc", shape (n, d)."""
    if sampling != "qmc":
        return np.maximum(rng.random((n, d)), np.finfo(np.float64).tiny)
    if d > MOST_SOBOL:
        raise InvalidInputError(
            f"sampling='qmc' takes at most {MOST_SOBOL - 1} columns, and these rows have {d - 1}; "
            "use sampling='orthogonal'"
        )
    from scipy.stats import qmc

    points = qmc.Sobol(d, scramble=True, rng=rng).random_base2(max(0, n - 1).bit_length())[:n]
    # Scrambled points may be 0 itself, whose quantiles are infinite.
    return np.clip(points, 2.0**-33, 1.0 - 2.0**-33)


def normal_points(
    n: int, d: int, rng: np.random.Generator, sampling: Sampling
) -> tuple[np.ndarray, np.ndarray]:
    """Return n standard normal points of shape (n, d), and n numbers uniform on (0, 1) with them.

    "orthogonal" ones are so within each run of d, with lengths as of normal ones (Yu et al. 2016);
    those of "qmc" fill space more evenly than chance would (Yang et al. 2014).
    """
    if sampling == "qmc":
        points = uniform_points(n, d + 1, rng, sampling)
        return ndtri(points[:, :d]), points[:, d]
    u = uniform_points(n, 1, rng, "random")[:, 0]
    if sampling == "random":
        return rng.standard_normal((n, d)), u
    return _orthogonal_normal(n, d, rng), u


def _orthogonal_normal(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    parts = []
    for start in range(0, n, d):
        k = min(d, n - start)
        Q, R = np.linalg.qr(rng.standard_normal((d, k)))
        lengths = np.sqrt(rng.chisquare(d, size=k))
        parts.append(lengths[:, None] * (Q * np.sign(np.diag(R))).T)
    return np.concatenate(parts)
