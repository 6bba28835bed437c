"""Preconditioned conjugate gradients for several right-hand sides, and why they stopped.

Apart from what is solved: a product, a preconditioner and a measure of the residual are given, so
that models on landmarks and exact models share every rule of stopping.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh_tridiagonal

CHECK = 10
"""The residual is computed and not only updated every so many iterations."""
PATIENCE = 3
SETTLED = 10.0
"""Times tol, as a share of the held-out error, is what the last iterations may change it by."""
WHOLE = 1.0
"""A residual above this is larger than all that it is measured by: a held-out error that does not
change tells of iterations that are slow, as where alpha is tiny, and not that they are done."""
ENERGY_DIGITS = 1e-13
Product = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Precondition = Callable[[np.ndarray], np.ndarray]
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
HeldOut = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class CgSettings:
    """When to stop.

    Attributes
    ----------
    tol : float
        Of the measure of the residual; 0 goes on until it no longer falls.
    max_iter : int
    """

    tol: float = 1e-4
    max_iter: int = 100


@dataclass(frozen=True)
class CgResult:
    """A solution and how it came about.

    Attributes
    ----------
    x : float64 array of shape (m, t)
    seen : array of shape (..., t) or None
        The second result of the product, for x; None before there was a product.
    products : int
    report : dict
        `iterations`, `stopped`, `residual` (the largest measure of all right-hand
        sides), `condition` (of the preconditioned matrix, from below, by Lanczos), and
        `held_out_errors` after each iteration, of all outputs together.
    """

    x: np.ndarray
    seen: np.ndarray | None
    products: int
    report: dict[str, Any]


def conjugate_gradients(
    product: Product,
    b: np.ndarray,
    precondition: Precondition,
    measure: Measure,
    settings: CgSettings,
    start: np.ndarray | None = None,
    held_out: HeldOut | None = None,
) -> CgResult:
    """Solve A x = b for a symmetric positive definite A.

    Parameters
    ----------
    product : callable
        From v of shape (m, t) to A v, one pass over the rows, and whatever else it sees of v on the
        way: any linear function of v, of shape (..., t).
    b : float64 array of shape (m, t)
    precondition : callable
        From r of shape (m, t) to an approximation of A^-1 r; symmetric positive definite.
    measure : callable
        From x, its residual and the preconditioned one to a size for each column, compared with
        tol.
    settings : CgSettings
    start : float64 array of shape (m, t), optional
        Costs one more product than starting from 0.
    held_out : callable, optional
        From what products see of x to the error of each output on rows left out; stops where
        `PATIENCE` iterations change none by more than a share `SETTLED * tol`, and the residual is
        no larger than `WHOLE`.

    Returns
    -------
    CgResult

    References
    ----------
    Hestenes and Stiefel (1952); van der Vorst and Ye (2000), Residual replacement strategies for
    Krylov subspace iterative methods.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.diag([1.0, 2.0, 3.0])
    >>> size = lambda x, r, z: np.linalg.norm(r, axis=0)
    >>> found = conjugate_gradients(
    ...     lambda v: (A @ v, v), np.ones((3, 1)), lambda r: r, size, CgSettings(tol=1e-9))
    >>> found.x[:, 0].round(6).tolist(), found.report["iterations"]
    ([1.0, 0.5, 0.333333], 3)
    """
    return _Iteration(product, b, precondition, measure, settings, start, held_out).run()


class _Iteration:
    """The vectors of the recurrences, one column for each right-hand side."""

    def __init__(
        self,
        product: Product,
        b: np.ndarray,
        precondition: Precondition,
        measure: Measure,
        settings: CgSettings,
        start: np.ndarray | None,
        held_out: HeldOut | None,
    ) -> None:
        self._product, self._b, self._precondition = product, b, precondition
        self._measure, self._settings, self._held_out = measure, settings, held_out
        self._products = 0
        self.seen: np.ndarray | None = None
        self.x = np.zeros_like(b) if start is None else start.copy()
        self.r = b if start is None else self._residual()
        self.z = precondition(self.r)
        self.p = self.z
        self.size = self._size()
        self._best, self._best_x, self._failures = self.size, self.x, 0
        self._best_seen: np.ndarray | None = self.seen
        self._least = self._energy()
        self._errors: list[np.ndarray] = []
        self._lanczos = _Lanczos()

    def run(self) -> CgResult:
        """Step until a rule stops it."""
        iterations, reason = 0, ""
        while not reason:
            if self.size == 0:
                reason = "tol: the residual is 0"
            elif self._settled():
                reason = "tol: the held-out error has settled"
            elif iterations == self._settings.max_iter:
                reason = "max_iter"
            elif self.size <= self._settings.tol or (iterations and iterations % CHECK == 0):
                reason = self._checked()
            if not reason:
                self._step()
                iterations += 1
        return CgResult(self.x, self.seen, self._products, self._report(iterations, reason))

    def _step(self) -> None:
        Ap, seen = self._times(self.p)
        curvature = _dots(self.p, Ap)
        step = _ratio(_dots(self.p, self.r), curvature)
        before, old = self.r, _dots(self.r, self.z)
        self.x = self.x + step * self.p
        self.seen = step * seen if self.seen is None else self.seen + step * seen
        self.r = self.r - step * Ap
        self.z = self._precondition(self.r)
        # Polak and Ribière's form forgets what rounding has done to earlier directions.
        share = np.maximum(_ratio(_dots(self.z, self.r - before), old), 0.0)
        self.p = self.z + share * self.p
        self._lanczos.add(step, share, old)
        self.size = self._size()

    def _checked(self) -> str:
        """Compute the residual; return why to stop, if so."""
        updated = self.size
        self.r = self._residual()
        self.z = self._precondition(self.r)
        self.size = self._size()
        if self.size <= self._settings.tol:
            return "tol: the residual is small enough"
        rounding = updated < 0.5 * self.size
        energy = self._energy()
        fell = bool((energy < self._least - ENERGY_DIGITS * np.abs(energy)).any())
        if not fell and ((rounding and self.size > 0.5 * self._best) or self._failures):
            if self.size > self._best:
                self.x, self.size, self.seen = self._best_x, self._best, self._best_seen
            return "stagnation: the residual no longer falls"
        better = fell or self.size < self._best
        self._failures = 0 if better else self._failures + 1
        if better:
            self._best, self._best_x, self._least = self.size, self.x, energy
            self._best_seen = self.seen
        if rounding:
            self.p = self.z
            self._lanczos.end()
        return ""

    def _energy(self) -> np.ndarray:
        """Return x'Ax/2 - b'x, which falls at every step even where the residual does not."""
        return -0.5 * _dots(self.x, self._b + self.r)

    def _settled(self) -> bool:
        if self._held_out is None or self.seen is None or self._settings.tol == 0:
            return False
        self._errors.append(self._held_out(self.seen))
        recent = self._errors[-1 - PATIENCE :]
        if len(recent) <= PATIENCE or self.size > WHOLE:
            return False
        still = np.ptp(recent, axis=0) <= SETTLED * self._settings.tol * recent[-1]
        return bool(still.all())

    def _size(self) -> float:
        return float(self._measure(self.x, self.r, self.z).max(initial=0.0))

    def _residual(self) -> np.ndarray:
        product, self.seen = self._times(self.x)
        return self._b - product

    def _times(self, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._products += 1
        return self._product(v)

    def _report(self, iterations: int, reason: str) -> dict[str, Any]:
        errors = [float(np.linalg.norm(error)) for error in self._errors]
        return {
            "iterations": iterations,
            "stopped": reason,
            "residual": self.size,
            "condition": self._lanczos.condition(),
        } | ({"held_out_errors": errors} if errors else {})


class _Lanczos:
    """The tridiagonal matrices that the steps imply, whose eigenvalues lie within the spectrum."""

    def __init__(self) -> None:
        self._steps: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []
        self._open = True

    def add(self, step: np.ndarray, share: np.ndarray, left: np.ndarray) -> None:
        """Take a step, unless the recurrence was broken off; `left` is r'z before it."""
        self._open = self._open and bool((left > 0).any())
        if self._open:
            self._steps.append(step)
            self._shares.append(share)

    def end(self) -> None:
        """Take no more."""
        self._open = False

    def condition(self) -> float:
        """Return the largest ratio of eigenvalues of all right-hand sides; 1 without a step."""
        if not self._steps:
            return 1.0
        steps, shares = np.array(self._steps).T, np.array(self._shares).T
        return max(
            _condition(a[a > 0], b[: (a > 0).sum()]) for a, b in zip(steps, shares, strict=True)
        )


def _condition(steps: np.ndarray, shares: np.ndarray) -> float:
    if not len(steps):
        return 1.0
    diagonal = 1.0 / steps
    diagonal[1:] += shares[:-1] / steps[:-1]
    e = eigh_tridiagonal(diagonal, np.sqrt(shares[:-1]) / steps[:-1], eigvals_only=True)
    return float(e[-1] / e[0]) if e[0] > 0 else float("inf")


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->j", a, b)


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
