"""The one objective of all similarity models, solved densely from its own equations.

Independent of the package: no spectrum, no whitening, no sums over blocks.
"""

from __future__ import annotations

import numpy as np


def exact(K, y, alpha, weight=None, *, intercept=True):
    """Minimise |y - K a - b|^2_w + alpha a'Ka; return a of shape (n, t) and b of shape (t,).

    With an intercept the derivatives are (K + alpha/w) a + b = y and sum(a) = 0.
    """
    y = np.asarray(y).reshape(len(K), -1)
    A = K + np.diag(alpha / (np.ones(len(K)) if weight is None else weight))
    if not intercept:
        return np.linalg.solve(A, y), np.zeros(y.shape[1])
    one = np.ones((len(K), 1))
    system = np.block([[A, one], [one.T, np.zeros((1, 1))]])
    solution = np.linalg.solve(system, np.vstack([y, np.zeros((1, y.shape[1]))]))
    return solution[:-1], solution[-1]


def nystroem(K_nm, K_mm, y, alpha, weight=None, *, intercept=True):
    """Minimise |y - K_nm a - b|^2_w + alpha a'K_mm a; return a of shape (m, t) and b of shape (t,).

    As least squares of stacked rows, so that nothing is squared.
    """
    y = np.asarray(y).reshape(len(K_nm), -1)
    root = np.sqrt(np.ones(len(K_nm)) if weight is None else weight)[:, None]
    e, V = np.linalg.eigh(K_mm)
    penalty = np.sqrt(alpha * np.maximum(e, 0))[:, None] * V.T
    top = np.hstack([K_nm, np.ones((len(K_nm), 1))] if intercept else [K_nm]) * root
    A = np.vstack([top, np.hstack([penalty, np.zeros((len(penalty), int(intercept)))])])
    right = np.vstack([y * root, np.zeros((len(penalty), y.shape[1]))])
    solution = np.linalg.lstsq(A, right, rcond=1e-14)[0]
    m = K_nm.shape[1]
    return solution[:m], solution[m] if intercept else np.zeros(y.shape[1])
