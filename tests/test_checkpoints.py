"""A fit that was killed goes on from its checkpoint, to the same model bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from scalekern import SimilarityClassifier, SimilarityRegressor
from scalekern.engine import checkpoint
from scalekern.errors import InvalidInputError, UnsupportedError

OPTIONS = {"kernel": "rbf", "gamma": 0.5, "metric": "euclidean", "approximation": "nystroem",
           "n_components": 20, "random_state": 0}  # fmt: skip
N = 50_000

KILLED = """
import os, signal, sys
import numpy as np
from scalekern import SimilarityClassifier, SimilarityRegressor
from scalekern.engine import checkpoint, plan, threads
folder, kind, options, where, deadly = sys.argv[2], sys.argv[3], *map(eval, sys.argv[4:])
threads.EVERY_BLOCKS, threads.EVERY_BATCHES = 2, 16
plan.LEAST_CHUNK_ROWS = plan.MOST_CHUNK_ROWS = 2048
save, count = checkpoint.PassFile.save, [0]
def last(self, arrays):
    save(self, arrays)
    count[0] += 1
    if count[0] == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.PassFile.save = last
data = np.load(sys.argv[1])
X, y = data[:, :2], data[:, 2]
model = {"r": SimilarityRegressor, "c": SimilarityClassifier}[kind](**options)
y = y if kind == "r" else (y > 0).astype(int)
if where == "dask":
    import dask.array as da
    X, y = da.from_array(X, chunks=(7_000, -1)), da.from_array(y, chunks=9_000)
model.fit(X, y, checkpoint=folder)
"""

EXACT = {"approximation": "exact", "solver": "cg", "n_components": 1, "alpha": 1e-2, "gamma": 5.0}
FITS = {
    "sums": ("r", {}, N, "here", 21),
    "sums, classes": ("c", {}, N, "here", 21),
    "sgd": ("r", {"solver": "sgd", "alpha": 0.1}, N, "here", 32),
    "sgd, classes": ("c", {"solver": "sgd", "loss": "log_loss"}, N, "here", 32),
    "fourier, sgd": ("r", {"approximation": "fourier", "solver": "sgd"}, N, "here", 44),
    "cg": ("r", {"solver": "cg", "alpha": 0.1}, N, "here", 28),
    "exact, cg": ("r", EXACT, 2_100, "here", 4),
    "sums, Dask": ("r", {}, 150_000, "dask", 3),
    "sgd, Dask": ("r", {"solver": "sgd", "alpha": 0.1}, N, "dask", 12),
}


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(150_000, 2))
    return np.column_stack([X, np.sin(X).sum(axis=1)])


@pytest.fixture
def short_blocks(monkeypatch):
    monkeypatch.setattr("scalekern.engine.plan.LEAST_CHUNK_ROWS", 2_048)
    monkeypatch.setattr("scalekern.engine.plan.MOST_CHUNK_ROWS", 2_048)


def fitted(kind, options, data, where="here", checkpoint=None):
    X, y = data[:, :2], data[:, 2] if kind == "r" else (data[:, 2] > 0).astype(int)
    if where == "dask":
        da = pytest.importorskip("dask.array")
        X, y = da.from_array(X, chunks=(20_000, -1)), da.from_array(y, chunks=9_000)
    Model = {"r": SimilarityRegressor, "c": SimilarityClassifier}[kind]
    model = Model(**OPTIONS | options).fit(X, y, checkpoint=checkpoint)
    return getattr(model, "model_", model)


@pytest.mark.parametrize("name", FITS)
def test_a_killed_fit_goes_on_to_the_same_model(name, data, tmp_path, short_blocks, monkeypatch):
    kind, options, n, where, deadly = FITS[name]
    np.save(tmp_path / "data.npy", data[:n])
    folder = tmp_path / "sums"
    arguments = [str(tmp_path / "data.npy"), str(folder), kind, repr(OPTIONS | options)]
    command = [sys.executable, "-c", KILLED, *arguments, repr(where), str(deadly)]
    done = subprocess.run(command, timeout=120, check=False, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    kept = len(list(folder.glob("pass-*.npz")))
    loaded = []
    load = checkpoint.PassFile.load
    monkeypatch.setattr(
        checkpoint.PassFile, "load", lambda self: loaded.append(load(self)) or loaded[-1]
    )
    there = fitted(kind, options, data[:n], where, folder)
    assert not folder.exists()
    assert sum(arrays is not None for arrays in loaded) == kept
    # What was killed is taken up in the middle of a pass, but for single products.
    taken = next(arrays for arrays in reversed(loaded) if arrays is not None)
    if "blocks" in taken:
        assert 0 < taken["blocks"] < n // 2_048
    elif "over" in taken:
        assert not taken["over"]
        assert taken["batches"] > 0
    here = fitted(kind, options, data[:n])
    coefficients = "coef_" if "fourier" in name else "dual_coef_"
    np.testing.assert_array_equal(getattr(there, coefficients), getattr(here, coefficients))


def test_a_checkpoint_of_another_fit_is_refused(data, tmp_path):
    X, y = data[:5_000, :2], data[:5_000, 2]
    folder = tmp_path / "sums"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", lambda _: None)
        SimilarityRegressor(**OPTIONS).fit(X, y, checkpoint=folder)
    with pytest.raises(InvalidInputError, match="other rows"):
        SimilarityRegressor(**OPTIONS).fit(X + 1, y, checkpoint=folder)
    with pytest.raises(InvalidInputError, match="other parameters"):
        SimilarityRegressor(**OPTIONS | {"gamma": 0.6}).fit(X, y, checkpoint=folder)
    file = folder / "pass-1.npz"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(InvalidInputError, match="altered"):
        SimilarityRegressor(**OPTIONS).fit(X, y, checkpoint=folder)


COMMAND = """
import os, signal, sys
from scalekern.cli.main import main
from scalekern.engine import checkpoint
save, count = checkpoint.PassFile.save_tree, [0]
def last(self, tree, blocks):
    save(self, tree, blocks)
    count[0] += 1
    if count[0] == int(os.environ.get("DEADLY", 0)):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.PassFile.save_tree = last
