"""Conjugate gradients find what the direct solvers find, from products alone, and say why they end.

The law everywhere: another solver of the same objective gives the same predictions.
"""

from __future__ import annotations

import dense
import numpy as np
import pytest
from scipy.spatial.distance import cdist

import scalekern as sk
from scalekern.engine import ThreadEngine
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.features import NystroemMap
from scalekern.kernels import RBF, BlockKernel, EditDistance, Laplacian, Linear, Matern
from scalekern.rows import ArraySource
from scalekern.solvers.cg import CgSettings, conjugate_gradients
from scalekern.solvers.landmark_cg import LandmarkProblem, solve_landmarks
from scalekern.solvers.normal import KernelNormal
from scalekern.solvers.ridge import FeatureSample
from scalekern.solvers.tiles import GramProduct

RNG = np.random.default_rng(5)
N = 1_500
X = RNG.normal(size=(N, 3))
Y = np.column_stack([np.sin(2 * X[:, 0]) + 5, X[:, 1] ** 2]) + 0.1 * RNG.normal(size=(N, 2))
WEIGHT = RNG.uniform(0.2, 3.0, size=N)
XS = RNG.normal(size=(200, 3))


def model(approximation, solver="cg", **params):
    params = {"kernel": RBF(0.7), "alpha": 1e-2, "n_components": 90, "random_state": 0} | params
    return sk.SimilarityRegressor(approximation=approximation, solver=solver, **params)


def symmetric(seed, m, condition):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(m, m)))
    return (Q * np.geomspace(1, condition, m)) @ Q.T


def size(x, r, z):
    del x, z
    return np.linalg.norm(r, axis=0)


def test_conjugate_gradients_solve_in_as_many_steps_as_there_are_eigenvalues():
    A, b = symmetric(0, 40, 1.0), RNG.normal(size=(40, 3))
    A += 9 * np.outer(A[0], A[0]) / (A[0] @ A[0])  # eigenvalues 1 and 10
    found = conjugate_gradients(lambda v: (A @ v, v), b, lambda r: r, size, CgSettings(1e-9))
    assert found.report["iterations"] == 2
    assert found.report["condition"] == pytest.approx(10, rel=1e-6)
    np.testing.assert_allclose(found.x, np.linalg.solve(A, b), atol=1e-8)


def test_the_condition_number_is_found_by_the_steps():
    A = symmetric(1, 60, 300.0)
    found = conjugate_gradients(
        lambda v: (A @ v, v), np.ones((60, 1)), lambda r: r, size, CgSettings(1e-10, 200)
    )
    assert found.report["condition"] == pytest.approx(300, rel=0.02)


def test_a_start_that_is_the_answer_costs_one_product():
    A, b = symmetric(2, 30, 10.0), np.ones((30, 1))
    found = conjugate_gradients(
        lambda v: (A @ v, v), b, lambda r: r, size, CgSettings(1e-8), np.linalg.solve(A, b)
    )
    assert found.report["iterations"] == 0
    assert found.products <= 2


def test_a_product_that_rounds_stops_at_its_floor_and_says_so():
    A, b = symmetric(3, 50, 1e3), np.ones((50, 1))
    narrow = A.astype(np.float32)
    found = conjugate_gradients(
        lambda v: ((narrow @ v.astype(np.float32)).astype(np.float64), v),
        b, lambda r: r, size, CgSettings(1e-12, 10_000),
    )  # fmt: skip
    assert "stagnation" in found.report["stopped"]
    true = np.linalg.norm(b - A @ found.x)
    assert found.report["residual"] == pytest.approx(true, rel=0.5)
    assert 1e-9 < true < 1e-2


