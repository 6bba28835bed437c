"""Help, completion and mistakes do not wait for libraries that only the work needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import sys
from scalekern.cli import main
try:
    main(sys.argv[1:], prog_name="scalekern")
except SystemExit:
    pass
heavy = {"sklearn", "pandas", "matplotlib", "faiss", "dask", "scipy.stats"}
print("heavy:", *sorted(heavy & set(sys.modules)))
"""


def heavy_of(*words):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, words)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout.splitlines()[-1].partition(":")[2].split()


COMMANDS = ["compare", "fit", "predict", "neighbors", "plan", "cluster", "doctor", "demo"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_no_library_of_the_work(command):
    assert heavy_of(command, "--help") == []


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["completion", "bash"],
        ["compare", "nothing.csv", "--target", "y"],
        ["fit", "nothing.csv", "--target", "y", "-o", "model"],
        ["plan", "nothing.parquet", "--target", "y"],
        ["fit", "x.csv"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_a_mistake_is_told_before_libraries_are_imported(words):
    assert heavy_of(*words) == []
