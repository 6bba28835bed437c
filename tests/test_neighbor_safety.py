"""Files that were altered, and predictions from many threads at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import scalekern
from scalekern import KNeighborsClassifier, KNeighborsRegressor
from scalekern.errors import InvalidInputError
from scalekern.neighbors.kd_tree import KDTreeIndex

ALTER = """
import sys, pathlib, random
import scalekern
from scalekern.errors import ScalekernError
folder = pathlib.Path(sys.argv[1])
random.seed(0)
whole = {file: file.read_bytes() for file in sorted(folder.iterdir())}
refused = loaded = 0
for trial in range(int(sys.argv[2])):
    file = random.choice([f for f in whole if f.suffix == ".faiss"] * 3 + list(whole))
    data = bytearray(whole[file])
    kind = random.randrange(4)
    at = random.randrange(min(len(data), 4000) if random.random() < 0.5 else len(data))
    if kind == 0:
        data[at] ^= 1 << random.randrange(8)
    elif kind == 1:
        del data[at:]
    elif kind == 2:
        data[at:at + 8] = random.randbytes(8)
    else:
        data[at:at] = random.randbytes(random.randrange(1, 60))
    file.write_bytes(bytes(data))
    try:
        scalekern.load(folder)
        loaded += 1
        assert file.name == "model.json", file
    except ScalekernError:
        refused += 1
    finally:
        file.write_bytes(whole[file])
scalekern.load(folder)
print(refused, loaded)
"""


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 12)).astype(np.float32)
    return X, X[:, 0] + X[:, 1] ** 2


@pytest.mark.parametrize("algorithm", ["ivfpq", "hnsw"])
def test_three_hundred_random_alterations_are_refused_and_none_crashes(rows, tmp_path, algorithm):
    X, y = rows
    model = KNeighborsRegressor(5, algorithm=algorithm, target_recall=0.5, random_state=0)
    scalekern.save(model.fit(X[:1000], y[:1000]), tmp_path / "m")
    command = [sys.executable, "-c", ALTER, str(tmp_path / "m"), "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    refused, loaded = map(int, done.stdout.split())
    assert refused + loaded == 300
    assert refused > 280  # a digit of a number in model.json may be as good as another


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute", "ivfpq", "hnsw"])
def test_predictions_from_many_threads_at_once_are_those_of_one(rows, algorithm):
    X, y = rows
    model = KNeighborsRegressor(
        5, algorithm=algorithm, weights="distance", target_recall=0.9, random_state=0
    ).fit(X, y)
    queries = [X[i::7] + np.float32(0.01) for i in range(7)]
    alone = [model.predict(Q) for Q in queries]
    with ThreadPoolExecutor(7) as pool:
        together = list(pool.map(model.predict, queries))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("algorithm", ["brute", "ivfpq", "hnsw"])
def test_no_search_runs_on_more_threads_than_it_was_given(rows, algorithm, monkeypatch):
    import faiss

    X, y = rows
    model = KNeighborsClassifier(
        5, algorithm=algorithm, target_recall=0.9, random_state=0, n_jobs=2
    ).fit(X, y > 1)
    index, seen, names = model._index, set(), set()
    method = "_scan" if algorithm == "brute" else "_candidates"
    inside = getattr(index, method)

    def watched(points, k):
        seen.add(faiss.omp_get_max_threads())
        names.add(threading.get_ident())
        return inside(points, k)

    monkeypatch.setattr(index, method, watched)
    before = faiss.omp_get_max_threads()
    model.predict(np.repeat(X, 3, axis=0))
    assert seen == {1}
    assert len(names) == 2
    assert faiss.omp_get_max_threads() == before


def test_a_tree_refuses_distances_that_are_no_finite_numbers():
    rows = np.random.default_rng(0).standard_normal((50, 3))
    index = KDTreeIndex(rows)
    assert (index.search(1e150 * rows[:2], 3)[0] > 1e149).all()
    with pytest.raises(InvalidInputError, match="so far apart"):
        index.search(1e200 * rows[:2], 3)


@pytest.mark.parametrize("wrong", ["3", [3], 2.5, None, True, 0, -1, 121, 10**12])
@pytest.mark.parametrize("method", ["predict", "explain", "kneighbors"])
def test_a_number_of_neighbors_set_after_the_fit_is_checked(method, wrong):
    X = np.random.default_rng(3).normal(size=(120, 2))
    model = KNeighborsRegressor(3).fit(X, X[:, 0]).set_params(n_neighbors=wrong)
    with pytest.raises(ValueError, match="n_neighbors"):
        getattr(model, method)(X[:4])
