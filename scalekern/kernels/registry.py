"""Short names for kernels, and what may stand for one: a name, a callable, or a kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.kernels.base import Kernel
from scalekern.kernels.callables import PairwiseKernel
from scalekern.kernels.cosine import Cosine
from scalekern.kernels.edit_distance import EditDistance
from scalekern.kernels.laplacian import Laplacian
from scalekern.kernels.linear import Linear
from scalekern.kernels.matern import Matern
from scalekern.kernels.polynomial import Polynomial
from scalekern.kernels.precomputed import Precomputed
from scalekern.kernels.rational_quadratic import RationalQuadratic
from scalekern.kernels.rbf import RBF

_NAMED: dict[str, Callable[[], Kernel]] = {
    "rbf": RBF,
    "laplacian": Laplacian,
    "matern12": lambda: Matern(nu=0.5),
    "matern32": lambda: Matern(nu=1.5),
    "matern52": lambda: Matern(nu=2.5),
    "rational_quadratic": RationalQuadratic,
    "linear": Linear,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "edit_distance": EditDistance,
    "precomputed": Precomputed,
}


def kernel_names() -> list[str]:
    """Return the short names of the kernels.

    Examples
    --------
    >>> "rbf" in kernel_names()
    True
    """
    return list(_NAMED)


def as_kernel(kernel: Any) -> Kernel:
    """Return the kernel behind a short name, a callable of two objects, or a kernel.

    Parameters
    ----------
    kernel : str, callable or Kernel

    Returns
    -------
    Kernel

    Raises
    ------
    InvalidInputError
        For anything else; the message lists the names.

    Examples
    --------
    >>> as_kernel("rbf")
    RBF()
    """
    if isinstance(kernel, Kernel):
        return kernel
    if isinstance(kernel, str) and kernel in _NAMED:
        return _NAMED[kernel]()
    if callable(kernel) and not isinstance(kernel, type):
        return PairwiseKernel(kernel)
    raise InvalidInputError(
        f"kernel={kernel!r} does not exist; use one of {kernel_names()}, a callable f(x, z), "
        "or a kernel object"
    )
