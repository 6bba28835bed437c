"""Texts end to end: edit distances in exact, Nyström and k-NN models, on DNA-like sequences.

The sequences are mutated members of a few families; the target depends on the family and on a
motif, which no column of numbers shows.
"""

from __future__ import annotations

import builtins
import threading
import time

import numpy as np
import pytest

import scalekern as sk
from scalekern import reference
from scalekern.errors import (
    InvalidInputError,
    MissingExtraError,
    ModelFormatError,
    UnsupportedError,
)
from scalekern.kernels import EditDistance
from scalekern.kernels.levenshtein import levenshtein
from scalekern.neighbors import build_index, index_from_state


def edits(x, z):
    """The textbook recurrence, one row of the table at a time."""
    row = list(range(len(z) + 1))
    for i, a in enumerate(x, 1):
        above, row = row, [i]
        for j, b in enumerate(z, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return float(row[-1])


def dna(n, seed=0, families=6, length=40):
    """Return sequences, their families and a target of family and motif, with some noise."""
    rng = np.random.default_rng(seed)
    ancestors = rng.choice(list("ACGT"), (families, length))
    family = rng.integers(0, families, n)
    sequences = []
    for f in family:
        letters = list(ancestors[f])
        for _ in range(rng.integers(2, 7)):
            at, kind = int(rng.integers(len(letters))), rng.integers(3)
            letters[at : at + (kind > 0)] = [] if kind == 2 else [rng.choice(list("ACGT"))]
        sequences.append("".join(letters))
    motif = np.array(["GAT" in sequence for sequence in sequences])
    effects = np.linspace(-3, 3, families)
    return sequences, family, effects[family] + motif + 0.1 * rng.standard_normal(n)


S, FAMILY, Y = dna(360)
TRAIN, TEST, Y_TRAIN, Y_TEST = S[:260], S[260:], Y[:260], Y[260:]
GAMMA = 0.05
AWKWARD = ["", "a", "été", "ete\u0301", "𝛼β", "a\nb", "\x00", "naïve " * 30]


def r2(predicted, y=Y_TEST):
    return 1 - np.mean((predicted - y) ** 2) / y.var()


# Distances and the kernel


def test_edit_distances_are_those_of_the_textbook():
    items = [*S[:12], *AWKWARD]
    expected = [[edits(x, z) for z in items] for x in items]
    np.testing.assert_array_equal(levenshtein(items, items), expected)


def test_the_kernel_is_exp_of_minus_gamma_times_the_distance():
    K = EditDistance(GAMMA).block(TEST[:7], TRAIN[:9])
    expected = [[np.exp(-GAMMA * edits(x, z)) for z in TRAIN[:9]] for x in TEST[:7]]
    np.testing.assert_allclose(K, expected, rtol=1e-14)
    out = np.empty((7, 9), dtype=np.float32)
    assert EditDistance(GAMMA).block(TEST[:7], TRAIN[:9], out) is out
    np.testing.assert_allclose(out, K, rtol=1e-6)
    np.testing.assert_array_equal(EditDistance(GAMMA).diagonal(S), np.ones(len(S)))


def test_the_median_gamma_is_one_over_the_median_distance_of_distinct_texts():
    items = [*S[:30], S[0], S[1]]
    pairs = [edits(items[i], items[j]) for i in range(32) for j in range(i)]
    distances = np.sort([d for d in pairs if d > 0])
    median = distances[(len(distances) - 1) // 2]
    model = sk.SimilarityRegressor("edit_distance", gamma="median", alpha=0.1).fit(
        items, np.arange(32.0)
    )
    assert model.kernel_.gamma == 1 / median
    assert EditDistance().median_gamma(["x", "x"]) == 1.0
    weight = np.array([1.0, 1.0, 4.0])
    repeated = EditDistance().median_gamma(["aaa", "aab", *["abb"] * 4])
    assert EditDistance().median_gamma(["aaa", "aab", "abb"], weight) == repeated


def test_the_distances_let_other_threads_run():
    items = [
        "".join(sequence) for sequence in np.random.default_rng(0).choice(["A", "C"], (300, 150))
    ]
    worker = threading.Thread(target=levenshtein, args=(items, items))
    longest, last = 0.0, time.perf_counter()
    worker.start()
    start = last
    while worker.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert longest < 0.8 * (last - start)  # with the lock held, one gap would span the whole call


# Models


@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_pinv_keeps_the_signed_spectrum_as_the_oracle_does(alpha):
    K = EditDistance(GAMMA).block(TRAIN, TRAIN)
    assert np.linalg.eigvalsh(K)[0] < -0.01  # else the test says nothing
    oracle = reference.SimilarityRegressor(lambda x, z: np.exp(-GAMMA * edits(x, z)), alpha)
    oracle.gram = lambda A, B: EditDistance(GAMMA).block(A, B)
    expected = oracle.fit(TRAIN, Y_TRAIN).predict(TEST)
    model = sk.SimilarityRegressor(EditDistance(GAMMA), alpha=alpha, fit_intercept=False)
    predicted = model.fit(TRAIN, Y_TRAIN).predict(TEST)
    np.testing.assert_allclose(predicted, expected, rtol=1e-8, atol=1e-8)
    assert model.report_["solver"] == "pinv"
    assert model.report_["clipped_share"] == 0.0


def test_cholesky_clips_the_negative_spectrum_and_reports_its_share():
    K = EditDistance(GAMMA).block(TRAIN, TRAIN)
    e, V = np.linalg.eigh(K)
    settings = {"alpha": 0.1, "fit_intercept": False, "solver": "cholesky"}
    model = sk.SimilarityRegressor(EditDistance(GAMMA), **settings).fit(TRAIN, Y_TRAIN)
    kept = np.where(e > 0, 1 / (np.maximum(e, 0) + 0.1), 0)
    expected = EditDistance(GAMMA).block(TEST, TRAIN) @ (V * kept) @ (V.T @ Y_TRAIN)
    np.testing.assert_allclose(model.predict(TEST), expected, rtol=1e-8, atol=1e-8)
    share = -e[e < 0].sum() / np.abs(e).sum()
    assert share > 1e-3
    np.testing.assert_allclose(model.report_["clipped_share"], share, rtol=1e-9)


def test_nystroem_with_every_text_as_landmark_is_the_clipped_exact_model():
    # With an intercept the exact model clips the centred matrix, and Nyström that of the landmarks.
    settings = {"alpha": 0.1, "gamma": GAMMA, "fit_intercept": False}
    exact = sk.SimilarityRegressor("edit_distance", solver="cholesky", **settings)
    nystroem = sk.SimilarityRegressor("edit_distance", landmarks=TRAIN, **settings)
    expected = exact.fit(TRAIN, Y_TRAIN).predict(TEST)
    predicted = nystroem.fit(TRAIN, Y_TRAIN).predict(TEST)
    np.testing.assert_allclose(predicted, expected, rtol=1e-6, atol=1e-6)
    assert nystroem.report_["clipped_share"] > 1e-3


@pytest.mark.parametrize("alpha", ["loo", "gcv", "cv"])
@pytest.mark.parametrize("solver", ["pinv", "cholesky"])
def test_the_alpha_that_is_chosen_serves_an_indefinite_kernel(solver, alpha):
    # Rounding in the intercept's direction once made a tiny alpha look perfect under "pinv".
    for gamma in (1 / 40, GAMMA):
        model = sk.SimilarityRegressor(EditDistance(gamma), alpha=alpha, solver=solver)
        assert r2(model.fit(TRAIN, Y_TRAIN).predict(TEST)) > 0.9


def test_leave_one_out_of_a_signed_spectrum_is_leaving_one_out():
    settings = {"kernel": EditDistance(GAMMA), "solver": "pinv"}
    X, y, alphas = TRAIN[:20], Y_TRAIN[:20], np.array([0.5, 2.0])
    for intercept in (True, False):
        model = sk.SimilarityRegressor(**settings, fit_intercept=intercept, alpha=alphas).fit(X, y)
        for alpha, score in zip(model.alphas_, model.scores_, strict=True):
            one = sk.SimilarityRegressor(**settings, fit_intercept=intercept, alpha=float(alpha))
            errors = [
                one.fit(X[:i] + X[i + 1 :], np.delete(y, i)).predict([X[i]])[0] - y[i]
                for i in range(len(X))
            ]
            np.testing.assert_allclose(score, np.mean(np.square(errors)), rtol=1e-8)


def test_exact_nystroem_and_neighbours_learn_family_and_motif():
    exact = sk.SimilarityRegressor("edit_distance").fit(TRAIN, Y_TRAIN)
    nystroem = sk.SimilarityRegressor(
        "edit_distance", approximation="nystroem", n_components=120, random_state=0
    ).fit(TRAIN, Y_TRAIN)
    knn = sk.KNeighborsRegressor(metric="levenshtein").fit(TRAIN, Y_TRAIN)
    for model in (exact, nystroem, knn):
        assert r2(model.predict(TEST)) > 0.93, model
    classifier = sk.KNeighborsClassifier(metric="levenshtein").fit(TRAIN, FAMILY[:260])
    assert (classifier.predict(TEST) == FAMILY[260:]).mean() > 0.98


def test_partial_fit_takes_texts():
    whole = sk.SimilarityRegressor("edit_distance", gamma=GAMMA, landmarks=TRAIN[:50], alpha=0.1)
    parts = sk.SimilarityRegressor("edit_distance", gamma=GAMMA, landmarks=TRAIN[:50], alpha=0.1)
    whole.fit(TRAIN, Y_TRAIN)
    parts.partial_fit(TRAIN[:100], Y_TRAIN[:100]).partial_fit(TRAIN[100:], Y_TRAIN[100:])
    np.testing.assert_allclose(parts.predict(TEST), whole.predict(TEST), rtol=1e-8, atol=1e-8)


def test_neighbours_by_levenshtein_are_those_of_the_function():
    named = sk.KNeighborsRegressor(4, metric="levenshtein", weights="distance").fit(
        TRAIN[:80], Y_TRAIN[:80]
    )
    called = sk.KNeighborsRegressor(4, metric=edits, weights="distance").fit(
        TRAIN[:80], Y_TRAIN[:80]
    )
    for ours, theirs in zip(named.kneighbors(TEST[:8]), called.kneighbors(TEST[:8]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(named.predict(TEST[:8]), called.predict(TEST[:8]))
    assert named.recall_ == 1.0
    assert named.report_["exact"]
    own = named.kneighbors(n_neighbors=1)[1][:, 0]
    assert not (own == np.arange(80)).any()


def test_predictions_do_not_depend_on_the_batch(monkeypatch):
    model = sk.KNeighborsRegressor(metric="levenshtein").fit(TRAIN, Y_TRAIN)
    whole = model.predict(TEST)
    monkeypatch.setattr("scalekern.neighbors.texts._TILE_ENTRIES", 7 * len(TRAIN))
    np.testing.assert_array_equal(model.predict(TEST), whole)
    np.testing.assert_array_equal(np.ravel([model.predict([text]) for text in TEST]), whole)


# compare


def test_compare_of_texts_measures_the_gap_to_the_exact_model():
    table = sk.compare(S, Y, kernel="edit_distance", n_components=100)
    rows = {row["model"]: row for row in table.rows()}
    assert list(rows) == ["exact", "knn", "nystroem"]
    assert "needs columns of numbers" in table.left_out["auto"]
    assert rows["exact"]["gap_to_exact"] == 0
    assert all(row["r2"] > 0.9 for row in rows.values())
    assert 0 < rows["nystroem"]["gap_to_exact"] < 0.25
    difference = table.predictions["nystroem"] - table.predictions["exact"]
    gap = np.sqrt(np.mean(difference**2)) / table.y_test.std()
    np.testing.assert_allclose(rows["nystroem"]["gap_to_exact"], gap)
    assert table.preparer is None


def test_a_pipeline_from_compare_predicts_texts_and_is_stored(tmp_path):
    table = sk.compare(
        TRAIN, Y_TRAIN, test=(TEST, Y_TEST), kernel="edit_distance", scaler="none", n_components=50
    )
    for name in ("exact", "knn", "nystroem"):
        pipeline = table.pipeline(name)
        np.testing.assert_array_equal(pipeline.predict(TEST), table.predictions[name])
        sk.save(pipeline, tmp_path / name)
        loaded = sk.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict(TEST), table.predictions[name])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ["exact", "linear"]}, "'linear'.*objects.*'exact', 'knn', 'nystroem'"),
        ({"models": "fourier"}, "'fourier'.*stationary.*'exact', 'knn', 'nystroem'"),
        ({"models": "auto"}, "'auto'.*objects.*'exact', 'knn', 'nystroem'"),
        ({"scaler": "minmax"}, "scaler='minmax'.*objects"),
        ({"kernel": "rbf"}, "kernel='edit_distance'"),
    ],
)
def test_compare_refuses_what_texts_cannot_have(settings, message):
    with pytest.raises(ValueError, match=message):
        sk.compare(S, Y, **{"kernel": "edit_distance"} | settings)


