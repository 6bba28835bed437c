"""Whether the columns of a part are those of the job: none missing, none added, none retyped.

Parts are held to the columns of the first one, which the manifest keeps for later runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.rows.column_types import plain_type

STRICT, USED = "strict", "used"


def described(schema: Any) -> dict[str, str]:
    """Return the type of each column, as JSON can hold it."""
    return {field.name: str(field.type) for field in schema}


def check_columns(
    schema: Any, expected: dict[str, str], used: Sequence[str], columns: str, label: str
) -> None:
    """Raise where the columns of a part are not those that are expected.

    Parameters
    ----------
    schema : pyarrow.Schema
        Of the part.
    expected : dict of str
        From `described`, of the first part.
    used : sequence of str
        The columns that the model reads and those that are kept.
    columns : {"strict", "used"}
        Whether other columns count too.
    label : str
        What messages call the part.

    Raises
    ------
    InvalidInputError
    """
    found = described(schema)
    wanted = list(used) if columns == USED else list(dict.fromkeys([*used, *expected]))
    missing = [name for name in wanted if name not in found]
    if missing:
        spare = [name for name in found if name not in expected]
        other = f"; it has {_some(spare)} instead" if spare else ""
        raise InvalidInputError(
            f"{label} has no column {_some(missing)}{other}; give its name in the data "
            f"(--rename {missing[0]}=NAME)" + ("" if missing[0] in used else _OR_USED)
        )
    added = [name for name in found if name not in expected and name not in used]
    if added and columns == STRICT:
        raise InvalidInputError(
            f"{label} has the extra column {_some(added)}, which the first part does not "
            f"have{_OR_USED}"
        )
    for name in wanted:
        if name in expected and not _alike(schema.field(name).type, expected[name]):
            raise InvalidInputError(
                f"column {name!r} of {label} is {found[name]}, but {expected[name]} in the first "
                f"part; convert it (--cast {name}={expected[name]})"
                + ("" if name in used else _OR_USED)
            )


_OR_USED = "; or let other columns than those used differ (--columns used)"


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")


def _alike(kind: Any, expected: str) -> bool:
    """Return whether two types are both numbers, both texts, or both of the same kind of time."""
    import pyarrow as pa

    if str(kind) == expected or pa.types.is_null(kind) or expected == "null":
        return True
    there = _parsed(expected)
    plain = plain_type(kind), None if there is None else plain_type(there)
    numbers = (pa.int64(), pa.float64())
    return None not in plain and (plain[0] == plain[1] or all(p in numbers for p in plain))


def _parsed(name: str) -> Any:
    """Return the type behind its text, where it can be told."""
    import pyarrow as pa

    if name.startswith("dictionary"):
        return pa.string()
    if name.startswith("timestamp"):
        return pa.timestamp("us")
    if name.startswith("decimal"):
        return pa.float64()
    aliases = {"float": "float32", "double": "float64", "halffloat": "float16"}
    try:
        return pa.type_for_alias(aliases.get(name, name))
    except ValueError:
        return None
