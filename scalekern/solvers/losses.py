"""The losses that stochastic gradient descent knows: what they say of a prediction, and curve."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from scipy.special import expit, log_softmax, softmax


class Loss(ABC):
    """A convex loss of scores of shape (rows, t) against targets of the same shape."""

    name: str
    curvature: float

    @abstractmethod
    def residual(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the gradient by the scores, shape (rows, t)."""

    @abstractmethod
    def value(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Return the loss of each row."""

    @abstractmethod
    def constant(self, y_mean: np.ndarray) -> np.ndarray:
        """Return the best score that is the same for every row, shape (t,)."""


class SquaredLoss(Loss):
    """(f - y)^2 / 2 in each output."""

    name, curvature = "squared_error", 1.0

    def residual(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return scores - y

    def value(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 0.5 * np.square(scores - y).sum(axis=1)

    def constant(self, y_mean: np.ndarray) -> np.ndarray:
        return y_mean


class LogisticLoss(Loss):
    """log(1 + exp(f)) - y f for one column y of 0 and 1."""

    name, curvature = "log_loss", 0.25

    def residual(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return expit(scores) - y

    def value(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (np.logaddexp(0.0, scores) - y * scores).sum(axis=1)

    def constant(self, y_mean: np.ndarray) -> np.ndarray:
        p = np.clip(y_mean, 1e-12, 1 - 1e-12)
        return np.log(p) - np.log1p(-p)


class SoftmaxLoss(Loss):
    """The logarithmic loss of several classes, y their indicators (Böhning 1992 for the bound)."""

    name, curvature = "log_loss", 0.5

    def residual(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return softmax(scores, axis=1) - y

    def value(self, scores: np.ndarray, y: np.ndarray) -> np.ndarray:
        return -(y * log_softmax(scores, axis=1)).sum(axis=1)

    def constant(self, y_mean: np.ndarray) -> np.ndarray:
        p = np.log(np.clip(y_mean, 1e-12, None))
        return p - p.mean()


def loss_named(name: str, n_outputs: int) -> Loss:
    """Return the loss "squared_error", or "log_loss" of one or several columns."""
    if name == "squared_error":
        return SquaredLoss()
    return LogisticLoss() if n_outputs == 1 else SoftmaxLoss()
