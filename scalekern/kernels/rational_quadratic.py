"""The rational quadratic kernel: Gaussians of many length scales in one."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

from scalekern.kernels.base import Kernel, check_positive
from scalekern.kernels.radial import RadialKernel
from scalekern.storage import storable


@storable
class RationalQuadratic(RadialKernel):
    """The rational quadratic kernel, a mixture of Gaussians of many length scales.

    `k(x, z) = (1 + |x - z|^2 / (2 alpha length_scale^2))^-alpha`, where the Gaussians' precision
    has a gamma distribution; for large alpha it is a single Gaussian.

    Parameters
    ----------
    length_scale : float or None, default=None
        Above 0, in the units of X; None leaves it to the estimator, where gamma then means
        1 / (2 length_scale^2).
    alpha : float, default=1.0
        Above 0: the smaller, the more length scales are mixed. It is the kernel's own shape and
        not the penalty of an estimator, called as in `sklearn.gaussian_process.kernels`.

    Raises
    ------
    InvalidInputError
        If a parameter is not above 0, when the kernel is evaluated.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> kernel = RationalQuadratic(1.0, alpha=0.5)
    >>> float(kernel.block(np.array([[0.0]]), np.array([[2.0]]))[0, 0].round(4))
    0.4472
    """

    def __init__(self, length_scale: float | None = None, alpha: float = 1.0) -> None:
        self.length_scale = length_scale
        self.alpha = alpha

    @property
    def needs_gamma(self) -> bool:
        """Whether the length scale was left open."""
        return self.length_scale is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with length scale 1 / sqrt(2 gamma) where it was left open."""
        if self.length_scale is not None:
            return self
        return RationalQuadratic(float((2.0 * check_positive("gamma", gamma)) ** -0.5), self.alpha)

    @property
    def length(self) -> float:
        """The length scale, in the units of X."""
        return check_positive("length_scale", self.length_scale)

    def profile(self, t: np.ndarray) -> None:
        """Turn `t = -|x - z|^2 / (2 length^2)` into `(1 - t / alpha)^-alpha` in place."""
        alpha = check_positive("alpha", self.alpha)
        t *= t.dtype.type(-1.0 / alpha)
        # Rounding may leave a squared distance a little below 0.
        np.maximum(t, 0, out=t)
        # Near distance 0 and for large alpha the power itself would lose the digits of t.
        np.log1p(t, out=t)
        t *= t.dtype.type(-alpha)
        np.exp(t, out=t)

    def slope(self, t: np.ndarray) -> np.ndarray:
        """Return (1 - t / alpha)^(-alpha - 1)."""
        alpha = check_positive("alpha", self.alpha)
        return np.exp(-(alpha + 1.0) * np.log1p(np.maximum(t * (-1.0 / alpha), 0)))

    def spectral_scales(self, u: np.ndarray) -> np.ndarray:
        """Return sqrt(tau) with precisions tau ~ Gamma(alpha, 1 / (alpha length^2))."""
        alpha = check_positive("alpha", self.alpha)
        return np.sqrt(gammaincinv(alpha, u) / alpha) / self.length
