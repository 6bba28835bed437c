"""Peers that have to be installed by hand; where they are not, the contest skips them and says so.

Apart from the other models, because none of this runs in our own checks: Falkon needs PyTorch and a
compiler (https://github.com/FalkonML/falkon), EigenPro is in scikit-learn-extra. To add more, write
a file like this one, with a dict `PEERS`: `python -m benchmarks.peers --extra FILE`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.peer_models import Fit, Predict


def falkon(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Landmarks and preconditioned conjugate gradients; its penalty is ours over the rows."""
    import torch
    from falkon import Falkon, FalkonOptions
    from falkon.kernels import GaussianKernel

    kernel = GaussianKernel(sigma=float(np.sqrt(0.5 / settings["gamma"])))
    model = Falkon(
        kernel=kernel,
        penalty=settings["alpha"] / len(X),
        M=settings["size"],
        options=FalkonOptions(use_cpu=not torch.cuda.is_available()),
    )
    model.fit(torch.from_numpy(X), torch.from_numpy(y)[:, None])
    return lambda Q: model.predict(torch.from_numpy(Q)).numpy()


def eigenpro(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Stochastic gradients, preconditioned by the top of the spectrum; stops early, no penalty."""
    from sklearn_extra.kernel_methods import EigenProRegressor

    bandwidth = float(np.sqrt(0.5 / settings["gamma"]))
    model = EigenProRegressor(kernel="gaussian", bandwidth=bandwidth, n_epoch=5, random_state=0)
    return model.fit(X, y).predict


PEERS: dict[str, Fit] = {"Falkon": falkon, "EigenPro": eigenpro}
