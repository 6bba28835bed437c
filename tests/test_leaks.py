"""Fits and predictions leave nothing behind, and may run side by side.

Memory, threads and files are those of this process, so the tests of them run in one of their own.
"""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone

import scalekern as sk

RNG = np.random.default_rng(12)
X = RNG.normal(size=(600, 4))
Y = np.sin(2 * X[:, 0]) + X[:, 1]
LABELS = np.where(Y > 0, "up", "down")
NEW = RNG.normal(size=(9_000, 4))
PLAIN = {"kernel": "rbf", "gamma": "median", "metric": "euclidean"}
SMALL = {**PLAIN, "n_components": 30, "random_state": 0}
MODELS = {
    "linear": sk.LinearRegressor(),
    "exact": sk.SimilarityRegressor(**PLAIN, alpha=0.1, approximation="exact"),
    "nystroem": sk.SimilarityRegressor(alpha=0.1, approximation="nystroem", **SMALL),
    "fourier": sk.SimilarityRegressor(alpha=0.1, approximation="fourier", **SMALL),
    "sgd": sk.SimilarityRegressor(alpha=0.1, approximation="nystroem", solver="sgd", **SMALL),
    "local": sk.SimilarityRegressor(
        "rbf",
        gamma=0.5,
        metric="euclidean",
        alpha=0.1,
        approximation="local",
        n_neighbors=8,
        random_state=0,
    ),
    "kd_tree": sk.KNeighborsRegressor(3, algorithm="kd_tree"),
    "scan": sk.KNeighborsRegressor(3, algorithm="brute"),
    "pairs": sk.KNeighborsRegressor(3, metric="canberra"),
    "hnsw": sk.KNeighborsRegressor(3, algorithm="hnsw", random_state=0),
    "ivf": sk.KNeighborsClassifier(3, algorithm="ivf", random_state=0),
    "classifier": sk.SimilarityClassifier(alpha=0.1, approximation="nystroem", **SMALL),
}


@pytest.fixture(scope="module")
def fitted():
    def fit(name):
        model = clone(MODELS[name])
        return model.fit(X, LABELS if hasattr(model, "predict_proba") else Y)

    return {name: fit(name) for name in MODELS}


def answers(model, rows):
    """Return what the model says of rows: numbers, exact to the last bit, and indices if any."""
    found = [model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)]
    return found + list(model.kneighbors(rows)) if hasattr(model, "kneighbors") else found


@pytest.mark.parametrize("name", MODELS)
def test_predictions_in_eight_threads_are_those_of_one(fitted, name):
    model = fitted[name]
    parts = [NEW[i * 1_000 : i * 1_000 + 1_500] for i in range(8)]
    expected = [answers(model, part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            found = list(pool.map(lambda part: answers(model, part), parts))
            for one, other in zip(found, expected, strict=True):
                for a, b in zip(one, other, strict=True):
                    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_prediction_does_not_depend_on_the_batch(fitted, name, dtype):
    # BLAS sums in an order that depends on the shape: all but the last digits are the same.
    rows, model = NEW[:300].astype(dtype), fitted[name]
    whole = answers(model, rows)
    tolerance = 1e-10 if dtype == np.float64 else 2e-4
    for step in (1, 7, 113):
        chunks = [answers(model, rows[i : i + step]) for i in range(0, len(rows), step)]
        for j, expected in enumerate(whole):
            found = np.concatenate([chunk[j] for chunk in chunks])
            if expected.dtype.kind == "i":
                np.testing.assert_array_equal(found, expected)
            else:
                np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


REPEATED = """
import gc, os, sys, tempfile, threading, warnings
import psutil, numpy as np
from sklearn.base import clone
import scalekern as sk
sys.path.insert(0, {folder!r})
from test_leaks import LABELS, MODELS, NEW, X, Y

def state():
    gc.collect()
    process = psutil.Process()
    return (process.memory_info().rss, len(gc.get_objects()), process.num_fds(),
            threading.active_count())

def given(model):  # sgd keeps no rows to explain by
    return [(X[:80], Y[:80])] if getattr(model, "solver", "") == "sgd" else []

def once():
    for model in MODELS.values():
        fresh = clone(model)
        if "n_components" in fresh.get_params():
            fresh.set_params(n_components=10)
        fresh.fit(X[:80], LABELS[:80] if hasattr(fresh, "predict_proba") else Y[:80])
        fresh.predict(NEW[:200])
        fresh.explain(NEW[:2], *given(fresh))
        with tempfile.TemporaryDirectory() as folder:
            sk.save(fresh, folder + "/model")
            sk.load(folder + "/model").predict(NEW[:50])
    threaded.predict(NEW)

threaded = clone(MODELS["kd_tree"]).fit(X[:80], Y[:80])

for _ in range(4):
    once()
rss, objects, files, threads = state()
for _ in range({loops}):
    once()
after = state()
assert after[0] - rss < 6e6, (rss, after[0])
assert after[1] - objects < 20, (objects, after[1])
assert after[2] <= files, (files, after[2])
assert after[3] <= threads, (threads, after[3])
"""


def leaks_nothing(loops, seconds):
    pytest.importorskip("psutil")
    script = REPEATED.format(folder=str(Path(__file__).parent), loops=loops)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=seconds, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_a_hundred_fits_predictions_explanations_and_files_leak_nothing():
    leaks_nothing(loops=8, seconds=120)
