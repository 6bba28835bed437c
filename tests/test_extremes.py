"""The ends of the range of numbers: inside it answers are finite, outside it the row is named.

Rows, targets, weights and parameters are drawn together, since what overflows is their products.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone, is_classifier
from strategies import ANY_DATA

import scalekern as sk
from scalekern.errors import InvalidInputError, RecallWarning, ScalekernError
from scalekern.rows.finite import LARGEST
from scalekern.rows.memory import HEAVIEST

N, D = 12, 3
MODELS = {
    "linear": sk.LinearRegressor(),
    "exact": sk.SimilarityRegressor("rbf", alpha=0.1, approximation="exact"),
    "nystroem": sk.SimilarityRegressor("rbf", alpha=0.1, n_components=5, random_state=0),
    "knn": sk.KNeighborsRegressor(2),
}
TOO_LARGE = [1.01e70, 1e200, 1.7976931348623157e308, np.inf, np.nan]


def put(values, value):
    """Return a copy with a value in row 4."""
    out = values.copy()
    out[4, ...] = value
    return out


def csv_of(X, y, folder):
    pd.DataFrame(X, columns=list("abc")).assign(y=y).to_csv(folder / "x.csv", index=False)
    return sk.rows(folder / "x.csv", target="y")


def parquet_of(X, y, folder):
    table = pa.table({**{c: X[:, j] for j, c in enumerate("abc")}, "y": y})
    pq.write_table(table, folder / "x.parquet", row_group_size=5)
    return sk.rows(folder / "x.parquet", target="y")


CONTAINERS = {
    "array": lambda X, y, _: (X, y),
    "Fortran order": lambda X, y, _: (np.asfortranarray(X), y),
    "list": lambda X, y, _: (X.tolist(), y.tolist()),
    "csr": lambda X, y, _: (sparse.csr_matrix(X), y),
    "frame": lambda X, y, _: (pd.DataFrame(X, columns=list("abc")), pd.Series(y)),
    "csv": lambda X, y, folder: (csv_of(X, y, folder),),
    "parquet": lambda X, y, folder: (parquet_of(X, y, folder),),
}


@pytest.mark.parametrize("value", TOO_LARGE)
@pytest.mark.parametrize("where", ["X", "y"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_value_that_has_no_squares_is_refused_at_its_row(container, where, value, tmp_path):
    rng = np.random.default_rng(14)
    X, y = rng.normal(size=(N, D)), rng.normal(size=N)
    X, y = (put(X, value), y) if where == "X" else (X, put(y, -value))
    rows = CONTAINERS[container](X, y, tmp_path)
    for model in MODELS.values():
        with pytest.raises(InvalidInputError, match=r"row 4\b"):
            clone(model).fit(*rows)


@pytest.mark.parametrize("value", TOO_LARGE)
@pytest.mark.parametrize("name", MODELS)
def test_queries_have_the_same_range(name, value):
    X = np.random.default_rng(15).normal(size=(N, D))
    model = clone(MODELS[name]).fit(X, X[:, 0])
    with pytest.raises(InvalidInputError, match=r"row 4\b"):
        model.predict(put(X, value))
    assert np.isfinite(model.predict(put(X, LARGEST))).all()


@pytest.mark.parametrize("value", TOO_LARGE)
@pytest.mark.parametrize("missing", ["error", "mean"])
def test_a_preparer_names_column_and_row(missing, value):
    frame = pd.DataFrame({"a": put(np.ones(N), value), "b": ["u", "v"] * (N // 2)})
    preparer = sk.RowPreparer(missing=missing)
    if missing == "mean" and np.isnan(value):
        assert np.isfinite(preparer.fit_transform(frame)).all()
        return
    with pytest.raises(InvalidInputError, match=r"'a'.* row 4\b"):
        preparer.fit(frame)


@pytest.mark.parametrize("value", [1.01e30, 1e300, np.inf, -1e-320])
def test_a_weight_out_of_range_is_refused_at_its_row(value):
    X = np.random.default_rng(16).normal(size=(N, D))
    with pytest.raises(InvalidInputError, match=r"sample_weight .* row 4 has"):
        clone(MODELS["exact"]).fit(X, X[:, 0], put(np.ones(N), value))


@pytest.mark.parametrize("name", ["linear", "exact", "nystroem"])
def test_a_weight_that_is_all_but_nothing_is_nothing(name):
    X = np.random.default_rng(17).normal(size=(N, D))
    found = [
        clone(MODELS[name]).fit(X, X[:, 0], put(np.ones(N), weight)).predict(X)
        for weight in (0.0, 5e-324, 1e-31)
    ]
    np.testing.assert_array_equal(found[1:], [found[0]] * 2)


@pytest.mark.parametrize(("parameter", "value"), [
    ("gamma", 1e-151), ("gamma", 1e151), ("gamma", 5e-324), ("alpha", 1e71), ("alpha", 1e-320),
    ("alpha", [1.0, 1e300]),
])  # fmt: skip
def test_a_parameter_out_of_range_is_refused_by_name(parameter, value):
    X = np.random.default_rng(18).normal(size=(N, D))
    with pytest.raises(InvalidInputError, match=f"{parameter}=.*1e"):
        clone(MODELS["exact"]).set_params(**{parameter: value}).fit(X, X[:, 0])


@pytest.mark.parametrize("power", [-50, 50])
@pytest.mark.parametrize("name", ["exact", "nystroem", "knn"])
def test_units_of_rows_and_targets_do_not_count(name, power):
    X = np.random.default_rng(19).normal(size=(N, D))
    unit = 2.0 ** (power * 4)
    plain = clone(MODELS[name]).fit(X, X[:, 0])
    scaled = clone(MODELS[name]).fit(X * unit, X[:, 0] / unit)
    np.testing.assert_allclose(scaled.predict(X * unit) * unit, plain.predict(X), rtol=1e-9)


# ---------------------------------------------------------------- all at once

SCALES = st.sampled_from([1e-300, 1e-75, 1e-40, 1e-12, 1.0, 1e8, 1e36, 1e69])


@st.composite
def extreme_rows(draw):
    """Return rows at the ends of the range, as users bring them, and the rows as float64."""
    n, d = draw(st.sampled_from([1, 2, 3, 8, 30])), draw(st.sampled_from([1, 2, 7, 40]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    X = np.clip(rng.normal(size=(n, d)), -9, 9) * draw(SCALES)
    kind = draw(st.sampled_from(["plain", "duplicates", "constant", "columns", "spike", "ends"]))
    if kind == "duplicates":
        X = X[rng.integers(0, max(1, n // 4), size=n)]
    elif kind == "constant":
        X[:, :: 2 if draw(st.booleans()) else 1] = draw(SCALES)
    elif kind == "columns":
        X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-300, 69, size=d)
    elif kind == "spike":
        X[0, 0] = LARGEST
    elif kind == "ends":
        X = np.sign(X) * LARGEST
    return draw(st.sampled_from(LAYOUTS))(X)


def _narrow(dtype):
    top = float(np.finfo(dtype).max)
    return lambda X: np.clip(X, -top, top).astype(dtype)


LAYOUTS = [
    np.ascontiguousarray, np.asfortranarray, sparse.csr_matrix, lambda X: X.astype(object),
    lambda X: X.astype(np.longdouble), lambda X: X.astype(">f8"), lambda X: X.tolist(),
    lambda X: X[::-1, ::-1].copy()[::-1, ::-1], lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    _narrow(np.float32), _narrow(np.float16), lambda X: np.clip(X, -9e18, 9e18).astype(np.int64),
    lambda X: X > 0,
]  # fmt: skip


@st.composite
def extreme_targets(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.clip(rng.normal(size=n), -9, 9)
    return {
        "plain": y, "constant": np.full(n, draw(SCALES)), "scaled": y * draw(SCALES),
        "ends": np.sign(y) * LARGEST, "several": np.column_stack([y * 1e69, y * 1e-200, 0 * y]),
        "whole": rng.integers(-(2**62), 2**62, size=n), "halves": y.astype(np.float16),
        "objects": y.astype(object), "booleans": y > 0,
    }[draw(st.sampled_from(["plain", "constant", "scaled", "ends", "several", "whole", "halves",
                            "objects", "booleans"]))]  # fmt: skip


@st.composite
def extreme_weights(draw, n):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    w = rng.random(n) + 0.1
    return draw(st.sampled_from([
        None, None, w * 0.9 * HEAVIEST, w * 1e-29, np.full(n, HEAVIEST), np.arange(n) % 2,
        10.0 ** rng.integers(-300, 30, size=n),
    ]))  # fmt: skip


KERNELS = ("rbf", "laplacian", "matern12", "matern52", "rational_quadratic", "polynomial", "linear",
           "cosine")  # fmt: skip


@st.composite
def models(draw):
    """Return any estimator with parameters from one end of their ranges to the other."""
    kind = draw(st.sampled_from(["similarity", "similarity", "classes", "knn", "linear"]))
    if kind == "linear":
        return sk.LinearRegressor()
    if kind == "knn":
        weights = draw(st.sampled_from(["uniform", "distance", "kernel"]))
        metric = draw(st.sampled_from(["euclidean", "cosine", "manhattan", "chebyshev"]))
        k, algorithm = draw(st.integers(1, 3)), draw(st.sampled_from(["auto", "brute", "hnsw"]))
        return sk.KNeighborsRegressor(
            k, weights=weights, metric=metric, algorithm=algorithm, random_state=0
        )
    kernel = draw(st.sampled_from(KERNELS))
    shared = {
        "gamma": draw(st.sampled_from(["median", "scale", "cv", 1e-150, 1e-40, 1.0, 1e150])),
        "alpha": draw(st.sampled_from(["loo", "gcv", "cv", 0.0, 1e-70, 1e-12, 1.0, 1e70])),
        "n_components": draw(st.integers(1, 20)), "random_state": 0,
    }  # fmt: skip
    if kind == "classes":
        return sk.SimilarityClassifier(
            kernel, **shared, approximation=draw(st.sampled_from(["exact", "nystroem", "fourier"]))
        )
    approximation, solver = draw(st.sampled_from([
        ("exact", "pinv"), ("exact", "cholesky"), ("exact", "cg"), ("nystroem", "cholesky"),
        ("nystroem", "cg"), ("nystroem", "sgd"), ("fourier", "cholesky"), ("fourier", "sgd"),
        ("local", "cholesky"), ("nystroem+local", "auto"),
    ]))  # fmt: skip
    return sk.SimilarityRegressor(
        kernel, **shared, approximation=approximation, solver=solver, n_neighbors=3,
        metric=draw(st.sampled_from(["auto", "euclidean", "learned"])),
        fit_intercept=draw(st.booleans()),
    )  # fmt: skip


def finite_or_refused(model, X, y, weight):
    """Fit, predict near and far; everything is finite, unless the package says what is wrong."""
    if is_classifier(model):
        y = np.asarray(y if np.ndim(y) == 1 else y[:, 0], dtype=float) > 0
    more = {} if weight is None or "weights" in model.get_params() else {"sample_weight": weight}
    d = X.shape[1] if hasattr(X, "shape") else len(X[0])
    far = np.vstack([np.full((1, d), LARGEST), np.full((1, d), -1e30), np.zeros((1, d))])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", RecallWarning)
        try:
            model.fit(X, y, **more)
            assert model.predict(X).shape == np.shape(y)
            for rows in (X, sparse.csr_matrix(far) if sparse.issparse(X) else far):
                assert np.isfinite(model.predict(rows)).all()
        except ScalekernError as error:
            assert len(str(error)) > 20  # noqa: PT017
        except ValueError as error:
            # A single class is refused in scikit-learn's words.
            if "class" not in str(error):
                raise


def nothing_overflows(data):
    X = data.draw(extreme_rows())
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    y, weight = data.draw(extreme_targets(n)), data.draw(extreme_weights(n))
    finite_or_refused(data.draw(models()), X, y, weight)


@settings(ANY_DATA, max_examples=100)
@given(st.data())
def test_nothing_in_the_range_overflows(data):
    nothing_overflows(data)
