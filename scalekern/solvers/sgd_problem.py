"""The objective of gradient descent, preconditioned by a sketch, and the step that is safe for it.

Apart from the descent (`sgd`), which only asks for gradients, batches and steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalekern.engine import Engine
from scalekern.engine.progress import step
from scalekern.features import FeatureMap
from scalekern.rows import Block, RowSource
from scalekern.solvers.losses import Loss
from scalekern.solvers.rechoice import Rechoice, rechosen
from scalekern.solvers.ridge import FeatureSample
from scalekern.solvers.sketch import Sketch, sketch_need, sketch_size

POWER_STEPS = 20
PROBES = 64
BATCH_ROWS = 256


@dataclass(frozen=True)
class SgdState:
    """What a later call goes on from; coordinates are [phi - center, 1], or phi alone.

    Attributes
    ----------
    center : float64 array of shape (m,)
    offset : float64 array of shape (t,)
        Taken off the targets.
    theta : float64 array of shape (M, t)
    G : float64 array of shape (M, M)
        The sketched curvature of all rows so far.
    h : float64 array of shape (M, t)
        G theta - h is the gradient of their losses.
    alpha : float
    """

    center: np.ndarray
    offset: np.ndarray
    theta: np.ndarray
    G: np.ndarray
    h: np.ndarray
    alpha: float


@dataclass(frozen=True)
class SgdSettings:
    """How long and how: `max_iter` passes in all, the sketch's included."""

    max_iter: int = 5
    tol: float = 1e-4
    batch_rows: int = BATCH_ROWS
    fit_intercept: bool = True
    seed: int = 0


def prepared(
    engine: Engine,
    source: RowSource,
    feature_map: FeatureMap,
    loss: Loss,
    alpha: float,
    sample: FeatureSample,
    settings: SgdSettings,
    state: SgdState | None,
) -> tuple[Problem, np.ndarray]:
    """Return the problem with its preconditioner and step, and where to start, after one pass."""
    squared = loss.name == "squared_error"
    n, t, intercept = source.n_rows, source.n_outputs, settings.fit_intercept
    y_mean = sample.weight @ sample.y / sample.weight.sum()
    first = y_mean if squared and intercept else np.zeros(t)
    offset = first if state is None else state.offset
    m = feature_map.n_features
    sketch_need(engine.n_threads, m, t).require()
    sketch = engine.reduce(
        source,
        lambda: Sketch(feature_map, t, offset, n, settings.seed),
        "sketching the rows",
    )
    B, y, ones = sketch.B[:, :m], sketch.B[:, m:-1], sketch.B[:, -1:]
    earlier = state is not None
    if state is None:
        state = _first_state(sketch, loss, offset, alpha, y_mean, intercept=intercept)
        y = y - ones * _constant_prediction(loss, state, m, intercept=intercept)
    B = np.hstack([B - ones * state.center, ones]) if intercept else B
    problem = Problem(feature_map, loss, state, alpha, source.n_rows, intercept=intercept)
    with step("factoring the sketch"):
        problem.precondition(loss.curvature * (B.T @ B))
        problem.measure(sample)
    problem.solved = squared and sketch.whole
    theta = state.theta
    if squared or not earlier:
        pull = B.T @ (y - B @ theta if squared else y)
        theta = theta + problem.preconditioned(pull - problem.fixed_gradient(theta))
    return problem, theta


def _first_state(
    sketch: Sketch,
    loss: Loss,
    offset: np.ndarray,
    alpha: float,
    y_mean: np.ndarray,
    *,
    intercept: bool,
) -> SgdState:
    """Return the state before any row: at 0, but for the best constant."""
    m, t = sketch.c.shape
    M = m + intercept
    center = sketch.S / sketch.W[0] if intercept else np.zeros(m)
    theta, h = np.zeros((M, t)), np.zeros((M, t))
    # For the squared loss that constant is 0, the targets being centred.
    if intercept and loss.name != "squared_error":
        theta[m] = loss.constant(y_mean)
    return SgdState(center, offset, theta, np.zeros((M, M)), h, alpha)


def _constant_prediction(loss: Loss, state: SgdState, m: int, *, intercept: bool) -> np.ndarray:
    scores = state.theta[m : m + 1] if intercept else np.zeros((1, state.theta.shape[1]))
    return loss.residual(scores, np.zeros_like(scores))[0]


@dataclass
class Batch:
    """Features of some rows, centred, with their targets, weights and largest leverage."""

    Phi: np.ndarray
    y: np.ndarray
    w: np.ndarray
    leverage: float


