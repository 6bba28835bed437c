"""Mini-batch stochastic gradient descent that needs no tuning.

One pass makes a sketch, which gives a preconditioner P and a start; the step comes from the largest
leverage and the largest eigenvalue of the preconditioned problem on some rows, by a bound under
which the mean square error of the iterate cannot grow. An alpha that came from a sample of rows is
chosen again after the first passes. Rows of earlier calls stay as a quadratic:
the sketch's curvature around what was found then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalekern.engine import Engine, Need, Walk
from scalekern.features import FeatureMap
from scalekern.rows import Block, RowSource
from scalekern.solvers.losses import Loss
from scalekern.solvers.rechoice import Rechoice, rechosen
from scalekern.solvers.ridge import FeatureSample, Solution
from scalekern.solvers.sketch import Sketch, sketch_size

BATCH_ROWS = 256
POWER_STEPS = 20
PROBES = 64
MOST_RETREATS = 8
RECHOICES = 2
"""After each of so many passes alpha may change; the last two are the answer's."""


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


def sketch_need(n_threads: int, m: int, t: int) -> Need:
    """Return what the sketch of m features and t outputs needs: one a chunk in flight."""
    size = (n_threads + 4) * 8 * sketch_size(m) * (m + t + 1)
    return Need(size, f"a sketch of {m} components", "use fewer n_components")


def solve_sgd(
    engine: Engine,
    source: RowSource,
    feature_map: FeatureMap,
    loss: Loss,
    alpha: float,
    sample: FeatureSample,
    settings: SgdSettings,
    state: SgdState | None = None,
    alphas: np.ndarray | None = None,
) -> tuple[Solution, SgdState]:
    """Minimise sum_i w_i loss(f(x_i), y_i) + alpha/2 |theta|^2 over the rows of a source.

    Parameters
    ----------
    engine : Engine
    source : RowSource
        With targets.
    feature_map : FeatureMap
    loss : Loss
        The squared loss is half the square, so that alpha is that of `KernelRidge`.
    alpha : float
    sample : FeatureSample
        Random rows of the source, some 4m, that the step is found on.
    settings : SgdSettings
    state : SgdState, optional
        Of an earlier call, whose rows count too.
    alphas : float64 array, optional
        What `alpha` was chosen from on the sample, and may be chosen from again.

    Returns
    -------
    solution : Solution
        The mean iterate of the last two whole passes, or of the last half where they are more.
    state : SgdState

    References
    ----------
    Bach and Moulines (2013), non-strongly-convex smooth stochastic approximation; Ma, Bassily and
    Belkin (2018) for the step of a batch.
    """
    first = state is None
    problem, theta = _prepared(engine, source, feature_map, loss, alpha, sample, settings, state)
    if first and alphas is not None and loss.name == "squared_error":
        problem.candidates = alphas
    theta, report = _passes(engine, source, problem, theta, settings)
    G = problem.G
    penalty = problem.penalty[:, None] * theta
    alpha = problem.alpha
    after = replace(problem.state, theta=theta, G=G, h=G @ theta + penalty, alpha=alpha)
    m = feature_map.n_features
    intercept = after.offset.copy()
    if settings.fit_intercept:
        intercept += theta[m] - after.center @ theta[:m]
    solution = Solution(theta[:m], intercept, alpha, report=report)
    if problem.rechoice is not None:
        path = problem.rechoice
        solution = replace(solution, alphas=path.alphas, scores=path.scores)
    return solution, after


def _prepared(
    engine: Engine,
    source: RowSource,
    feature_map: FeatureMap,
    loss: Loss,
    alpha: float,
    sample: FeatureSample,
    settings: SgdSettings,
    state: SgdState | None,
) -> tuple[_Problem, np.ndarray]:
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
    if state is None:
        M = m + intercept
        center = sketch.S / sketch.W[0] if intercept else np.zeros(m)
        theta, h = np.zeros((M, t)), np.zeros((M, t))
        state = SgdState(center, offset, theta, np.zeros((M, M)), h, alpha)
        # The best constant first: for the squared loss that is 0, the targets being centred.
        if intercept and not squared:
            state.theta[m] = loss.constant(y_mean)
        y = y - ones * _constant_prediction(loss, state, m, intercept=intercept)
        earlier = False
    else:
        earlier = True
    B = np.hstack([B - ones * state.center, ones]) if intercept else B
    problem = _Problem(feature_map, loss, state, alpha, source.n_rows, intercept=intercept)
    problem.precondition(loss.curvature * (B.T @ B))
    problem.measure(sample)
    problem.solved = squared and sketch.whole
    theta = state.theta
    if squared or not earlier:
        pull = B.T @ (y - B @ theta if squared else y)
        theta = theta + problem.preconditioned(pull - problem.fixed_gradient(theta))
    return problem, theta


