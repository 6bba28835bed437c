"""`score` of rows that carry their targets is that of the arrays they were made of."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.errors import InvalidInputError

RNG = np.random.default_rng(0)
X = RNG.uniform(-1, 1, (60, 2))
Y = X[:, 0] + 0.1 * RNG.standard_normal(60)
CLASSES = (Y > 0).astype(float)
WEIGHT = RNG.uniform(0.5, 2.0, 60)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y, "c": CLASSES, "w": WEIGHT}), path)
    return path


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (sk.LinearRegressor(), "y"),
        (sk.SimilarityRegressor(gamma=1.0, alpha=0.1, approximation="exact"), "y"),
        (sk.KNeighborsRegressor(3), "y"),
        (sk.SimilarityClassifier(gamma=1.0, alpha=0.1, approximation="exact"), "c"),
        (sk.KNeighborsClassifier(3), "c"),
        (make_pipeline(sk.RowPreparer(), sk.LinearRegressor()), "y"),
    ],
)
def test_rows_with_a_target_are_scored_by_it(model, target, file):
    rows = sk.rows(file, target=target, features=["a", "b"])
    model.fit(rows)
    values = {"y": Y, "c": CLASSES}[target]
    named = pa.table({"a": X[:, 0], "b": X[:, 1]})
    assert model.score(rows) == model.score(named, values)


def test_rows_are_weighed_as_they_say_or_as_asked(file):
    rows = sk.rows(file, target="y", features=["a", "b"], weight="w")
    model = sk.KNeighborsRegressor(3).fit(X, Y)
    plain = sk.rows(file, features=["a", "b"])
    weighed = model.score(X, Y, sample_weight=WEIGHT)
    assert plain.n_outputs == 0
    with pytest.warns(UserWarning, match="fitted without feature names"):
        assert model.score(rows) == weighed
    with pytest.warns(UserWarning, match="fitted without feature names"):
        assert model.score(rows, sample_weight=np.ones(60)) == model.score(X, Y)
    assert weighed != model.score(X, Y)


def test_rows_without_a_target_cannot_be_scored(file):
    model = sk.LinearRegressor().fit(X, Y)
    with pytest.raises(InvalidInputError, match="has no target"):
        model.score(sk.rows(file, features=["a", "b"]))