def test_compare_of_other_objects_leaves_neighbours_out():
    sets = [frozenset(text) for text in S[:60]]

    def jaccard(x, z):
        return len(x & z) / len(x | z)

    table = sk.compare(sets, Y[:60], kernel=jaccard, n_components=10, alpha=0.1)
    assert [row["model"] for row in table.rows()] == ["exact", "nystroem"]
    with pytest.raises(UnsupportedError, match=r"'knn'.*frozenset objects"):
        sk.compare(sets, Y[:60], kernel=jaccard, models=["knn"])


# Storage


@pytest.mark.parametrize("items", [TRAIN, AWKWARD * 3], ids=["dna", "awkward"])
@pytest.mark.parametrize(
    "model",
    [
        sk.SimilarityRegressor("edit_distance"),
        sk.SimilarityRegressor(2.0 * EditDistance() + 0.5, approximation="nystroem",
                               n_components=9),
        sk.KNeighborsRegressor(3, metric="levenshtein"),
        sk.KNeighborsClassifier(3, metric="levenshtein"),
    ],
    ids=["exact", "nystroem", "knn", "knn classes"],
)  # fmt: skip
def test_a_stored_model_of_texts_predicts_the_same_bits(tmp_path, model, items):
    y = FAMILY[: len(items)]
    model.fit(items, y)
    sk.save(model, tmp_path / "model")
    loaded = sk.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(TEST + items), model.predict(TEST + items))
    if hasattr(model, "landmarks_"):
        assert loaded.landmarks_ == model.landmarks_


