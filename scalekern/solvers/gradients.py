"""Gradients of similarity models by the coordinates of the row: what learned metrics add up.

The derivative of a radial kernel is its slope times the difference of two points, so a gradient
costs no more than a prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.engine import Statistic
from scalekern.kernels.radial import RadialKernel
from scalekern.rows import Block
from scalekern.solvers.local import Neighborhoods, exponents, similarities, solve_coefficients


def local_gradients(
    kernel: RadialKernel,
    hoods: Neighborhoods,
    lengths: np.ndarray,
    alpha: float,
    *,
    centre: bool,
) -> np.ndarray:
    """Return the gradients, at the queries, of the models of their neighbourhoods.

    Parameters
    ----------
    kernel, hoods, lengths, alpha, centre : as in `solve_local`

    Returns
    -------
    float64 array of shape (q, t, d)
    """
    E = exponents(kernel, hoods, lengths)
    slope = kernel.slope(E[:, -1, :-1])
    coef = solve_coefficients(similarities(kernel, E), hoods, alpha, centre=centre)
    differences = hoods.points - hoods.queries[:, None]
    weighted = (slope[:, :, None] * coef).transpose(0, 2, 1)
    return np.asarray((weighted @ differences) / lengths[:, None, None] ** 2)


class GradientOuterProduct(Statistic):
    """The sum over rows of the outer product of a model's gradient with itself.

    Parameters
    ----------
    gradients : callable
        From a block to its gradients, of shape (rows, t, d).
    n_features : int
        d
    longest : float, default=inf
        Longer gradients are shortened to this length: single rows must not decide.

    Attributes
    ----------
    M : float64 array of shape (d, d)

    References
    ----------
    Radhakrishnan, Beaglehole, Pandit and Belkin (2024), Mechanism for feature learning in neural
    networks and backpropagation-free machine learning models.
    """

    def __init__(
        self,
        gradients: Callable[[Block], np.ndarray],
        n_features: int,
        longest: float = np.inf,
    ) -> None:
        self._gradients, self._longest = gradients, longest
        self.M = np.zeros((n_features, n_features))

    def update(self, block: Block) -> None:
        """Add one block of rows."""
        G = self._gradients(block)
        norms = lengths_of(G)
        longer = norms > self._longest
        scale = np.divide(self._longest, norms, out=np.ones_like(norms), where=longer)
        scale = scale if block.weight is None else scale * np.sqrt(block.weight)
        G = (G * scale[:, None, None]).reshape(-1, G.shape[2])
        self.M += G.T @ G

    def merge(self, other: Any) -> None:
        """Add the sum over other rows."""
        self.M += other.M

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the sum."""
        return {"M": self.M}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the sum that `arrays` gave."""
        self.M = arrays["M"]


def lengths_of(G: np.ndarray) -> np.ndarray:
    """Return the length of the gradients of each row, over all outputs."""
    return np.sqrt(np.einsum("qtd,qtd->q", G, G))
