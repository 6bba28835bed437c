"""Every combination of kernel, approximation, solver and container works, or says what would.

The combinations come from the registries, so that whatever is added there is held to this too.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn.base import TransformerMixin, clone, is_classifier

import scalekern as sk
from scalekern.approximations.registry import APPROXIMATIONS, solver_names
from scalekern.errors import ScalekernError, UnsupportedError
from scalekern.kernels import as_kernel
from scalekern.kernels.registry import kernel_names
from scalekern.neighbors.kinds import NAMES as ALGORITHMS
from scalekern.neighbors.metrics import metric_names, takes_objects
from scalekern.rows import RowSource

N = 40
NAMES = ["a", "b", "c"]
RNG = np.random.default_rng(11)
# Small whole numbers are the same in every dtype, float16 and integers included.
X = RNG.integers(-6, 7, size=(N, 3)).astype(float)
Y = X[:, 0] + np.sin(X[:, 1]) + 0.1 * RNG.normal(size=N)
TEXTS = ["".join(RNG.choice(list("acgt"), 6)) for _ in range(N)]
SHIFTED = [2.0, 0.5, -1.0]
GRAM = np.exp(-0.05 * np.square(X[:, None] - X[None]).sum(axis=2))

KERNELS = kernel_names()
FITS = list(itertools.product(KERNELS, APPROXIMATIONS, solver_names()))


def rows_for(kernel):
    """Return rows that the kernel can compare: numbers, texts, or similarities."""
    if kernel == "precomputed":
        return GRAM
    return X if as_kernel(kernel).takes_vectors else TEXTS


def fits_of(approximation, solver, kernel, **more):
    params = {"alpha": 0.1, "n_components": 16, "n_neighbors": 8, "random_state": 0, **more}
    return sk.SimilarityRegressor(
        kernel, gamma=0.05, approximation=approximation, solver=solver, **params
    )


def works_or_says(fit, rows, y, valid):
    """Return finite predictions; or check that the error lists what is valid, and return None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = fit(rows, y)
    except UnsupportedError as error:
        message = str(error)
    else:
        assert np.isfinite(found).all()
        return found
    assert any(all(word in message for word in words) for words in valid), message
    return None


def valid_choices():
    """Return the lists that an error may give, of which it must give one whole."""
    stationary = [name for name in KERNELS if as_kernel(name).stationary]
    return [
        [f"{a.name}: {', '.join(a.solvers)}" for a in APPROXIMATIONS.values()],
        [repr(name) for name in stationary],
        ["'rbf'", "'matern12'", "'matern32'", "'matern52'", "'laplacian'", "local"],
        ["approximation='exact'", "precomputed"],
        ["positive definite", "solver='pinv'", "'cholesky'"],
    ]


@pytest.mark.parametrize(("kernel", "approximation", "solver"), FITS)
def test_every_kernel_approximation_and_solver_works_or_lists_what_does(
    kernel, approximation, solver
):
    rows = rows_for(kernel)
    model = fits_of(approximation, solver, kernel)
    found = works_or_says(lambda X, y: model.fit(X, y).predict(X), rows, Y, valid_choices())
    if found is None:
        return
    if as_kernel(kernel).positive_definite:
        assert np.mean((found - Y) ** 2) < 1.05 * np.var(Y)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("metric", metric_names())
