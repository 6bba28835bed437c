"""The ways to fit one objective, exactly or approximately: what each keeps, predicts, explains.

They know rows, kernels and solvers, and of a model only the attributes that they gave it; what
parameters are called and when a model is fitted, the estimators say, a floor above.
"""

from scalekern.approximations.base import Approximation, Fitted, Job
from scalekern.approximations.registry import APPROXIMATIONS, approximation_named, solver_names

__all__ = [
    "APPROXIMATIONS",
    "Approximation",
    "Fitted",
    "Job",
    "approximation_named",
    "solver_names",
]
