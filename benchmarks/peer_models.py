"""The models of `benchmarks.peers`, ours and others', at good settings, and the least they must do.

Apart from the contest, which knows them by name alone. A fit goes from the training arrays and the
settings (a dict of "gamma", "alpha", "size") to a function from X to predictions.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable
from typing import Any

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]
Fit = Callable[[np.ndarray, np.ndarray, dict[str, Any]], Predict]


def nystroem_ridge(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Landmarks and ridge regression, of scikit-learn."""
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    features = Nystroem(
        gamma=settings["gamma"], n_components=settings["size"], random_state=0, n_jobs=-1
    )
    return make_pipeline(features, Ridge(settings["alpha"], solver="cholesky")).fit(X, y).predict


def descent(X: np.ndarray, settings: dict[str, Any]) -> Any:
    """Return scikit-learn's descent with averages and the constant step that goes with them.

    A quarter of one over the squared norm of the features, which is 1 for random waves (Bach and
    Moulines 2013); with scikit-learn's own step it takes longer and comes less far.
    """
    from sklearn.linear_model import SGDRegressor

    return SGDRegressor(
        alpha=settings["alpha"] / len(X),
        learning_rate="constant",
        eta0=0.25,
        average=True,
        random_state=0,
    )


def fourier_sgd(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Random waves and stochastic gradient descent, of scikit-learn."""
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.pipeline import make_pipeline

    waves = RBFSampler(gamma=settings["gamma"], n_components=settings["size"], random_state=0)
    return make_pipeline(waves, descent(X, settings)).fit(X, y).predict


def kernel_ridge(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Kernel ridge regression on all rows, of scikit-learn."""
    from sklearn.kernel_ridge import KernelRidge

    alpha = settings["alpha"]
    return KernelRidge(alpha=alpha, kernel="rbf", gamma=settings["gamma"]).fit(X, y).predict


def support_vectors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Support vector regression, of scikit-learn."""
    from sklearn.svm import SVR

    machine = SVR(C=0.5 / settings["alpha"], gamma=settings["gamma"], epsilon=0.1, cache_size=1000)
    return machine.fit(X, y).predict


def neighbors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """k-NN, of scikit-learn."""
    from sklearn.neighbors import KNeighborsRegressor

    return KNeighborsRegressor(settings["size"], weights="distance", n_jobs=-1).fit(X, y).predict


def boosted_trees(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Gradient boosting, of LightGBM, which stops by a tenth of the rows."""
    from lightgbm import LGBMRegressor, early_stopping

    trees = LGBMRegressor(
        n_estimators=settings["size"],
        num_leaves=255,
        learning_rate=0.1,
        min_child_samples=20,
        n_jobs=-1,
        verbose=-1,
    )
    part = len(X) // 10
    stop = [early_stopping(20, verbose=False)]
    trees.fit(X[part:], y[part:], eval_set=[(X[:part], y[:part])], callbacks=stop)
    return trees.predict


def dask_incremental(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Waves and a pass of descent by dask-ml's `Incremental`, on blocks of Dask arrays."""
    import dask
    import dask.array as da
    from dask_ml.wrappers import Incremental
    from sklearn.kernel_approximation import RBFSampler

    waves = RBFSampler(gamma=settings["gamma"], n_components=settings["size"], random_state=0)
    waves.fit(X[:1])
    rows = da.from_array(X, chunks=(20_000, X.shape[1]))
    chunks = (rows.chunks[0], (settings["size"],))
    features = rows.map_blocks(waves.transform, chunks=chunks, dtype=X.dtype)
    with dask.config.set(scheduler="threads"):
        model = Incremental(descent(X, settings), shuffle_blocks=False).fit(
            features, da.from_array(y, 20_000)
        )
    return lambda Q: model.estimator_.predict(waves.transform(Q))


def ours(approximation: str) -> Fit:
    """Return the fit of our model at the settings that its peers have."""

    def fit(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
        from scalekern import SimilarityRegressor

        size = {"n_components": settings["size"]} if settings["size"] else {}
        given = {name: settings[name] for name in ("gamma", "alpha")}
        model = SimilarityRegressor(
            "rbf", approximation=approximation, metric="euclidean", random_state=0, **size, **given
        )
        return model.fit(X, y).predict

    return fit


def tuned(approximation: str, **options: Any) -> Fit:
    """Return the fit of our model that chooses its bandwidth and alpha, and notes both."""

    def fit(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
        from scalekern import SimilarityRegressor

        size = {"n_components": settings["size"]} if settings["size"] else {}
        model = SimilarityRegressor(
            approximation=approximation, random_state=0, **size, **options
        ).fit(X, y)
        settings |= {"gamma": getattr(model.kernel_, "gamma", None), "alpha": model.alpha_}
        return model.predict

    return fit


def our_neighbors(X: np.ndarray, y: np.ndarray, settings: dict[str, Any]) -> Predict:
    """Our k-NN."""
    from scalekern import KNeighborsRegressor

    return KNeighborsRegressor(settings["size"], weights="distance").fit(X, y).predict


PLAIN = {"kernel": "rbf", "gamma": "median", "alpha": "loo"}
FITS: dict[str, Fit] = {
    "scalekern Nyström": ours("nystroem"),
    "scalekern Nyström, tuned": tuned("nystroem", **PLAIN),
    "scalekern Fourier": ours("fourier"),
    "scalekern exact": ours("exact"),
    "scalekern exact, tuned": tuned("exact", **PLAIN),
    "scalekern local": tuned("local"),
    "scalekern k-NN": our_neighbors,
    "scikit-learn Nystroem + Ridge": nystroem_ridge,
    "scikit-learn RBFSampler + SGD": fourier_sgd,
    "dask-ml Incremental(SGD)": dask_incremental,
    "scikit-learn KernelRidge": kernel_ridge,
    "scikit-learn SVR": support_vectors,
    "scikit-learn KNeighbors": neighbors,
    "LightGBM": boosted_trees,
}

TUNED = {"scalekern Nyström, tuned", "scalekern exact, tuned"}
"""Whose bandwidth and alpha the others are given."""
SAME_KIND = {
    "scikit-learn Nystroem + Ridge": "scalekern Nyström",
    "scikit-learn RBFSampler + SGD": "scalekern Fourier",
    "dask-ml Incremental(SGD)": "scalekern Fourier",
    "scikit-learn KernelRidge": "scalekern exact",
    "scikit-learn SVR": "scalekern exact",
    "scikit-learn KNeighbors": "scalekern k-NN",
    "Falkon": "scalekern Nyström",
    "EigenPro": "scalekern exact",
}


def by_hand(path: str | None) -> dict[str, Fit]:
    """Return the fits of a file that `--extra` names: peers that have to be installed by hand."""
    return {} if path is None else runpy.run_path(path)["PEERS"]


def least_work(name: str, size: int | None, n: int, d: int) -> tuple[float, float] | None:
    """Return the operations of matrix products and the exponentials that a fit cannot do without.

    Those of one setting of the penalty; a product with itself counts half. None where the work
    depends on the data: trees, support vectors, descent, indices.
    """
    kind = name.removesuffix(", tuned")
    if size is not None and kind in {"scalekern Nyström", "scikit-learn Nystroem + Ridge"}:
        return 2.0 * n * size * d + n * size**2, float(n * size)
    if size is not None and kind == "scalekern Fourier":
        return 2.0 * n * size * d + n * size**2, 0.0
    if kind in {"scalekern exact", "scikit-learn KernelRidge"}:
        return float(n) ** 2 * d + n**3 / 3, n**2 / 2
    return None