def test_iterations_end_at_max_iter_and_where_the_held_out_error_has_settled():
    A, b = symmetric(4, 80, 1e4), np.full((80, 1), 1e-3)
    settings = CgSettings(1e-9, 7)
    found = conjugate_gradients(lambda v: (A @ v, v), b, lambda r: r, size, settings)
    assert (found.report["iterations"], found.report["stopped"]) == (7, "max_iter")

    def watched(held_out, b):
        settings = CgSettings(1e-4, 7)
        found = conjugate_gradients(
            lambda v: (A @ v, v), b, lambda r: r, size, settings, held_out=held_out
        )
        return found.report["iterations"], found.report["stopped"].partition(":")[0]

    assert watched(lambda x: np.ones(1), b) == (4, "tol")
    # The error of one output has settled, that of a much smaller one has not.
    falling = iter(0.8 ** np.arange(9.0))
    assert watched(lambda x: np.array([1.0, 1e-6 * next(falling)]), b) == (7, "max_iter")
    # The error is flat, but the residual says that nothing is known yet.
    assert watched(lambda x: np.ones(1), 1e5 * b) == (7, "max_iter")


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_pass_is_the_product_of_the_normal_equations_however_rows_are_cut(dtype):
    kernel, Z, V = RBF(0.3), X[:40], RNG.normal(size=(40, 2))
    source, shift = ArraySource(X.astype(dtype), Y, WEIGHT), np.array([0.3, -1.0])
    K = kernel.block(X, Z)
    u = WEIGHT[:, None] * (K @ V - shift)

    def make():
        columns = kernel.columns(Z.astype(dtype), dtype)
        return KernelNormal(columns, V, shift, dtype, double=False)

    parts = []
    for block in source.blocks(701):
        parts.append(make())
        parts[-1].update(block)
    for part in parts[1:]:
        parts[0].merge(part)
    restored = make()
    restored.restore(parts[0].arrays())
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    np.testing.assert_allclose(restored.out, K.T @ u, rtol=rtol, atol=rtol * np.abs(K.T @ u).max())
    np.testing.assert_allclose(restored.total, u.sum(axis=0), rtol=10 * rtol)
    np.testing.assert_allclose(ThreadEngine().reduce(source, make).out, restored.out, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 100, 512, 1_024, 1_025, 1_500])
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_tiles_of_half_the_gram_matrix_give_its_product(n, n_jobs):
    V = RNG.normal(size=(n, 2))
    product = GramProduct(ThreadEngine(n_jobs), Matern(0.7), X[:n], np.float64)
    np.testing.assert_allclose(product(V), Matern(0.7).block(X[:n], X[:n]) @ V, atol=1e-11)


@pytest.mark.parametrize("alpha", [1e-5, 1e-2, 10.0])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
def test_predictions_are_those_of_the_direct_solvers(approximation, fit_intercept, weighted, alpha):
    n = N if approximation == "nystroem" else 700
    alpha = alpha if approximation == "nystroem" else max(alpha, 1e-3)
    w = WEIGHT[:n] if weighted else None
    params = {"alpha": alpha, "fit_intercept": fit_intercept, "tol": 1e-15, "max_iter": 1_000}
    cg = model(approximation, **params).fit(X[:n], Y[:n], sample_weight=w)
    assert cg.report_["solver"] == "cg"
    others = ["cholesky", "pinv"] if approximation == "exact" else ["cholesky"]
    for solver in others:
        direct = model(approximation, solver, **params).fit(X[:n], Y[:n], sample_weight=w)
        np.testing.assert_allclose(cg.predict(XS), direct.predict(XS), atol=1e-6)
    if approximation == "exact":
        a, b = dense.exact(RBF(0.7).block(X[:n], X[:n]), Y[:n], alpha, w, intercept=fit_intercept)
        np.testing.assert_allclose(cg.predict(XS), RBF(0.7).block(XS, X[:n]) @ a + b, atol=1e-6)


@pytest.mark.parametrize("weighted", [True, False])
def test_coefficients_of_every_solver_are_those_of_the_exact_model(weighted):
    """With every row as a landmark the models are one, and alpha leaves one set of weights."""
    rows, y, w = X[:150], Y[:150], WEIGHT[:150] if weighted else None
    params = {"alpha": 1.0, "kernel": Matern(1.0, nu=0.5), "tol": 1e-14, "max_iter": 400}
    known = model("exact", "pinv", **params).fit(rows, y, sample_weight=w)
    for approximation, solver in (
        ("exact", "cholesky"), ("exact", "cg"),
        ("nystroem", "cholesky"), ("nystroem", "cg"), ("nystroem", "sgd"),
    ):  # fmt: skip
        more = {"landmarks": np.arange(150)} if approximation == "nystroem" else {}
        fitted = model(approximation, solver, **params, **more).fit(rows, y, sample_weight=w)
        order = slice(None)
        if approximation == "nystroem":
            order = cdist(rows, fitted.landmarks_).argmin(axis=1)
        np.testing.assert_allclose(fitted.dual_coef_[order], known.dual_coef_, atol=1e-6)
        np.testing.assert_allclose(fitted.intercept_, known.intercept_, atol=1e-6)


