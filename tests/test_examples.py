"""The examples of docs/examples run as they stand, and come out as they say."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "docs" / "examples"


def test_families_of_dna_are_told_by_edit_distance(tmp_path, capsys):
    pytest.importorskip("rapidfuzz")
    pytest.importorskip("matplotlib")
    file = EXAMPLES / "dna_by_edit_distance.py"
    if not file.is_file():
        pytest.skip("the examples are in the repository, not in the package")
    accuracy = runpy.run_path(str(file))["main"](tmp_path)
    told = capsys.readouterr().out
    assert accuracy > 0.95
    assert f"accuracy {accuracy:.3f}" in told
    assert "share of votes" in told
    assert (tmp_path / "dna.png").read_bytes().startswith(b"\x89PNG")