def test_every_metric_and_algorithm_works_or_lists_what_does(metric, algorithm):
    texts = takes_objects(metric)
    rows = TEXTS if texts else X
    if metric in BOOLEAN_METRICS:
        rows = (X > 0).astype(float)
        rows = rows[(rows.min(axis=1) < 1) & (rows.max(axis=1) > 0)]
    valid = [["only", "use algorithm='auto' or 'brute'"], ["use 'auto' or 'brute'"]]
    found = {}
    for Model, y in ((sk.KNeighborsRegressor, Y), (sk.KNeighborsClassifier, (Y > 0).astype(int))):
        model = Model(3, metric=metric, algorithm=algorithm, random_state=0)
        found[Model] = works_or_says(
            lambda X, y, m=model: m.fit(X, y).predict(X), rows, y[: len(rows)], valid
        )
    assert len({value is None for value in found.values()}) == 1
    if metric in BOOLEAN_METRICS or found[sk.KNeighborsRegressor] is None:
        return
    wide = sk.KNeighborsRegressor(3, metric=metric, algorithm="brute").fit(rows, Y).predict(rows)
    # Rows at equal distances may change places between algorithms, and a dozen rows are few.
    assert np.corrcoef(found[sk.KNeighborsRegressor], wide)[0, 1] > 0.8


BOOLEAN_METRICS = (
    "dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule", "hamming",
    "correlation", "jensenshannon", "braycurtis", "canberra", "cosine",
)  # fmt: skip
"""Some of which are not defined for rows of zeros or below; 0 and 1 will do."""


# ---------------------------------------------------------------- containers


def table_of(rows):
    return pa.table({name: rows[:, j] for j, name in enumerate(NAMES)})


def from_parquet(rows, folder):
    pq.write_table(table_of(rows), folder / "x.parquet")
    return sk.rows(folder / "x.parquet")


def from_csv(rows, folder):
    pd.DataFrame(rows, columns=NAMES).to_csv(folder / "x.csv", index=False)
    return sk.rows(folder / "x.csv")


def from_npy(rows, folder):
    np.save(folder / "x.npy", rows)
    return sk.rows(folder / "x.npy")


def memory_map(rows, folder):
    np.save(folder / "map.npy", rows)
    return np.load(folder / "map.npy", mmap_mode="r")


DTYPES = (np.float64, np.float32, np.float16, np.int64, np.uint8, bool)
CONTAINERS = {
    "C order": lambda rows, _: np.ascontiguousarray(rows),
    "F order": lambda rows, _: np.asfortranarray(rows),
    "list": lambda rows, _: rows.tolist(),
    "csr_matrix": lambda rows, _: sparse.csr_matrix(rows),
    "csc_matrix": lambda rows, _: sparse.csc_matrix(rows),
    "csr_array": lambda rows, _: sparse.csr_array(rows),
    "csc_array": lambda rows, _: sparse.csc_array(rows),
    "memory map": memory_map,
    "pandas": lambda rows, _: pd.DataFrame(rows, columns=NAMES),
    "polars": lambda rows, _: pl.DataFrame(dict(zip(NAMES, rows.T, strict=True))),
    "arrow": lambda rows, _: table_of(rows),
    "rows of a frame": lambda rows, _: sk.rows(pd.DataFrame(rows, columns=NAMES)),
    "rows of Parquet": from_parquet,
    "rows of CSV": from_csv,
    "rows of npy": from_npy,
}
NO_FLOAT16 = ("csr_matrix", "csc_matrix", "csr_array", "csc_array", "polars")
"""SciPy and polars have no such type themselves."""


def estimators():
    """Return every estimator and transformer, in every approximation and with every solver."""
    found = {
        "LinearRegressor": sk.LinearRegressor(),
        "KNeighborsRegressor": sk.KNeighborsRegressor(3),
        "KNeighborsClassifier": sk.KNeighborsClassifier(3),
        "Nystroem": sk.Nystroem(gamma=0.05, n_components=16, random_state=0),
        "FourierFeatures": sk.FourierFeatures(gamma=0.05, n_components=16, random_state=0),
        "RowPreparer": sk.RowPreparer(),
        "log loss": sk.SimilarityClassifier(loss="log_loss", gamma=0.05, alpha=0.1, random_state=0),
    }
    for name, approximation in APPROXIMATIONS.items():
        classifier = sk.SimilarityClassifier(gamma=0.05, alpha=0.1, approximation=name)
        for solver in approximation.solvers:
            found[f"{name}, {solver}"] = fits_of(name, solver, "rbf")
        found[f"{name}, classes"] = classifier.set_params(n_components=16, random_state=0)
    return found


