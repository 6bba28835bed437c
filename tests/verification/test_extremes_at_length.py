"""What tests/test_extremes.py does for seconds, for minutes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANY_DATA
from test_extremes import nothing_overflows


@settings(ANY_DATA, max_examples=5_000)
@given(st.data())
def test_nothing_in_the_range_overflows_however_long_one_looks(data):
    nothing_overflows(data)
