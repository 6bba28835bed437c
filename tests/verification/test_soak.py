"""Long runs of what tests/test_leaks.py and tests/test_life_of_a_model.py do for a short time."""

from __future__ import annotations

from hypothesis import settings
from test_leaks import leaks_nothing
from test_life_of_a_model import Life, LifeOfNeighbors


def test_thousands_of_fits_predictions_explanations_and_files_leak_nothing():
    leaks_nothing(loops=100, seconds=600)


LONG = settings(max_examples=200, stateful_step_count=25, deadline=None, derandomize=True)
TestLongLife = Life.TestCase
TestLongLife.settings = LONG
TestLongLifeOfNeighbors = LifeOfNeighbors.TestCase
TestLongLifeOfNeighbors.settings = LONG
