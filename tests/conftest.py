"""Fixtures that several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_folder():
    """The folder of real data; a test that wants it is skipped where SCALEKERN_DATA is not set."""
    folder = os.environ.get("SCALEKERN_DATA")
    if not folder:
        pytest.skip("SCALEKERN_DATA does not name the folder of real data")
    return Path(folder)


@pytest.fixture(scope="session")
def airfoil(data_folder):
    """The airfoil table; where the folder is named, it must be there."""
    file = data_folder / "airfoil.csv"
    assert file.is_file(), f"SCALEKERN_DATA is set, but there is no {file}"
    return file
