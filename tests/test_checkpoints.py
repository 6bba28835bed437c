"""A fit that was killed goes on from its checkpoint, to the same model bit for bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from scalekern import SimilarityClassifier, SimilarityRegressor
from scalekern.engine import checkpoint
from scalekern.errors import InvalidInputError, UnsupportedError

OPTIONS = {"approximation": "nystroem", "n_components": 20, "random_state": 0, "gamma": 0.5}
N = 50_000

KILLED = """
import os, signal, sys
import numpy as np
from scalekern import SimilarityClassifier, SimilarityRegressor
from scalekern.engine import checkpoint, threads
threads.EVERY_BLOCKS = 2
save, count = checkpoint.PassFile.save, [0]
def deadly(self, tree, blocks):
    save(self, tree, blocks)
    count[0] += "pass-2" in self._path.name
    if count[0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.PassFile.save = deadly
data = np.load(sys.argv[1])
model = {"r": SimilarityRegressor, "c": SimilarityClassifier}[sys.argv[3]](**eval(sys.argv[4]))
model.fit(data[:, :2], data[:, 2] if sys.argv[3] == "r" else data[:, 2] > 0, checkpoint=sys.argv[2])
"""


@pytest.fixture(scope="module")
def data():
    X = np.random.default_rng(0).normal(size=(N, 2))
    return np.column_stack([X, np.sin(X).sum(axis=1)])


@pytest.mark.parametrize("kind", ["r", "c"])
def test_a_killed_fit_goes_on_to_the_same_model(kind, data, tmp_path, monkeypatch):
    np.save(tmp_path / "data.npy", data)
    folder = tmp_path / "sums"
    arguments = [str(tmp_path / "data.npy"), str(folder), kind, repr(OPTIONS)]
    command = [sys.executable, "-c", KILLED, *arguments]
    assert subprocess.run(command, timeout=120, check=False).returncode == -9
    assert (folder / "pass-2.sums").is_file()
    X, y = data[:, :2], data[:, 2] if kind == "r" else data[:, 2] > 0
    Model = {"r": SimilarityRegressor, "c": SimilarityClassifier}[kind]
    with pytest.raises(InvalidInputError, match="other rows"):
        Model(**OPTIONS).fit(X + 1, y, checkpoint=folder)
    with pytest.raises(InvalidInputError, match="other parameters"):
        Model(**OPTIONS | {"gamma": 0.6}).fit(X, y, checkpoint=folder)
    filled = []
    fill = checkpoint.PassFile.fill
    monkeypatch.setattr(
        checkpoint.PassFile, "fill", lambda *a: filled.append(fill(*a)) or filled[-1]
    )
    there = Model(**OPTIONS).fit(X, y, checkpoint=folder)
    assert not folder.exists()
    assert filled[0] > 4
    assert filled[1] == 4
    here = Model(**OPTIONS).fit(X, y)
    there, here = (getattr(model, "model_", model) for model in (there, here))
    np.testing.assert_array_equal(there.dual_coef_, here.dual_coef_)


def test_what_cannot_go_on_is_refused(data, tmp_path):
    X, y = data[:3_000, :2], data[:3_000, 2]
    with pytest.raises(UnsupportedError, match="saves sums"):
        SimilarityRegressor(random_state=0).fit(X, y, checkpoint=tmp_path / "a")
    with pytest.raises(InvalidInputError, match="random_state"):
        SimilarityRegressor(approximation="nystroem").fit(X, y, checkpoint=tmp_path / "a")
    (tmp_path / "other").write_text("mine")
    with pytest.raises(InvalidInputError, match="no checkpoint"):
        SimilarityRegressor(**OPTIONS).fit(X, y, checkpoint=tmp_path)