sys.exit(main())
"""


def test_the_command_goes_on_after_kill_9(data, tmp_path):
    """`scalekern fit --checkpoint`, killed in the sums and repeated, saves the same model."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("click")
    import pandas as pd

    import scalekern

    pd.DataFrame(data[:20_000], columns=["a", "b", "y"]).to_parquet(tmp_path / "rows.parquet")

    def command(name, deadly):
        arguments = ["fit", tmp_path / "rows.parquet", "--target", "y", "--model", "nystroem",
                     "--n-components", "20", "--kernel", "rbf", "--gamma", "median",
                     "--metric", "euclidean", "--checkpoint", tmp_path / "sums",
                     "-o", tmp_path / name]  # fmt: skip
        run = [sys.executable, "-c", COMMAND, *map(str, arguments)]
        environment = os.environ | {"DEADLY": str(deadly)}
        return subprocess.run(
            run, env=environment, timeout=120, check=False, capture_output=True, text=True
        )

    assert command("model", 1).returncode == -9
    assert (tmp_path / "sums" / "pass-1.npz").is_file()
    assert not (tmp_path / "model").exists()
    for name in ("model", "other"):
        done = command(name, 0)
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "sums").exists()
    resumed, whole = (scalekern.load(tmp_path / name)[-1] for name in ("model", "other"))
    np.testing.assert_array_equal(resumed.dual_coef_, whole.dual_coef_)


def test_what_cannot_go_on_is_refused(data, tmp_path):
    X, y = data[:3_000, :2], data[:3_000, 2]
    with pytest.raises(UnsupportedError, match="cannot save a fit of"):
        SimilarityRegressor(random_state=0).fit(X, y, checkpoint=tmp_path / "a")
    with pytest.raises(InvalidInputError, match="random_state"):
        SimilarityRegressor(approximation="nystroem").fit(X, y, checkpoint=tmp_path / "a")
    (tmp_path / "other").write_text("mine")
    with pytest.raises(InvalidInputError, match="no checkpoint"):
        SimilarityRegressor(**OPTIONS).fit(X, y, checkpoint=tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b"null", b"\xff\x00", b"[" * 100_000])
def test_a_record_that_is_none_is_refused_by_name(content, data, tmp_path):
    (tmp_path / "sums").mkdir()
    (tmp_path / "sums" / "checkpoint.json").write_bytes(content)
    with pytest.raises(InvalidInputError, match=r"checkpoint\.json is not whole"):
        SimilarityRegressor(**OPTIONS).fit(
            data[:99, :2], data[:99, 2], checkpoint=tmp_path / "sums"
        )


@pytest.mark.parametrize("cut", [0, 1, 31, 32, 40, -1])
def test_a_pass_that_is_cut_off_is_refused_and_the_model_stays_as_it_was(cut, data, tmp_path):
    X, y = data[:5_000, :2], data[:5_000, 2]
    folder = tmp_path / "sums"
    model = SimilarityRegressor(**OPTIONS).fit(X, y)
    before = model.predict(X[:9])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", lambda _: None)
        SimilarityRegressor(**OPTIONS).fit(X, y, checkpoint=folder)
    file = folder / "pass-1.npz"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(InvalidInputError, match=r"pass-1\.npz is altered"):
        model.fit(X, y, checkpoint=folder)
    np.testing.assert_array_equal(model.predict(X[:9]), before)
