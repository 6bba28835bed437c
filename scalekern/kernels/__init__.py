"""What similar means: one kernel a file, and a registry of short names.

A kernel holds the mathematics and nothing else; how blocks are computed is the engine's business.
"""

from scalekern.kernels.base import Columns, Kernel, StationaryKernel
from scalekern.kernels.callables import BlockKernel, PairwiseKernel
from scalekern.kernels.laplacian import Laplacian
from scalekern.kernels.linear import Linear
from scalekern.kernels.matern import Matern
from scalekern.kernels.rbf import RBF
from scalekern.kernels.registry import as_kernel, kernel_names

__all__ = [
    "RBF",
    "BlockKernel",
    "Columns",
    "Kernel",
    "Laplacian",
    "Linear",
    "Matern",
    "PairwiseKernel",
    "StationaryKernel",
    "as_kernel",
    "kernel_names",
]
