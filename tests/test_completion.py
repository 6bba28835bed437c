"""Shells complete commands, options, files and the columns of the file that is named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from scalekern.cli import main

CODE = "from scalekern.cli import main; main(prog_name='scalekern')"


def completed(*words):
    """Return what stands there for the last word, given those before it."""
    found = ShellComplete(main, {}, "scalekern", "_SCALEKERN_COMPLETE").get_completions(
        list(words[:-1]), words[-1]
    )
    return [(item.type, item.value) for item in found]


@pytest.fixture
def table(tmp_path):
    columns = pa.table({"size": [1.0], "sort": ["a"], "price": [2.0]})
    pq.write_table(columns, tmp_path / "x.parquet")
    pa.csv.write_csv(columns, tmp_path / "y.csv", pa.csv.WriteOptions(quoting_style="none"))
    (tmp_path / "parts").mkdir()
    pq.write_table(columns, tmp_path / "parts" / "0.parquet")
    return tmp_path


def test_commands_options_and_choices_are_completed():
    assert ("plain", "compare") in completed("co")
    assert ("plain", "--target") in completed("fit", "--ta")
    assert ("plain", "nystroem") in completed("fit", "--model", "ny")


def test_files_are_left_to_the_shell():
    assert completed("compare", "fli") == [("file", "fli")]
    assert completed("fit", "x.csv", "-o", "mo") == [("file", "mo")]


@pytest.mark.parametrize("name", ["x.parquet", "y.csv", "parts"])
def test_columns_are_those_of_the_file_that_is_named(table, name):
    file = str(table / name)
    assert completed("fit", file, "--target", "s") == [("plain", "size"), ("plain", "sort")]
    assert completed("fit", file, "--drop", "sort,p") == [("plain", "sort,price")]


@pytest.mark.parametrize("name", ["nothing.parquet", "", "s3://bucket/x.parquet"])
def test_a_file_that_cannot_be_read_completes_nothing(name):
    assert completed("fit", name, "--target", "s") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_names_the_variable_that_the_command_answers(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_SCALEKERN_COMPLETE" in result.stdout
    assert f"{shell}_complete" in result.stdout


def test_bash_completes_by_the_script(tmp_path):
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on this machine")
    script = CliRunner().invoke(main, ["completion", "bash"]).stdout
    command = tmp_path / "scalekern"
    command.write_text(f"#!{sys.executable}\n{CODE}\n")
    command.chmod(0o755)
    lines = f"""{script}
COMP_WORDS=(scalekern comp); COMP_CWORD=1
_scalekern_completion scalekern comp scalekern
echo "${{COMPREPLY[@]}}"
"""
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    done = subprocess.run(
        [bash, "-c", lines], capture_output=True, text=True, env={**os.environ, "PATH": path},
        check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.split() == ["compare", "completion"]
