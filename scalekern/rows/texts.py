"""One column of text as the feature: its rows are objects, for kernels and metrics of texts.

It is apart from the numeric columns because such rows have no features to count, scale or stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def is_text_feature(schema: Any, features: Sequence[str]) -> bool:
    """Return whether the features are a single column of text."""
    if len(features) != 1:
        return False
    import pyarrow.types as pt

    kind = schema.field(features[0]).type
    if pt.is_dictionary(kind):
        kind = kind.value_type
    tests = (pt.is_string, pt.is_large_string, getattr(pt, "is_string_view", pt.is_string))
    return any(test(kind) for test in tests)


def texts_of(column: Any) -> list[str]:
    """Return an Arrow column of text as a list."""
    return [str(text) for text in column.to_pylist()]
