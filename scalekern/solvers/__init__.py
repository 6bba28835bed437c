"""From sums or a Gram matrix to coefficients; every answer is finite and says what was done."""

from scalekern.solvers.cg import CgSettings
from scalekern.solvers.exact import solve_exact
from scalekern.solvers.exact_cg import solve_exact_by_cg
from scalekern.solvers.landmark_cg import LandmarkProblem, solve_landmarks
from scalekern.solvers.losses import loss_named
from scalekern.solvers.path import AlphaRule, alpha_rule
from scalekern.solvers.ridge import FeatureSample, Solution, solve_ridge
from scalekern.solvers.sgd import solve_sgd
from scalekern.solvers.sgd_problem import SgdSettings, SgdState
from scalekern.solvers.sketch import Sketch, sketch_size
from scalekern.solvers.smoother import Smoother
from scalekern.solvers.spd import solve_spd
from scalekern.solvers.sums import ResidualStatistic, RidgeStatistic

__all__ = [
    "AlphaRule",
    "CgSettings",
    "FeatureSample",
    "LandmarkProblem",
    "ResidualStatistic",
    "RidgeStatistic",
    "SgdSettings",
    "SgdState",
    "Sketch",
    "Smoother",
    "Solution",
    "alpha_rule",
    "loss_named",
    "sketch_size",
    "solve_exact",
    "solve_exact_by_cg",
    "solve_landmarks",
    "solve_ridge",
    "solve_sgd",
    "solve_spd",
]
