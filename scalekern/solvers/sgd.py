"""Mini-batch stochastic gradient descent that needs no tuning.

One pass makes a sketch, which gives a preconditioner P and a start; the step comes from the largest
leverage and the largest eigenvalue of the preconditioned problem on some rows, by a bound under
which the mean square error of the iterate cannot grow. An alpha that came from a sample of rows is
chosen again after the first passes. Rows of earlier calls stay as a quadratic:
the sketch's curvature around what was found then.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scalekern.engine import Engine, Walk
from scalekern.engine.progress import step
from scalekern.features import FeatureMap
from scalekern.rows import RowSource
from scalekern.solvers.losses import Loss
from scalekern.solvers.ridge import FeatureSample, Solution
from scalekern.solvers.sgd_problem import Batch, Problem, SgdSettings, SgdState, prepared

MOST_RETREATS = 8
RECHOICES = 2
"""After each of so many passes alpha may change; the last two are the answer's."""


@step("finding the coefficients")
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
    problem, theta = prepared(engine, source, feature_map, loss, alpha, sample, settings, state)
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
    problem: Problem,
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
        if _rises(value + mean.sum(), value, losses):
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
        if _settled(problem, means, settings.tol):
            reason = "tol: the mean iterate has settled"
            break
    # The last two of the default's four passes; the last half of more, which lowers the noise.
    answer = np.mean(means[-max(2, len(means) // 2) :], axis=0) if means else start
    return answer, _report(problem, passes, reason, losses, retreats)


def _report(
    problem: Problem, passes: int, reason: str, losses: list[float], retreats: int
) -> dict[str, Any]:
    return {
        "loss": problem.loss.name,
        "passes": 1 if problem.solved else passes + 1,
        "stopped": reason,
        "pass_losses": losses,
        "rechosen": problem.rechoice is not None,
        "largest_leverage": problem.beta,
        "largest_eigenvalue": problem.L,
        "retreats": retreats,
    }


def _rises(sure: float, value: float, losses: list[float]) -> bool:
    """Return whether a pass led away: to what is not finite, or to twice the least loss."""
    return bool(not np.isfinite(sure) or (losses and value > 2 * min(losses) + 1e-300))


def _settled(problem: Problem, means: list[np.ndarray], tol: float) -> bool:
    if len(means) < 2 or tol <= 0:
        return False
    return problem.norm(means[-1] - means[-2]) <= tol * problem.norm(means[-1])


def _pass(
    engine: Engine,
    source: RowSource,
    problem: Problem,
    theta: np.ndarray,
    settings: SgdSettings,
    number: int,
) -> _Walk:
    loss, n = problem.loss, problem.n_rows

    def step(walk: _Walk, batch: Batch) -> _Walk:
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
            number=number,
            batch_rows=settings.batch_rows,
            prepare=problem.batch,
            what=f"pass {number + 2} of at most {settings.max_iter}",
        )
    problem.beta = walk.beta
    return walk
