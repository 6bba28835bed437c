"""Coefficients solve the objective; closed-form errors are those of refitting by brute force."""

from __future__ import annotations

import dense
import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.linear_model import LinearRegression
from strategies import ANY_DATA, symmetric_systems

import scalekern as sk
from scalekern.engine import hash_ids
from scalekern.errors import InvalidInputError
from scalekern.features import NystroemMap
from scalekern.kernels import RBF
from scalekern.rows import ArraySource
from scalekern.solvers import RidgeStatistic, alpha_rule, solve_ridge, solve_spd
from scalekern.solvers.path import best
from scalekern.solvers.spd import pseudo_inverse
from scalekern.solvers.sums import FOLD_SEED

RNG = np.random.default_rng(23)
N = 60
X = RNG.normal(size=(N, 2))
Y = np.column_stack([np.sin(2 * X[:, 0]) + 5, X[:, 1] ** 2]) + 0.1 * RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0.2, 3.0, size=N)
Z = RNG.normal(size=(12, 2))
KERNEL = RBF(0.7)


class Smoother:
    """One kind of model: the package's estimator, and predictions from dense fits of some rows."""

    def __init__(self, approximation, intercept, weighted):
        self.weight = WEIGHT if weighted else np.ones(N)
        self.sample_weight = WEIGHT if weighted else None
        self.approximation, self.intercept = approximation, intercept

    def estimator(self, alpha):
        return sk.SimilarityRegressor(
            KERNEL,
            alpha=alpha,
            approximation=self.approximation,
            landmarks=Z,
            n_components=16,
            fit_intercept=self.intercept,
            random_state=0,
        )

    def fit(self, alpha):
        return self.estimator(alpha).fit(X, Y, sample_weight=self.sample_weight)

    def features(self, rows):
        if self.approximation == "fourier":
            return (
                sk.FourierFeatures(KERNEL, n_components=16, random_state=0).fit(X).transform(rows)
            )
        return KERNEL.block(rows, Z)

    def predicted(self, kept, rows, y, alpha):
        """Predictions for `rows` of the dense fit on the rows with numbers `kept`."""
        w, intercept = self.weight[kept], self.intercept
        if self.approximation == "exact":
            a, b = dense.exact(KERNEL.block(X[kept], X[kept]), y, alpha, w, intercept=intercept)
            return KERNEL.block(rows, X[kept]) @ a + b
        penalty = np.eye(16) if self.approximation == "fourier" else KERNEL.block(Z, Z)
        Phi = self.features(X[kept])
        a, b = dense.nystroem(Phi, penalty, y, alpha, w, intercept=intercept)
        return self.features(rows) @ a + b


def smoothers(test):
    for name, values in {
        "approximation": ["exact", "nystroem", "fourier"],
        "intercept": [True, False],
        "weighted": [True, False],
    }.items():
        test = pytest.mark.parametrize(name, values)(test)
    return test