ESTIMATORS = estimators()


def answer(model, rows):
    """Return predictions, or features; of Nyström features their products, as they may turn."""
    if not isinstance(model, TransformerMixin):
        return np.asarray(model.predict(rows))
    out = model.transform(rows)
    if isinstance(out, RowSource):
        (block,) = out.blocks(N)
        out = block.X
    return out @ out.T if isinstance(model, sk.Nystroem) else out


def check_container(name, kind, dtype, folder):
    values = np.abs(X).astype(dtype)
    rows = CONTAINERS[kind](values, folder)
    model = clone(ESTIMATORS[name])
    y = (Y > 0).astype(int) if is_classifier(model) else Y
    expected = answer(clone(model).fit(values.astype(float), y), values.astype(float))
    if isinstance(rows, RowSource) and not isinstance(model, TransformerMixin):
        named = pd.DataFrame(values.astype(float), columns=NAMES)
        fitted = model.fit(named if rows.feature_names == tuple(NAMES) else values, y)
    else:
        fitted = model.fit(rows, y if not isinstance(rows, RowSource) else None)
    found = answer(fitted, rows)
    if expected.dtype.kind != "f":
        assert (found == expected).mean() > 0.95
        return
    single = np.dtype(dtype) in (np.float32, np.float16)
    tolerance = 2e-3 if single else 1e-7
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(Y).max())


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_takes_every_container(name, kind, tmp_path):
    # All pairs of estimator and container, and of each with a dtype, take turns.
    turn = list(ESTIMATORS).index(name) + list(CONTAINERS).index(kind)
    for dtype in {np.float64, DTYPES[turn % len(DTYPES)]}:
        if dtype != np.float16 or kind not in NO_FLOAT16:
            check_container(name, kind, dtype, tmp_path)


TEXT_CONTAINERS = {
    "list": list,
    "array": np.array,
    "object array": lambda texts: np.array(texts, dtype=object),
    "pandas": pd.Series,
    "polars": pl.Series,
    "arrow": pa.array,
    "frame": lambda texts: pd.DataFrame({"text": texts}),
    "rows": lambda texts: sk.rows(pa.table({"text": texts})),
}
TEXT_ESTIMATORS = {name: fits_of(name, "auto", "edit_distance") for name in APPROXIMATIONS} | {
    "KNeighborsRegressor": sk.KNeighborsRegressor(3, metric="levenshtein"),
    "Nystroem": sk.Nystroem("edit_distance", n_components=9, random_state=0),
    "FourierFeatures": sk.FourierFeatures("edit_distance", random_state=0),
    "vectors only": sk.SimilarityRegressor(),
}


@pytest.mark.parametrize("kind", TEXT_CONTAINERS)
@pytest.mark.parametrize("name", TEXT_ESTIMATORS)
def test_every_estimator_takes_texts_or_lists_what_does(name, kind):
    texts = TEXT_CONTAINERS[kind](TEXTS)
    model, other = clone(TEXT_ESTIMATORS[name]), clone(TEXT_ESTIMATORS[name])
    try:
        expected = answer(other.fit(TEXTS, Y), TEXTS)
    except ScalekernError as error:
        message = str(error)
    else:
        message = ""
    if message:
        says = (
            "stationary or polynomial kernel",
            "'local'",
            "edit_distance",
            "approximation='local'",
        )
        assert any(word in message for word in says)
        with pytest.raises(ScalekernError):
            model.fit(texts, None if isinstance(texts, RowSource) else Y)
        return
    if isinstance(texts, RowSource):
        model = other
    found = answer(model if model is other else model.fit(texts, Y), texts)
    np.testing.assert_array_equal(found, expected)
