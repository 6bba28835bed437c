"""What dask-ml puts in front of our estimators, or around them, gives what arrays give."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

da = pytest.importorskip("dask.array")
pytest.importorskip("dask_ml", reason="dask-ml is not installed")

import dask  # noqa: E402
import dask.dataframe as dd  # noqa: E402
import dask_ml_parts as dml  # noqa: E402
import pandas as pd  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402

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


SCALERS = ["StandardScaler", "MinMaxScaler", "RobustScaler", "QuantileTransformer"]


@pytest.mark.parametrize("name", SCALERS)
def test_a_scaler_in_front(rows, name):
    scaled = getattr(dml, name)().fit_transform(rows[0])
    lazy = model().fit(scaled, rows[1]).predict(scaled)
    here = model().fit(scaled.compute(), Y).predict(scaled.compute())
    np.testing.assert_allclose(lazy.compute(), here, atol=1e-10)


def test_a_scaler_in_front_of_frames(rows):
    frame = dd.from_pandas(pd.DataFrame(X, columns=["a", "b", "c"]), npartitions=3)
    y = dd.from_pandas(pd.Series(Y), npartitions=3)
    scaled = dml.StandardScaler().fit_transform(frame)
    lazy = model().fit(scaled, y).predict(scaled)
    here = model().fit(scaled.compute(), Y).predict(scaled.compute())
    assert lazy.divisions == frame.divisions
    np.testing.assert_allclose(lazy.compute(), here, atol=1e-10)


def test_a_pipeline_of_a_scaler_and_an_estimator(rows):
    lazy = make_pipeline(dml.StandardScaler(), model()).fit(*rows).predict(rows[0])
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(lazy.compute(), model().fit(scaled, Y).predict(scaled), atol=1e-8)


def test_a_split_in_front(rows):
    parts = dml.train_test_split(*rows, random_state=0, shuffle=True)
    plain = dask.compute(*parts)
    np.testing.assert_allclose(plain[0].sum(axis=1), plain[2])
    lazy = model().fit(parts[0], parts[2]).predict(parts[1])
    here = model().fit(plain[0], plain[2]).predict(plain[1])
    np.testing.assert_allclose(lazy.compute(), here, atol=1e-10)


def test_incremental_is_partial_fit_of_each_chunk(rows):
    there, here = dml.Incremental(model(), shuffle_blocks=False).fit(*rows), model()
    for start in range(0, len(X), 2_000):
        here.partial_fit(X[start : start + 2_000], Y[start : start + 2_000])
    np.testing.assert_array_equal(there.estimator_.predict(X), here.predict(X))


def test_parallel_post_fit_predicts_lazily(rows):
    fitted = model().fit(X, Y)
    lazy = dml.ParallelPostFit(fitted).predict(rows[0])
    np.testing.assert_allclose(lazy.compute(), fitted.predict(X), atol=1e-12)


def test_a_grid_search_finds_the_better_parameter(rows):
    search = dml.GridSearchCV(model(), {"alpha": [1e-3, 1e3]}, cv=2).fit(*rows)
    assert search.best_params_ == {"alpha": 1e-3}


def test_the_package_does_not_import_dask_ml():
    package = Path(next(iter(find_spec("scalekern").submodule_search_locations)))
    found = [f.name for f in package.rglob("*.py") if "dask_ml" in f.read_text(encoding="utf-8")]
    assert not found
    users = sorted(
        file.name
        for file in Path(__file__).parent.rglob("*.py")
        if any(
            line.split()[:1] in (["from"], ["import"]) and line.split()[1].startswith("dask_ml")
            for line in file.read_text(encoding="utf-8").splitlines()
            if len(line.split()) > 1 and "dask_ml_parts" not in line
        )
    )
    assert users == ["dask_ml_parts.py"]