def scores(smoother, rule):
    """Some of the alphas that a rule tried, and the scores it gave them."""
    model = smoother.fit(rule)
    assert model.alpha_ == model.alphas_[best(model.scores_)]
    assert len(model.alphas_) == len(model.scores_)
    usable = np.flatnonzero(np.isfinite(model.scores_) & (model.alphas_ > 1e-8))
    assert len(usable) > 20
    some = usable[:: len(usable) // 7]
    return model.alphas_[some], model.scores_[some]


@smoothers
def test_leave_one_out_is_that_of_refitting_without_each_row(approximation, intercept, weighted):
    smoother = Smoother(approximation, intercept, weighted)
    for alpha, score in zip(*scores(smoother, "loo"), strict=True):
        total = 0.0
        for i in range(N):
            kept = np.delete(np.arange(N), i)
            error = Y[i] - smoother.predicted(kept, X[i : i + 1], Y[kept], alpha)[0]
            total += smoother.weight[i] * np.sum(error**2)
        assert score == pytest.approx(total / smoother.weight.sum(), rel=1e-6)


@smoothers
def test_gcv_is_that_of_the_hat_matrix(approximation, intercept, weighted):
    smoother = Smoother(approximation, intercept, weighted)
    n = max(N, smoother.weight.sum())
    for alpha, score in zip(*scores(smoother, "gcv"), strict=True):
        # A linear smoother's hat matrix is its fit to the unit vectors.
        hat = smoother.predicted(np.arange(N), X, np.eye(N), alpha)
        rss = np.sum(smoother.weight[:, None] * (Y - hat @ Y) ** 2)
        assert score == pytest.approx(rss / n / (1 - np.trace(hat) / n) ** 2, rel=1e-6)


@smoothers
def test_cross_validation_is_that_of_refitting_without_each_fold(
    approximation, intercept, weighted
):
    smoother = Smoother(approximation, intercept, weighted)
    folds = hash_ids(np.arange(N), FOLD_SEED) % np.uint64(5)
    assert len(np.unique(folds)) == 5
    for alpha, score in zip(*scores(smoother, "cv"), strict=True):
        total = 0.0
        for fold in range(5):
            kept, out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            error = Y[out] - smoother.predicted(kept, X[out], Y[kept], alpha)
            total += np.sum(smoother.weight[out, None] * error**2)
        assert score == pytest.approx(total / smoother.weight.sum(), rel=1e-6)


@smoothers
@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 10.0])
def test_given_alpha_solves_the_objective(approximation, intercept, weighted, alpha):
    smoother = Smoother(approximation, intercept, weighted)
    expected = smoother.predicted(np.arange(N), X, Y, alpha)
    np.testing.assert_allclose(smoother.fit(alpha).predict(X), expected, atol=1e-7)


@smoothers
def test_chosen_alpha_gives_the_model_of_that_alpha(approximation, intercept, weighted):
    smoother = Smoother(approximation, intercept, weighted)
    model = smoother.fit([1e-4, 1e-1, 10.0])
    assert model.alphas_.tolist() == [1e-4, 1e-1, 10.0]
    expected = smoother.predicted(np.arange(N), X, Y, model.alpha_)
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-8)


def test_folds_are_about_equal_and_follow_the_row_numbers():
    folds = hash_ids(np.arange(10_000), FOLD_SEED) % np.uint64(5)
    counts = np.bincount(folds.astype(int), minlength=5)
    assert len(counts) == 5
    assert np.abs(counts - 2000).max() < 5 * 40  # five standard deviations


# ----- exact models of indefinite similarities --------------------------------------------------


def indefinite(x, z):
    return float(np.sign(x @ z) + x @ z)


def indefinite_gram():
    K = np.array([[indefinite(x, z) for z in X] for x in X])
    assert np.linalg.eigvalsh(K)[0] < -1
    return K


@pytest.mark.parametrize("alpha", [0.0, 0.5])
@pytest.mark.parametrize("solver", ["auto", "pinv"])
def test_pinv_keeps_the_signed_spectrum_of_an_indefinite_kernel(alpha, solver):
    model = sk.SimilarityRegressor(
        indefinite, alpha=alpha, solver=solver, fit_intercept=False, approximation="exact"
    ).fit(X, Y)
    expected = np.linalg.pinv(indefinite_gram() + alpha * np.eye(N)) @ Y
    scale = np.abs(expected).max()
    np.testing.assert_allclose(model.dual_coef_, expected, atol=1e-7 * scale)
    assert model.report_["solver"] == "pinv"


def test_cholesky_clips_an_indefinite_kernel_and_says_how_much():
    model = sk.SimilarityRegressor(
        indefinite, alpha=0.5, solver="cholesky", fit_intercept=False, approximation="exact"
    ).fit(X, Y)
    e, V = np.linalg.eigh(indefinite_gram())
    inverse = np.where(e > 0, 1 / (e + 0.5), 0)
    np.testing.assert_allclose(model.dual_coef_, V @ (inverse[:, None] * (V.T @ Y)), atol=1e-9)
    assert model.report_["clipped_share"] == pytest.approx(-e[e < 0].sum() / np.abs(e).sum())


# ----- solve_spd -------------------------------------------------------------------------------


