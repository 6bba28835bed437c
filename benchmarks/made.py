"""Made-up tables of many shapes, on which nothing was tuned: how far the defaults carry.

They stand for what public collections of tables hold: smooth functions, steps of whole numbers,
positions on a map, correlated columns that say little, long histograms of one hidden number, counts
with heavy tails, categories, a straight line, a season, and nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.datasets import make_friedman1, make_friedman2, make_friedman3

Table = tuple[np.ndarray, np.ndarray]
"""X, y."""


def steps(rng: np.random.Generator) -> Table:
    """Return whole numbers, most of them without meaning, and a target with jumps."""
    X = rng.integers(0, 11, (15_000, 26)).astype(float)
    X[:, 10:] = rng.random((15_000, 16)) < 0.1
    return X, 100.0 * (X[:, 0] + X[:, 1] > 10) * (X[:, 2] > 3) + 5 * X[:, 3]


def heights(rng: np.random.Generator) -> Table:
    """Return positions in degrees, and heights that are rough on every scale."""
    position, directions = rng.random((60_000, 2)), rng.standard_normal((8, 2))
    waves = (np.sin(3 * 2**k * position @ w + k) / 2 ** (0.8 * k) for k, w in enumerate(directions))
    return position * [3, 1] + [8, 56], sum(waves) + 0.02 * rng.standard_normal(60_000)


def songs(rng: np.random.Generator) -> Table:
    """Return 90 correlated columns of very different units, which say a tenth of the target."""
    mix = rng.standard_normal((90, 90)) * np.exp(-np.arange(90) / 20)[:, None]
    X = rng.standard_normal((30_000, 90)) @ mix
    X /= X.std(axis=0)
    y = np.tanh(X[:, 0]) + 0.5 * X[:, 1] * X[:, 2] + 2 * rng.standard_normal(30_000)
    return X * np.exp(2 * rng.standard_normal(90)), y


def slices(rng: np.random.Generator) -> Table:
    """Return noisy histograms of 385 bins, a fifth of them lost, of one hidden position."""
    t, bins = rng.random((20_000, 1)), np.linspace(0, 1, 385)
    X = np.exp(-200 * (t - bins) ** 2) + 0.3 * np.exp(-400 * (2 * t % 1 - bins) ** 2)
    X = np.maximum(X + 0.05 * rng.standard_normal(X.shape), 0) * (rng.random(X.shape) < 0.8)
    return X, 100 * t[:, 0]


def counts(rng: np.random.Generator) -> Table:
    """Return counts over many orders of magnitude."""
    size = np.exp(2 * rng.standard_normal((30_000, 1)))
    scale = np.exp(3 * rng.standard_normal(30))
    X = np.floor(size * scale * np.exp(rng.standard_normal((30_000, 30))))
    return X, np.log1p(X[:, :5].mean(axis=1)) + 0.3 * rng.standard_normal(30_000)


def categories(rng: np.random.Generator) -> Table:
    """Return two columns of 40 categories as zeros and ones, and four numbers that they bend."""
    first, second = rng.integers(0, 40, (2, 30_000))
    numbers, effects = rng.standard_normal((30_000, 4)), rng.standard_normal((2, 40))
    y = effects[0, first] * numbers[:, 3] + effects[1, second] * np.sin(2 * numbers[:, 2])
    y += 0.3 * rng.standard_normal(30_000)
    return np.hstack([np.eye(40)[first], np.eye(40)[second], numbers]), y


def line(rng: np.random.Generator) -> Table:
    """Return what a straight line says as well as anything."""
    X = rng.standard_normal((20_000, 20))
    return X, X @ rng.standard_normal(20) + 0.5 * rng.standard_normal(20_000)


def nothing(rng: np.random.Generator) -> Table:
    """Return a target that has nothing to do with its rows."""
    return rng.standard_normal((10_000, 8)), rng.standard_normal(10_000)


def seasons(rng: np.random.Generator) -> Table:
    """Return minutes of the day, days of the year and seven measurements."""
    X = rng.random((100_000, 9)) * [1440, 365, 5, 30, 250, 1, 1, 1, 1]
    day, year = np.sin(2 * np.pi * X[:, 0] / 1440), np.cos(2 * np.pi * X[:, 1] / 365)
    return X, day * year * X[:, 2] + 0.0004 * X[:, 4] + 0.05 * rng.standard_normal(100_000)


MADE: dict[str, Callable[[np.random.Generator], Table]] = {
    "friedman 1": lambda _: make_friedman1(20_000, 10, noise=1.0, random_state=0),
    "friedman 2": lambda _: make_friedman2(20_000, noise=100.0, random_state=0),
    "friedman 3": lambda _: make_friedman3(20_000, noise=0.1, random_state=0),
    "steps": steps,
    "heights": heights,
    "songs": songs,
    "slices": slices,
    "counts": counts,
    "categories": categories,
    "line": line,
    "nothing": nothing,
    "seasons": seasons,
}


def made(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return X_train, X_test, y_train, y_test: 80% of the rows and the rest, y in deviations."""
    rng = np.random.default_rng(0)
    X, y = MADE[name](rng)
    y = (y - y.mean()) / y.std()
    order, end = rng.permutation(len(y)), len(y) * 4 // 5
    X, y = X[order], y[order]
    return X[:end], X[end:], y[:end], y[end:]
