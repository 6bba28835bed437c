"""What models are called: the key of a comparison, its family and size, and the name to print.

A comparison of several sizes has keys such as "nystroem-250"; tables and pictures must agree on how
to take them apart, and stand on either side of this file.
"""

from __future__ import annotations

NAMES = {
    "exact": "exact",
    "linear": "linear",
    "knn": "k-NN",
    "local": "local",
    "nystroem": "Nyström",
    "fourier": "Fourier",
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