def test_solve_spd_solves():
    A = RNG.normal(size=(20, 30))
    A = A @ A.T
    B = RNG.normal(size=(20, 2))
    found, report = solve_spd(A, B)
    np.testing.assert_allclose(found, np.linalg.solve(A, B), rtol=1e-9)
    assert report == {"factorization": "cholesky", "jitter": 0.0, "rank": 20}


@settings(ANY_DATA)
@given(symmetric_systems())
def test_solve_spd_is_finite_whatever_the_matrix(system):
    A, B = system
    before = A.copy()
    found, report = solve_spd(A, B)
    assert found.shape == B.shape
    assert np.isfinite(found).all()
    assert report["factorization"] in ("cholesky", "eigenvalues")
    np.testing.assert_array_equal(A, before)


def test_solve_spd_of_a_singular_matrix_satisfies_what_can_be():
    F = RNG.normal(size=(20, 5))
    B = F @ RNG.normal(size=(5, 2))
    found, report = solve_spd(F @ F.T, B)
    np.testing.assert_allclose(F @ F.T @ found, B, atol=1e-6)
    assert report["jitter"] > 0 or report["factorization"] == "eigenvalues"


def test_solve_spd_of_an_indefinite_matrix_says_so():
    A = np.diag([3.0, 2.0, -1.0, 0.0])
    found, report = solve_spd(A, np.ones((4, 1)))
    np.testing.assert_allclose(found[:, 0], [1 / 3, 1 / 2, -1.0, 0.0])
    assert report == {"factorization": "eigenvalues", "jitter": 0.0, "rank": 3}


def test_solve_spd_is_finite_where_cholesky_alone_would_overflow():
    found, report = solve_spd(np.diag([1.0, 1e-308]), np.array([[2.0], [1e3]]))
    assert found[0] == pytest.approx(2.0)
    assert np.isfinite(found[1])
    assert report["jitter"] > 0


def test_pseudo_inverse_is_numpys_of_a_diagonal_matrix():
    e = np.array([5.0, -2.0, 1e-3, 4e-15, 1e-16, 0.0])
    np.testing.assert_allclose(pseudo_inverse(e), np.diag(np.linalg.pinv(np.diag(e), rcond=1e-15)))
    assert (pseudo_inverse(np.zeros(3)) == 0).all()


# ----- float32 sums ----------------------------------------------------------------------------


def test_second_pass_measures_what_float32_sums_cannot():
    rows = RNG.uniform(-1, 1, size=(500, 2))
    y = (np.sin(rows[:, :1]) + rows[:, 1:]) * 100  # smooth, without noise
    feature_map = NystroemMap(KERNEL, rows[:40].astype(np.float32), np.float32)
    stat = RidgeStatistic(feature_map, 1, y.mean(0))
    for block in ArraySource(rows.astype(np.float32), y).blocks(500):
        stat.update(block)
    Phi = feature_map(rows.astype(np.float32)).astype(np.float64)
    asked = []

    def measure(coefs, intercepts):
        asked.append(len(coefs))
        errors = y - Phi @ coefs - intercepts[:, None]
        return np.square(errors).sum(axis=(1, 2))

    more = {"fit_intercept": True, "dtype": np.float32}
    with_pass = solve_ridge(stat, alpha_rule("gcv"), second_pass=measure, **more)
    without = solve_ridge(stat, alpha_rule("gcv"), **more)
    doubtful = with_pass.scores != without.scores
    assert asked == [doubtful.sum()]
    assert 0 < asked[0] < len(with_pass.alphas)

    # The scores of the ridge on the very same features, in float64 throughout.
    true = []
    for alpha in with_pass.alphas:
        A = Phi - Phi.mean(0)
        hat = A @ np.linalg.solve(A.T @ A + alpha * np.eye(len(A.T)), A.T) + 1 / 500
        rss = np.sum((y - hat @ y) ** 2)
        true.append(rss / 500 / (1 - np.trace(hat) / 500) ** 2)
    clear = np.array(true) > 3e-6 * y.var()  # 3 times where it starts to doubt
    np.testing.assert_allclose(without.scores[clear], np.array(true)[clear], rtol=0.5)
    assert not clear[doubtful].any()
    ratio = with_pass.scores / true
    assert (ratio[doubtful] < 30).all()
    chosen = np.flatnonzero(with_pass.alphas == with_pass.alpha)[0]
    assert true[chosen] < 30 * min(true)