def _constant_prediction(loss: Loss, state: SgdState, m: int, *, intercept: bool) -> np.ndarray:
    scores = state.theta[m : m + 1] if intercept else np.zeros((1, state.theta.shape[1]))
    return loss.residual(scores, np.zeros_like(scores))[0]


@dataclass
class _Batch:
    Phi: np.ndarray
    y: np.ndarray
    w: np.ndarray
    leverage: float


class _Problem:
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

    def batch(self, block: Block) -> _Batch:
        """Prepare a batch in a worker: its features and its largest leverage."""
        assert block.y is not None
        Phi = self.augmented(self._map(block.X))
        w = np.ones(len(block)) if block.weight is None else block.weight
        return _Batch(Phi, block.y - self.state.offset, w, self._leverage(Phi, w))

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


class _Walk(Walk):
    """The iterate, and what is summed over a pass."""

    def __init__(self, theta: np.ndarray, beta: float) -> None:
        self.theta, self.sum = theta, np.zeros_like(theta)
        self.batches, self.loss, self.weight, self.beta = 0, 0.0, 0.0, beta

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all of it."""
        counts = np.array([self.batches, self.loss, self.weight, self.beta])
        return {"theta": self.theta, "sum": self.sum, "counts": counts}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Take what `arrays` gave."""
        self.theta, self.sum = arrays["theta"], arrays["sum"]
        batches, self.loss, self.weight, self.beta = arrays["counts"].tolist()
        self.batches = int(batches)


def _passes(
    engine: Engine,
    source: RowSource,
    problem: _Problem,
    theta: np.ndarray,
    settings: SgdSettings,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the mean iterate of the last two whole passes, and a report."""
    means: list[np.ndarray] = []
    losses: list[float] = []
    retreats, reason = 0, "max_iter passes"
    start, passes = theta, 0
    if problem.solved:
        # Noise would only lead away from the answer.
        passes, reason = settings.max_iter, "the sketch holds every row and was solved"
    while passes < settings.max_iter - 1:
        walk = _pass(engine, source, problem, theta, settings, passes)
        mean, value = walk.sum / max(1, walk.batches), walk.loss / (walk.weight or 1.0)
        passes += 1
        if not np.isfinite(value + mean.sum()) or (losses and value > 2 * min(losses) + 1e-300):
            # No bound is proved for batches never seen: go back, and on in half the step.
            problem.beta, problem.L, retreats = 2 * problem.beta, 2 * problem.L, retreats + 1
            theta = means[-1] if means else start
            if retreats > MOST_RETREATS:
                reason = "the loss would not fall"
                break
            continue
        theta = walk.theta
        means.append(mean)
        losses.append(value)
        again = problem.choose_again(mean) if passes <= RECHOICES else None
        if again is not None:
            theta, start, means, losses = again, again, [], []
            continue
        if len(means) > 1 and settings.tol > 0:
            change = problem.norm(means[-1] - means[-2])
            if change <= settings.tol * problem.norm(means[-1]):
                reason = "tol: the mean iterate has settled"
                break
    # The last two of the default's four passes; the last half of more, which lowers the noise.
    answer = np.mean(means[-max(2, len(means) // 2) :], axis=0) if means else start
    report = {
        "loss": problem.loss.name,
        "passes": 1 if problem.solved else passes + 1,
        "stopped": reason,
        "pass_losses": losses,
        "rechosen": problem.rechoice is not None,
        "largest_leverage": problem.beta,
        "largest_eigenvalue": problem.L,
        "retreats": retreats,
    }
    return answer, report


def _pass(
    engine: Engine,
    source: RowSource,
    problem: _Problem,
    theta: np.ndarray,
    settings: SgdSettings,
    number: int,
) -> _Walk:
    loss, n = problem.loss, problem.n_rows

    def step(walk: _Walk, batch: _Batch) -> _Walk:
        b = len(batch.w)
        walk.beta = max(walk.beta, batch.leverage)
        eta = b / (walk.beta + (b - 1) * problem.L)
        scores = batch.Phi @ walk.theta
        r = batch.w[:, None] * loss.residual(scores, batch.y)
        g = (n / b) * (batch.Phi.T @ r) + problem.fixed_gradient(walk.theta)
        walk.loss += float(batch.w @ loss.value(scores, batch.y))
        walk.weight += float(batch.w.sum())
        walk.theta = walk.theta - eta * problem.preconditioned(g)
        walk.sum += walk.theta
        walk.batches += 1
        return walk

    with np.errstate(over="ignore", invalid="ignore"):
        walk = engine.scan(
            source,
            step,
            _Walk(theta, problem.beta),
            seed=settings.seed,
            first_pass=number,
            batch_rows=settings.batch_rows,
            prepare=problem.batch,
            what=f"pass {number + 2} of at most {settings.max_iter}",
        )
    problem.beta = walk.beta
    return walk
