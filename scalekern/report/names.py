"""What models are called: the key of a comparison, its family and size, and the name to print.

A comparison of several sizes has keys such as "nystroem-250"; tables and pictures must agree on how
to take them apart, and stand on either side of this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = {
    "exact": "exact",
    "linear": "linear",
    "knn": "k-NN",
    "local": "local",
    "nystroem": "Nyström",
    "fourier": "Fourier",
    "auto": "auto",
}


def key_of(family: str, size: int | None = None) -> str:
    """Return the key of a model; with a size where a family is compared at several."""
    return family if size is None else f"{family}-{size}"


def family_of(model: str) -> str:
    """Return the family of a model's key: "nystroem" of "nystroem-250"."""
    family, _, size = model.rpartition("-")
    return family if family in NAMES and size.isdigit() else model


def name_of(model: str) -> str:
    """Return how a model's name is written in tables and pictures.

    Examples
    --------
    >>> from scalekern.report.names import name_of
    >>> name_of("knn"), name_of("nystroem-2000")
    ('k-NN', 'Nyström 2,000')
    """
    family = family_of(model)
    name = NAMES.get(family, family)
    return name if family == model else f"{name} {int(model[len(family) + 1 :]):,}"


def rows_noted(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what to write behind the name of each model: its rows, where others had more.

    Parameters
    ----------
    rows : sequence of mappings
        One a model, with `n_train` if it is known.

    Examples
    --------
    >>> from scalekern.report.names import rows_noted
    >>> rows_noted([{"n_train": 3_000}, {"n_train": 245_510}])
    [' (3,000 rows)', '']
    """
    counts = [row.get("n_train") or 0 for row in rows]
    return [f" ({n:,} rows)" if 0 < n < max(counts) else "" for n in counts]
