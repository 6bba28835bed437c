"""From sums or a Gram matrix to coefficients; every answer is finite and says what was done."""

from scalekern.solvers.exact import solve_exact
from scalekern.solvers.path import AlphaRule, alpha_rule
from scalekern.solvers.ridge import FeatureSample, Solution, solve_ridge
from scalekern.solvers.smoother import Smoother
from scalekern.solvers.spd import solve_spd
from scalekern.solvers.sums import ResidualStatistic, RidgeStatistic

__all__ = [
    "AlphaRule",
    "FeatureSample",
    "ResidualStatistic",
    "RidgeStatistic",
    "Smoother",
    "Solution",
    "alpha_rule",
    "solve_exact",
    "solve_ridge",
    "solve_spd",
]
