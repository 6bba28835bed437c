"""approximation="local": exact models on the nearest rows, against slow loops and laws."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gaussian
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.kernels import RBF, Laplacian, Matern
from scalekern.neighbors import build_index
from scalekern.solvers.local import Neighborhoods, solve_gram, solve_local

PROFILES = {
    "rbf": lambda r: np.exp(-0.5 * r**2),
    "matern12": lambda r: np.exp(-r),
    "matern32": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
    "matern52": lambda r: (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r),
    "laplacian": lambda r: np.exp(-r),
}


def local(kernel="rbf", **params):
    params = {"random_state": 0, "n_neighbors": 12} | params
    params = {"gamma": "median"} | params  # no metric is learned
    return sk.SimilarityRegressor(kernel, approximation="local", **params)


def one_by_one(X, y, Q, k, name, alpha, *, factor=None, length=None, weight=None, centre=True):
    """Predictions and unscaled standard deviations, by a loop over queries in plain NumPy."""
    metric = "cityblock" if name == "laplacian" else "euclidean"
    y = y.reshape(len(y), -1)
    weight = np.ones(len(y)) if weight is None else weight
    means, stds = [], []
    for q in Q:
        distance = cdist(q[None], X, metric)[0]
        near = np.argsort(distance, kind="stable")[:k]
        scale = length if factor is None else factor * distance[near[-1]]
        K = PROFILES[name](cdist(X[near], X[near], metric) / scale)
        kx = PROFILES[name](distance[near] / scale)
        mean = np.average(y[near], axis=0, weights=weight[near]) if centre else 0.0
        inverse = np.linalg.inv(K + alpha * np.diag(1 / weight[near]))
        rest = y[near] - mean
        means.append(mean + kx @ inverse @ rest)
        scale2 = np.einsum("it,ij,jt->t", rest, inverse, rest) / (k - centre)
        stds.append(np.sqrt(scale2 * (1 + alpha - kx @ inverse @ kx)))
    return np.array(means), np.array(stds)


def waves(n, d=2, seed=0, noise=0.0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 4, (n, d))
    return X, np.sin(2 * X).sum(axis=1) + noise * rng.standard_normal(n)


@pytest.mark.parametrize("d", [1, 3, 20])  # differences column by column, and by products
@pytest.mark.parametrize("name", PROFILES)
def test_each_prediction_is_that_of_a_model_on_its_neighbours(name, d):
    X, y = waves(150, d)
    Y = np.column_stack([y, 100 * y**2])
    Q = np.random.default_rng(1).uniform(0, 4, (30, d))
    model = local(name, alpha=1e-2).fit(X, Y)
    expected, std = one_by_one(X, Y, Q, 12, name, 1e-2, factor=model.length_factor_)
    mean, found = model.predict(Q, return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found / std, np.broadcast_to(found[0] / std[0], std.shape), 1e-7)


@pytest.mark.parametrize("gamma", [{"gamma": 0.7}, {"kernel": Matern(0.9, nu=2.5)}])
def test_a_given_bandwidth_is_the_length_of_all_queries(gamma):
    X, y = waves(100)
    model = local(**({"kernel": "matern52"} | gamma), alpha=1e-3).fit(X, y)
    length = (gamma.get("gamma", 0) and (2 * 0.7) ** -0.5) or 0.9
    expected, _ = one_by_one(X, y, X[:20] + 0.01, 12, "matern52", 1e-3, length=length)
    np.testing.assert_allclose(model.predict(X[:20] + 0.01), expected[:, 0], rtol=1e-8)
    assert model.length_factor_ is None


@pytest.mark.parametrize("kernel", [RBF(0.8), Laplacian(0.5), Matern(1.2, nu=1.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_with_all_rows_as_neighbours_it_is_the_exact_model(kernel, weighted):
    X, y = waves(80, noise=0.1)
    w = np.random.default_rng(2).uniform(0.2, 3, 80) if weighted else np.ones(80)
    mean = np.average(y, weights=w)
    params = {"alpha": 1e-3, "random_state": 0}
    exact = sk.SimilarityRegressor(kernel, approximation="exact", fit_intercept=False, **params)
    exact.fit(X, y - mean, sample_weight=w)
    model = local(kernel, n_neighbors=80, **params).fit(X, y, sample_weight=w)
    Q, _ = waves(25, seed=9)
    np.testing.assert_allclose(model.predict(Q), mean + exact.predict(Q), atol=1e-9)
    plain = local(kernel, n_neighbors=80, fit_intercept=False, **params)
    exact.fit(X, y, sample_weight=w)
    np.testing.assert_allclose(
        plain.fit(X, y, sample_weight=w).predict(Q), exact.predict(Q), atol=1e-9
    )


def test_weights_weigh_within_a_neighbourhood():
    X, y = waves(120, noise=0.3)
    w = np.random.default_rng(5).exponential(size=120) + 1e-3
    model = local("matern32", alpha=0.1).fit(X, y, sample_weight=w)
    Q, _ = waves(20, seed=7)
    expected, _ = one_by_one(X, y, Q, 12, "matern32", 0.1, factor=model.length_factor_, weight=w)
    np.testing.assert_allclose(model.predict(Q), expected[:, 0], rtol=1e-9)


def test_rows_of_weight_zero_are_not_there():
    X, y = waves(200)
    w = (np.arange(200) % 3 > 0).astype(float)
    kept = w > 0
    weighted = local(gamma=1.0, alpha=1e-3).fit(X, np.where(kept, y, 1e9), sample_weight=w)
    plain = local(gamma=1.0, alpha=1e-3).fit(X[kept], y[kept])
    np.testing.assert_allclose(weighted.predict(X), plain.predict(X), atol=1e-9)


def test_mean_and_deviation_are_those_of_a_gaussian_process():
    X, y = waves(40, noise=0.1)
    y = y - y.mean()
    scale2, alpha, length = 2.5, 0.03, 0.8
    process = GaussianProcessRegressor(
        scale2 * gaussian.RBF(length) + gaussian.WhiteKernel(scale2 * alpha), optimizer=None
    ).fit(X, y)
    Q, _ = waves(15, seed=3)
    mean, std = process.predict(Q, return_std=True)
    n, q = 40, 15
    hoods = Neighborhoods(Q, np.tile(X, (q, 1, 1)), np.tile(y[:, None], (q, 1, 1)), np.ones(q))
    found = solve_local(RBF(), hoods, np.full(q, length), alpha, centre=False, with_scale=True)
    np.testing.assert_allclose(found.prediction[:, 0], mean, atol=1e-10)
    np.testing.assert_allclose(np.sqrt(scale2 * found.variance), std, atol=1e-10)
    # The scale is the one of largest likelihood (Rasmussen and Williams 2006, section 5.4.1).
    A = gaussian.RBF(length)(X) + alpha * np.eye(n)
    np.testing.assert_allclose(found.scale2[:, 0], y @ np.linalg.solve(A, y) / n)


def test_intervals_cover_new_targets_of_a_gaussian_process():
    errors, stds = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        X = rng.uniform(0, 5, (800, 2))
        root = np.linalg.cholesky(gaussian.RBF(0.8)(X) + 1e-8 * np.eye(800))
        y = 7 * (root @ rng.standard_normal(800)) + 0.5 * rng.standard_normal(800)
        model = local(n_neighbors=24).fit(X[:500], y[:500])
        mean, std = model.predict(X[500:], return_std=True)
        errors.append(np.abs(y[500:] - mean))
        stds.append(std)
    error, std = np.concatenate(errors), np.concatenate(stds)
    for width, share in ((1.0, 0.683), (1.645, 0.90), (1.96, 0.95)):
        assert abs(np.mean(error < width * std) - share) < 0.03
    assert 0.45 < np.median(std) < 0.8  # near the noise of 0.5, not the spread of 7


def test_deviations_grow_away_from_the_rows_and_with_the_units_of_the_target():
    X, y = waves(300, noise=0.1)
    model = local().fit(X, y)
    _, std = model.predict([[2.0, 2.0], [8.0, 8.0]], return_std=True)
    assert std[1] > 2 * std[0]
    _, larger = local().fit(X, 1000 * y).predict([[2.0, 2.0]], return_std=True)
    np.testing.assert_allclose(larger, 1000 * std[:1], rtol=1e-6)


def test_nine_of_ten_rows_left_out_are_within_their_deviations():
    X, y = waves(200, noise=0.2)
    model = local("matern32").fit(X, y)
    left_out = []
    for i in range(200):
        others = np.arange(200) != i
        mean, std = one_by_one(
            X[others], y[others], X[i : i + 1], 12, "matern32", model.alpha_,
            factor=model.length_factor_,
        )  # fmt: skip
        left_out.append((y[i] - mean[0, 0], std[0, 0]))
    errors, variances = np.square(left_out).T
    np.testing.assert_allclose(model.scores_.min(), errors.mean(), rtol=1e-6)
    std = np.sqrt(model.local_.spread[0] * variances)
    assert np.mean(np.sqrt(errors) < (1 + 1e-9) * 1.6448536 * std) == pytest.approx(0.9, abs=0.006)


def test_the_factor_and_alpha_of_the_smallest_error_are_taken():
    X, y = waves(400, noise=0.3)
    model = local("matern32").fit(X, y)
    tried = model.report_["length_factors"], model.report_["factor_errors"]
    assert model.length_factor_ == tried[0][int(np.argmin(tried[1]))]
    assert model.alpha_ == model.alphas_[int(np.argmin(model.scores_))]
    noiseless = local("matern32").fit(X, np.sin(2 * X).sum(axis=1))
    assert noiseless.alpha_ < 1e-3 <= model.alpha_


@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_predictions_do_not_depend_on_their_company_or_the_threads(d, dtype):
    X, y = waves(500, d)
    X = X.astype(dtype)
    X[100:140] = X[0]  # equal rows, whose matrices are singular but for alpha
    model = local("matern32", alpha=1e-12, gamma=0.01, n_jobs=1).fit(X, y)
    Q = np.vstack([X[:60], X[90:110] + dtype(0.3)])
    whole, std = model.predict(Q, return_std=True)
    for i in range(0, len(Q), 7):
        alone, alone_std = model.predict(Q[i : i + 1], return_std=True)
        assert alone[0] == whole[i]
        assert alone_std[0] == std[i]
    assert (clone(model).set_params(n_jobs=2).fit(X, y).predict(Q) == whole).all()


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e3, "loo"])
@pytest.mark.parametrize("d", [2, 20])
def test_duplicates_and_constant_columns_and_wild_scales_stay_finite(name, alpha, d):
    X, y = waves(90, d)
    X[:40] = X[0]
    X[40:60] = X[0] + 1e-9
    X[:, 1] = 7.0
    X[:, 0] *= 1e6
    y[5] = 1e8
    model = local(name, alpha=alpha).fit(X, y)
    mean, std = model.predict(np.vstack([X, X + 1.0, X * 1e3]), return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()


def test_neighbours_all_at_the_place_of_the_query_give_their_mean():
    X, y = np.ones((20, 3)), np.arange(20.0)
    model = local(n_neighbors=20, alpha=1e-3).fit(X, y)
    np.testing.assert_allclose(model.predict(X[:2]), 9.5, rtol=1e-9)


def test_a_constant_target_is_predicted_without_doubt():
    X, _ = waves(60)
    mean, std = local().fit(X, np.full(60, 4.2)).predict(X, return_std=True)
    np.testing.assert_allclose(mean, 4.2)
    np.testing.assert_allclose(std, 0.0, atol=1e-12)


def test_an_indefinite_matrix_gets_more_on_its_diagonal_and_leaves_others_alone():
    good = 0.5 * np.ones((5, 5)) + 0.5 * np.eye(5)
    bad = np.ones((5, 5))
    bad[0, 1] = bad[1, 0] = -1.0
    y = np.arange(4.0).reshape(1, 4, 1)
    hoods = Neighborhoods(np.zeros((3, 1)), np.zeros((3, 4, 1)), np.repeat(y, 3, 0), np.ones(3))
    alone = Neighborhoods(np.zeros((1, 1)), np.zeros((1, 4, 1)), y, np.ones(1))
    found = solve_gram(np.stack([good, bad, good]), hoods, 1e-6, centre=True)
    expected = solve_gram(good[None], alone, 1e-6, centre=True)
    assert np.isfinite(found.prediction).all()
    assert (found.prediction[[0, 2]] == expected.prediction).all()


def test_neighbours_that_were_not_found_weigh_nothing():
    X, y = waves(9)
    Q, _ = waves(4, seed=2)
    points, targets = np.tile(X, (4, 1, 1)), np.tile(y[:, None], (4, 1, 1))
    found = np.tile(np.arange(9) < 6, (4, 1))
    for weight in (None, np.full((4, 9), 2.0)):
        some = Neighborhoods(Q, points, targets, np.ones(4), weight, found)
        six = Neighborhoods(Q, points[:, :6], targets[:, :6], np.ones(4),
                            None if weight is None else weight[:, :6])  # fmt: skip
        a, b = (
            solve_local(RBF(), hoods, np.ones(4), 0.1, centre=True, with_scale=True)
            for hoods in (some, six)
        )
        for name in ("prediction", "variance", "scale2"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12)


def test_one_row_predicts_its_target():
    model = local(n_neighbors=1).fit([[1.0, 2.0]], [3.0])
    assert model.predict([[5.0, 5.0], [1.0, 2.0]]).tolist() == [3.0, 3.0]
    with pytest.raises(InvalidInputError, match="n_neighbors of at least 2"):
        model.predict([[5.0, 5.0]], return_std=True)


def test_more_neighbours_than_rows_is_refused():
    X, y = waves(10)
    with pytest.raises(InvalidInputError, match="n_neighbors=32 but n_samples=10"):
        local(n_neighbors=32).fit(X, y)


@pytest.mark.parametrize("kernel", ["linear", lambda x, z: float(x @ z)])
def test_other_kernels_are_refused_with_a_list(kernel):
    X, y = waves(40)
    with pytest.raises(UnsupportedError, match=r"'rbf'.*'laplacian'.*'matern12'.*'matern52'"):
        local(kernel).fit(X, y)


def test_other_solvers_and_partial_fit_are_refused():
    X, y = waves(40)
    with pytest.raises(UnsupportedError, match="local: cholesky"):
        local(solver="pinv").fit(X, y)
    with pytest.raises(AttributeError, match="partial_fit"):
        local().partial_fit(X, y)


@pytest.mark.parametrize("params", [{"n_neighbors": 0}, {"n_neighbors": 2.5}, {"gamma": "wide"}])
def test_bad_parameters_are_named(params):
    X, y = waves(40)
    with pytest.raises(InvalidInputError, match=next(iter(params))):
        local(**params).fit(X, y)


@pytest.mark.parametrize("d", [2, 12])
@pytest.mark.parametrize("outputs", [1, 3])
def test_saved_and_loaded_it_predicts_the_same(tmp_path, d, outputs):
    X, y = waves(150, d, noise=0.1)
    Y = y if outputs == 1 else np.column_stack([y, 2 * y, -y])
    w = np.linspace(0.5, 2, 150)
    model = make_pipeline(sk.RowPreparer(), local("matern32")).fit(
        X, Y, similarityregressor__sample_weight=w
    )
    sk.save(model, tmp_path / "model")
    last, loaded = model[-1], sk.load(tmp_path / "model")[-1]
    for other in (loaded, pickle.loads(pickle.dumps(last))):
        for mine, theirs in zip(
            last.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    assert loaded.report_ == last.report_


def test_rows_from_files_give_the_model_of_arrays(tmp_path):
    pd = pytest.importorskip("pandas")
    X, y = waves(300, noise=0.1)
    frame = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y})
    frame[:150].to_parquet(tmp_path / "1.parquet")
    frame[150:].to_parquet(tmp_path / "2.parquet")
    source = sk.rows(str(tmp_path / "*.parquet"), target="y")
    from_files, from_arrays = local().fit(source), local().fit(X, y)
    assert from_files.alpha_ == from_arrays.alpha_
    blocks = []
    from_files.predict_blocks(source, lambda block, part: blocks.append(part[:, 0]))
    np.testing.assert_array_equal(np.concatenate(blocks), from_arrays.predict(X))
    mean, std = from_files.predict(source, return_std=True)
    np.testing.assert_array_equal(mean, from_arrays.predict(X))
    assert std.shape == (300,)


def test_fitting_again_forgets_the_local_model():
    X, y = waves(100)
    model = local().fit(X, y)
    model.set_params(approximation="exact").fit(X, y)
    assert not hasattr(model, "local_")
    assert not hasattr(model, "length_factor_")
    exact = sk.SimilarityRegressor("rbf", gamma="median", approximation="exact").fit(X, y)
    np.testing.assert_array_equal(model.predict(X), exact.predict(X))


def test_an_index_that_finds_fewer_neighbours_still_serves():
    X, y = waves(400, 12)
    model = local(n_neighbors=30).fit(X, y)
    # Three small lists of which one is searched: some queries find fewer than 30 rows.
    model.local_.index = build_index(
        X, algorithm="IVF40,Flat", n_neighbors=1, target_recall=0.01
    ).index
    _, indices = model.local_.index.search(X, 30)
    assert (indices < 0).any()
    mean, std = model.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert np.sqrt(np.mean((mean - y) ** 2)) < y.std()


def test_on_terrain_it_beats_nearest_neighbours_and_one_length_for_all():
    rng = np.random.default_rng(0)
    # Sampled densely in one corner and sparsely elsewhere, like soundings and survey lines.
    X = rng.uniform(0, 1, (6000, 2)) ** 3 * 20
    height = 100 * np.sin(X[:, 0]) * np.cos(1.7 * X[:, 1]) + 40 * np.abs(np.sin(3 * X[:, 0]))
    train, test = slice(0, 5000), slice(5000, 6000)

    def rmse(model):
        found = model.fit(X[train], height[train]).predict(X[test])
        return np.sqrt(np.mean((found - height[test]) ** 2))

    ours = rmse(local("matern32", n_neighbors=32))
    assert ours < 0.6 * rmse(sk.KNeighborsRegressor(8, weights="distance"))
    assert ours < rmse(local("matern32", n_neighbors=32, gamma=0.5))


def protein(data_folder):
    """The protein table, scaled: rows and targets to learn from, and to be tested on."""
    pd = pytest.importorskip("pandas")
    data = pd.read_csv(data_folder / "protein.data.csv.gz", header=None).to_numpy(dtype=float)
    mask = pd.read_csv(data_folder / "protein.test_mask.csv.gz", header=None).to_numpy()
    test = mask[:, 0].astype(bool)
    data = (data - data[~test].mean(axis=0)) / data[~test].std(axis=0)
    return data[~test, :-1], data[~test, -1], data[test, :-1], data[test, -1]


def errors_on_protein(X, y, Q, truth):
    """Return the errors of a local model and of neighbours weighted by distance."""
    return [
        np.sqrt(np.mean((model.fit(X, y).predict(Q) - truth) ** 2))
        for model in (
            local("matern32", n_neighbors=64),
            sk.KNeighborsRegressor(10, weights="distance", random_state=0),
        )
    ]


def test_protein_is_predicted_far_better_than_by_distance_weighted_neighbours(data_folder):
    """Of part of the rows; tests/verification has all."""
    X, y, Q, truth = protein(data_folder)
    ours, theirs = errors_on_protein(X[:5_000], y[:5_000], Q[:1_000], truth[:1_000])
    assert ours < 0.95 * theirs


def test_compare_lets_the_local_model_choose_for_itself():
    X, y = waves(300, noise=0.1)
    table = sk.compare(X, y, models=["exact", "knn", "local"], random_state=0)
    found = table.models["local"]
    assert found.kernel_.gamma is None
    assert found.n_neighbors == 32
    assert table.models["knn"].n_neighbors == 5
    row = next(row for row in table.rows() if row["model"] == "local")
    assert row["gap_to_exact"] < 0.2
    assert sk.compare(X, y, models=["local"], n_neighbors=7).models["local"].n_neighbors == 7
    assert {"local", "fourier"}.isdisjoint(sk.compare(X[:90], y[:90], kernel="linear").models)
    assert sk.compare(X[:20], y[:20], models=["local"]).models["local"].n_neighbors == 15


def test_the_command_line_fits_saves_and_compares_local_models(tmp_path):
    pd = pytest.importorskip("pandas")
    from click.testing import CliRunner

    from scalekern.cli.main import main

    X, y = waves(200, noise=0.1)
    data = tmp_path / "train.parquet"
    pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "y": y}).to_parquet(data)
    run, place = CliRunner(), ["--target", "y"]
    fitted = run.invoke(
        main, ["fit", str(data), *place, "--model", "local", "-o", str(tmp_path / "m")]
    )
    assert fitted.exit_code == 0, fitted.output
    assert "x the distance to the last neighbour" in fitted.output
    model = sk.load(tmp_path / "m")[-1]
    assert (model.report_["approximation"], model.report_["n_neighbors"]) == ("local", 32)
    compared = run.invoke(
        main, ["compare", str(data), *place, "--models", "local,knn", "--n-neighbors", "9"]
    )
    assert compared.exit_code == 0, compared.output
    assert "exact model to the 9 nearest training rows (kernel RBF, alpha" in compared.output
    assert "x the distance to the last neighbour" in compared.output
