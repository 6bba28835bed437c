"""The approximations of a similarity model by name: a new one is a file beside, and a line here.

Each says what it keeps, how it is fitted, predicts; the estimator only chooses and reports.
"""

from __future__ import annotations

from scalekern.approximations.base import Approximation
from scalekern.approximations.combination import WithLocal
from scalekern.approximations.exact import Exact
from scalekern.approximations.fourier import Fourier
from scalekern.approximations.local import Local
from scalekern.approximations.nystroem import Nystroem
from scalekern.errors import UnsupportedError

APPROXIMATIONS: dict[str, Approximation] = {
    approximation.name: approximation
    for approximation in (
        Exact(),
        Nystroem(),
        Fourier(),
        Local(),
        WithLocal(Nystroem()),
        WithLocal(Fourier()),
    )
}


def approximation_named(name: str, solver: str) -> Approximation:
    """Return the approximation, or raise where the solver does not go with it."""
    approximation = APPROXIMATIONS[name]
    if solver not in ("auto", *approximation.solvers):
        pairs = "; ".join(f"{a.name}: {', '.join(a.solvers)}" for a in APPROXIMATIONS.values())
        raise UnsupportedError(
            f"solver={solver!r} does not go with approximation={name!r}; the solvers are {pairs}"
        )
    return approximation


def solver_names() -> tuple[str, ...]:
    """Return every solver that some approximation has."""
    names = (solver for a in APPROXIMATIONS.values() for solver in a.solvers)
    return tuple(dict.fromkeys(("auto", *names)))