def test_errors_fall_with_the_number_of_landmarks():
    exact = model("exact", "cholesky").fit(X[:600], Y[:600])
    gaps = []
    for m in (10, 40, 160, 600):
        seeds = [model("nystroem", "cholesky", n_components=m, random_state=s) for s in range(3)]
        found = [one.fit(X[:600], Y[:600]).predict(XS) - exact.predict(XS) for one in seeds]
        gaps.append(np.sqrt(np.mean(np.square(found))))
    assert gaps[1] < 0.7 * gaps[0]
    assert gaps[2] < 0.7 * gaps[1]
    assert gaps[3] < 1e-5


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
@pytest.mark.parametrize(
    "kernel", [RBF(0.3), Matern(1.0, nu=0.5), Laplacian(0.5), RBF(0.1) + Linear()]
)
def test_float32_tiles_come_within_a_thousandth(approximation, kernel):
    n, params = 1_000, {"kernel": kernel, "alpha": 0.1, "tol": 1e-8}
    narrow = X[:n].astype(np.float32)
    cg = model(approximation, **params).fit(narrow, Y[:n, 0])
    direct = model(approximation, "cholesky", **params).fit(narrow, Y[:n, 0])
    assert cg.report_["tile_dtype"] == "float32"
    error = cg.predict(XS.astype(np.float32)) - direct.predict(XS.astype(np.float32))
    # Whitening in float32 costs digits that the exact model does not need.
    assert np.sqrt(np.mean(error**2)) < (1e-3 if approximation == "exact" else 1e-2) * Y[:, 0].std()


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
def test_the_default_tolerance_is_a_share_of_the_squared_error_whatever_the_units(approximation):
    n = N if approximation == "nystroem" else 700
    cg = model(approximation, n_components=80).fit(X[:n], 1e6 * Y[:n])
    direct = model(approximation, "cholesky", n_components=80).fit(X[:n], 1e6 * Y[:n])
    left, least = (np.square(m.predict(X[:n]) - 1e6 * Y[:n]).mean(axis=0) for m in (cg, direct))
    # Errors on rows left out settle to 1e-3 of their root, a little before those on all others.
    assert (left < (1 + (5e-3 if approximation == "exact" else 1e-3)) * least).all()
    assert cg.report_["residual"] <= 1e-4 or "held-out" in cg.report_["stopped"]


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("share", [1e-10, 1e-8, 1e-6, 1e-4, 1e-2])
def test_the_preconditioned_condition_number_stays_below_100_at_every_alpha(share, fit_intercept):
    feature_map = NystroemMap(RBF(0.3), X[:120], np.float64)
    Phi, w = feature_map(X), WEIGHT
    seen = {}

    class Spy(LandmarkProblem):
        pass

    problem = Spy(
        ThreadEngine(), ArraySource(X, Y, w), feature_map, w @ Y / w.sum(), share * N,
        FeatureSample(Phi[-300:], Y[-300:], w[-300:]), fit_intercept, 0,
    )  # fmt: skip
    from scalekern.solvers import landmark_cg as module

    first = module._first_pass(problem, 4)
    system = module._System(problem, first)
    H = system.curvature(first)
    A, _ = system.times(np.eye(len(H)))
    centred = Phi - (w @ Phi / w.sum() if fit_intercept else 0.0)
    expected = centred.T @ (w[:, None] * centred) + share * N * np.eye(len(H))
    np.testing.assert_allclose(A, expected, atol=1e-6 * np.abs(expected).max())
    L = np.linalg.cholesky(H)
    whitened = np.linalg.solve(L, np.linalg.solve(L, expected).T)
    e = np.linalg.eigvalsh(0.5 * (whitened + whitened.T))
    seen["condition"] = e[-1] / e[0]
    assert seen["condition"] < 100
    report = solve_landmarks(problem, CgSettings(1e-6)).report
    assert report["condition"] <= 1.01 * seen["condition"]


def test_few_iterations_are_not_taken_for_rounding():
    rows = X.astype(np.float32)
    early = model("exact", alpha=1e-3, max_iter=2).fit(rows, Y)
    assert early.report_["stopped"] == "max_iter"
    assert early.report_["residual"] > 0.01
    assert "float32_products" not in early.report_
    assert (early.report_["tile_dtype"], early.report_["passes"]) == ("float32", 2)


