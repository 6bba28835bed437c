"""Run every check, and let none of them keep the others from speaking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from scalekern.checkup.findings import PROBLEM, WARNING, Checkup, Finding
from scalekern.checkup.libraries import check_blas, check_core_variables, check_faiss
from scalekern.checkup.model import check_model
from scalekern.checkup.resources import (
    check_cores,
    check_memory,
    check_temporary_space,
    check_thread_variables,
)
from scalekern.checkup.speed import check_products
from scalekern.checkup.versions import check_extras, check_versions

Check = Callable[[], Iterator[Finding]]
CHECKS: tuple[tuple[str, Check], ...] = (
    ("versions", check_versions),
    ("cores", check_cores),
    ("memory", check_memory),
    ("temporary files", check_temporary_space),
    ("thread variables", check_thread_variables),
    ("kernel variables", check_core_variables),
    ("BLAS", check_blas),
    ("FAISS", check_faiss),
    ("matrix products", check_products),
    ("extras", check_extras),
)


def doctor(model: Any = None) -> Checkup:
    """Check whether scalekern can run, and run fast, on this machine.

    Looks at versions against the bounds of the package, cores and memory as the process may use
    them, BLAS and its kernels, environment variables, FAISS's instructions, the speed of a matrix
    product, space for temporary files, and optional packages. Takes about two seconds. What is
    wrong is a finding, never an exception.

    Parameters
    ----------
    model : path, optional
        A stored model to check too: whether its files are intact, and which versions saved it.

    Returns
    -------
    Checkup
        Prints as a list; each finding has a level "ok", "warning" or "problem", and a cure.

    Examples
    --------
    >>> import scalekern
    >>> found = scalekern.doctor()
    >>> found.findings[0].what
    'Python'
    """
    of_model = () if model is None else (("model", lambda: check_model(model)),)
    return examine((*CHECKS, *of_model))


def examine(checks: Sequence[tuple[str, Check]]) -> Checkup:
    """Return the findings of checks; one that fails is a finding itself."""
    found: list[Finding] = []
    for name, check in checks:
        try:
            found.extend(check())
        except ImportError as error:
            cure = "install what is missing above, then run `scalekern doctor` again"
            found.append(Finding(PROBLEM, name, f"could not be checked: {error}", cure))
        except Exception as error:  # noqa: BLE001  a doctor that stops helps nobody
            text = f"could not be checked: {type(error).__name__}: {error}"
            found.append(Finding(WARNING, name, text, "please report this as a bug of scalekern"))
    return Checkup(tuple(found))
