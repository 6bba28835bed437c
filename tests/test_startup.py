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


WORK = """
import sys
from scalekern.cli import main
for words in sys.argv[1:]:
    try:
        main(words.split(), prog_name="scalekern")
    except SystemExit as stop:
        assert not stop.code, stop.code
    assert "sklearn.base" in sys.modules
    assert not {"pandas", "scipy.stats", "matplotlib", "dask"} & set(sys.modules), words
import pandas, sklearn.preprocessing, sklearn.utils.fixes
from scipy import stats
assert pandas.DataFrame({"a": [1]}).shape == (1, 1) and "core" in dir(pandas)
assert stats.norm.cdf(0.0) == 0.5 and stats is sys.modules["scipy.stats"]
assert sklearn.utils.fixes._mode([1, 2, 2]).mode == 2
rows = sklearn.preprocessing.PowerTransformer("box-cox").fit_transform([[1.0], [2.0], [4.0]])
assert rows.shape == (3, 1)
import scipy
assert scipy.stats is stats
"""


def test_commands_that_work_leave_out_what_only_scikit_learn_imports(tmp_path):
    data = tmp_path / "some.csv"
    data.write_text("a,b,y\n" + "".join(f"{i},{i % 7},{i + i % 7}\n" for i in range(50)))
    commands = [
        f"fit {data} --target y --model knn -o {tmp_path}/model",
        f"predict {tmp_path}/model {data} -o {tmp_path}/some.parquet",
        f"neighbors {tmp_path}/model {data} --row 3",
        f"plan {data} --target y",
        f"compare {data} --target y --models linear,knn,exact",
    ]
    done = subprocess.run(
        [sys.executable, "-c", WORK, *commands],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "some.parquet").exists()


MISSING = """
import sys
from scalekern.cli.startup import postpone_imports

sys.modules["pandas"] = None  # as if it were not installed
postpone_imports()
import sklearn.utils.fixes
assert sklearn.utils.fixes.pd is None
try:
    import pandas
except ModuleNotFoundError:
    print("not there")
"""


def test_what_is_not_installed_is_not_made_up():
    done = subprocess.run(
        [sys.executable, "-c", MISSING], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "not there\n", done.stderr
