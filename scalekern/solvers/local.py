"""Exact models on each query's own neighbours, a block of queries at a time.

A neighbourhood and its query are k + 1 points. One Cholesky factor of their Gram matrix, with the
penalty on the diagonal, holds all there is to know: its last row is L^-1 k_x, and the square of its
corner is what a new target varies by. With the targets r as further rows below, it holds L^-1 r
too, and the prediction is the product of the two. Pure arithmetic on stacked arrays; who the
neighbours are is found floors above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekern.errors import UnsupportedError
from scalekern.kernels import Kernel, Laplacian, as_kernel, kernel_names
from scalekern.kernels.radial import RadialKernel
from scalekern.solvers.stacked import (
    back_substituted,
    cholesky,
    forward_substituted,
    least_ridge,
)

DIRECT_COLUMNS = 16
"""Up to here differences are taken column by column, which no cancellation can spoil."""
MOST_BORDERED = 8
"""Up to so many targets stand below the similarities; more are solved for after them."""
FARTHEST = -1e8
"""Exponents end here, where every kernel is 0 and none is inf * 0."""


@dataclass(frozen=True)
class Neighborhoods:
    """The neighbours of a block of queries.

    Attributes
    ----------
    queries : float64 array of shape (q, d)
    points : float64 array of shape (q, k, d)
    targets : float64 array of shape (q, k, t)
    radius : float64 array of shape (q,)
        The distance to the last neighbour, above 0.
    weight : float64 array of shape (q, k) or None
        Above 0; None is 1.
    found : bool array of shape (q, k) or None
        False where there is no such neighbour; None where there are all.
    """

    queries: np.ndarray
    points: np.ndarray
    targets: np.ndarray
    radius: np.ndarray
    weight: np.ndarray | None = None
    found: np.ndarray | None = None


@dataclass(frozen=True)
class LocalSolution:
    """The models of a block of queries.

    Attributes
    ----------
    prediction : float64 array of shape (q, t)
    factor : float64 array of shape (q, m, m)
        The Cholesky factors, m of at least k + 1.
    variance : float64 array of shape (q,)
        ``1 + alpha - k_x' (K + alpha W^-1)^-1 k_x``: of a new target, for a scale of 1.
    scale2 : float64 array of shape (q, t) or None
        ``r' (K + alpha W^-1)^-1 r`` over the degrees of freedom, r the targets less their mean.
    """

    prediction: np.ndarray
    factor: np.ndarray
    variance: np.ndarray
    scale2: np.ndarray | None
    n_neighbors: int

    @property
    def weights(self) -> np.ndarray:
        """``(K + alpha W^-1)^-1 k_x``, float64 of shape (q, k).

        The prediction is the mean plus their sum of targets less mean.
        """
        k = self.n_neighbors
        return back_substituted(self.factor, self.factor[:, k, :k].copy())


def is_local(kernel: Kernel) -> bool:
    """Return whether local models have this kernel."""
    return isinstance(kernel, (RadialKernel, Laplacian))


def require_local(kernel: Kernel) -> RadialKernel | Laplacian:
    """Return the kernel, or raise listing those that local models have."""
    if isinstance(kernel, (RadialKernel, Laplacian)):
        return kernel
    known = ", ".join(repr(name) for name in kernel_names() if is_local(as_kernel(name)))
    raise UnsupportedError(
        f"approximation='local' needs a kernel of the distance of two vectors and {kernel!r} is "
        f"not one; use {known}, or approximation='nystroem'"
    )


def length_of(kernel: Kernel) -> float:
    """Return the length scale of a kernel of `require_local`, in the units of X."""
    kernel = require_local(kernel)
    return kernel.length if isinstance(kernel, RadialKernel) else 1.0 / float(kernel.gamma or 1.0)


def solve_local(
    kernel: Kernel,
    hoods: Neighborhoods,
    lengths: np.ndarray,
    alpha: float,
    *,
    centre: bool,
    with_scale: bool = False,
) -> LocalSolution:
    """Return the models of all queries.

    Parameters
    ----------
    kernel : RadialKernel or Laplacian
        Its own length scale, if it has one, is not looked at.
    hoods : Neighborhoods
    lengths : float64 array of shape (q,)
        The length scale of each query.
    alpha : float
        Raised, if need be, to what keeps rounding from making a matrix indefinite.
    centre : bool
        Whether the weighted mean target of the neighbours is taken off first.
    with_scale : bool, default=False

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern.kernels import RBF
    >>> hoods = Neighborhoods(np.zeros((1, 1)), np.array([[[-1.0], [1.0]]]),
    ...                       np.array([[[2.0], [4.0]]]), np.ones(1))
    >>> float(solve_local(RBF(), hoods, np.ones(1), 0.1, centre=True).prediction[0, 0].round(9))
    3.0
    """
    return solve_gram(
        similarities(kernel, exponents(kernel, hoods, lengths)),
        hoods,
        alpha,
        centre=centre,
        with_scale=with_scale,
    )


def exponents(kernel: Kernel, hoods: Neighborhoods, lengths: np.ndarray) -> np.ndarray:
    """Return minus half the squared (for L1, minus the) distances in lengths, (q, k + 1, k + 1).

    The last point of each is the query.
    """
    q, k, d = hoods.points.shape
    points = np.zeros((q, k + 1, d))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        np.subtract(hoods.points, hoods.queries[:, None], out=points[:, :k])
        points[:, :k] /= lengths[:, None, None]
        if isinstance(kernel, RadialKernel) and d > DIRECT_COLUMNS:
            E = _by_products(points)
        else:
            E = _by_columns(points, absolute=isinstance(kernel, Laplacian))
    np.fmax(E, FARTHEST, out=E)
    E.reshape(q, -1)[:, :: k + 2] = 0.0
    return E


def _by_columns(points: np.ndarray, *, absolute: bool) -> np.ndarray:
    q, m, d = points.shape
    E, more = np.empty((q, m, m)), np.empty((q, m, m))
    for j in range(d):
        one = more if j else E
        x = np.ascontiguousarray(points[:, :, j])
        np.subtract(x[:, :, None], x[:, None, :], out=one)
        np.abs(one, out=one) if absolute else np.square(one, out=one)
        if j:
            E += one
    E *= -1.0 if absolute else -0.5
    return E


def _by_products(points: np.ndarray) -> np.ndarray:
    E = points @ points.transpose(0, 2, 1)
    half = 0.5 * np.einsum("qii->qi", E)
    sums = half[:, :, None] + half[:, None, :]
    E -= sums
    # Equal rows must be equally similar to all: what rounding leaves between them is taken for 0.
    E[E > -1e-14 * sums] = 0.0
    return E


def rescaled(kernel: Kernel, E: np.ndarray, factor: float) -> np.ndarray:
    """Return the exponents for lengths `factor` times as long."""
    return E / (factor if isinstance(kernel, Laplacian) else factor**2)


def similarities(kernel: Kernel, E: np.ndarray) -> np.ndarray:
    """Turn exponents into the kernel in place, and return it."""
    if isinstance(kernel, RadialKernel):
        kernel.profile(E)
    else:
        np.exp(E, out=E)
    return E


def solve_gram(
    K: np.ndarray, hoods: Neighborhoods, alpha: float, *, centre: bool, with_scale: bool = False
) -> LocalSolution:
    """Return the models from the similarities of neighbours and query; K is kept as it is."""
    q, m, _ = K.shape
    k = m - 1
    mean, rest = _centred(hoods, centre)
    bordered = rest.shape[2] <= MOST_BORDERED
    A = _bordered(K, hoods.found, rest if bordered else rest[:, :, :0])
    diagonal = A.reshape(q, -1)[:, :: A.shape[1] + 1]
    diagonal[:, :k] += _ridge(alpha, hoods.weight, m)
    diagonal[:, k] += max(alpha, least_ridge(m))
    diagonal[:, m:] = 2.0 + 2.0 * k / max(alpha, least_ridge(m))
    L = cholesky(A)
    if bordered:
        U = L[:, m:, :k].transpose(0, 2, 1) * _size(rest)[:, None]
    else:
        U = forward_substituted(L, rest)
    prediction = mean + (L[:, k, None, :k] @ U)[:, 0]
    scale2 = None
    if with_scale:
        n = k if hoods.found is None else hoods.found.sum(axis=1)[:, None]
        freedom = np.maximum(n - int(centre), 1)
        scale2 = np.square(U).sum(axis=1) / freedom
    return LocalSolution(prediction, L, L[:, k, k] ** 2, scale2, k)


def _bordered(K: np.ndarray, found: np.ndarray | None, rest: np.ndarray) -> np.ndarray:
    """Return the similarities with the targets, of size 1 at most, as further rows below.

    What was not found is similar to itself only, and weighs 0. What stands above the diagonal to
    the right of the similarities is never read.
    """
    q, m, _ = K.shape
    t = rest.shape[2]
    A = np.zeros((q, m + t, m + t))
    A[:, :m, :m] = K
    if found is not None:
        there = np.pad(found, ((0, 0), (0, 1)), constant_values=True)
        A[:, :m, :m] *= there[:, :, None] & there[:, None, :]
        A.reshape(q, -1)[:, : m * (m + t) : m + t + 1] = 1.0
    if t:
        np.divide(rest.transpose(0, 2, 1), _size(rest)[:, :, None], out=A[:, m:, : m - 1])
    return A


def _size(rest: np.ndarray) -> np.ndarray:
    """Return the largest target of each neighbourhood by size, (q, t), and 1 where all are 0."""
    size = np.abs(rest).max(axis=1)
    return np.where(size > 0, size, 1.0)


def solve_coefficients(
    K: np.ndarray, hoods: Neighborhoods, alpha: float, *, centre: bool
) -> np.ndarray:
    """Return ``(K + alpha W^-1)^-1 (y - mean)`` of each neighbourhood, of shape (q, k, t)."""
    k = K.shape[1] - 1
    _, rest = _centred(hoods, centre)
    A = _bordered(K, hoods.found, rest[:, :, :0])[:, :k, :k]
    np.einsum("qii->qi", A)[...] += _ridge(alpha, hoods.weight, k + 1)
    return np.linalg.solve(A, rest)


def local_shares(hoods: Neighborhoods, solution: LocalSolution, *, centre: bool) -> np.ndarray:
    """Return how much each neighbour's target counts in the prediction, shape (q, k).

    The weights of the solution are of targets less their mean, in which each has its share.
    """
    weights = solution.weights if hoods.found is None else solution.weights * hoods.found
    if not centre:
        return weights
    shares: np.ndarray = _mean_shares(hoods)
    return weights + shares * (1.0 - weights.sum(axis=1, keepdims=True))


def _ridge(alpha: float, weight: np.ndarray | None, m: int) -> np.ndarray | float:
    if weight is None:
        return max(alpha, least_ridge(m))
    with np.errstate(over="ignore"):
        return np.clip(alpha / weight, least_ridge(m), 1e100)


def _centred(hoods: Neighborhoods, centre: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean target of each neighbourhood, (q, t), and the targets less it."""
    targets, found = hoods.targets, hoods.found
    q, _, t = targets.shape
    # A product of matrices adds up in the same order whatever the size of the block.
    mean = (_mean_shares(hoods)[:, None] @ targets)[:, 0] if centre else np.zeros((q, t))
    rest = targets - mean[:, None]
    return mean, rest if found is None else rest * found[:, :, None]


def _mean_shares(hoods: Neighborhoods) -> np.ndarray:
    """Return the share of each neighbour in their mean, (q, k); 0 of what was not found."""
    weight, found = hoods.weight, hoods.found
    shape = hoods.targets.shape[:2]
    share = np.ones(shape) if weight is None else weight / weight.max(axis=1, keepdims=True)
    share = share if found is None else share * found
    return share / np.maximum(share.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