def test_rows_left_out_stop_an_exact_model_before_its_residual_does():
    params = {"alpha": 1e-2, "kernel": Matern(1.0, nu=1.5)}
    early, late = (model("exact", tol=tol, **params).fit(X, Y) for tol in (1e-4, 1e-12))
    direct = model("exact", "cholesky", **params).fit(X, Y)
    errors = early.report_["held_out_errors"]
    assert len(errors) == early.report_["iterations"] < late.report_["iterations"]
    assert "held-out" in early.report_["stopped"]
    assert early.report_["residual"] > 1e-4
    assert max(errors[-4:]) - min(errors[-4:]) <= 1e-3 * errors[-1]
    assert errors[-1] == pytest.approx(late.report_["held_out_errors"][-1], rel=5e-3)
    np.testing.assert_allclose(late.predict(XS), direct.predict(XS), atol=1e-4)
    np.testing.assert_allclose(late.intercept_, direct.intercept_, atol=1e-4)


def test_an_error_that_is_flat_at_first_ends_no_exact_model_whose_alpha_is_tiny():
    rows, kernel = np.linspace(-1, 1, 600)[:, None], Matern(0.07, nu=0.5)
    y = np.sin(3 * rows[:, 0])
    found = model("exact", alpha=1e-6, kernel=kernel, max_iter=500).fit(rows, y)
    direct = model("exact", "cholesky", alpha=1e-6, kernel=kernel).fit(rows, y)
    missed = found.predict(rows[::7]) - direct.predict(rows[::7])
    assert np.sqrt(np.mean(missed**2)) < 0.05 * y.std()
    assert found.report_["residual"] <= 1.0


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_weights_change_no_exact_model(monkeypatch, unit):
    from scalekern.approximations import solver_choice

    monkeypatch.setattr(solver_choice, "MOST_EXACT_WORK", 0.0)  # alpha is the least
    rows, y, w = X[:600].astype(np.float32), np.sin(3 * X[:600, 0]), WEIGHT[:600]
    params = {"alpha": "loo", "kernel": Matern(0.5, nu=0.5)}
    one, other = (model("exact", **params).fit(rows, y, w * c) for c in (1.0, unit))
    assert other.alpha_ == pytest.approx(one.alpha_ * unit, rel=1e-6)
    assert other.report_["tile_dtype"] == one.report_["tile_dtype"]
    np.testing.assert_allclose(other.predict(XS), one.predict(XS), atol=0.02)


def test_alpha_is_chosen_no_smaller_than_iterations_can_solve_for(monkeypatch):
    from scalekern.approximations import solver_choice

    y = np.sin(X[:, 0])  # without noise the smallest alpha is the best
    free = model("exact", alpha="loo").fit(X, y)
    monkeypatch.setattr(solver_choice, "MOST_EXACT_WORK", 0.0)
    bound = model("exact", alpha="loo").fit(X, y)
    assert bound.alpha_ > 10 * free.alpha_
    assert bound.report_["iterations"] <= 2 * solver_choice.LEAST_PASSES
    known = solver_choice.conditioning(RBF(0.7), X, len(X), 0)
    assert bound.alpha_ >= known.least_alpha(3, np.float64) > 0
    given = model("exact", alpha=free.alpha_).fit(X, y)
    assert given.alpha_ == free.alpha_


def test_what_is_expected_of_iterations_is_about_what_they_are():
    from scalekern.approximations import solver_choice

    rows = np.random.default_rng(0).normal(size=(4_000, 5))
    y = np.sin(rows).sum(axis=1)
    for alpha in (1e-3, 1.0):
        found = model("exact", alpha=alpha, kernel=RBF(0.05), tol=1e-8, max_iter=500).fit(rows, y)
        known = solver_choice.conditioning(found.kernel_, rows[:3_000], 4_000, 0)
        expected = 1 + known.left / alpha
        assert 0.2 * found.report_["condition"] < expected < 10 * found.report_["condition"]


def test_falkon_s_preconditioner_solves_too_and_the_sketch_gives_way_where_memory_is_short():
    alpha = 3.0
    with sk.config_context(memory_limit=1_500_000):
        cg = model("nystroem", alpha=alpha, tol=1e-16).fit(X, Y)
    assert cg.report_["preconditioner"] == "falkon"
    direct = model("nystroem", "cholesky", alpha=alpha).fit(X, Y)
    np.testing.assert_allclose(cg.predict(XS), direct.predict(XS), atol=1e-5)
    assert model("nystroem", alpha=alpha).fit(X, Y).report_["preconditioner"] == "krill"


