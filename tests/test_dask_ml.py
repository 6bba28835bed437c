"""What dask-ml puts in front of our estimators, or around them, gives what arrays give."""

from __future__ import annotations

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
pytest.importorskip("dask_ml", reason="dask-ml is not installed")

import dask  # noqa: E402

from scalekern import SimilarityRegressor  # noqa: E402

X = np.random.default_rng(0).normal(size=(6_000, 3))
Y = X.sum(axis=1)


@pytest.fixture(autouse=True)
def rows():
    with dask.config.set(scheduler="sync"):
        yield da.from_array(X, chunks=(2_000, 3)), da.from_array(Y, chunks=2_000)


def model():
    return SimilarityRegressor(
        approximation="nystroem", n_components=20, random_state=0, gamma=0.3, alpha=1e-3
    )


def test_a_scaler_in_front(rows):
    from dask_ml.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(rows[0])
    lazy = model().fit(scaled, rows[1]).predict(scaled)
    here = model().fit(scaled.compute(), Y).predict(scaled.compute())
    np.testing.assert_allclose(lazy.compute(), here, atol=1e-10)


def test_a_split_in_front(rows):
    from dask_ml.model_selection import train_test_split

    parts = train_test_split(*rows, random_state=0, shuffle=True)
    plain = dask.compute(*parts)
    np.testing.assert_allclose(plain[0].sum(axis=1), plain[2])
    lazy = model().fit(parts[0], parts[2]).predict(parts[1])
    here = model().fit(plain[0], plain[2]).predict(plain[1])
    np.testing.assert_allclose(lazy.compute(), here, atol=1e-10)


def test_incremental_is_partial_fit_of_each_chunk(rows):
    from dask_ml.wrappers import Incremental

    there, here = Incremental(model(), shuffle_blocks=False).fit(*rows), model()
    for start in range(0, len(X), 2_000):
        here.partial_fit(X[start : start + 2_000], Y[start : start + 2_000])
    np.testing.assert_array_equal(there.estimator_.predict(X), here.predict(X))


def test_parallel_post_fit_predicts_lazily(rows):
    from dask_ml.wrappers import ParallelPostFit

    fitted = model().fit(X, Y)
    lazy = ParallelPostFit(fitted).predict(rows[0])
    np.testing.assert_allclose(lazy.compute(), fitted.predict(X), atol=1e-12)
