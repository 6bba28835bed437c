"""The k-NN estimators against scikit-learn's, the oracle, and what their docstrings promise."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import neighbors as theirs
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from scalekern import KNeighborsClassifier, KNeighborsRegressor, RowPreparer, reference, rows
from scalekern.errors import InvalidInputError, RecallWarning, UnsupportedError

RNG = np.random.default_rng(3)
X, QUERIES = RNG.normal(size=(400, 5)), RNG.normal(size=(60, 5))
Y = np.sin(X[:, 0]) + X[:, 1] ** 2
LABELS = np.array(["low", "middle", "high"])[np.digitize(Y, [0.3, 1.5])]


def bell(distances):
    return np.exp(-(distances**2))


WEIGHTS = ["uniform", "distance", bell]


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("k", [1, 5, 400])
@pytest.mark.parametrize(
    ("metric", "algorithm"),
    [
        ("euclidean", "auto"),
        ("euclidean", "brute"),
        ("euclidean", "kd_tree"),
        ("manhattan", "auto"),
        ("chebyshev", "kd_tree"),
        ("cosine", "auto"),
        ("canberra", "auto"),
    ],
)
def test_regression_is_that_of_scikit_learn(metric, algorithm, k, weights):
    ours = KNeighborsRegressor(k, weights=weights, metric=metric, algorithm=algorithm).fit(X, Y)
    known = theirs.KNeighborsRegressor(k, weights=weights, metric=metric, algorithm="brute")
    known.fit(X, Y)
    np.testing.assert_allclose(ours.predict(QUERIES), known.predict(QUERIES), rtol=1e-7, atol=1e-9)
    distances, indices = ours.kneighbors(QUERIES)
    known_distances, known_indices = known.kneighbors(QUERIES)
    np.testing.assert_allclose(distances, known_distances, rtol=1e-6, atol=1e-9)
    # Far away, canberra distances tie at their maximum.
    np.testing.assert_array_equal(indices[:, :300], known_indices[:, :300])


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("k", [1, 4, 5])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "cosine"])
def test_classification_is_that_of_scikit_learn(metric, k, weights):
    ours = KNeighborsClassifier(k, weights=weights, metric=metric).fit(X, LABELS)
    known = theirs.KNeighborsClassifier(k, weights=weights, metric=metric, algorithm="brute")
    known.fit(X, LABELS)
    np.testing.assert_array_equal(ours.classes_, known.classes_)
    proba = ours.predict_proba(QUERIES)
    np.testing.assert_allclose(proba, known.predict_proba(QUERIES), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)
    np.testing.assert_array_equal(ours.predict(QUERIES), known.predict(QUERIES))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_the_estimators_are_the_oracle(k):
    regressor = KNeighborsRegressor(k).fit(X, Y)
    expected = reference.knn_regressor(X, Y, QUERIES, k)
    np.testing.assert_allclose(regressor.predict(QUERIES), expected, rtol=1e-12)
    classifier = KNeighborsClassifier(k).fit(X, LABELS)
    assert classifier.predict(QUERIES).tolist() == reference.knn_classifier(X, LABELS, QUERIES, k)


def test_a_tie_of_votes_goes_to_the_first_class_as_in_the_oracle():
    points, labels = [[0.0], [1.0], [2.0], [3.0]], ["b", "a", "c", "b"]
    for k in (2, 3):
        got = KNeighborsClassifier(k).fit(points, labels).predict([[0.4], [1.6]])
        assert got.tolist() == reference.knn_classifier(points, labels, [[0.4], [1.6]], k)


def test_a_tie_of_votes_but_for_rounding_is_a_tie():
    # 3/14 + 4/14 comes out above 7/14 in float64.
    model = KNeighborsClassifier(3, weights=lambda d: 0.45 * d)
    model.fit([[3.0], [4.0], [7.0]], ["b", "b", "a"])
    votes = model.predict_proba([[0.0]])[0]
    assert votes[0] < votes[1] < votes[0] + 1e-15
    assert model.predict([[0.0]]).tolist() == ["a"]


@pytest.mark.parametrize("weights", WEIGHTS)
def test_several_targets_are_predicted_as_one_at_a_time(weights):
    two = np.column_stack([Y, X[:, 2]])
    model = KNeighborsRegressor(5, weights=weights)
    together = clone(model).fit(X, two).predict(QUERIES)
    for j in range(2):
        alone = clone(model).fit(X, two[:, j]).predict(QUERIES)
        np.testing.assert_allclose(together[:, j], alone, rtol=1e-13, atol=1e-15)


# ---------------------------------------------------------------- neighbours of the rows themselves


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
@pytest.mark.parametrize("k", [1, 5])
def test_kneighbors_of_the_training_rows_leaves_each_row_out(algorithm, k):
    ours = KNeighborsRegressor(k, algorithm=algorithm).fit(X, Y)
    known = theirs.NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X)
    distances, indices = ours.kneighbors()
    known_distances, known_indices = known.kneighbors()
    np.testing.assert_allclose(distances, known_distances, rtol=1e-6)
    np.testing.assert_array_equal(indices, known_indices)
    np.testing.assert_array_equal(ours.kneighbors(return_distance=False), indices)


@pytest.mark.parametrize("algorithm", ["kd_tree", "brute"])
@pytest.mark.parametrize("copies", [2, 4, 12])
def test_a_row_with_duplicates_is_still_not_its_own_neighbour(algorithm, copies):
    # With more copies than neighbours, the row itself need not be among those that are found.
    repeated = np.repeat(X[:20], copies, axis=0)
    model = KNeighborsRegressor(3, algorithm=algorithm).fit(repeated, np.arange(len(repeated)))
    distances, indices = model.kneighbors()
    assert indices.shape == (len(repeated), 3)
    assert not (indices == np.arange(len(repeated))[:, None]).any()
    known = theirs.NearestNeighbors(n_neighbors=3, algorithm="brute").fit(repeated)
    np.testing.assert_allclose(distances, known.kneighbors()[0], atol=1e-7)
    direct = np.linalg.norm(repeated[:, None] - repeated[indices], axis=2)
    np.testing.assert_allclose(distances, direct, atol=1e-12)


def test_all_rows_but_one_can_be_asked_for_and_no_more():
    model = KNeighborsRegressor(2).fit(X[:6], Y[:6])
    assert {*model.kneighbors(n_neighbors=5)[1][2]} == {0, 1, 3, 4, 5}
    with pytest.raises(ValueError, match="n_neighbors = 6, n_samples_fit = 6"):
        model.kneighbors(n_neighbors=6)
    with pytest.raises(ValueError, match="n_neighbors = 7, n_samples_fit = 6"):
        model.kneighbors(QUERIES, n_neighbors=7)


# ---------------------------------------------------------------- what was not found


class Forgetful:
    """An index that loses neighbours: the last of each query, and all of query 0."""

    exact = False
    rows = X

    def __init__(self, index, lost_whole=True):
        self._index, self._lost_whole = index, lost_whole

    def search(self, X, k):
        distances, indices = self._index.search(X, k)
        distances[:, -2:], indices[:, -2:] = np.inf, -1
        if self._lost_whole:
            distances[0], indices[0] = np.inf, -1
        return distances, indices

    def nearest(self, X, k):
        return self.search(X, k)[1]


@pytest.mark.parametrize("weights", [*WEIGHTS, lambda d: d, lambda d: 1 / (1 + d)])
def test_what_was_not_found_never_enters_an_average(weights):
    # The last row has index -1 in NumPy, and a target that no mean could hide.
    y = Y.copy()
    y[-1] = 1e12
    X_far = X.copy()
    X_far[-1] = 1e3
    model = KNeighborsRegressor(5, weights=weights, algorithm="brute").fit(X_far, y)
    three = clone(model).set_params(n_neighbors=3).fit(X_far, y).predict(QUERIES)
    model._index = Forgetful(model._index)
    predicted = model.predict(QUERIES)
    np.testing.assert_allclose(predicted[1:], three[1:], rtol=1e-12)
    assert predicted[0] == pytest.approx(y.mean())


@pytest.mark.parametrize("weights", WEIGHTS)
def test_what_was_not_found_never_votes(weights):
    labels = LABELS.copy()
    labels[-1] = "never"
    X_far = X.copy()
    X_far[-1] = 1e3
    model = KNeighborsClassifier(5, weights=weights, algorithm="brute").fit(X_far, labels)
    three = clone(model).set_params(n_neighbors=3).fit(X_far, labels)
    model._index = Forgetful(model._index)
    proba = model.predict_proba(QUERIES)
    np.testing.assert_allclose(proba[1:], three.predict_proba(QUERIES)[1:], rtol=1e-12)
    shares = [np.mean(labels == label) for label in model.classes_]
    np.testing.assert_allclose(proba[0], shares)
    assert "never" not in model.predict(QUERIES)


def test_a_tiny_distance_is_no_overflow():
    points = np.array([[0.0], [1e-310], [1.0]])
    model = KNeighborsRegressor(3, weights="distance", metric="manhattan")
    model.fit(points, [5.0, 7.0, 100.0])
    assert model.predict([[0.0]]).tolist() == [6.0]
    assert np.isfinite(model.predict([[2e-309]])).all()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (lambda d: 1 / d, "inf for the distance 0.0.*weights='distance'"),
        (lambda d: -d, "at least 0"),
        (lambda d: d * np.nan, "nan"),
        (lambda d: d[:, :1], "shape"),
        ("kernel?", "weights='kernel\\?'; use 'uniform', 'distance', 'kernel' or a function"),
        (np.ones(3), "use 'uniform', 'distance', 'kernel' or a function"),
    ],
)
def test_weights_that_are_no_weights_are_refused(weights, message):
    for cls, y in ((KNeighborsRegressor, Y), (KNeighborsClassifier, LABELS)):
        with pytest.raises(InvalidInputError, match=message):
            cls(3, weights=weights).fit(X, y).predict(X[:5])


# ---------------------------------------------------------------- parameters and indices


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_neighbors": 0}, "n_neighbors=0"),
        ({"n_neighbors": 2.5}, "n_neighbors=2.5"),
        ({"n_neighbors": 401}, "n_neighbors=401 but n_samples=400"),
        ({"metric": "nearness"}, "metric='nearness' does not exist; use one of"),
        ({"metric": "mahalanobis"}, "whiten"),
        ({"algorithm": "ball_tree"}, "algorithm='ball_tree' does not exist here"),
        ({"algorithm": "quick"}, "algorithm='quick' is none of"),
        ({"algorithm": "kd_tree", "metric": "cosine"}, "algorithm='kd_tree' has no metric"),
        ({"algorithm": "ivf", "target_recall": 1.0}, "cannot promise target_recall=1.0"),
        ({"target_recall": 0.0}, "target_recall=0.0"),
        ({"algorithm": "hnsw", "metric": lambda x, z: 0.0}, "cannot use a function"),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters, message):
    for cls, y in ((KNeighborsRegressor, Y), (KNeighborsClassifier, LABELS)):
        with pytest.raises((InvalidInputError, UnsupportedError), match=message):
            cls(**parameters).fit(X, y)


def test_weights_of_rows_are_refused():
    frame = {"a": X[:, 0], "w": np.ones(len(X)), "y": Y}
    import pyarrow as pa

    with pytest.raises(InvalidInputError, match="cannot use sample weights; leave weight="):
        KNeighborsRegressor().fit(rows(pa.table(frame), target="y", weight="w"))


@pytest.fixture(scope="module")
def many():
    rng = np.random.default_rng(0)
    centres = 6 * rng.normal(size=(20, 12))
    points = centres[rng.integers(20, size=3000)] + rng.normal(size=(3000, 12))
    return points, points[:, 0]


@pytest.mark.parametrize("algorithm", ["hnsw", "ivf", "IVF32,SQ8"])
@pytest.mark.parametrize("cls", [KNeighborsRegressor, KNeighborsClassifier])
def test_an_approximate_index_says_so(cls, algorithm, many):
    points, y = many
    y = y if cls is KNeighborsRegressor else y > 0
    model = cls(5, algorithm=algorithm, random_state=0).fit(points, y)
    assert not model.report_["exact"]
    assert f"approximate, recall {model.recall_:.3f}" in repr(model)
    assert model.report_["recall"] == model.recall_ >= model.target_recall == 0.95
    assert f"recall {model.recall_:.3f}" in model.index_description_ == model.report_["index"]
    assert model.tuning_
    # The recall is that of rows drawn in fit; on other queries it must be near.
    found = model.kneighbors(points[:500] + 0.1, return_distance=False)
    exact = cls(5, algorithm="brute").fit(points, y)
    true = exact.kneighbors(points[:500] + 0.1, return_distance=False)
    shared = np.mean([len({*a} & {*b}) / 5 for a, b in zip(found, true, strict=True)])
    assert shared > model.recall_ - 0.05


def test_an_exact_index_does_not_call_itself_approximate(many):
    points, y = many
    model = KNeighborsRegressor().fit(points, y)
    assert (model.recall_, model.report_["exact"], model.tuning_) == (1.0, True, [])
    assert "approximate" not in repr(model)
    assert "exact" in model.index_description_


def test_auto_is_approximate_for_many_rows_and_exact_where_that_is_asked_for():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(20_000, 10)).astype(np.float32)
    guess = KNeighborsRegressor(random_state=0).fit(points, points[:, 0])
    assert not guess.report_["exact"]
    assert "approximate" in repr(guess)
    sure = KNeighborsRegressor(target_recall=1.0).fit(points, points[:, 0])
    assert sure.report_["exact"]
    near, exact = (m.kneighbors(points[:300], return_distance=False) for m in (guess, sure))
    assert np.mean(near == exact) > 0.85


def test_a_recall_that_cannot_be_reached_is_warned_of(many):
    points, y = many
    with pytest.warns(RecallWarning, match="below target_recall=0.99"):
        model = KNeighborsRegressor(algorithm="PCA1,SQ4", target_recall=0.99).fit(points, y)
    assert model.recall_ < 0.99
    assert "approximate" in repr(model)


def test_the_same_seed_gives_the_same_model_for_any_number_of_threads(many):
    points, y = many
    one, two = (
        KNeighborsRegressor(algorithm="ivf", random_state=5, n_jobs=n).fit(points, y)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one.predict(points + 0.1), two.predict(points + 0.1))


# ---------------------------------------------------------------- scikit-learn's tools


def test_pipelines_and_grid_searches_are_those_of_scikit_learn():
    grid = {"knn__n_neighbors": [1, 4, 9], "knn__weights": ["uniform", "distance"]}
    searches = []
    for model in (KNeighborsRegressor(), theirs.KNeighborsRegressor()):
        pipeline = make_pipeline(StandardScaler(), model)
        pipeline.steps[1] = ("knn", model)
        searches.append(GridSearchCV(pipeline, grid, cv=3).fit(X * [1, 9, 1, 1, 1], Y))
    ours, known = searches
    assert ours.best_params_ == known.best_params_
    scores = [s.cv_results_["mean_test_score"] for s in searches]
    np.testing.assert_allclose(*scores, rtol=1e-9)


def test_row_preparer_scales_as_scikit_learn_does():
    scaled = make_pipeline(RowPreparer(), KNeighborsClassifier(3)).fit(X * [1, 99, 1, 1, 1], LABELS)
    known = make_pipeline(StandardScaler(), theirs.KNeighborsClassifier(3))
    known.fit(X * [1, 99, 1, 1, 1], LABELS)
    np.testing.assert_array_equal(scaled.predict(QUERIES), known.predict(QUERIES))
    assert cross_val_score(scaled, X, LABELS, cv=3).min() > 0.3


@pytest.mark.parametrize("cls", [KNeighborsRegressor, KNeighborsClassifier])
def test_clone_and_pickle_keep_what_they_should(cls):
    y = Y if cls is KNeighborsRegressor else LABELS
    model = cls(3, weights="distance", metric="manhattan").fit(X, y)
    fresh = clone(model)
    assert fresh.get_params() == model.get_params()
    assert not hasattr(fresh, "report_")
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(QUERIES), model.predict(QUERIES))


@pytest.mark.parametrize("y", [np.array([0, 1, 5] * 20), np.array([True, False] * 30)])
def test_labels_come_back_in_their_own_type(y):
    predicted = KNeighborsClassifier(1).fit(X[:60], y).predict(X[:60])
    assert predicted.dtype == y.dtype
    np.testing.assert_array_equal(predicted, y)


def test_labels_that_are_measurements_are_refused():
    with pytest.raises(ValueError, match="Unknown label type"):
        KNeighborsClassifier().fit(X, Y)


# ---------------------------------------------------------------- texts


def edit_distance(x, z):
    """Return the least number of insertions, deletions and changes (Levenshtein 1966)."""
    before = list(range(len(z) + 1))
    for i, a in enumerate(x, 1):
        row = [i]
        for j, b in enumerate(z, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
        before = row
    return float(before[-1])


WORDS = ["".join(RNG.choice(list("acgt"), size=length)) for length in RNG.integers(3, 9, size=60)]


@pytest.mark.parametrize("k", [1, 4])
def test_texts_with_an_edit_distance_are_the_oracle(k):
    assert edit_distance("kitten", "sitting") == 3.0
    y = np.array([word.count("a") for word in WORDS], dtype=float)
    queries = [*WORDS[:10], "acgt", "", "ttttttttt"]
    model = KNeighborsRegressor(k, metric=edit_distance).fit(WORDS, y)
    expected = reference.knn_regressor(WORDS, y, queries, k, edit_distance)
    np.testing.assert_allclose(model.predict(queries), expected)
    labels = ["many" if count > 1 else "few" for count in y]
    votes = KNeighborsClassifier(k, metric=edit_distance).fit(WORDS, labels).predict(queries)
    assert votes.tolist() == reference.knn_classifier(WORDS, labels, queries, k, edit_distance)


def test_texts_are_not_their_own_neighbours():
    words = ["aa", "aa", "aa", "ab", "bb", "aa"]
    model = KNeighborsRegressor(2, metric=edit_distance).fit(words, np.arange(6.0))
    distances, indices = model.kneighbors()
    assert not (indices == np.arange(6)[:, None]).any()
    assert distances[:3].tolist() == [[0.0, 0.0]] * 3


def test_a_metric_that_is_not_a_number_names_the_pair():
    model = KNeighborsRegressor(1, metric=lambda x, z: np.nan if z == "bad" else 1.0)
    model.fit(["good", "bad"], [0.0, 1.0])
    with pytest.raises(InvalidInputError, match="query 0 and fitted row 1 is not a number"):
        model.predict(["x"])
