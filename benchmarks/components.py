"""Components: `python -m benchmarks.components` sets Fourier features beside Nyström's landmarks.

As many of both, with the bandwidth by the median and alpha by leave-one-out: the test error, and
the seconds of cores that a fit takes. On the three data sets of `benchmarks.landmarks`, and on
texts that are made up: wide, sparse rows.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.landmarks import flights, uci
from benchmarks.results import keep, parser, say, table

SIZES = (300, 1_000, 3_000)
ROWS, TEST_ROWS = 20_000, 4_000
WORDS, TOPICS, LENGTH = 20_000, 30, 80


def texts() -> tuple[Any, ...]:
    """Return rows of word counts, of length 1, drawn from mixtures of topics; and their target."""
    rng = np.random.default_rng(0)
    topics = np.cumsum(rng.dirichlet(np.full(WORDS, 0.01), TOPICS), axis=1)
    n = ROWS + TEST_ROWS
    mixtures = rng.dirichlet(np.full(TOPICS, 0.1), n)
    of = np.stack([rng.choice(TOPICS, LENGTH, p=mixture) for mixture in mixtures])
    words = np.empty((n, LENGTH), dtype=np.int64)
    for topic in range(TOPICS):
        here = of == topic
        drawn = np.searchsorted(topics[topic], rng.random(here.sum()) * topics[topic][-1])
        words[here] = np.minimum(drawn, WORDS - 1)
    counts = (np.ones(n * LENGTH), (np.repeat(np.arange(n), LENGTH), words.ravel()))
    X = sparse.csr_matrix(counts, shape=(n, WORDS)).log1p()
    X = sparse.diags(1 / np.sqrt(X.multiply(X).sum(axis=1).A1)) @ X
    y = np.sin(5 * mixtures[:, 0]) + 3 * mixtures[:, 1] * mixtures[:, 2] + mixtures[:, 3]
    y = (y - y[:ROWS].mean()) / y[:ROWS].std()
    X = sparse.csr_matrix(X)
    return X[:ROWS], y[:ROWS], X[ROWS:], y[ROWS:]


def measure(rows: tuple[Any, ...], name: str, m: int) -> tuple[float, float]:
    """Return the test RMSE and the seconds of cores of one fit."""
    from scalekern import SimilarityRegressor

    X, y, X_test, y_test = rows
    model = SimilarityRegressor(
        approximation=name, kernel="rbf", gamma="median", solver="cholesky", n_components=m,
        random_state=0,
    )  # fmt: skip
    start = time.process_time()
    model.fit(X, y)
    seconds = time.process_time() - start
    rmse = float(np.sqrt(np.mean((model.predict(X_test) - y_test) ** 2)))
    return rmse, seconds


def main() -> None:
    """Measure, and write the table."""
    command = parser("components", __doc__)
    command.add_argument("--cache", default="build/benchmarks", help="where prepared data lies")
    command.add_argument("--only", help="one of the data sets")
    options = command.parse_args()
    sets = {
        "kin40k": lambda: uci("kin40k"),
        "protein": lambda: uci("protein"),
        "flights": lambda: flights(Path(options.cache)),
        "texts": texts,
    }
    lines, results = [], []
    for name, load in sets.items():
        if options.only not in (None, name):
            continue
        rows = load()
        for m in SIZES:
            found = {kind: measure(rows, kind, m) for kind in ("nystroem", "fourier")}
            results.append({"data": name, "components": m} | found)
            cells = [f"{rmse:.4f} ({seconds:.1f} s)" for rmse, seconds in found.values()]
            lines.append([name, f"{m:,}", *cells])
            say(", ".join(lines[-1]))
    page = table(["data", "components", "Nyström", "Fourier"], lines)
    keep("components", page, {"found": results}, record=options.record)


if __name__ == "__main__":
    main()
