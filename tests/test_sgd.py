"""solver="sgd", the sketch and the shuffled scan: what they promise of order, answer and safety."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import scalekern as sk
from scalekern.engine import Statistic, ThreadEngine
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import FourierMap
from scalekern.rows import ArraySource
from scalekern.solvers import FeatureSample, SgdSettings, Sketch, loss_named, solve_sgd


def drawn(n):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + 1_500, 4))
    y = np.sin(X[:, 0]) * X[:, 1] + 0.5 * X[:, 2] + 0.3 * rng.standard_normal(n + 1_500) + 7.0
    return X[:n], y[:n], X[n:], y[n:]


@pytest.fixture(scope="module")
def rows():
    return drawn(4_500)


@pytest.fixture(scope="module")
def many_rows():
    return drawn(16_000)


PLAIN = {"kernel": "rbf", "gamma": "median"}
"""What the solvers are compared on need not be the best kernel."""


def model(solver="sgd", **params):
    params = PLAIN | {"approximation": "nystroem", "n_components": 80, "alpha": 0.1} | params
    return sk.SimilarityRegressor(solver=solver, random_state=0, **params)


def rmse(fitted, X, y):
    return float(np.sqrt(np.mean((fitted.predict(X) - y) ** 2)))


def seen_order(source, *, batch=100, seed=1, number=0, n_jobs=2):
    return ThreadEngine(n_jobs).scan(
        source,
        lambda state, block: [*state, block.ids],
        [],
        seed=seed,
        number=number,
        batch_rows=batch,
    )


def test_a_scan_visits_every_row_once_in_full_batches_and_another_order_each_pass():
    source = ArraySource(np.arange(20_050.0)[:, None])
    batches = seen_order(source)
    assert [len(batch) for batch in batches] == [100] * 200 + [50]
    order = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(order), np.arange(20_050))
    assert abs(np.corrcoef(order, np.arange(20_050))[0, 1]) < 0.05
    assert (np.concatenate(seen_order(source, number=1)) != order).mean() > 0.9
    np.testing.assert_array_equal(np.concatenate(seen_order(source, n_jobs=1)), order)


def test_a_window_smaller_than_the_data_still_mixes_rows_from_everywhere(monkeypatch):
    monkeypatch.setattr("scalekern.engine.shuffle.WINDOW_BYTES", 1)
    batches = seen_order(ArraySource(np.arange(50_000.0)[:, None]), batch=1_000)
    order = np.concatenate(batches)
    np.testing.assert_array_equal(np.sort(order), np.arange(50_000))
    assert all(batch.max() - batch.min() > 40_000 for batch in batches)


def test_runs_of_a_parquet_file_are_its_blocks(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for name, n in (("a", 2_500), ("b", 1_700)):
        table = pa.table({"x": np.arange(n) + 0.5, "y": np.arange(n) * 2.0})
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=600)
    source = sk.rows(str(tmp_path / "*.parquet"), target="y")
    blocks = list(source.blocks(500))
    for numbers in (np.arange(len(blocks)), np.array([0, 4, 5, 8]), np.array([3])):
        runs = list(source.runs(numbers, 500))
        assert len(runs) == len(numbers)
        for number, run in zip(numbers, runs, strict=True):
            np.testing.assert_array_equal(run.X, blocks[number].X)
            np.testing.assert_array_equal(run.y, blocks[number].y)
            np.testing.assert_array_equal(run.ids, blocks[number].ids)


def test_a_parquet_folder_learns_what_an_array_does(tmp_path, rows):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    X, y, Xs, ys = rows
    order = np.argsort(y)  # sorted by the target, as files often are by date
    table = pa.table({f"x{j}": X[order, j] for j in range(4)} | {"y": y[order]})
    pq.write_table(table, tmp_path / "part.parquet", row_group_size=700)
    fitted = model().fit(sk.rows(str(tmp_path), target="y"))
    test = pa.table({f"x{j}": Xs[:, j] for j in range(4)})
    assert rmse(fitted, test, ys) < 1.01 * rmse(model("cholesky").fit(X, y), Xs, ys)


def sketch_of(X, size_rows, n_chunks, weight=None):
    feature_map = FourierMap(np.random.default_rng(3).standard_normal((X.shape[1], 20)), float)
    source = ArraySource(X, X[:, 0] ** 2, weight)

    def make() -> Statistic:
        return Sketch(feature_map, 1, np.zeros(1), source.n_rows, 5)

    total = None
    for block in source.blocks(-(-size_rows // n_chunks)):
        part = make()
        part.update(block)
        total = part if total is None else total
        if part is not total:
            total.merge(part)
    return total, feature_map


def test_the_preconditioned_condition_number_of_a_sketch_is_below_9_even_for_sorted_copies():
    rng = np.random.default_rng(0)
    X = np.sort(np.repeat(rng.standard_normal((500, 2)), 40, axis=0), axis=0)
    weight = rng.uniform(0.0, 2.0, len(X))
    sketch, feature_map = sketch_of(X, len(X), 4, weight)
    Phi = feature_map(X)
    G = Phi.T @ (weight[:, None] * Phi)
    B = sketch.B[:, : Phi.shape[1]]
    lam = 1e-6 * np.trace(G)
    ridge = lam * np.eye(len(G))
    values = np.linalg.eigvals(np.linalg.solve(B.T @ B + ridge, G + ridge)).real
    assert values.max() / values.min() < 9
    np.testing.assert_allclose(sketch.S, weight @ Phi, rtol=1e-10)
    np.testing.assert_allclose(sketch.W, weight.sum())


def test_a_sketch_of_few_rows_is_the_rows():
    X = np.random.default_rng(0).standard_normal((200, 2))
    sketch, feature_map = sketch_of(X, 200, 3)
    np.testing.assert_allclose(sketch.B[:, :-2], feature_map(X), rtol=1e-12)
    empty, _ = sketch_of(X, 200, 1)
    empty.restore(sketch.arrays())
    np.testing.assert_array_equal(empty.B, sketch.B)


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
@pytest.mark.parametrize("alpha", [1e-6, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_five_passes_come_within_half_a_per_cent_of_the_direct_solution(
    many_rows, approximation, alpha, fit_intercept
):
    X, y, Xs, ys = many_rows
    params = {"approximation": approximation, "alpha": alpha, "fit_intercept": fit_intercept}
    direct, fitted = model("cholesky", **params).fit(X, y), model(**params).fit(X, y)
    assert fitted.report_["passes"] <= 5
    assert fitted.report_["solver"] == "sgd"
    assert rmse(fitted, Xs, ys) < 1.005 * rmse(direct, Xs, ys)


def test_passes_improve_on_the_sketch_and_more_come_nearer_to_the_direct_solution(rows):
    X, y, Xs, _ = rows
    wanted = model("cholesky").fit(X, y).predict(Xs)
    gaps = [np.std(model(max_iter=k, tol=0).fit(X, y).predict(Xs) - wanted) for k in (1, 5, 40)]
    assert gaps[1] < 0.6 * gaps[0]
    assert gaps[2] < 0.8 * gaps[1]


def test_the_model_does_not_depend_on_threads(rows):
    X, y, Xs, _ = rows
    one, three = (model(n_jobs=n).fit(X, y).predict(Xs) for n in (1, 3))
    np.testing.assert_array_equal(one, three)


def test_weights_and_several_outputs_go_in(rows):
    X, y, Xs, _ = rows
    weight = np.random.default_rng(1).exponential(size=len(y))
    weight[::7] = 0.0
    Y = np.column_stack([y, -3 * y + X[:, 1]])
    direct = model("cholesky").fit(X, Y, weight).predict(Xs)
    fitted = model().fit(X, Y, weight).predict(Xs)
    assert fitted.shape == direct.shape
    assert (np.std(fitted - direct, axis=0) < 0.03 * Y.std(axis=0)).all()


def hostile(kind, X, y):
    rng = np.random.default_rng(2)
    if kind == "duplicates":
        copies = rng.integers(0, 30, len(X))
        return X[copies], y[copies]
    if kind == "heavy tails":
        return rng.standard_cauchy(X.shape) ** 3, y * np.abs(rng.standard_cauchy(len(y)))
    if kind == "one far row":
        X = X.copy()
        X[777] = 1e6
        return X, y
    return np.zeros_like(X), y


@pytest.mark.parametrize("kind", ["duplicates", "heavy tails", "one far row", "constant"])
@pytest.mark.parametrize("alpha", [0.0, 1e-12, 1e-3])
@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
@pytest.mark.parametrize("batch_size", [7, "auto"])
def test_it_never_diverges(rows, kind, alpha, approximation, batch_size):
    X, y = hostile(kind, *(part[:1_200] for part in rows[:2]))
    params = {"approximation": approximation, "n_components": 20, "alpha": alpha, "gamma": 0.3}
    fitted = model(batch_size=batch_size, **params).fit(X, y)
    assert np.isfinite(fitted.predict(X)).all()
    assert rmse(fitted, X, y) <= 1.01 * np.std(y)


def test_a_row_of_great_leverage_that_no_sample_saw_only_shortens_the_step():
    rng = np.random.default_rng(0)
    n, W = 4_000, np.eye(3)
    X = 0.01 * rng.standard_normal((n, 3))
    X[1_234] = [np.pi, 0.0, 0.0]
    y = X[:, 0] + 0.1 * rng.standard_normal(n)
    feature_map = FourierMap(W, float)
    sample = FeatureSample(feature_map(X[:200]), y[:200, None], np.ones(200))
    settings = SgdSettings(max_iter=6, tol=0.0)
    solution, _ = solve_sgd(
        ThreadEngine(1), ArraySource(X, y), feature_map, loss_named("squared_error", 1), 1e-8,
        sample, settings,
    )  # fmt: skip
    assert solution.report["largest_leverage"] > n / 8
    assert np.std(feature_map(X) @ solution.coef[:, 0] + solution.intercept - y) < 0.11


def test_tol_stops_and_max_iter_and_batch_size_do_what_they_say(rows):
    X, y, _, _ = rows
    loose = model(tol=0.5, max_iter=20).fit(X, y).report_
    assert loose["passes"] == 3
    assert "tol" in loose["stopped"]
    assert model(tol=0, max_iter=4).fit(X, y).report_["passes"] == 4
    assert model(batch_size=64).fit(X, y).report_["batch_size"] == 64


@pytest.mark.parametrize("alpha", ["loo", "gcv", "cv", [0.01, 0.1, 1.0]])
def test_a_chosen_alpha_is_about_as_good_as_that_of_all_rows(rows, alpha):
    X, y, Xs, ys = rows
    direct, fitted = model("cholesky", alpha=alpha).fit(X, y), model(alpha=alpha).fit(X, y)
    assert fitted.alpha_ in fitted.alphas_
    assert rmse(fitted, Xs, ys) < 1.01 * rmse(direct, Xs, ys)


def test_partial_fit_goes_on_from_its_state(rows):
    X, y, Xs, ys = rows
    # Each call sees another part of the space; what was learned of the first must stay.
    order = np.argsort(X[:, 0])
    fitted = model()
    landmarks = X[:: len(X) // 80][:80]
    fitted.set_params(landmarks=landmarks)
    for part in np.array_split(order, 3):
        fitted.partial_fit(X[part], y[part])
    whole = model("cholesky", landmarks=landmarks).fit(X, y)
    last = model("cholesky", landmarks=landmarks).fit(X[part], y[part])
    assert fitted.report_["rows"] == len(X)
    assert rmse(fitted, Xs, ys) < 1.05 * rmse(whole, Xs, ys)
    assert rmse(fitted, Xs, ys) < 0.9 * rmse(last, Xs, ys)


def test_partial_fit_of_no_new_weight_changes_nothing(rows):
    X, y, Xs, _ = rows
    fitted = model().partial_fit(X, y)
    before = fitted.predict(Xs)
    fitted.partial_fit(X[:50], y[:50] + 100, sample_weight=np.zeros(50))
    np.testing.assert_array_equal(fitted.predict(Xs), before)


@pytest.mark.parametrize("classes", [2, 3])
def test_log_loss_approaches_the_minimum_that_scikit_learn_finds(rows, classes):
    X, score, _, _ = rows
    labels = np.digitize(score, np.quantile(score, np.arange(1, classes) / classes))
    feature_map = FourierMap(np.random.default_rng(4).standard_normal((4, 15)), float)
    Phi, alpha = feature_map(X), 1.0
    y = labels[:, None].astype(float) if classes == 2 else np.eye(classes)[labels]
    loss = loss_named("log_loss", y.shape[1])
    sample = FeatureSample(Phi[:400], y[:400], np.ones(400))
    settings = SgdSettings(max_iter=30, tol=0.0)
    solution, _ = solve_sgd(
        ThreadEngine(1), ArraySource(X, y), feature_map, loss, alpha, sample, settings
    )
    peer = LogisticRegression(C=1 / alpha, tol=1e-8, max_iter=2_000).fit(Phi, labels)

    def objective(coef, intercept):
        return loss.value(Phi @ coef + intercept, y).sum() + alpha / 2 * np.sum(coef**2)

    best = objective(peer.coef_.T, peer.intercept_)
    assert best <= objective(solution.coef, solution.intercept) < 1.003 * best


def test_bad_settings_are_refused_by_name(rows):
    X, y = rows[0][:50], rows[1][:50]
    bad = {"tol": [-1, "a", np.nan], "batch_size": [0, "many", 2.5], "max_iter": [0, 1.5]}
    for name, values in bad.items():
        for value in values:
            with pytest.raises(InvalidInputError, match=name):
                model(**{name: value}).fit(X, y)
    with pytest.raises(UnsupportedError, match="nystroem: cholesky, cg, sgd"):
        model(approximation="exact").fit(X, y)


def test_a_model_of_sgd_is_stored_and_comes_back(tmp_path, rows):
    X, y, Xs, _ = rows
    fitted = model(approximation="fourier").fit(X, y)
    sk.save(fitted, tmp_path / "model")
    back = sk.load(tmp_path / "model")
    np.testing.assert_array_equal(back.predict(Xs), fitted.predict(Xs))
    assert back.max_iter == fitted.max_iter


def test_kin40k_converges_without_a_setting(data_folder):
    file = data_folder / "kin40k.data.csv.gz"
    assert file.is_file(), f"SCALEKERN_DATA is set, but there is no {file}"
    table = np.loadtxt(file, delimiter=",", max_rows=8_000)
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    X, y, Xs, ys = table[:6_000, :-1], table[:6_000, -1], table[6_000:, :-1], table[6_000:, -1]
    params = {"n_components": 300, "gamma": 0.05, "alpha": 1e-3}
    direct, fitted = model("cholesky", **params).fit(X, y), model(**params).fit(X, y)
    assert rmse(fitted, Xs, ys) < 1.005 * rmse(direct, Xs, ys)


@pytest.mark.parametrize("approximation", ["nystroem", "fourier"])
def test_airfoil_converges_without_a_setting(airfoil, approximation):
    table = np.loadtxt(airfoil, delimiter=",", skiprows=1)
    rng = np.random.default_rng(0)
    table = rng.permutation((table - table.mean(axis=0)) / table.std(axis=0))
    X, y, Xs, ys = table[:1_100, :-1], table[:1_100, -1], table[1_100:, :-1], table[1_100:, -1]
    params = PLAIN | {"approximation": approximation, "n_components": 300, "random_state": 0}
    direct = sk.SimilarityRegressor(**params).fit(X, y)
    own = sk.SimilarityRegressor(solver="sgd", **params).fit(X, y)
    same = sk.SimilarityRegressor(solver="sgd", alpha=direct.alpha_, **params).fit(X, y)
    assert rmse(same, Xs, ys) < 1.005 * rmse(direct, Xs, ys)
    assert rmse(own, Xs, ys) < 1.005 * rmse(direct, Xs, ys)
