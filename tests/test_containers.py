"""What a user hands to an estimator: any container gives the same predictions, or a clear error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor

import scalekern as sk
from scalekern.errors import InvalidInputError

N = 90
NAMES = ["a", "b", "c"]
RNG = np.random.default_rng(7)
# Eighths are exact in float16, so every container can hold the very same rows.
X = np.round(RNG.normal(size=(N, 3)) * 8) / 8
Y = X[:, 0] - np.sin(2 * X[:, 1]) + 0.01 * RNG.normal(size=N)
LABELS = np.where(Y > 0, "up", "down")

ESTIMATORS = {
    "linear": sk.LinearRegressor(),
    "exact": sk.SimilarityRegressor(gamma=0.5, alpha=0.1, approximation="exact"),
    "nystroem": sk.SimilarityRegressor(
        gamma=0.5, alpha=0.1, approximation="nystroem", n_components=30, random_state=0
    ),
    "fourier": sk.SimilarityRegressor(
        gamma=0.5, alpha=0.1, approximation="fourier", n_components=30, random_state=0
    ),
    "knn": sk.KNeighborsRegressor(3),
    "classifier": sk.KNeighborsClassifier(3),
    "Nystroem": sk.Nystroem(gamma=0.5, n_components=20, random_state=0),
    "FourierFeatures": sk.FourierFeatures(gamma=0.5, n_components=20, random_state=0),
    "RowPreparer": sk.RowPreparer(),
    "minmax": sk.RowPreparer("minmax"),
}
REGRESSORS = ["linear", "exact", "nystroem", "fourier", "knn"]


def read_only(array):
    array = array.copy()
    array.setflags(write=False)
    return array


def memory_mapped(array, folder):
    file = np.memmap(folder / "x.bin", dtype=array.dtype, mode="w+", shape=array.shape)
    file[:] = array
    file.flush()
    return np.memmap(folder / "x.bin", dtype=array.dtype, mode="r", shape=array.shape)


def as_table(array):
    return pa.table({name: array[:, j] for j, name in enumerate(NAMES)})


CONTAINERS = {
    "C order": np.ascontiguousarray,
    "F order": np.asfortranarray,
    "strides": lambda X: np.repeat(X, 2, axis=0)[::2],
    "read-only": read_only,
    "objects": lambda X: X.astype(object),
    "big-endian": lambda X: X.astype(">f8"),
    "list": lambda X: X.tolist(),
    "csr_matrix": sparse.csr_matrix,
    "csr_array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "pandas": lambda X: pd.DataFrame(X, columns=NAMES),
    "pandas without names": pd.DataFrame,
    "pandas nullable": lambda X: pd.DataFrame(X, columns=NAMES).convert_dtypes(),
    "pandas arrow": lambda X: pd.DataFrame(X, columns=NAMES).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": lambda X: pl.DataFrame(X, schema=NAMES),
    "arrow": as_table,
    "arrow in chunks": lambda X: pa.concat_tables([as_table(X[:40]), as_table(X[40:])]),
    "record batch": lambda X: as_table(X).to_batches()[0],
}


def answer(model, container):
    """Return what the model says of the container: predictions, or features.

    Of Nyström features their inner products: rounding decides the order of the landmarks, which
    turns the features and leaves the products.
    """
    if is_regressor(model) or is_classifier(model):
        return model.predict(container)
    out = model.transform(container)
    return out @ out.T if isinstance(model, sk.Nystroem) else out


def fitted(name, container, y=None):
    model = clone(ESTIMATORS[name])
    target = (LABELS if is_classifier(model) else Y) if y is None else y
    return model.fit(container, target)


def assert_same(one, other):
    if one.dtype.kind in "UO":
        assert one.tolist() == other.tolist()
    else:
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_container_gives_the_same_predictions(name, kind):
    container = CONTAINERS[kind](X)
    expected = answer(fitted(name, X), X)
    assert_same(answer(fitted(name, container), container), expected)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_memory_maps_give_the_same_predictions(name, dtype, tmp_path):
    rows = X.astype(dtype)
    mapped = memory_mapped(rows, tmp_path)
    expected = answer(fitted(name, rows), rows)
    np.testing.assert_array_equal(answer(fitted(name, mapped), mapped), expected)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_float16_is_taken_as_float32(name):
    half, single = X.astype(np.float16), X.astype(np.float32)
    one, other = (answer(fitted(name, rows), rows) for rows in (half, single))
    np.testing.assert_array_equal(one, other)
    assert one.dtype == other.dtype


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int64, bool])
@pytest.mark.parametrize("make", ["numpy", "pandas", "polars", "arrow", "csr_matrix"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_integers_and_booleans_are_numbers(name, make, dtype):
    rows = np.abs(X * 8).astype(np.uint8) % 5
    rows = rows > 2 if dtype is bool else rows.astype(dtype)
    container = rows if make == "numpy" else CONTAINERS[make](rows)
    expected = answer(fitted(name, rows.astype(float)), rows.astype(float))
    assert_same(answer(fitted(name, container), container), expected)


@pytest.mark.parametrize("kind", ["pandas", "pandas nullable", "polars", "arrow", "record batch"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_columns_are_matched_by_name_in_any_order(name, kind):
    model = fitted(name, CONTAINERS[kind](X))
    assert model.feature_names_in_.tolist() == NAMES
    table = as_table(X).select(["c", "a", "b"])
    for other in (table, table.to_pandas(), pl.from_arrow(table), table.to_batches()[0]):
        assert_same(answer(model, other), answer(model, CONTAINERS[kind](X)))


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_missing_and_extra_columns_are_errors_that_name_them(name, kind):
    model = fitted(name, CONTAINERS[kind](X))
    table = as_table(X)
    for container in (table.drop_columns("b"), table.drop_columns("b").to_pandas()):
        with pytest.raises(ValueError, match=r"no column 'b'; it has 'a', 'c'"):
            answer(model, container)
    with pytest.raises(ValueError, match=r"not there at fit: \['z'\]; select \['a', 'b', 'c'\]"):
        answer(model, table.append_column("z", pa.array(np.ones(N))))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_another_number_of_columns_is_an_error(name):
    model = fitted(name, X)
    for container in (X[:, :2], sparse.csr_matrix(X[:, :2])):
        with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3"):
            answer(model, container)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_names_on_one_side_only_are_warned_of(name):
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        answer(fitted(name, CONTAINERS["pandas"](X)), X)
    with pytest.warns(UserWarning, match="has feature names, but"):
        answer(fitted(name, X), CONTAINERS["pandas"](X))


# ---------------------------------------------------------------- targets and weights


TARGETS = {
    "list": list,
    "read-only": read_only,
    "pandas": lambda y: pd.Series(y, index=np.arange(len(y)) + 1000),
    "polars": pl.Series,
    "arrow": pa.array,
    "chunks": lambda y: pa.chunked_array([y[:10], y[10:]]),
    "objects": lambda y: y.astype(object),
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("container", ["C order", "pandas", "polars", "arrow"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_the_target_may_be_any_column(name, container, kind):
    rows = CONTAINERS[container](X)
    expected = answer(fitted(name, X), X)
    assert_same(answer(fitted(name, rows, TARGETS[kind](Y)), rows), expected)


@pytest.mark.parametrize("name", REGRESSORS)
def test_integer_and_boolean_targets_are_numbers(name):
    y = Y > 0
    expected = answer(fitted(name, X, y.astype(float)), X)
    for target in (y, y.astype(np.uint8), pa.array(y), pl.Series(y)):
        np.testing.assert_array_equal(answer(fitted(name, X, target), X), expected)


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_matrix_of_targets_gives_a_matrix_of_predictions(name):
    two = np.column_stack([Y, -Y])
    expected = answer(fitted(name, X, two), X)
    assert expected.shape == (N, 2)
    for target in (pd.DataFrame(two), pl.DataFrame(two, schema=["s", "t"]), two.tolist()):
        assert_same(answer(fitted(name, X, target), X), expected)
    assert answer(fitted(name, X, Y[:, None]), X).shape == (N, 1)


@pytest.mark.parametrize("kind", ["list", "pandas", "polars", "arrow"])
@pytest.mark.parametrize("name", ["linear", "exact", "nystroem", "fourier"])
def test_weights_may_be_any_column(name, kind):
    weights = RNG.random(N)
    expected = clone(ESTIMATORS[name]).fit(X, Y, sample_weight=weights).predict(X)
    model = clone(ESTIMATORS[name]).fit(X, Y, sample_weight=TARGETS[kind](weights))
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(N), "not negative; row 0 has -1.0"),
        (np.r_[np.ones(N - 1), np.nan], f"finite.*row {N - 1} has nan"),
        (np.r_[1.0, np.inf, np.ones(N - 2)], "finite.*row 1 has inf"),
        (np.ones(N - 1), rf"shape \({N - 1},\).*{N} rows"),
        (np.ones((N, 1)), rf"shape \({N}, 1\)"),
        (["a"] * N, "not a list of numbers"),
        (np.zeros(N), "every sample weight is zero"),
    ],
)
@pytest.mark.parametrize("container", ["C order", "pandas", "csr_matrix"])
@pytest.mark.parametrize("name", ["linear", "exact", "nystroem", "fourier"])
def test_bad_weights_are_refused_with_their_place(name, container, weights, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        clone(ESTIMATORS[name]).fit(CONTAINERS[container](X), Y, sample_weight=weights)
    assert "weight" in str(caught.value)


@pytest.mark.parametrize("container", ["C order", "pandas", "polars", "arrow"])
@pytest.mark.parametrize("name", [*REGRESSORS, "classifier"])
def test_a_target_of_another_length_is_an_error_with_both_lengths(name, container):
    y = (LABELS if name == "classifier" else Y)[:7]
    with pytest.raises(ValueError, match=rf"\[{N}, 7\]"):
        fitted(name, CONTAINERS[container](X), y)


@pytest.mark.parametrize("container", ["C order", "pandas"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_a_target_that_is_no_column_of_numbers_is_an_error(name, container):
    rows = CONTAINERS[container](X)
    for y in (["a"] * N, np.zeros((N, 2, 2)), np.zeros((N, 0)), Y + 1j):
        with pytest.raises(ValueError, match=r"y|float|array|Complex"):
            fitted(name, rows, y)
    with pytest.raises(ValueError, match="y"):
        clone(ESTIMATORS[name]).fit(rows)


# ---------------------------------------------------------------- bad values


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["C order", "list", "csr_matrix", "csc", "pandas without names"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_values_of_arrays_are_found_by_row_and_column(name, kind, value):
    bad = X.copy()
    bad[41, 2] = value
    word = "NaN" if np.isnan(value) else "inf"
    message = rf"X has an? (missing|infinite) value \({word}\) at row 41, column 2; fill it in"
    with pytest.raises(InvalidInputError, match=message):
        fitted(name, CONTAINERS[kind](bad))
    with pytest.raises(InvalidInputError, match=message):
        answer(fitted(name, X), CONTAINERS[kind](bad))


@pytest.mark.parametrize("value", [np.nan, np.inf, None])
@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "record batch"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_bad_values_of_frames_are_found_by_column_and_row(name, kind, value):
    table = as_table(X)
    column = pa.array([*X[:41, 2], value, *X[42:, 2]], pa.float64(), from_pandas=False)
    table = table.set_column(2, "c", column)
    frame = {
        "pandas": table.to_pandas,
        "polars": lambda: pl.from_arrow(table),
        "arrow": lambda: table,
        "record batch": lambda: table.combine_chunks().to_batches()[0],
    }[kind]()
    message = r"column 'c' of X has 1 (missing|infinite).*\(first at row 41\); fill them in"
    with pytest.raises(InvalidInputError, match=message):
        fitted(name, frame)
    with pytest.raises(InvalidInputError, match=message):
        answer(fitted(name, CONTAINERS[kind](X)), frame)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("container", ["C order", "pandas", "polars"])
@pytest.mark.parametrize("name", REGRESSORS)
def test_bad_values_of_the_target_are_found_by_row(name, container, value):
    y = Y.copy()
    y[13] = value
    with pytest.raises(InvalidInputError, match=r"y has an? .* value \(.*\) at row 13; fill it in"):
        fitted(name, CONTAINERS[container](X), y)


# A RowPreparer takes them: tests/test_prepare.py.
@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"RowPreparer", "minmax"}))
def test_columns_of_text_and_dates_are_refused_by_name(name):
    for column in (["x"] * N, pd.date_range("2020", periods=N)):
        frame = pd.DataFrame({"a": X[:, 0], "odd": column})
        with pytest.raises(InvalidInputError, match=r"column 'odd' of X .*not (a )?number"):
            fitted(name, frame)
        with pytest.raises(InvalidInputError, match=r"column 'odd' of X .*not (a )?number"):
            fitted(name, pl.from_pandas(frame))


def test_two_columns_of_one_name_are_refused():
    frame = pd.DataFrame(X, columns=["a", "b", "a"])
    with pytest.raises(InvalidInputError, match="more than one column 'a'"):
        sk.LinearRegressor().fit(frame, Y)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_nothing_at_all_is_an_error(name):
    empty = pd.DataFrame({n: np.array([]) for n in NAMES})
    model = fitted(name, CONTAINERS["pandas"](X))
    with pytest.raises(InvalidInputError, match="X has no rows"):
        answer(model, empty)
    model = fitted(name, X)
    with pytest.raises(ValueError, match="0 sample"):
        answer(model, X[:0])
    with pytest.raises(ValueError, match=r"0 sample|no rows"):
        fitted(name, X[:0], Y[:0])
    with pytest.raises(ValueError, match=r"0 feature|no columns"):
        fitted(name, X[:, :0])


@pytest.mark.parametrize("name", ESTIMATORS)
def test_one_dimension_is_an_error_not_a_guess(name):
    model = fitted(name, X)
    for row in (X[0], X[0].tolist(), pd.Series(X[0]), pl.Series(X[0]), pa.array(X[0])):
        with pytest.raises(ValueError, match=r"2D|2-dim"):
            answer(model, row)


# ---------------------------------------------------------------- objects


TEXTS = [a + b + c for a in "acgt" for b in "acgt" for c in "ag"]
TEXT_Y = np.array([len(set(text)) for text in TEXTS], dtype=float)
SERIES = {
    "list": list,
    "tuple": tuple,
    "object array": lambda s: np.array(s, dtype=object),
    "text array": np.array,
    "pandas": pd.Series,
    "pandas objects": lambda s: pd.Series(s, dtype=object),
    "polars": pl.Series,
    "arrow": pa.array,
    "chunks": lambda s: pa.chunked_array([s[:5], s[5:]]),
}


def differing(x, z):
    return float(sum(a != b for a, b in zip(x, z, strict=True)))


def overlap(x, z):
    return np.exp(-differing(x, z))


OBJECT_MODELS = {
    "exact": sk.SimilarityRegressor(overlap, alpha=0.1, approximation="exact"),
    "nystroem": sk.SimilarityRegressor(
        overlap, alpha=0.1, approximation="nystroem", n_components=9, random_state=0
    ),
    "knn": sk.KNeighborsRegressor(3, metric=differing),
    "classifier": sk.KNeighborsClassifier(3, metric=differing),
    "Nystroem": sk.Nystroem(overlap, n_components=9, random_state=0),
}


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("name", OBJECT_MODELS)
def test_a_list_or_column_of_texts_works_with_a_function(name, kind):
    model = OBJECT_MODELS[name]
    expected = answer(clone(model).fit(TEXTS, TEXT_Y), TEXTS[::-1])
    same = answer(clone(model).fit(SERIES[kind](TEXTS), TEXT_Y), SERIES[kind](TEXTS[::-1]))
    np.testing.assert_array_equal(same, expected)


@pytest.mark.parametrize("name", ["exact", "nystroem", "knn"])
def test_a_function_of_vectors_is_given_vectors(name):
    def distance(x, z):
        assert x.shape == z.shape == (3,)
        return float(np.abs(x - z).sum())

    def similarity(x, z):
        return np.exp(-distance(x, z))

    if name == "knn":
        own = sk.KNeighborsRegressor(3, metric=distance)
        known = sk.KNeighborsRegressor(3, metric="manhattan")
    else:
        given = {"alpha": 0.1, "approximation": name, "landmarks": X[:20]}
        own = sk.SimilarityRegressor(similarity, **given)
        known = sk.SimilarityRegressor("laplacian", gamma=1.0, **given)
    # Rounded rows tie, and which of equals a tree takes is its own affair.
    unrounded = X + 0.01 * RNG.normal(size=X.shape)
    expected = known.fit(unrounded, Y).predict(unrounded[:5])
    for kind in ("C order", "list", "pandas", "polars"):
        rows = CONTAINERS[kind](unrounded)
        np.testing.assert_allclose(own.fit(rows, Y).predict(rows[:5]), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "items",
    [
        [{"a"}, {"a", "b"}, {"c"}],
        [{"a": 1}, {"b": 2, "a": 1}, {"c": 3}],
        [np.arange(3), np.arange(5), np.arange(2)],
        [[1, 2], [1, 2, 3], [5]],
        [["a", "b"], ["a", "c"], ["d", "e"]],
        [("a", "b"), ("c", "d"), ("a", "d")],
    ],
)
def test_objects_of_any_kind_work_in_every_model_that_takes_functions(items):
    def shared(x, z):
        return len(set(x) & set(z)) / len(set(x) | set(z))

    def unlike(x, z):
        return 1.0 - shared(x, z)

    K = np.array([[shared(x, z) for z in items] for x in items])
    y = np.array([1.0, 2.0, 4.0])
    exact = sk.SimilarityRegressor(shared, alpha=0.5, fit_intercept=False).fit(items, y)
    np.testing.assert_allclose(exact.predict(items), K @ np.linalg.solve(K + 0.5 * np.eye(3), y))
    nearest = sk.KNeighborsRegressor(1, metric=unlike).fit(items, y)
    np.testing.assert_array_equal(nearest.predict(items), y)


@pytest.mark.parametrize("name", ["exact", "nystroem", "knn", "classifier"])
def test_objects_that_are_wrong_are_errors(name):
    model = OBJECT_MODELS[name]
    with pytest.raises(InvalidInputError, match="no rows"):
        clone(model).fit([], [])
    with pytest.raises(InvalidInputError, match="missing value at row 1"):
        clone(model).fit(pd.Series(["abc", None, "abd"]), [1.0, 2.0, 1.0])
    with pytest.raises(ValueError, match=r"\[32, 4\]"):
        clone(model).fit(TEXTS, TEXT_Y[:4])
    known = clone(model).fit(TEXTS, TEXT_Y)
    with pytest.raises(InvalidInputError, match="one text, 'acg'"):
        known.predict("acg")
    with pytest.raises(InvalidInputError, match="no rows"):
        known.predict([])
    with pytest.raises(ValueError, match="objects"):
        known.predict(sk.rows(pd.DataFrame({"a": [1.0]})))


def test_texts_without_a_function_are_refused():
    for model in (sk.SimilarityRegressor(), sk.LinearRegressor(), sk.KNeighborsRegressor()):
        with pytest.raises(ValueError, match=r"holds texts|2D"):
            model.fit(TEXTS, TEXT_Y)


def test_a_model_can_be_fitted_on_objects_and_then_on_vectors():
    def similarity(x, z):
        return float(np.exp(-np.sum((np.asarray(x) - np.asarray(z)) ** 2)))

    model = sk.SimilarityRegressor(similarity, alpha=0.1)
    vectors = clone(model).fit(X, Y).predict(X[:4])
    scalars = clone(model).fit(X[:, 0], Y).predict(X[:4, 0])
    np.testing.assert_array_equal(model.fit(X[:, 0], Y).predict(X[:4, 0]), scalars)
    np.testing.assert_array_equal(model.fit(X, Y).predict(X[:4]), vectors)
    np.testing.assert_array_equal(model.fit(X[:, 0], Y).predict(X[:4, 0]), scalars)


# ---------------------------------------------------------------- set_output


@pytest.mark.parametrize("kind", ["C order", "pandas", "polars", "arrow"])
@pytest.mark.parametrize("name", ["Nystroem", "FourierFeatures", "RowPreparer"])
def test_set_output_gives_frames_with_the_names_of_the_features(name, kind):
    rows = CONTAINERS[kind](X)
    plain = fitted(name, rows)
    for library, frame_type in (("pandas", pd.DataFrame), ("polars", pl.DataFrame)):
        model = clone(ESTIMATORS[name]).set_output(transform=library).fit(rows)
        out = model.transform(rows)
        assert isinstance(out, frame_type)
        assert list(out.columns) == plain.get_feature_names_out().tolist()
        np.testing.assert_array_equal(out.to_numpy(), plain.transform(rows))
    if name == "RowPreparer" and kind != "C order":
        assert plain.get_feature_names_out().tolist() == NAMES


# ---------------------------------------------------------------- compare


@pytest.mark.parametrize("kind", ["F order", "pandas", "polars", "arrow", "csr_matrix"])
def test_compare_says_the_same_of_every_container(kind):
    names = ["exact", "linear", "knn", "fourier"]
    tables = [sk.compare(rows, Y, models=names).rows() for rows in (X, CONTAINERS[kind](X))]
    for one, other in zip(*tables, strict=True):
        assert one["model"] == other["model"]
        assert one["rmse"] == pytest.approx(other["rmse"], rel=1e-6)


def test_compare_matches_the_columns_of_its_test_rows_by_name():
    train, test = as_table(X[:60]), as_table(X[60:]).select(["c", "b", "a"])
    table = sk.compare(train, Y[:60], test=(test.to_pandas(), Y[60:]), models="linear")
    known = sk.LinearRegressor().fit(X[:60], Y[:60]).predict(X[60:])
    np.testing.assert_allclose(table.predictions["linear"], known)


@pytest.mark.parametrize("kind", ["F order", "pandas", "arrow"])
@pytest.mark.parametrize("where", ["split", "train", "test"])
def test_compare_names_a_missing_value_of_any_container(kind, where):
    holed = X.copy()
    holed[7, 1] = np.nan
    bad, good = CONTAINERS[kind](holed), CONTAINERS[kind](X)
    train, test = (good, (bad, Y)) if where == "test" else (bad, (good, Y))
    with pytest.raises(InvalidInputError, match=r"missing.*value.*row 7"):
        sk.compare(train, Y, test=None if where == "split" else test, models=["linear", "knn"])
    filled = sk.compare(bad, Y, test=(bad, Y), missing="mean", models=["linear"])
    assert filled.rows()[0]["rmse"] > 0


def test_compare_raises_its_own_errors_where_no_model_can_be_fitted():
    with pytest.raises(InvalidInputError, match="no model could be fitted: division by zero"):
        sk.compare(X, Y, models=["exact"], kernel=lambda a, b: 1 / 0)
    for size in (None, "many", 5.5, [5, None], []):
        with pytest.raises(InvalidInputError, match="n_components"):
            sk.compare(X, Y, models=["linear"], n_components=size)


def test_compare_says_what_is_missing():
    frame = pd.DataFrame(X, columns=NAMES)
    for rows in (X, frame):
        with pytest.raises(ValueError, match="y"):
            sk.compare(rows)
        with pytest.raises(InvalidInputError, match="give a pair"):
            sk.compare(rows, Y, test=frame)
    with pytest.raises(InvalidInputError, match="has no target"):
        sk.compare(frame, Y, test=sk.rows(frame))
    with pytest.raises(InvalidInputError, match=r"exactly one target, and .* has 2"):
        sk.compare(frame, np.column_stack([Y, Y]))


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize(
    "container", [np.asarray, pd.DataFrame, pa.table], ids=["array", "pandas", "arrow"]
)
def test_a_target_of_text_is_refused_and_classifiers_named(name, container):
    rows = container(dict(zip(NAMES, X.T, strict=True))) if container is pa.table else container(X)
    with pytest.raises(InvalidInputError, match=r"y holds text \('(up|down)'.*Classifier"):
        clone(ESTIMATORS[name]).fit(rows, LABELS)