def test_an_altered_index_of_texts_is_refused():
    meta, arrays = build_index(["a", "bc"], metric="levenshtein", n_neighbors=1).index.state()
    assert index_from_state(meta, arrays).rows == ["a", "bc"]
    for change in ({"metric": "euclidean"}, {"n": 3}):
        with pytest.raises(ModelFormatError):
            index_from_state(meta | change, arrays)
    with pytest.raises(ModelFormatError):
        index_from_state(meta, arrays | {"offsets": np.array([0, 1, 9])})


# Containers and files


@pytest.fixture
def files(tmp_path):
    pa, parquet, csv = (
        pytest.importorskip(name) for name in ("pyarrow", "pyarrow.parquet", "pyarrow.csv")
    )
    table = pa.table({"sequence": TRAIN, "target": Y_TRAIN, "weight": np.arange(260) % 3 + 0.5})
    parquet.write_table(table.slice(0, 100), tmp_path / "1.parquet", row_group_size=30)
    parquet.write_table(table.slice(100), tmp_path / "2.parquet")
    csv.write_csv(table, tmp_path / "all.csv")
    return tmp_path, table


def test_a_column_of_text_fits_and_predicts_from_files_and_frames(files):
    folder, table = files
    settings = {"kernel": "edit_distance", "landmarks": TRAIN[::5], "alpha": 0.1, "random_state": 0}
    from_list = sk.SimilarityRegressor(**settings).fit(TRAIN, Y_TRAIN, table["weight"].to_numpy())
    expected = from_list.predict(TRAIN)
    for data in (folder / "*.parquet", folder / "all.csv", table, table.to_pandas()):
        source = sk.rows(data, target="target", weight="weight")
        model = sk.SimilarityRegressor(**settings).fit(source)
        np.testing.assert_array_equal(model.predict(TRAIN), expected)
        np.testing.assert_array_equal(model.predict(source), expected)
    frame = table.select(["sequence"])
    for X in (frame, frame.to_pandas(), table["sequence"], table["sequence"].to_pandas()):
        model = sk.SimilarityRegressor(**settings).fit(X, Y_TRAIN, table["weight"].to_numpy())
        np.testing.assert_array_equal(model.predict(TRAIN), expected)
        np.testing.assert_array_equal(from_list.predict(X), expected)


