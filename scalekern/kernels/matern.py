"""The Matérn kernels 1/2, 3/2 and 5/2: rougher than the Gaussian, often nearer to real data."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincinv

from scalekern.errors import InvalidInputError
from scalekern.kernels.base import Kernel, check_positive
from scalekern.kernels.radial import RadialKernel
from scalekern.storage import storable


@storable
class Matern(RadialKernel):
    """The Matérn kernel, whose functions are as smooth as `nu` says.

    With `s = sqrt(2 nu) |x - z| / length_scale`: exp(-s) for 1/2, (1 + s) exp(-s) for 3/2,
    (1 + s + s^2/3) exp(-s) for 5/2.

    Parameters
    ----------
    length_scale : float or None, default=None
        Above 0, in the units of X; None leaves it to the estimator, where gamma then means
        1 / (2 length_scale^2).
    nu : {0.5, 1.5, 2.5}, default=1.5
        Smoothness: functions are continuous (0.5), once (1.5) or twice (2.5) differentiable.

    Raises
    ------
    InvalidInputError
        If `length_scale` is not a number above 0, or `nu` is another number, when the kernel is
        evaluated.

    References
    ----------
    Rasmussen and Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> float(Matern(1.0, nu=0.5).block(np.array([[0.0]]), np.array([[2.0]]))[0, 0].round(4))
    0.1353
    """

    def __init__(self, length_scale: float | None = None, nu: float = 1.5) -> None:
        self.length_scale = length_scale
        self.nu = nu

    @property
    def needs_gamma(self) -> bool:
        """Whether the length scale was left open."""
        return self.length_scale is None

    def with_gamma(self, gamma: float) -> Kernel:
        """Return the kernel with length scale 1 / sqrt(2 gamma) where it was left open."""
        if self.length_scale is not None:
            return self
        return Matern(float((2.0 * check_positive("gamma", gamma)) ** -0.5), self.nu)

    @property
    def length(self) -> float:
        """The length scale, in the units of X."""
        return check_positive("length_scale", self.length_scale)

    @property
    def has_cusp(self) -> bool:
        """Whether nu is 1/2: the others are smooth at distance 0."""
        return self.nu == 0.5

    def profile(self, t: np.ndarray) -> None:
        """Turn `-|x - z|^2 / (2 length^2)` into the kernel in place."""
        self._check_nu()
        t *= t.dtype.type(-4.0 * self.nu)
        np.maximum(t, 0, out=t)
        s = np.sqrt(t)
        if self.nu == 2.5:
            t *= t.dtype.type(1.0 / 3.0)
            t += s
            t += 1
        elif self.nu == 1.5:
            np.add(s, 1, out=t)
        else:
            t.fill(1)
        np.negative(s, out=s)
        np.exp(s, out=s)
        t *= s

    def slope(self, t: np.ndarray) -> np.ndarray:
        """Return e^-s / s for 1/2, 3 e^-s for 3/2, 5/3 (1 + s) e^-s for 5/2."""
        self._check_nu()
        s = np.sqrt(np.maximum(-4.0 * self.nu * t, np.finfo(t.dtype).eps))
        if self.nu == 0.5:
            return np.exp(-s) / s
        return (3.0 if self.nu == 1.5 else 5.0 / 3.0 * (1.0 + s)) * np.exp(-s)

    def spectral_scales(self, u: np.ndarray) -> np.ndarray:
        """Return sqrt(2 nu / c) / length with c ~ chi-squared of 2 nu: a Student t density."""
        self._check_nu()
        return np.sqrt(self.nu / gammaincinv(self.nu, u)) / self.length

    def _check_nu(self) -> None:
        if self.nu not in (0.5, 1.5, 2.5):
            raise InvalidInputError(f"nu={self.nu!r}; a Matérn kernel takes 0.5, 1.5 or 2.5")