class Problem:
    """The objective in preconditioned form, and the step that is safe for it."""

    def __init__(
        self,
        feature_map: FeatureMap,
        loss: Loss,
        state: SgdState,
        alpha: float,
        n_rows: int,
        *,
        intercept: bool,
    ) -> None:
        self._map, self.loss, self.state, self.n_rows = feature_map, loss, state, n_rows
        self._intercept = intercept
        self.solved = False
        self.alpha = alpha
        self.candidates: np.ndarray | None = None
        self.rechoice: Rechoice | None = None

    @property
    def penalty(self) -> np.ndarray:
        """Return alpha for each coordinate, 0 for the intercept's."""
        penalty = np.full(len(self.state.theta), self.alpha)
        if self._intercept:
            penalty[-1] = 0.0
        return penalty

    def precondition(self, curvature: np.ndarray) -> None:
        """Set P = (G + alpha)^-1 for the curvature of the new rows and of earlier ones."""
        self.G = self.state.G + curvature
        self._factor()

    def _factor(self) -> None:
        d, V = np.linalg.eigh(self.G + np.diag(self.penalty))
        # Directions that rounding made are not to be blown up; they only converge more slowly.
        floor = max(len(d) * np.finfo(np.float64).eps * d.max(initial=0.0), 1e-300)
        self.d, self.V = np.maximum(d, floor), V
        self.root = V / np.sqrt(self.d)
        rng = np.random.default_rng(len(d))
        probes = rng.standard_normal((len(d), min(PROBES, len(d))))
        self._probe = self.root @ probes / np.sqrt(probes.shape[1])

    def measure(self, sample: FeatureSample) -> None:
        """Find the largest leverage and the largest eigenvalue on some rows."""
        self._sample = sample
        Psi = self.augmented(sample.Phi) @ self.root
        w, kappa = sample.weight, self.loss.curvature
        self.beta = self._first_beta = float(
            kappa * self.n_rows * (w * np.square(Psi).sum(axis=1)).max()
        )
        share = kappa * self.n_rows / len(w)
        fixed = self.state.G + np.diag(self.penalty)
        v = np.random.default_rng(1).standard_normal(Psi.shape[1])
        self.L = 0.0
        for _ in range(POWER_STEPS):
            v /= np.linalg.norm(v) or 1.0
            v = share * (Psi.T @ (w * (Psi @ v))) + self.root.T @ (fixed @ (self.root @ v))
            self.L = float(np.linalg.norm(v))
        self.L = max(self.L, 1.0)

    def choose_again(self, theta: np.ndarray) -> np.ndarray | None:
        """Return where to go on from with a better alpha; None where there is none."""
        if self.candidates is None:
            return None
        m, sample = self._map.n_features, self._sample
        Phi = self.augmented(sample.Phi)
        y = sample.y - self.state.offset - Phi[:, m:] @ theta[m:]
        # The rows of the sample stand for all: their weight, for the leverage of the intercept.
        share = 1.0 / (self.n_rows * sample.weight.mean()) if self._intercept else 0.0
        G, before = self.G[:m, :m], self.alpha
        found = rechosen(
            G, theta[:m], before, self.candidates, Phi[:, :m], y, sample.weight, share,
            sketch_size(m),
        )  # fmt: skip
        self.rechoice, self.alpha = found, found.alpha
        if found.alpha == before:
            return None
        self._factor()
        self.measure(sample)
        return np.concatenate([found.theta, theta[m:]])

    def augmented(self, Phi: np.ndarray) -> np.ndarray:
        """Return features as float64, centred and with a column of ones, if so asked for."""
        if not self._intercept:
            return Phi.astype(np.float64)
        out = np.empty((len(Phi), Phi.shape[1] + 1))
        np.subtract(Phi, self.state.center, out=out[:, :-1])
        out[:, -1] = 1.0
        return out

    def batch(self, block: Block) -> Batch:
        """Prepare a batch in a worker: its features and its largest leverage."""
        assert block.y is not None
        Phi = self.augmented(self._map(block.X))
        w = np.ones(len(block)) if block.weight is None else block.weight
        return Batch(Phi, block.y - self.state.offset, w, self._leverage(Phi, w))

    def _leverage(self, Phi: np.ndarray, w: np.ndarray) -> float:
        # Random probes tell to a sixth or so which rows may exceed what was seen; only those are
        # measured in full, which would cost as much as the features.
        scale = self.loss.curvature * self.n_rows * w
        rough = scale * np.square(Phi @ self._probe).sum(axis=1)
        doubtful = rough > 0.8 * self._first_beta
        if not doubtful.any():
            return 0.0
        exact = np.square(Phi[doubtful] @ self.root).sum(axis=1)
        return float((scale[doubtful] * exact).max())

    def preconditioned(self, g: np.ndarray) -> np.ndarray:
        """Return the preconditioner times g."""
        return self.root @ (self.root.T @ g)

    def fixed_gradient(self, theta: np.ndarray) -> np.ndarray:
        """Return the gradient of the penalty and of earlier rows."""
        return self.penalty[:, None] * theta + self.state.G @ theta - self.state.h

    def norm(self, theta: np.ndarray) -> float:
        """Return the norm in which 1 is the root sum of squares of predictions."""
        return float(np.sqrt((self.d[:, None] * np.square(self.V.T @ theta)).sum()))