def test_rows_no_more_than_the_sketch_are_solved_in_one_pass_and_explained():
    cg = model("nystroem").fit(X[:300], Y[:300])
    direct = model("nystroem", "cholesky").fit(X[:300], Y[:300])
    assert (cg.report_["passes"], cg.report_["iterations"]) == (1, 0)
    np.testing.assert_allclose(cg.predict(XS), direct.predict(XS), atol=1e-7)
    np.testing.assert_allclose(cg.explain(XS[:3]).weight, direct.explain(XS[:3]).weight, atol=1e-7)


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
def test_a_model_by_cg_is_the_same_kind_of_model(approximation, tmp_path):
    cg = model(approximation).fit(X[:1_200], Y[:1_200, 0])
    sk.save(cg, tmp_path / "m")
    np.testing.assert_array_equal(sk.load(tmp_path / "m").predict(XS), cg.predict(XS))
    report = cg.report_
    assert {"iterations", "passes", "stopped", "residual", "condition"} <= set(report)
    assert cg.n_iter_ == report["passes"]
    again = model(approximation, n_jobs=1).fit(X[:1_200], Y[:1_200, 0])
    np.testing.assert_array_equal(again.predict(XS), cg.predict(XS))


def test_an_exact_model_by_cg_explains_itself_as_a_direct_one():
    n = 600
    cg, direct = (model("exact", s, alpha=0.1).fit(X[:n], Y[:n, 0]) for s in ("cg", "cholesky"))
    np.testing.assert_allclose(cg.explain(XS[:4]).weight, direct.explain(XS[:4]).weight, atol=1e-9)


def test_a_nystroem_model_by_cg_says_what_would_explain_it():
    cg = model("nystroem").fit(X, Y)
    with pytest.raises(InvalidInputError, match=r"rows=\(X_train"):
        cg.explain(XS[:2])


def hostile_rows():
    same = np.zeros((900, 2))
    line = np.outer(np.arange(900.0) / 900, [1.0, 2.0])
    rng = np.random.default_rng(8)
    copies = np.repeat(rng.normal(size=(9, 2)), 100, axis=0)
    far = np.vstack([rng.normal(size=(899, 2)), [[1e6, -1e6]]])
    return {"all equal": same, "on a line": line, "copies": copies, "one far away": far}


@pytest.mark.parametrize("rows", ["all equal", "on a line", "copies", "one far away"])
@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
@pytest.mark.parametrize("n_components", [50, 900])
def test_hostile_rows_give_the_direct_answer(approximation, rows, n_components):
    rng = np.random.default_rng(7)
    H, w = hostile_rows()[rows], rng.integers(0, 3, size=900).astype(float)
    y = np.sin(H[:, 0]) + 0.1 * rng.normal(size=900)
    params = {"n_components": n_components, "alpha": 1e-3, "tol": 1e-15}
    cg = model(approximation, **params).fit(H, y, sample_weight=w)
    direct = model(approximation, "cholesky", **params).fit(H, y, sample_weight=w)
    assert np.isfinite(cg.predict(H)).all()
    np.testing.assert_allclose(cg.predict(H), direct.predict(H), atol=1e-5)


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
@pytest.mark.parametrize("n", [1, 2, 1_300])
def test_a_constant_target_is_predicted(approximation, n):
    cg = model(approximation).fit(X[:n], np.full(n, 3.5))
    np.testing.assert_allclose(cg.predict(XS), 3.5, atol=1e-9)


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
def test_alpha_is_chosen_on_a_sample_of_rows_by_the_same_rules(approximation):
    n = 1_200 if approximation == "nystroem" else 300
    for rule in ("loo", "gcv", "cv", [1e-3, 1e-1, 10.0]):
        cg = model(approximation, alpha=rule).fit(X[:n], Y[:n, 0])
        direct = model(approximation, "cholesky", alpha=rule).fit(X[:n], Y[:n, 0])
        assert "rows" in cg.report_["alpha_rule"]
        assert len(cg.alphas_) == len(cg.scores_)
        errors = [np.std(m.predict(X) - Y[:, 0]) for m in (cg, direct)]
        assert errors[0] < 1.02 * errors[1]


