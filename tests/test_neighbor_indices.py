"""Neighbour indices against scikit-learn's brute force and what their docstrings promise."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from scalekern.errors import (
    InvalidInputError,
    ModelFormatError,
    RecallWarning,
    UnsupportedError,
)
from scalekern.neighbors import approximate, build_index, index_from_state
from scalekern.neighbors.factory import FactoryIndex
from scalekern.neighbors.hnsw import HNSWIndex
from scalekern.neighbors.ivf import IVFIndex
from scalekern.neighbors.kinds import kind_for_rows

EXACT = [
    ("kd_tree", "euclidean"),
    ("kd_tree", "manhattan"),
    ("kd_tree", "chebyshev"),
    ("brute", "euclidean"),
    ("brute", "cosine"),
    ("brute", "manhattan"),
    ("brute", "canberra"),
    ("brute", "correlation"),
]
APPROXIMATE = [
    "hnsw",
    "ivf",
    "ivfsq",
    "ivfpq",
    "IVF32,SQfp16",
    "PCA4,IVF16,PQ4",
    "IVF16,PQ4x4fs,RFlat",
    "SQ8",
]
ALL = [*EXACT, *((name, "euclidean") for name in APPROXIMATE)]


def gaussian(n, d, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def clustered(n, d, seed=0, clusters=30):
    rng = np.random.default_rng(seed)
    centres = 5 * rng.normal(size=(clusters, d))
    return centres[rng.integers(clusters, size=n)] + rng.normal(size=(n, d))


def edit_like(x, z):
    return abs(len(x) - len(z)) + sum(a != b for a, b in zip(x, z, strict=False))


@pytest.fixture(scope="module")
def built():
    """One built index for each algorithm and metric, on 3,000 rows of 8 columns."""
    X = clustered(3000, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecallWarning)
        return {
            (algorithm, metric): build_index(X, metric=metric, algorithm=algorithm).index
            for algorithm, metric in ALL
        }


# ---------------------------------------------------------------- exact answers


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("algorithm", "metric"), EXACT)
def test_exact_indices_find_what_scikit_learn_finds(algorithm, metric, dtype):
    X, Q = gaussian(2000, 6, 1, dtype), gaussian(150, 6, 2, dtype)
    built = build_index(X, metric=metric, algorithm=algorithm, n_neighbors=7)
    distances, indices = built.index.search(Q, 7)
    peer = NearestNeighbors(n_neighbors=7, metric=metric, algorithm="brute")
    expected, rows = peer.fit(X.astype(np.float64)).kneighbors(Q.astype(np.float64))
    assert built.recall == 1.0
    assert built.index.exact
    assert distances.dtype == np.float64
    assert indices.dtype == np.int64
    np.testing.assert_array_equal(indices, rows)
    np.testing.assert_allclose(distances, expected, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
def test_far_off_centre_data_keeps_its_neighbours(algorithm, dtype):
    X = (gaussian(3000, 5, 3) + 1e4).astype(dtype)
    distances, indices = build_index(X, algorithm=algorithm).index.search(X[:100], 5)
    exact = cdist(X[:100].astype(np.float64), X.astype(np.float64))
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :5], rtol=1e-12)
    np.testing.assert_allclose(np.take_along_axis(exact, indices, 1), distances, rtol=1e-12)


def test_flat_is_exact_where_float32_cannot_tell_rows_apart():
    # Clusters a million apart with a spread of one: the rounding of ‖x‖² is larger than the spread.
    # FAISS expands ‖x − z‖² only for batches above a size, so all rows are queries.
    rng = np.random.default_rng(4)
    X = rng.normal(size=(2500, 64)) + 1e6 * rng.integers(-1, 2, size=(2500, 1))
    distances, indices = build_index(X, algorithm="brute").index.search(X, 6)
    exact = cdist(X, X)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1, kind="stable")[:, :6])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :6], rtol=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_flat_is_exact_for_values_whose_squares_leave_float32(size):
    X, Q = size * gaussian(500, 4, 5), size * gaussian(40, 4, 6)
    distances, indices = build_index(X, algorithm="brute").index.search(Q, 3)
    exact = cdist(Q, X)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :3], rtol=1e-12)


@pytest.mark.parametrize(("algorithm", "metric"), [("brute", "euclidean"), ("brute", "cosine")])
def test_queries_far_outside_the_fitted_range_get_exact_answers(algorithm, metric):
    X = gaussian(300, 4, 7)
    Q = gaussian(20, 4, 8) * np.logspace(2, 40, 20)[:, None]
    distances, _ = build_index(X, metric=metric, algorithm=algorithm).index.search(Q, 4)
    expected = np.sort(cdist(Q, X, metric), axis=1)[:, :4]
    np.testing.assert_allclose(distances, expected, rtol=1e-9)


rows_of_few_values = arrays(
    np.float64,
    st.tuples(st.integers(1, 60), st.integers(1, 5)),
    elements=st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6, width=32),
)


@settings(max_examples=60, deadline=None)
@given(rows=rows_of_few_values, data=st.data())
@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
def test_exact_indices_equal_brute_force_on_any_rows(algorithm, rows, data):
    k = data.draw(st.integers(1, len(rows)))
    distances, indices = build_index(rows, algorithm=algorithm, n_neighbors=k).index.search(rows, k)
    exact = cdist(rows, rows)
    np.testing.assert_allclose(distances, np.sort(exact, axis=1)[:, :k], rtol=1e-12, atol=0)
    np.testing.assert_allclose(np.take_along_axis(exact, indices, 1), distances, rtol=1e-12, atol=0)
    assert all(len(set(row)) == k for row in indices.tolist())


@settings(max_examples=30, deadline=None)
@given(rows=arrays(np.float64, (80, 2), elements=st.integers(0, 2).map(float)))
def test_flat_gives_equal_distances_to_the_first_rows(rows):
    _, indices = build_index(rows, algorithm="brute").index.search(rows, 5)
    exact = cdist(rows, rows)
    np.testing.assert_array_equal(indices, np.argsort(exact, axis=1, kind="stable")[:, :5])


# ---------------------------------------------------------------- cosine


@pytest.mark.parametrize("algorithm", ["brute", "ivf", "hnsw"])
def test_cosine_distances_are_one_minus_the_cosine(algorithm):
    X, Q = gaussian(2000, 6, 9) + 0.5, gaussian(50, 6, 10)
    distances, indices = build_index(X, metric="cosine", algorithm=algorithm).index.search(Q, 5)
    exact = cdist(Q, X, "cosine")
    np.testing.assert_allclose(np.take_along_axis(exact, indices, 1), distances, atol=1e-14)


@pytest.mark.parametrize("zeros_fitted", [True, False])
def test_rows_of_zeros_are_at_cosine_distance_one_from_all_others(zeros_fitted):
    X = np.abs(gaussian(200, 3, 11)) + 0.1
    if zeros_fitted:
        X[17] = 0.0
    index = build_index(X, metric="cosine").index
    near, rows = index.search(X[:10], 5)
    assert 17 not in rows or not zeros_fitted
    assert near.max() < 0.5
    far, _ = index.search(np.zeros((1, 3)), 5)
    expected = [0, 1, 1, 1, 1] if zeros_fitted else [1] * 5
    np.testing.assert_allclose(far[0], expected, atol=1e-15)


# ---------------------------------------------------------------- every index


# SciPy's correlation of a row with itself is rounded, to about 1e-16.
@pytest.mark.parametrize(("algorithm", "metric"), [pair for pair in ALL if "corr" not in pair[1]])
def test_an_exact_duplicate_is_at_distance_zero(algorithm, metric, built):
    X = clustered(3000, 8)
    distances, indices = built[algorithm, metric].search(X[:200], 1)
    found = indices[:, 0] == np.arange(200)
    assert found.mean() > 0.9
    assert (distances[found] == 0).all()


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute", "hnsw", "ivf"])
def test_distances_are_ascending_and_ties_in_the_order_of_rows(algorithm):
    X = np.random.default_rng(12).integers(0, 3, size=(2500, 3)).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecallWarning)
        index = build_index(X, algorithm=algorithm).index
    distances, indices = index.search(X[:100], 20)
    step, forward = np.diff(distances, axis=1), np.diff(indices, axis=1) > 0
    assert ((step > 0) | ((step == 0) & forward)).all()


@pytest.mark.parametrize(("algorithm", "metric"), ALL)
def test_stored_state_gives_bitwise_equal_answers(algorithm, metric, built):
    index, Q = built[algorithm, metric], clustered(120, 8, 13)
    meta, state = index.state()
    again = index_from_state(json.loads(json.dumps(meta)), state)
    pickled = pickle.loads(pickle.dumps(index))
    for other in (again, pickled):
        assert other.description == index.description
        np.testing.assert_array_equal(other.rows, clustered(3000, 8))
        for left, right in zip(index.search(Q, 6), other.search(Q, 6), strict=True):
            np.testing.assert_array_equal(left, right)
    assert all(array.dtype != object for array in state.values())


@pytest.mark.parametrize(("algorithm", "metric"), ALL)
def test_four_threads_at_once_get_the_serial_answers(algorithm, metric, built):
    index = built[algorithm, metric]
    queries = [clustered(60, 8, seed) for seed in range(8)]
    serial = [index.search(Q, 5) for Q in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda Q: index.search(Q, 5), queries))
    for one, other in zip(serial, together, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("algorithm", ["hnsw", "ivf", "ivfsq", "ivfpq", "IVF16,PQ4x4fs,RFlat"])
def test_neighbours_do_not_depend_on_the_groups_that_queries_are_answered_in(
    algorithm, metric, monkeypatch
):
    X, Q = clustered(3_000, 24), clustered(101, 24, 1)
    index = build_index(X, metric=metric, algorithm=algorithm, n_neighbors=5).index

    def answers():
        others = index.search_others(X[:101], np.arange(101), 5)
        return *index.search(Q, 5), *others, index.nearest(Q, 5)

    together = answers()
    monkeypatch.setattr(approximate, "FEWEST_AT_ONCE", 40)
    monkeypatch.setattr(approximate, "TABLE_BYTES", 1)
    monkeypatch.setattr(approximate, "CANDIDATE_BYTES", 7 * 24 * 8 * 5 * index.more)
    for one, other in zip(together, answers(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_few_queries_are_enough_for_faiss_to_use_a_matrix_product():
    import faiss

    build_index(gaussian(300, 24), algorithm="ivf", n_neighbors=2)
    assert faiss.cvar.distance_compute_blas_threshold <= 100 * 24


@pytest.mark.parametrize("algorithm", ["brute", "ivf", "hnsw"])
def test_a_search_uses_one_openmp_thread_and_leaves_the_limit_as_it_was(
    algorithm, built, monkeypatch
):
    import faiss

    index, seen = built[algorithm, "euclidean"], []
    method = "_scan" if algorithm == "brute" else "_candidates"
    inside = getattr(index, method)
    monkeypatch.setattr(
        index, method, lambda *a: (seen.append(faiss.omp_get_max_threads()), inside(*a))[1]
    )
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        index.search(clustered(5, 8), 2)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
    assert seen == [1]


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute", "ivf", "hnsw"])
def test_more_neighbours_than_rows_are_padded_as_not_found(algorithm):
    index = build_index(gaussian(5, 3), algorithm=algorithm, n_neighbors=2).index
    distances, indices = index.search(gaussian(4, 3, 1), 9)
    assert distances.shape == indices.shape == (4, 9)
    assert (indices[:, 5:] == -1).all()
    assert np.isinf(distances[:, 5:]).all()
    assert (np.sort(indices[:, :5], axis=1) == np.arange(5)).all()


def test_rows_that_were_not_found_are_minus_one_and_never_a_wrong_row():
    X = clustered(2000, 5, clusters=50)
    index = IVFIndex.build(X).at(1)  # about 40 rows in the one list that is looked at
    distances, indices = index.search(X[:200], 300)
    found = indices >= 0
    assert (~found).any()
    assert np.isinf(distances[~found]).all()
    exact = cdist(X[:200], X)
    np.testing.assert_allclose(
        np.take_along_axis(exact, np.maximum(indices, 0), 1)[found], distances[found], atol=1e-12
    )
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in indices)


# ---------------------------------------------------------------- objects


def test_a_function_of_two_strings_ranks_strings():
    words = ["cat", "cart", "horse", "cat", "dog"]
    built = build_index(words, metric=edit_like, n_neighbors=3)
    distances, indices = built.index.search(["cat"], 3)
    np.testing.assert_array_equal(indices, [[0, 3, 1]])
    np.testing.assert_array_equal(distances, [[0.0, 0.0, 2.0]])


def test_a_function_of_two_vectors_equals_its_named_metric():
    X, Q = gaussian(200, 3, 20), gaussian(20, 3, 21)
    by_name = build_index(X, metric="manhattan").index.search(Q, 4)
    by_hand = build_index(X, metric=lambda x, z: np.abs(x - z).sum()).index.search(Q, 4)
    np.testing.assert_array_equal(by_name[1], by_hand[1])
    np.testing.assert_allclose(by_name[0], by_hand[0])


@pytest.mark.parametrize("words", [["cat", "", "žluťoučký\0", "\ud800", "cat\0"], gaussian(5, 2)])
def test_functions_come_back_through_load_and_objects_as_plain_arrays(words):
    def length(x, z):
        return abs(len(x) - len(z)) + abs(hash(str(x)) % 7 - hash(str(z)) % 7)

    index = build_index(words, metric=length).index
    meta, state = index.state()
    again = index_from_state(json.loads(json.dumps(meta)), state, metric=length)
    for left, right in zip(index.search(words, 3), again.search(words, 3), strict=True):
        np.testing.assert_array_equal(left, right)
    with pytest.raises(ModelFormatError, match="pass the same function"):
        index_from_state(meta, state)


def test_objects_that_need_pickle_are_not_stored():
    index = build_index([{1}, {2}, {1, 2}], metric=lambda x, z: len(x ^ z), n_neighbors=1).index
    with pytest.raises(UnsupportedError, match="strings"):
        index.state()


def test_a_metric_that_is_not_a_number_names_the_pair():
    index = build_index(["a", "b"], metric=lambda x, z: float("nan"), n_neighbors=1).index
    with pytest.raises(InvalidInputError, match="query 0 and fitted row 0"):
        index.search(["c"], 1)


# ---------------------------------------------------------------- altered models


@pytest.mark.parametrize(
    ("algorithm", "key", "value"),
    [
        (algorithm, key, value)
        for algorithm in ("kd_tree", "brute", "hnsw", "ivf", "IVF32,SQfp16")
        for key, value in [("n", 2999), ("d", 7), ("metric", "yule"), ("dtype", "float32")]
    ]
    + [("ivf", "setting", 0), ("ivf", "class", "IndexHNSWFlat"), ("hnsw", "setting", "64")],
)
def test_altered_metadata_is_refused(algorithm, key, value, built):
    meta, state = built[algorithm, "euclidean"].state()
    with pytest.raises(ModelFormatError):
        index_from_state({**meta, key: value}, state)


def test_missing_foreign_or_exchanged_parts_are_refused(built):
    meta, state = built["ivf", "euclidean"].state()
    other = built["hnsw", "euclidean"].state()[1]["index.faiss"]
    flat_meta, flat = built["brute", "euclidean"].state()
    small = build_index(gaussian(10, 8), algorithm="brute").index.state()[1]["index.faiss"]
    for wrong_meta, wrong_state in [
        ({**meta, "name": "ball_tree"}, state),
        ({k: v for k, v in meta.items() if k != "metric"}, state),
        (meta, {k: v for k, v in state.items() if k != "rows"}),
        (meta, {**state, "rows": state["rows"][:-1]}),
        (meta, {**state, "index.faiss": other}),
        (meta, {**state, "index.faiss": state["index.faiss"][:40]}),
        (meta, {**state, "center": state["center"][:-1]}),
        (flat_meta, {**flat, "index.faiss": small}),
        (flat_meta, {**flat, "index.faiss": other}),
    ]:
        with pytest.raises(ModelFormatError):
            index_from_state(wrong_meta, wrong_state)


# ---------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("n", "d", "metric", "target", "kind"),
    [
        (10**6, 3, "euclidean", 0.95, "kd_tree"),
        (10**6, 20, "euclidean", 0.95, "contest"),
        (10**6, 20, "euclidean", 1.0, "flat"),
        (10**6, 3, "cosine", 0.95, "contest"),
        (1000, 20, "euclidean", 0.95, "flat"),
        (10**6, 12, "manhattan", 0.95, "kd_tree"),
        (10**6, 50, "manhattan", 0.95, "ivf"),
        (10**6, 50, "manhattan", 1.0, "pairs"),
        (10**6, 3, "inner_product", 0.95, "contest"),
        (1000, 2, "hamming", 0.95, "pairs"),
    ],
)
def test_auto_chooses_from_rows_columns_metric_and_target(n, d, metric, target, kind):
    assert kind_for_rows("auto", n, d, metric, target) == kind


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"algorithm": "ball_tree"}, UnsupportedError, "kd_tree"),
        ({"algorithm": "kdtree"}, InvalidInputError, "'kdtree'.*'auto', 'brute', 'kd_tree'"),
        ({"algorithm": "PQ3"}, InvalidInputError, "'PQ3'.*multiple"),
        ({"algorithm": "HNSW1"}, InvalidInputError, "'HNSW1'"),
        ({"algorithm": "IVF0,Flat"}, InvalidInputError, "'IVF0,Flat'"),
        ({"algorithm": "IVF500,Flat"}, InvalidInputError, "'IVF500,Flat' on 50 rows"),
        ({"algorithm": "IDMap,Flat"}, InvalidInputError, "'IDMap,Flat'"),
        ({"algorithm": "kd_tree", "metric": "cosine"}, UnsupportedError, "manhattan"),
        ({"algorithm": "ivfpq", "metric": "manhattan"}, UnsupportedError, "euclidean, cosine"),
        ({"algorithm": "ivf", "metric": edit_like}, UnsupportedError, "function"),
        ({"algorithm": "ivf", "target_recall": 1.0}, UnsupportedError, "exact"),
        ({"metric": "nearness"}, InvalidInputError, "'nearness'.*cityblock"),
        ({"metric": "mahalanobis"}, InvalidInputError, "whiten"),
        ({"target_recall": 0.0}, InvalidInputError, "target_recall=0.0"),
        ({"target_recall": 1.2}, InvalidInputError, "target_recall=1.2"),
        ({"n_neighbors": 0}, InvalidInputError, "n_neighbors=0"),
        ({"n_neighbors": 51}, InvalidInputError, "n_neighbors=51 but only 50 rows were fitted"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_to_do(parameters, error, words):
    with pytest.raises(error, match=words):
        build_index(gaussian(50, 4), **parameters)


def test_queries_of_another_shape_are_refused(built):
    for key in [("kd_tree", "euclidean"), ("ivf", "euclidean"), ("brute", "canberra")]:
        with pytest.raises(InvalidInputError, match=r"3 columns.*built on 8"):
            built[key].search(gaussian(2, 3), 1)
        with pytest.raises(InvalidInputError, match="k=0"):
            built[key].search(gaussian(2, 8), 0)


def test_building_prints_nothing(capfd):
    X = gaussian(600, 8, 22)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecallWarning)
        HNSWIndex.build(X)
        IVFIndex.build(X)
        for factory in ("IVF32,PQ4", "OPQ4,IVF16,PQ4", "PQ4x4fs,RFlat", "IVF16_HNSW8,Flat", "NSG8"):
            FactoryIndex.build(X, factory).search(X[:5], 3)
    assert capfd.readouterr() == ("", "")


def test_an_import_of_the_package_does_not_load_faiss():
    code = "import sys, scalekern.neighbors; sys.exit('faiss' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