# ----- alpha rules -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alpha", ["auto", -1.0, np.nan, np.inf, [], [1.0, -1.0], [[1.0]], None, "1", {}, [1.0, None]]
)
def test_alpha_that_is_none_is_refused_with_what_there_is(alpha):
    with pytest.raises(InvalidInputError, match=r"alpha=.*'loo', 'gcv' or 'cv'"):
        sk.SimilarityRegressor(gamma=1.0, alpha=alpha).fit(X, Y)


def test_array_of_alphas_is_a_path():
    model = sk.SimilarityRegressor(gamma=1.0, alpha=[1.0, 1e-3, 1.0]).fit(X, Y)
    assert model.alphas_.tolist() == [1e-3, 1.0]
    one = sk.SimilarityRegressor(gamma=1.0, alpha=[0.5]).fit(X, Y)
    assert one.alphas_.tolist() == [0.5]


def test_of_equal_scores_the_larger_alpha_is_taken():
    assert best(np.array([3.0, 1.0, 1.0, 2.0])) == 2
    assert best(np.array([np.nan, np.inf, 5.0, np.inf])) == 2
    assert best(np.full(4, np.inf)) == 3


@pytest.mark.parametrize("rule", ["loo", "gcv", "cv"])
@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier"])
def test_rule_finds_about_the_best_alpha(rule, approximation):
    rng = np.random.default_rng(1)
    rows = rng.uniform(-3, 3, size=(600, 1))
    clean = np.sin(2 * rows[:, 0])
    y = clean + 0.5 * rng.normal(size=600)
    train = slice(0, 300)

    def error(alpha):
        model = sk.SimilarityRegressor(
            gamma=3.0, alpha=alpha, approximation=approximation, n_components=60, random_state=0
        ).fit(rows[train], y[train])
        return np.mean((model.predict(rows[300:]) - clean[300:]) ** 2)

    possible = [error(alpha) for alpha in 10.0 ** np.arange(-6, 4)]
    assert error(rule) < 2.0 * min(possible)
    assert max(possible) > 5 * min(possible)


# ----- the linear end ---------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("outputs", [0, slice(0, 2)])
def test_linear_regressor_is_least_squares(weighted, outputs):
    weight = WEIGHT if weighted else None
    y = Y[:, outputs]
    model = sk.LinearRegressor().fit(X * [1.0, 1e6] + [1e4, 0.0], y, sample_weight=weight)
    peer = LinearRegression().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, peer.coef_ / [1.0, 1e6], rtol=1e-9)
    found = model.predict(X * [1.0, 1e6] + [1e4, 0.0])
    np.testing.assert_allclose(found, peer.predict(X), rtol=1e-9)


def test_linear_regressor_of_dependent_columns_predicts_as_least_squares():
    rows = np.column_stack([X, X[:, 0] + X[:, 1], np.ones(N), np.zeros(N)])
    model = sk.LinearRegressor().fit(rows, Y)
    assert np.isfinite(model.coef_).all()
    peer = LinearRegression().fit(X, Y)
    np.testing.assert_allclose(model.predict(rows), peer.predict(X), atol=1e-9)


@pytest.mark.parametrize("estimator", [sk.LinearRegressor(), sk.SimilarityRegressor(gamma=1.0)])
def test_weights_that_are_all_zero_are_refused(estimator):
    with pytest.raises(InvalidInputError, match="every sample weight is zero"):
        estimator.fit(X, Y, sample_weight=np.zeros(N))


def test_without_a_penalty_an_exact_model_does_not_follow_rounding():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, -2.0, 0.5] + 0.01 * rng.standard_normal(200)
    model = sk.SimilarityRegressor(gamma=1e-9, alpha=0.0, approximation="exact")
    model.fit(X[:150], y[:150])
    assert np.sqrt(np.mean((model.predict(X[150:]) - y[150:]) ** 2)) < 1.0
