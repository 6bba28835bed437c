"""What similar means: one kernel a file, and a registry of short names.

A kernel holds the mathematics and nothing else; how blocks are computed is the engine's business.
"""

from scalekern.kernels.base import Columns, Kernel, StationaryKernel
from scalekern.kernels.callables import BlockKernel, PairwiseKernel
from scalekern.kernels.combinations import Combination, Constant, Product, Sum
from scalekern.kernels.cosine import Cosine
from scalekern.kernels.edit_distance import EditDistance
from scalekern.kernels.laplacian import Laplacian
from scalekern.kernels.linear import Linear
from scalekern.kernels.matern import Matern
from scalekern.kernels.polynomial import Polynomial
from scalekern.kernels.precomputed import Precomputed
from scalekern.kernels.rational_quadratic import RationalQuadratic
from scalekern.kernels.rbf import RBF
from scalekern.kernels.registry import as_kernel, kernel_names

__all__ = [
    "RBF",
    "BlockKernel",
    "Columns",
    "Combination",
    "Constant",
    "Cosine",
    "EditDistance",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "PairwiseKernel",
    "Polynomial",
    "Precomputed",
    "Product",
    "RationalQuadratic",
    "StationaryKernel",
    "Sum",
    "as_kernel",
    "kernel_names",
]