def test_neighbours_and_compare_take_a_column_of_text(files):
    folder, _ = files
    source = sk.rows(folder / "*.parquet", target="target", features=["sequence"])
    model = sk.KNeighborsRegressor(metric="levenshtein").fit(source)
    same = sk.KNeighborsRegressor(metric="levenshtein").fit(TRAIN, Y_TRAIN)
    np.testing.assert_array_equal(model.predict(source), same.predict(TRAIN))
    table = sk.compare(source, kernel="edit_distance", n_components=30)
    assert [row["model"] for row in table.rows()] == ["exact", "knn", "nystroem"]


def test_a_column_of_text_is_named_where_numbers_are_needed(files):
    folder, table = files
    source = sk.rows(folder / "all.csv", target="target", features=["sequence"])
    for model in (sk.SimilarityRegressor(), sk.LinearRegressor(), sk.KNeighborsRegressor()):
        with pytest.raises(InvalidInputError, match=r"column 'sequence' of all.csv holds texts"):
            model.fit(source)
        with pytest.raises(InvalidInputError, match="texts"):
            model.fit(table.select(["sequence"]), Y_TRAIN)
    missing = table.select(["sequence", "target"]).to_pandas()
    missing.loc[7, "sequence"] = None
    with pytest.raises(InvalidInputError, match=r"'sequence' of the frame has 1 missing.*row 7"):
        sk.SimilarityRegressor("edit_distance").fit(sk.rows(missing, target="target"))


