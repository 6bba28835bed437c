"""Gram matrices: the same in memory, lazily, and in files that survive a kill."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

import scalekern
from scalekern import SimilarityRegressor, gram
from scalekern.errors import InvalidInputError
from scalekern.features import gram_files

X = np.random.default_rng(0).normal(size=(203, 3))
WORDS = ["".join(w) for w in np.random.default_rng(1).choice(list("ACGT"), size=(60, 7))]


def test_a_gram_matrix_is_that_of_scikit_learn():
    np.testing.assert_allclose(gram(X, X[:9], gamma=0.3), rbf_kernel(X, X[:9], 0.3), rtol=1e-12)
    assert gram(X.astype(np.float32), gamma=0.3).dtype == np.float32


def test_a_dask_array_gives_a_lazy_one_with_its_chunks():
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(X, chunks=(80, 2))
    K = gram(lazy, X[:9], gamma=0.3)
    assert K.chunks == ((80, 80, 43), (9,))
    np.testing.assert_allclose(K.compute(), gram(X, X[:9], gamma=0.3), rtol=1e-12)


@pytest.mark.parametrize("ending", ["npy", "zarr"])
def test_a_file_holds_the_same_matrix_and_the_exact_solver_takes_it(ending, tmp_path):
    if ending == "zarr":
        pytest.importorskip("zarr")
    K = gram(X, out=tmp_path / f"K.{ending}", block_rows=64)
    whole = gram(X)
    np.testing.assert_allclose(np.asarray(K[:]), whole, rtol=1e-12, atol=1e-15)
    y = np.sin(X).sum(axis=1)
    options = {"alpha": 1e-3, "solver": "cholesky"}
    here = SimilarityRegressor("precomputed", **options).fit(whole, y)
    there = SimilarityRegressor("precomputed", **options).fit(K, y)
    np.testing.assert_allclose(there.predict(K), here.predict(whole), atol=1e-8)


def test_rows_of_a_parquet_file_and_texts_go_to_files(tmp_path):
    pd = pytest.importorskip("pandas")
    pd.DataFrame(X, columns=list("abc")).to_parquet(tmp_path / "x.parquet")
    K = gram(scalekern.rows(tmp_path / "x.parquet"), out=tmp_path / "x.npy", block_rows=50)
    np.testing.assert_allclose(K, gram(X), rtol=1e-12, atol=1e-15)
    pytest.importorskip("rapidfuzz")
    texts = gram(WORDS, kernel="edit_distance", out=tmp_path / "w.npy", block_rows=17)
    np.testing.assert_allclose(texts, gram(WORDS, kernel="edit_distance"))


def test_only_the_upper_blocks_are_computed_and_none_twice(tmp_path, monkeypatch):
    tiles = []
    compute = gram_files._tile
    monkeypatch.setattr(gram_files, "_tile", lambda *a: tiles.append(1) or compute(*a))
    gram(X, gamma=1.0, out=tmp_path / "K.npy", block_rows=64)
    assert len(tiles) == 4 * 5 // 2
    gram(X, gamma=1.0, out=tmp_path / "K.npy", block_rows=64)
    assert len(tiles) == 10


KILLED = """
import os, signal, sys
import numpy as np
from scalekern import gram
from scalekern.features import gram_files
put, count = gram_files._put, [0]
def deadly(*args):
    count[0] += 1
    if count[0] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    put(*args)
gram_files._put = deadly
gram(np.load(sys.argv[1]), gamma=0.5, out=sys.argv[2], block_rows=64)
"""


@pytest.mark.parametrize("ending", ["npy", "zarr"])
def test_a_killed_run_goes_on_where_it_stopped(ending, tmp_path, monkeypatch):
    if ending == "zarr":
        pytest.importorskip("zarr")
    np.save(tmp_path / "X.npy", X)
    out = tmp_path / f"K.{ending}"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "X.npy"), str(out)]
    assert subprocess.run(command, timeout=120, check=False).returncode == -9
    with (tmp_path / f"{out.name}.blocks").open("a") as record:
        record.write("[3, ")  # as a kill in the middle of a line leaves it
    tiles = []
    compute = gram_files._tile
    monkeypatch.setattr(gram_files, "_tile", lambda *a: tiles.append(1) or compute(*a))
    K = gram(X, gamma=0.5, out=out, block_rows=64)
    assert len(tiles) == 10 - 4
    np.testing.assert_allclose(np.asarray(K[:]), rbf_kernel(X, gamma=0.5), rtol=1e-12)


@pytest.mark.parametrize(
    ("rows", "options", "what"),
    [
        (X + 1, {"gamma": 0.5}, "rows"),
        (X, {"gamma": 0.6}, "kernel"),
        (X, {"gamma": 0.5, "block_rows": 65}, "block_rows"),
    ],
)
def test_other_rows_or_kernels_are_refused(rows, options, what, tmp_path):
    gram(X, gamma=0.5, out=tmp_path / "K.npy", block_rows=64)
    with pytest.raises(InvalidInputError, match=f"begun by a call with another {what};"):
        gram(rows, **{"block_rows": 64} | options, out=tmp_path / "K.npy")


def test_a_file_without_a_record_is_not_overwritten(tmp_path):
    np.save(tmp_path / "K.npy", X)
    with pytest.raises(InvalidInputError, match="which says what it was made of"):
        gram(X, out=tmp_path / "K.npy")
    with pytest.raises(InvalidInputError, match="must end in"):
        gram(X, out=tmp_path / "K.h5")
    with pytest.raises(InvalidInputError, match="leave Z out"):
        gram(X, X, out=tmp_path / "L.npy")
