"""What a model decides by itself: kernel, bandwidth, metric of the inputs, approximation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import pdist
from sklearn.base import clone

import scalekern as sk
from scalekern.engine import ThreadEngine
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features.survey import survey
from scalekern.kernels import RBF, Matern, RationalQuadratic
from scalekern.kernels.radial import RadialKernel
from scalekern.rows import ArraySource
from scalekern.selection.closed_form import left_out_errors
from scalekern.selection.metric import is_better
from scalekern.selection.trials import narrowed
from scalekern.solvers import alpha_rule
from scalekern.solvers.gradients import (
    GradientOuterProduct,
    local_gradients,
)
from scalekern.solvers.local import Neighborhoods, solve_local

RNG = np.random.default_rng(5)
N, D = 450, 6
X = RNG.normal(size=(N, D))
Y = np.sin(2 * X[:, 1]) + 0.8 * X[:, 4] ** 2 + 0.05 * RNG.normal(size=N)
NEW = RNG.normal(size=(200, D))
TRUE = np.sin(2 * NEW[:, 1]) + 0.8 * NEW[:, 4] ** 2
PLAIN = {"kernel": "rbf", "gamma": "median", "metric": "euclidean", "random_state": 0}
SMOOTH: list[RadialKernel] = [
    RBF(0.3),
    Matern(1.3, 1.5),
    Matern(1.3, 2.5),
    RationalQuadratic(1.3, 0.7),
]


def rmse(model, rows=NEW, target=TRUE):
    return float(np.sqrt(np.mean((model.predict(rows) - target) ** 2)))


def regressor(**parameters):
    """Return a model that chooses nothing but what it is told to."""
    return sk.SimilarityRegressor(**PLAIN | parameters)


# ----- the metric ------------------------------------------------------------------------------


@pytest.mark.parametrize("approximation", ["exact", "local"])
def test_a_learned_metric_finds_the_features_that_matter(approximation):
    plain = regressor(approximation=approximation, n_neighbors=30).fit(X, Y)
    learned = clone(plain).set_params(metric="learned").fit(X, Y)
    shares = learned.feature_relevances_
    assert shares.sum() == pytest.approx(1)
    assert shares[[1, 4]].sum() > 0.9
    assert rmse(learned) < 0.6 * rmse(plain)


def test_a_full_matrix_finds_a_direction_that_no_scales_can():
    diagonal = (X[:, 0] + X[:, 1] + X[:, 2]) / np.sqrt(3)
    model = regressor(approximation="local", n_neighbors=30, metric="learned").fit(
        X, np.sin(3 * diagonal)
    )
    assert model.report_["metric"] == "full"
    lengths = np.linalg.norm([v @ model.input_map_ for v in np.eye(D)[:3] - 1 / 3], axis=1)
    along = np.linalg.norm(np.array([1, 1, 1, 0, 0, 0]) / np.sqrt(3) @ model.input_map_)
    assert along > 5 * lengths.max()


def test_of_wide_rows_a_learned_matrix_keeps_the_directions_that_distances_are_made_of():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 12)) @ rng.normal(size=(12, 200))
    matrix = np.linalg.qr(rng.normal(size=(200, 200)))[0] * np.geomspace(1, 1e-3, 200)
    kept = narrowed(matrix, rows)
    assert kept.shape[1] < 100
    whole, less = (pdist(rows @ transform) for transform in (matrix, kept))
    assert (less**2).sum() > 0.99 * (whole**2).sum()
    assert narrowed(np.eye(20), rows[:, :20]).shape == (20, 20)


def test_no_matrix_of_wide_rows_learns_the_targets_that_it_is_judged_by():
    rng = np.random.default_rng(0)
    rows, noise = rng.normal(size=(400, 150)), rng.normal(size=(400, 3))
    fitted = regressor(metric="learned", gamma="cv", approximation="local").fit(rows, noise)
    assert min(one["error"] for one in fitted.report_["metric_rounds"]) > 0.95


def test_where_nothing_can_be_learned_the_metric_stays():
    noise = np.random.default_rng(0).normal(size=N)
    model = regressor(approximation="local", n_neighbors=30, metric="learned").fit(X, noise)
    assert model.report_["metric"] == "none"
    assert not hasattr(model, "input_map_")
    assert not hasattr(model, "feature_relevances_")


def test_badly_scaled_features_are_put_right():
    scales = np.array([1e6, 1e-4, 1.0, 1e3, 1e-2, 1e5])
    plain = regressor(approximation="local", n_neighbors=30, metric="learned").fit(X, Y)
    bad = clone(plain).fit(X * scales, Y)
    assert rmse(bad, NEW * scales) < 1.3 * rmse(plain)


@pytest.mark.parametrize("kernel", SMOOTH, ids=repr)
def test_local_gradients_are_those_of_finite_differences(kernel):
    points, targets = RNG.normal(size=(1, 12, 3)), RNG.normal(size=(1, 12, 2))
    weight, at, length = RNG.uniform(0.5, 2, size=(1, 12)), np.zeros((1, 3)), np.array([1.7])

    def hoods(x):
        return Neighborhoods(x, points, targets, np.ones(1), weight)

    found = local_gradients(kernel, hoods(at), length, 0.01, centre=True)[0]
    for j, e in enumerate(np.eye(3)[:, None] * 1e-6):
        up, down = (
            solve_local(kernel, hoods(at + s * e), length, 0.01, centre=True).prediction[0]
            for s in (1, -1)
        )
        np.testing.assert_allclose(found[:, j], (up - down) / 2e-6, rtol=1e-4, atol=1e-6)


def test_a_gradient_outer_product_does_not_depend_on_how_rows_are_cut():
    def make():
        return GradientOuterProduct(lambda block: block.X[:, None, :] * [[[1.0], [2.0]]], D, 3.0)

    source, engine = ArraySource(X), ThreadEngine(2)
    whole = engine.reduce(source, make).M
    parts = engine.reduce(source, make, max_rows=64)
    np.testing.assert_allclose(parts.M, whole, rtol=1e-12)
    again = make()
    again.restore(parts.arrays())
    again.merge(make())
    np.testing.assert_array_equal(again.M, parts.M)
    G = np.stack([X, 2 * X], axis=1)
    G *= np.minimum(1, 3.0 / np.linalg.norm(G, axis=(1, 2)))[:, None, None]
    np.testing.assert_allclose(whole, np.einsum("qti,qtj->ij", G, G), rtol=1e-10)


# ----- the map of the inputs -------------------------------------------------------------------

MAP = RNG.normal(size=(D, 3))
SCALES = np.array([1.0, 3.0, 0.1, 0.5, 2.0, 0.0])
MODELS = {
    "exact": {"approximation": "exact"},
    "nystroem": {"approximation": "nystroem", "landmarks": X[:50]},
    "fourier": {"approximation": "fourier", "n_components": 60},
    "local": {"approximation": "local", "n_neighbors": 12},
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("metric", [MAP, SCALES], ids=["matrix", "scales"])
def test_a_metric_given_is_a_fit_of_rows_mapped_by_hand(model, metric):
    def by_hand(rows):
        return rows @ (metric if metric.ndim == 2 else np.diag(metric))

    settings = MODELS[model]
    plain = settings | ({"landmarks": by_hand(X[:50])} if model == "nystroem" else {})
    expected = regressor(**plain).fit(by_hand(X), Y).predict(by_hand(NEW))
    ours = regressor(**settings, metric=metric).fit(X, Y)
    np.testing.assert_allclose(ours.predict(NEW), expected, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.predict(sparse.csr_matrix(NEW)), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("model", MODELS)
def test_a_map_is_saved_with_the_model(model, tmp_path):
    fitted = regressor(**MODELS[model], metric="learned").fit(X, Y)
    assert hasattr(fitted, "input_map_")
    sk.save(fitted, tmp_path / "model")
    loaded = sk.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict(NEW), fitted.predict(NEW))
    np.testing.assert_array_equal(loaded.feature_relevances_, fitted.feature_relevances_)
    fitted.set_params(metric="euclidean").fit(X, Y)
    assert not hasattr(fitted, "input_map_")


def test_explanations_know_the_map():
    for name in ("exact", "nystroem"):
        model = regressor(**MODELS[name], metric=MAP, alpha=0.1, gamma=0.3).fit(X, Y)
        why = model.explain(NEW[:3], None if name == "exact" else (X, Y))
        contributions = np.nansum(why.contribution, axis=1) + why.baseline
        np.testing.assert_allclose(contributions, model.predict(NEW[:3]), rtol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_standard_deviations_know_the_map(model):
    settings = MODELS[model] | {"alpha": 0.1, "gamma": 0.3}
    if model == "nystroem":
        settings["landmarks"] = X[:50]
    ours = regressor(**settings, metric=MAP).fit(X, Y)
    settings |= {"landmarks": X[:50] @ MAP} if model == "nystroem" else {}
    expected = regressor(**settings).fit(X @ MAP, Y)
    for one, other in zip(
        ours.predict(NEW, return_std=True),
        expected.predict(NEW @ MAP, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-9)


def test_the_gap_to_exact_knows_the_map():
    settings = {"approximation": "nystroem", "n_components": 40, "alpha": 0.1, "gamma": 0.3}
    ours = regressor(**settings, metric=MAP).fit(X, Y).gap_to_exact(NEW, (X, Y))
    expected = regressor(**settings).fit(X @ MAP, Y).gap_to_exact(NEW @ MAP, (X @ MAP, Y))
    np.testing.assert_allclose(ours.gap, expected.gap, rtol=1e-6)


def test_residuals_of_an_automatic_kernel_have_its_family_and_a_length_of_their_own():
    model = regressor(kernel="auto", gamma="cv", approximation="nystroem+local", n_components=50)
    model.fit(X, Y)
    assert type(model.rest_.kernel_) is type(model.kernel_)
    assert model.rest_.kernel_.needs_gamma
    assert not model.kernel_.needs_gamma


def test_partial_fit_adds_rows_in_the_map():
    settings = MODELS["nystroem"] | {"metric": MAP, "alpha": 0.1, "gamma": 0.3}
    parts = regressor(**settings).partial_fit(X[:300], Y[:300]).partial_fit(X[300:], Y[300:])
    whole = regressor(**settings).fit(X, Y)
    np.testing.assert_allclose(parts.predict(NEW), whole.predict(NEW), rtol=1e-7)


def test_a_metric_that_does_not_fit_says_so():
    with pytest.raises(InvalidInputError, match="metric='learn'"):
        regressor(metric="learn").fit(X, Y)
    with pytest.raises(InvalidInputError, match=r"metric has shape \(2,\), but rows have 6"):
        regressor(metric=np.ones(2)).fit(X, Y)
    with pytest.raises(UnsupportedError, match="rows of numbers"):
        regressor(kernel="edit_distance", metric="learned").fit(["a", "b"], [1.0, 2.0])
    with pytest.raises(UnsupportedError, match="rows of numbers"):
        regressor(kernel="precomputed", metric=np.ones(6)).fit(np.eye(6), Y[:6])


# ----- kernel and bandwidth --------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
def test_left_out_errors_are_those_of_refits(weighted):
    weight = RNG.uniform(0.5, 2, size=30) if weighted else None
    seen = survey(ThreadEngine(1), ArraySource(X[:30], Y[:30], weight), 30, 0)
    kernel, alphas = RBF(0.3), np.array([1e-3, 1e-1, 10.0])
    (left,) = left_out_errors(ThreadEngine(1), [kernel], alpha_rule(alphas), seen, 30)
    rows, target = seen.sample.X, seen.sample.y[:, 0] - seen.y_mean
    w = np.ones(30) if weight is None else seen.sample.weight
    errors = np.zeros((3, 30))
    for a, alpha in enumerate(alphas):
        for i in range(30):
            kept = np.arange(30) != i
            K = kernel.block(rows[kept], rows[kept]) + alpha * np.diag(1 / w[kept])
            found = kernel.block(rows[[i]], rows[kept]) @ np.linalg.solve(K, target[kept])
            errors[a, i] = w[i] * (target[i] - found[0]) ** 2
    chosen = int(np.argmin(errors.mean(axis=1)))
    assert left.alpha == alphas[chosen]
    np.testing.assert_allclose(left.errors, errors[chosen], rtol=1e-8)


def test_left_out_errors_of_many_outputs_are_the_mean_of_those_of_each():
    targets, rule = (
        X[:20] @ RNG.normal(size=(D, 50)) * 10.0 ** RNG.integers(-3, 3, 50),
        alpha_rule(0.1),
    )

    def errors(y):
        seen = survey(ThreadEngine(1), ArraySource(X[:20], y), 20, 0)
        return left_out_errors(ThreadEngine(1), [RBF(0.3)], rule, seen, 20)[0].errors

    each = [errors(y) for y in targets.T]
    np.testing.assert_allclose(errors(targets), np.mean(each, axis=0), rtol=1e-9)


@pytest.mark.parametrize("kernel", ["rbf", "matern32", "laplacian", "auto"])
def test_gamma_by_cross_validation_is_never_worse_than_the_median(kernel):
    model = regressor(kernel=kernel, gamma="cv", approximation="exact").fit(X, Y)
    errors = dict(zip(model.report_["gamma_factors"], model.report_["gamma_errors"], strict=True))
    assert min(errors.values()) <= errors[1.0]
    chosen = min(errors, key=lambda factor: (errors[factor], factor))
    assert chosen in errors
    median = regressor(kernel=kernel, approximation="exact").fit(X, Y)
    if kernel == "rbf":
        np.testing.assert_allclose(model.kernel_.gamma, chosen * median.kernel_.gamma)


def test_kernel_auto_takes_the_kernel_that_the_target_is_drawn_from():
    rows = np.random.default_rng(1).uniform(0, 20, size=(250, 1))
    for kernel, name in ((Matern(3.0, nu=0.5), "nu=0.5"), (RBF(0.5), "RBF")):
        L = np.linalg.cholesky(kernel.block(rows, rows) + 1e-9 * np.eye(250))
        target = L @ np.random.default_rng(2).normal(size=250)
        model = regressor(kernel="auto", gamma="cv", approximation="exact").fit(rows, target)
        scores = model.report_["kernel_scores"]
        assert len(scores) == 4
        assert scores[repr(model.kernel_)] <= 1.01 * min(scores.values())
        assert name in repr(model.kernel_)


def test_of_kernels_that_are_hardly_worse_the_smoothest_is_taken(monkeypatch):
    from scalekern.selection import bandwidth

    searches = {}
    keep = bandwidth._smoothest

    def smoothest(last, families):
        searches["last"] = last
        searches["taken"] = keep(last, families)
        return searches["taken"]

    monkeypatch.setattr(bandwidth, "_smoothest", smoothest)
    for worse, smooth in ((1.0, False), (1e9, True)):
        monkeypatch.setattr(bandwidth, "WORSE", worse)
        regressor(kernel="auto", gamma="cv", approximation="exact").fit(X, np.abs(X[:, 1]))
        errors = [search.best.error for search in searches["last"]]
        roughness = [bandwidth.FAMILIES.index(_family(search)) for search in searches["last"]]
        expected = np.argmin(roughness) if smooth else np.argmin(errors)
        assert searches["taken"] is searches["last"][expected]


def _family(search):
    return "rbf" if isinstance(search.family, RBF) else f"matern{round(2 * search.family.nu)}2"


def test_kernel_auto_with_a_number_for_gamma_is_rbf():
    model = regressor(kernel="auto", gamma=0.3, approximation="exact").fit(X, Y)
    assert model.kernel_.get_params() == {"gamma": 0.3}
    assert isinstance(model.kernel_, RBF)


# ----- the approximation -----------------------------------------------------------------------

WIGGLY = np.sin(12 * X[:, 0]) * np.sign(X[:, 1])


def test_auto_is_local_only_where_that_is_better_on_rows_held_out():
    smooth = regressor(metric="learned", gamma="cv").fit(X, Y).report_
    assert smooth["approximation"] == "exact"
    errors = smooth["held_out_errors"]
    assert errors["exact"] < 1.02 * errors["local"]
    assert smooth["why"].endswith("of local is not lower by more than noise")
    steps = np.where(np.abs(X[:, 0]) < 0.3, np.sin(40 * X[:, 0]), X[:, 1])
    rough = regressor(metric="learned", gamma="cv").fit(X, steps).report_
    chosen = rough["approximation"]
    assert rough["held_out_errors"][chosen] <= 1.02 * min(rough["held_out_errors"].values())


def test_why_says_what_was_better_on_rows_held_out():
    places = np.random.default_rng(0).uniform(size=(400, 1)) ** 3
    report = regressor(gamma="cv").fit(places, np.sin(6 * np.log(places[:, 0] + 1e-3))).report_
    assert report["approximation"] == "local"
    errors = {name: f"{error:.4g}" for name, error in report["held_out_errors"].items()}
    words = f"its error is {errors['local']}, lower than {errors['exact']} of exact"
    assert words in report["why"]


def test_where_landmarks_leave_much_of_the_trace_exact_is_tried_itself(monkeypatch):
    from scalekern.estimators import global_trial

    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2_600, 24))
    target = np.tanh(rows[:, 0] + rows[:, 1] * rows[:, 2]) + 0.1 * rng.normal(size=2_600)
    model = regressor(approximation="auto", kernel="rbf", gamma="cv", metric="euclidean")
    wide = model.fit(rows, target).report_
    monkeypatch.setattr(global_trial, "MOST_LEFT", 1.0)
    stood_in = clone(model).fit(rows, target).report_
    assert set(wide["held_out_errors"]) == set(stood_in["held_out_errors"])
    # The exact model of all rows is no worse than what Nyström makes of them.
    assert wide["held_out_errors"]["exact"] < stood_in["held_out_errors"]["exact"]
    assert wide["held_out_errors"]["local"] == pytest.approx(stood_in["held_out_errors"]["local"])


@pytest.mark.parametrize("approximation", ["auto", "nystroem"])
def test_choices_do_not_depend_on_threads(approximation):
    settings = {"kernel": "auto", "gamma": "cv", "metric": "learned", "n_components": 100}
    one, two = (
        regressor(**settings, approximation=approximation, n_jobs=jobs).fit(X, Y) for jobs in (1, 2)
    )
    assert one.report_ == two.report_
    np.testing.assert_array_equal(one.input_map_, two.input_map_)


def test_one_set_of_errors_is_better_by_more_than_its_noise_or_not_at_all():
    errors = RNG.exponential(size=500)
    assert is_better(0.9 * errors, errors)
    assert not is_better(0.99 * errors, errors)
    lucky, errors[0] = 1.01 * errors, 100.0
    assert lucky.mean() < 0.9 * errors.mean()
    assert not is_better(lucky, errors)


# ----- nothing set -----------------------------------------------------------------------------


def test_a_model_of_which_nothing_is_set_chooses_all_by_itself():
    chosen = sk.SimilarityRegressor(random_state=0).fit(X, Y)
    told = regressor(kernel="auto", gamma="cv", metric="learned").fit(X, Y)
    assert chosen.report_ == told.report_
    assert chosen.feature_relevances_[[1, 4]].sum() > 0.9
    assert rmse(chosen) < 0.5 * rmse(regressor().fit(X, Y))


@pytest.mark.parametrize(
    "told",
    [{"gamma": 0.3}, {"gamma": "median"}, {"kernel": Matern(2.0)}, {"kernel": "linear"}],
    ids=repr,
)
def test_no_metric_is_learned_where_the_bandwidth_is_settled(told):
    model = sk.SimilarityRegressor(random_state=0, **told).fit(X, Y)
    assert not hasattr(model, "input_map_")
    assert "metric" not in model.report_


def test_heavy_tails_do_not_break_what_is_chosen():
    """As in network measurements: columns whose kurtosis is in the thousands."""
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((1_600, 6))
    rows = np.hstack([Z[:, :3], np.exp(6.0 * Z[:, 3:])])
    target = np.sin(2 * Z[:, 0]) + Z[:, 1] * np.tanh(Z[:, 3]) + 0.5 * Z[:, 4]
    rows = ((rows - rows[:1_200].mean(axis=0)) / rows[:1_200].std(axis=0)).astype(np.float32)
    centred = rows - rows.mean(axis=0)
    kurtosis = (centred**4).mean(axis=0) / (centred**2).mean(axis=0) ** 2
    assert kurtosis.max() > 1_000
    model = sk.SimilarityRegressor(random_state=0).fit(rows[:1_200], target[:1_200])
    linear = sk.LinearRegressor().fit(rows[:1_200], target[:1_200])
    assert np.isfinite(model.predict(rows)).all()
    errors = (rmse(m, rows[1_200:], target[1_200:]) for m in (model, linear))
    assert next(errors) < 0.9 * next(errors)
    far = model.predict(1e6 * rows[1_200:])
    assert np.isfinite(far).all()


# ----- classes ---------------------------------------------------------------------------------


def test_classifiers_of_residuals_are_calibrated():
    labels = Y > np.median(Y)
    model = sk.SimilarityClassifier(
        approximation="nystroem+local", n_components=30, n_neighbors=20, **PLAIN
    )
    model.fit(X, labels)
    assert model.report_["calibration"].startswith("logistic")
    assert model.score(NEW, np.median(Y) < TRUE) > 0.75


@pytest.mark.parametrize("approximation", ["exact", "auto"])
def test_classifiers_choose_by_themselves(approximation):
    labels = np.where(Y > np.median(Y), "high", "low")
    truth = np.where(np.median(Y) < TRUE, "high", "low")
    plain = sk.SimilarityClassifier(approximation=approximation, **PLAIN)
    learned = sk.SimilarityClassifier(approximation=approximation, random_state=0)
    plain.fit(X, labels)
    learned.fit(X, labels)
    assert learned.model_.feature_relevances_[[1, 4]].sum() > 0.8
    assert learned.score(NEW, truth) > plain.score(NEW, truth)
    np.testing.assert_allclose(learned.predict_proba(NEW).sum(axis=1), 1)
