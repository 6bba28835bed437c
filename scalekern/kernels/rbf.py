"""The Gaussian kernel: similarity that falls with the squared distance."""

from __future__ import annotations

import numpy as np

from scalekern.kernels.base import Kernel, check_positive
from scalekern.kernels.radial import RadialKernel
from scalekern.storage import storable


@storable
class RBF(RadialKernel):
    """The Gaussian (radial basis function) kernel, `k(x, z) = exp(-gamma |x - z|^2)`.

    Parameters
    ----------
    gamma : float or None, default=None
        Bandwidth, above 0, in 1 / units of X squared: the larger, the narrower the kernel. None
        leaves it to the estimator.

    Raises
    ------
    InvalidInputError
        If `gamma` is not a number above 0, when the kernel is evaluated.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> float(RBF(gamma=0.5).block(np.array([[0.0]]), np.array([[2.0]]))[0, 0].round(4))
    0.1353
    """

    def __init__(self, gamma: float | None = None) -> None:
        self.gamma = gamma

    @property
    def needs_gamma(self) -> bool:
        """Whether gamma was left open."""
        return self.gamma is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with `gamma` where it was left open."""
        return RBF(gamma) if self.gamma is None else self

    @property
    def length(self) -> float:
        """1 / sqrt(2 gamma), in the units of X."""
        return float((2.0 * check_positive("gamma", self.gamma)) ** -0.5)

    def profile(self, t: np.ndarray) -> None:
        """Turn `-gamma |x - z|^2` into the kernel in place."""
        np.exp(t, out=t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        """Return exp(t), the derivative of itself."""
        return np.exp(t)

    def spectral_scales(self, u: np.ndarray) -> np.ndarray:
        """Return 1/length: the spectral density is normal."""
        return np.full(len(u), 1.0 / self.length)
