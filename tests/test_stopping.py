"""Ctrl-C ends a command by 130 and one line, and leaves what the same command goes on from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import scalekern as sk
from scalekern.cli import main

# The signal comes when the third sum is saved, as from a terminal.
STOPPED = """
import os, signal, sys
from scalekern.engine import checkpoint, threads
threads.EVERY_BLOCKS = 2
save, count = checkpoint.PassFile.save, [0]
def interrupted(self, arrays):
    save(self, arrays)
    count[0] += 1
    if count[0] == 3:
        os.kill(os.getpid(), signal.SIGINT)
checkpoint.PassFile.save = interrupted
from scalekern.cli import main
main()
"""
SLOW = """
import os, signal
from scalekern.estimators import LinearRegressor
LinearRegressor.fit = lambda *a, **b: os.kill(os.getpid(), signal.SIGINT)
from scalekern.cli import main
main()
"""

# The signal comes while the first of our own libraries is being imported.
EARLY = """
import os, runpy, signal, sys
class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
runpy.run_module("scalekern", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    X = np.random.default_rng(0).normal(size=(60_000, 2))
    file = tmp_path_factory.mktemp("stopping") / "x.parquet"
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "y": np.sin(X).sum(axis=1)}), file)
    return file


def run(code, *words):
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_a_fit_that_was_stopped_goes_on_by_the_same_command(data, tmp_path):
    words = ["fit", data, "--target", "y", "--model", "nystroem", "--n-components", "20",
             "--gamma", "0.5", "-o", tmp_path / "model"]  # fmt: skip
    kept = [*words, "--checkpoint", tmp_path / "sums"]
    stopped = run(STOPPED, *kept)
    assert stopped.returncode == 130
    assert stopped.stderr.strip() == (
        f"scalekern: stopped; the progress is in {tmp_path / 'sums'}, and the same command "
        "goes on from there"
    )
    assert stopped.stdout == ""
    assert not (tmp_path / "model").exists()
    assert list((tmp_path / "sums").glob("pass-*.npz"))
    assert CliRunner().invoke(main, list(map(str, kept))).exit_code == 0
    assert not (tmp_path / "sums").exists()
    resumed = sk.load(tmp_path / "model")[-1].dual_coef_.copy()
    assert CliRunner().invoke(main, list(map(str, words))).exit_code == 0
    np.testing.assert_array_equal(sk.load(tmp_path / "model")[-1].dual_coef_, resumed)


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["compare", "--models", "linear", "--json", "{folder}/out.json"], "nothing was written"),
        (["fit", "--model", "linear", "-o", "{folder}/model"], "no model was saved"),
    ],
)
def test_what_was_not_finished_leaves_no_file(data, tmp_path, words, left):
    command, *options = [word.format(folder=tmp_path) for word in words]
    stopped = run(SLOW, command, data, "--target", "y", *options)
    assert stopped.returncode == 130
    assert stopped.stderr.strip() == f"scalekern: stopped; {left}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["click", "numpy", "sklearn"])
def test_a_stop_during_imports_is_one_line_too(data, tmp_path, module):
    words = ["fit", data, "--target", "y", "-o", tmp_path / "model"]
    stopped = run(EARLY.format(module=module), *words)
    assert stopped.returncode == 130
    assert stopped.stderr.strip().startswith("scalekern: stopped")
    assert len(stopped.stderr.strip().splitlines()) == 1
    assert stopped.stdout == ""


def test_the_package_and_its_function_of_the_same_name_are_both_there():
    code = (
        "import sys, scalekern; early = 'numpy' in sys.modules; from scalekern.rows import base;"
        "from scalekern import rows; print(early, rows is scalekern.rows, callable(rows),"
        "base.__name__)"
    )
    assert run(code).stdout.split() == ["False", "True", "True", "scalekern.rows.base"]