# Errors


def test_rows_that_are_not_texts_are_named():
    for model in (
        sk.SimilarityRegressor("edit_distance"),
        sk.KNeighborsRegressor(1, metric="levenshtein"),
    ):
        with pytest.raises(InvalidInputError, match="of type int: '3'"):
            model.fit(["a", 3, "b"], [1.0, 2.0, 3.0])
        with pytest.raises(InvalidInputError, match="of type ndarray"):
            model.fit(np.eye(3), [1.0, 2.0, 3.0])
        with pytest.raises(InvalidInputError, match="missing value at row 1"):
            model.fit(["a", None, "b"], [1.0, 2.0, 3.0])


def test_settings_that_texts_cannot_have_are_refused():
    with pytest.raises(InvalidInputError, match=r"gamma='scale'.*'median'"):
        sk.SimilarityRegressor("edit_distance", gamma="scale").fit(TRAIN, Y_TRAIN)
    with pytest.raises(InvalidInputError, match="gamma=-1"):
        sk.SimilarityRegressor(EditDistance(-1.0)).fit(TRAIN, Y_TRAIN)
    with pytest.raises(UnsupportedError, match="approximation='nystroem'"):
        sk.SimilarityRegressor("edit_distance", approximation="fourier").fit(TRAIN, Y_TRAIN)
    with pytest.raises(UnsupportedError, match="metric='levenshtein' is of texts"):
        sk.KNeighborsRegressor(metric="levenshtein", algorithm="hnsw").fit(TRAIN, Y_TRAIN)


def test_without_rapidfuzz_the_error_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith("rapidfuzz"):
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    message = r"pip install 'scalekern\[strings\]'"
    with pytest.raises(MissingExtraError, match=message):
        sk.SimilarityRegressor("edit_distance").fit(TRAIN, Y_TRAIN)
    knn = sk.KNeighborsRegressor(metric="levenshtein")
    with pytest.raises(MissingExtraError, match=message):
        knn.fit(TRAIN, Y_TRAIN)
