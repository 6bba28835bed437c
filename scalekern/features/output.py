"""What `set_output` does not reach: rows that come from files stay rows.

Apart because scikit-learn wraps every `transform`, and a frame made of rows that are read as needed
would hold all of them and lose the target that rides along, for which the next step is waiting.
"""

from __future__ import annotations

from functools import wraps
from typing import Any, TypeVar

from scalekern.rows import RowSource

T = TypeVar("T")


def rows_for_rows(cls: type[T]) -> type[T]:
    """Let a transformer return rows for rows, whatever `set_output` or `transform_output` say."""
    for name in ("transform", "fit_transform"):
        setattr(cls, name, _dispatched(getattr(cls, name)))
    return cls


def _dispatched(framed: Any) -> Any:
    plain = framed.__wrapped__

    @wraps(plain)
    def method(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        chosen = plain if isinstance(X, RowSource) else framed
        return chosen(self, X, *args, **kwargs)

    return method
