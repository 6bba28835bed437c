"""The list of benchmarks is true: each suite is a module whose command knows its arguments."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks"
PARTS = {"__init__", "__main__", "by_hand", "data", "limits", "made", "neighbor_indices",
         "peer_models", "results", "running", "worker", "fetch_data",
         "calibrate_neighbors"}  # fmt: skip


def loaded(name):
    """Return a module of the folder, which stays off the path: the package is there, too."""
    spec = importlib.util.spec_from_file_location(f"loaded_{name}", FOLDER / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMMAND, RESULTS = loaded("__main__"), loaded("results")
SUITES, main = COMMAND.SUITES, COMMAND.main


def options_of(name):
    """Return the options that a module declares."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    added = [call for call in calls if getattr(call.func, "attr", "") == "add_argument"]
    return {arg.value for call in added for arg in call.args if isinstance(arg, ast.Constant)}


def test_every_module_is_a_suite_or_a_part_of_some():
    assert {file.stem for file in FOLDER.glob("*.py")} - PARTS == set(SUITES)


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_knows_the_arguments_that_it_is_given(name):
    suite = SUITES[name]
    given = {word for word in (*(suite.short or ()), *suite.full) if word.startswith("--")}
    assert given <= options_of(name)


@pytest.mark.parametrize("name", SUITES)
def test_every_suite_ends_with_tables_results_and_record(name):
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    first = {getattr(call.func, "id", ""): call.args[0] for call in calls if call.args}
    assert first["parser"].value == first["keep"].value == name


def test_without_names_all_are_listed(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    assert main() == 0
    told = capsys.readouterr().out
    assert all(name in told for name in SUITES)


@pytest.mark.parametrize("words", [["nothing"], ["peers", "--short", "--record"]])
def test_wrong_words_are_refused(words, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2


def test_what_a_suite_lacks_is_said(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmarks", "fits", "memory", "--short"])
    monkeypatch.delenv("SCALEKERN_DATA", raising=False)
    assert main() == 0
    told = capsys.readouterr().out
    assert "fits: skipped, it reads data" in told
    assert "memory: skipped, it takes too long" in told


def test_tables_are_markdown_with_numbers_to_the_right():
    assert RESULTS.table(["a", "b"], [["x", "1"], ["yy", "10"]]).splitlines() == [
        "| a  |  b |",
        "| -- | -: |",
        "| x  |  1 |",
        "| yy | 10 |",
    ]
    assert RESULTS.spread([3.0, 1.0, 2.0]) == "2.00 (1.00 to 3.00)"


@pytest.fixture
def history(tmp_path, monkeypatch):
    """Return what keeps two runs in a folder of this test, with the given medians."""
    monkeypatch.setattr(RESULTS, "KEPT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["suite", "--rounds", "3", "--record"])

    def run(day, *values):
        monkeypatch.setattr(RESULTS, "today", lambda: day)
        RESULTS.keep("suite", "| a |", {"more": 1}, {"peer": values}, record=True)

    return run


def test_what_is_recorded_says_the_command_the_machine_and_the_day(history, tmp_path, capsys):
    history("2026-01-01", 2.0, 4.0)
    assert "| a |" in capsys.readouterr().out
    kept = json.loads((tmp_path / "suite.json").read_text())
    assert kept["ratios"] == {"peer": [2.0, 4.0]}
    assert kept["more"] == 1
    page = (tmp_path / "suite.md").read_text()
    assert page.startswith("`python -m benchmarks.suite --rounds 3` on 2026-01-01: ")
    assert "cores of" in page


def test_a_regression_shows_in_the_history(history, tmp_path, capsys):
    history("2026-01-01", 4.0)
    history("2026-01-02", 3.9)
    history("2026-01-03", 3.0)
    capsys.readouterr()
    RESULTS.main()
    lines = capsys.readouterr().out.splitlines()
    assert [("WORSE than 4" in line) for line in lines] == [False, False, True]
    table = (tmp_path / "history.md").read_text()
    assert "2026-01-01" in table
    assert "3.9 (3.9 to 3.9)" in table