@pytest.mark.parametrize("approximation", ["nystroem", "exact"])
def test_no_penalty_is_refused(approximation):
    with pytest.raises(InvalidInputError, match="alpha=0"):
        model(approximation, alpha=0).fit(X[:100], Y[:100])


def test_rows_from_parquet_give_the_model_of_rows_in_memory(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({f"x{j}": X[:, j] for j in range(3)} | {"y": Y[:, 0], "w": WEIGHT})
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=400)
    rows = sk.rows(str(tmp_path / "rows.parquet"), target="y", weight="w")
    for approximation in ("nystroem", "exact"):
        stored = model(approximation).fit(rows)
        held = model(approximation).fit(X, Y[:, 0], sample_weight=WEIGHT)
        frame = pa.table({f"x{j}": XS[:, j] for j in range(3)})
        np.testing.assert_allclose(stored.predict(frame), held.predict(XS), rtol=1e-9)


def test_partial_fit_has_no_cg():
    with pytest.raises(UnsupportedError, match="'cholesky' or 'sgd'"):
        model("nystroem").partial_fit(X[:100], Y[:100])


def test_what_does_not_go_with_cg_is_refused_with_what_does():
    for approximation in ("fourier", "local"):
        with pytest.raises(UnsupportedError, match="nystroem: cholesky, cg, sgd"):
            model(approximation).fit(X[:100], Y[:100])
    with pytest.raises(UnsupportedError, match="pinv"):
        model("exact", kernel=EditDistance()).fit(["a", "b", "ab"], [0.0, 1.0, 2.0])


def test_auto_takes_cg_by_counted_work():
    from scalekern.approximations.solver_choice import cg_is_cheaper, exact_work

    assert not cg_is_cheaper(2_000_000, 1_000, 8)
    assert cg_is_cheaper(2_000_000, 4_096, 8)
    assert not cg_is_cheaper(12_000, 4_096, 8)
    for fixed in (True, False):
        works = np.array([exact_work(n, 8, fixed=fixed) for n in (2_000, 20_000)])
        assert works[0, 0] < works[0, 1]
        assert works[1, 1] < works[1, 0]


def test_an_exact_model_too_large_for_its_gram_matrix_is_solved_by_cg():
    with sk.config_context(memory_limit=30_000_000):
        fitted = model("exact", "auto", alpha=0.1).fit(X[:1_200], Y[:1_200])
        assert fitted.report_["solver"] == "cg"
        with pytest.raises(InvalidInputError, match="GB"):
            model("exact", "cholesky", alpha=0.1).fit(X[:1_200], Y[:1_200])


class _Counted:
    """A kernel of one's own, and how often it is asked."""

    def __init__(self):
        self.values = 0

    def __call__(self, X, Z):
        self.values += len(X) * len(Z)
        return np.exp(-0.5 * cdist(X, Z, "sqeuclidean"))


def test_values_of_dear_kernels_are_kept_and_give_the_same_bits(monkeypatch):
    from scalekern.approximations import by_cg

    X = np.random.default_rng(0).normal(size=(1_300, 2))
    y = np.sin(X).sum(axis=1)
    fits = {}
    for keep in (True, False):
        function = _Counted()
        if not keep:
            monkeypatch.setattr(by_cg, "keeps_tiles", lambda *_: False)
        model = sk.SimilarityRegressor(
            BlockKernel(function, is_positive_definite=True), approximation="exact", solver="cg",
            alpha=1e-3, fit_intercept=True, random_state=0, tol=1e-12,
        ).fit(X, y)  # fmt: skip
        fits[keep] = model, function.values
    (kept, few), (anew, many) = fits[True], fits[False]
    np.testing.assert_array_equal(kept.dual_coef_, anew.dual_coef_)
    assert kept.report_["tiles"] == "kept in a file"
    assert few < 0.5 * many


@pytest.mark.parametrize(("kernel", "d", "kept"), [
    (RBF(0.1), 8, False), (RBF(0.1), 784, True), (Laplacian(0.1), 30, True),
])  # fmt: skip
def test_what_is_cheap_to_compute_is_not_kept(kernel, d, kept):
    from scalekern.solvers.kernel_work import Tile, keeps_tiles

    assert keeps_tiles(kernel, 10_000, Tile(np.dtype(float), d)) == kept
    assert not keeps_tiles(kernel, 10**9, Tile(np.dtype(float), d))
