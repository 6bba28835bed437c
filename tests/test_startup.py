"""Help, completion and mistakes do not wait for libraries that only the work needs."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
from scalekern.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words, prog_name="scalekern")
    except SystemExit:
        pass
    heavy = {"sklearn", "pandas", "matplotlib", "faiss", "dask", "scipy.stats"}
    heavy |= {"pyarrow"} if "--help" in words else set()
    assert not heavy & set(sys.modules), (words, heavy & set(sys.modules))
"""
COMMANDS = ["compare", "fit", "predict", "neighbors", "plan", "cluster", "doctor", "demo"]
MISTAKES = [
    ["--version"],
    ["completion", "bash"],
    ["compare", "nothing.csv", "--target", "y"],
    ["fit", "nothing.csv", "--target", "y", "-o", "model"],
    ["plan", "nothing.parquet", "--target", "y"],
    ["fit", "x.csv"],
    ["fit"],
    ["nonsense"],
]


def test_help_and_mistakes_import_no_library_of_the_work():
    words = [[command, "--help"] for command in COMMANDS] + [["--help"], *MISTAKES]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(words)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage:") >= len(COMMANDS)
