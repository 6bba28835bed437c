"""A pass gives the same sums however it is cut and run, and leaves nothing of itself behind."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import faiss  # brings a BLAS, as NumPy and SciPy do  # noqa: F401
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse
from sklearn.neighbors import KDTree  # brings OpenMP  # noqa: F401
from threadpoolctl import threadpool_info, threadpool_limits

import scalekern as sk
from scalekern.engine import (
    HashSample,
    Moments,
    Statistic,
    ThreadEngine,
    Together,
    hash_ids,
    limits,
    plan,
)
from scalekern.engine.fingerprint import Digests
from scalekern.engine.plan import chunk_rows
from scalekern.errors import InvalidInputError
from scalekern.features import NystroemMap
from scalekern.kernels import RBF
from scalekern.rows import ArraySource, Block
from scalekern.solvers import ResidualStatistic, RidgeStatistic
from scalekern.solvers.normal import KernelNormal

RNG = np.random.default_rng(17)
N = 1000
X = RNG.normal(size=(N, 3)) * [1.0, 1e3, 1e-3] + [0.0, 1e6, 5.0]
Y = RNG.normal(size=(N, 2)) + 100
WEIGHT = RNG.integers(0, 4, size=N) / 2
SCALED = (X - X.mean(0)) / X.std(0)
FEATURES = NystroemMap(RBF(0.3), SCALED[:20], np.float64)


def block(rows, *, weighted=True, of=X):
    weight = WEIGHT[rows] if weighted else None
    return Block(of[rows], Y[rows], weight, rows.start, np.arange(N)[rows])


def blocks(cuts, **more):
    edges = [0, *sorted(cuts), N]
    return [block(slice(a, b), **more) for a, b in itertools.pairwise(edges) if a < b]


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of sixteen rows, so that a small array is many chunks."""
    for name in ("LEAST_CHUNK_ROWS", "MOST_CHUNK_ROWS", "TILE_ROWS"):
        monkeypatch.setattr(plan, name, 16)
    assert chunk_rows(N, 24) == 16


# ----- statistics ------------------------------------------------------------------------------


@pytest.mark.parametrize("cuts", [[], [1], [300, 301, 999], range(N)])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("of", ["X", "y"])
def test_moments_are_numpys_whatever_the_cut(cuts, weighted, of):
    total = Moments(of)
    for part in blocks(cuts, weighted=weighted):
        one = Moments(of)
        one.update(part)
        total.merge(one)
    values, w = (X if of == "X" else Y), (WEIGHT if weighted else np.ones(N))
    mean = np.average(values, axis=0, weights=w)
    variance = np.average((values - mean) ** 2, axis=0, weights=w)
    assert total.count == w.sum()
    np.testing.assert_allclose(total.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(total.variance, variance, rtol=1e-12)
    np.testing.assert_array_equal(total.low, values[w > 0].min(axis=0))
    np.testing.assert_array_equal(total.high, values[w > 0].max(axis=0))
    everything = np.repeat(values, (2 * w).astype(int), axis=0)
    assert total.total_variance == pytest.approx(everything.var(), rel=1e-9)


def test_moments_of_sparse_rows_are_those_of_dense_ones():
    thin = X * (X > 0)
    dense, thinly = Moments(), Moments()
    dense.update(block(slice(0, N), of=thin))
    thinly.update(block(slice(0, N), of=sparse.csr_matrix(thin)))
    for name, value in dense.arrays().items():
        np.testing.assert_array_equal(value, thinly.arrays()[name])


def test_variance_of_a_constant_column_is_zero():
    source = ArraySource(np.full((N, 1), 0.1))
    assert ThreadEngine().reduce(source, Moments).variance[0] == 0
    moments = Moments()
    for start in range(0, N, 7):
        moments.update(Block(np.full((7, 1), 0.1), None, None, start, np.arange(7)))
    assert moments.variance[0] == 0


def test_rows_without_weight_are_no_rows():
    nothing = Moments()
    nothing.update(Block(X[:5], Y[:5], np.zeros(5), 0, np.arange(5)))
    assert nothing.count == 0
    whole = Moments()
    whole.update(block(slice(0, N)))
    before = {name: value.copy() for name, value in whole.arrays().items()}
    whole.merge(nothing)
    for name, value in before.items():
        np.testing.assert_array_equal(whole.arrays()[name], value)


@pytest.mark.parametrize("size", [1, 10, 400, 5000])
@pytest.mark.parametrize("seed", [0, 1])
def test_hash_sample_is_the_same_whatever_the_blocks_and_their_order(size, seed):
    usable = np.flatnonzero(WEIGHT > 0)
    expected = usable[np.argsort(hash_ids(usable, seed), kind="stable")][:size]
    for shuffle in range(5):
        parts = blocks(range(0, N, 1 + 37 * shuffle))
        random.Random(shuffle).shuffle(parts)
        samples = []
        for part in parts:
            samples.append(HashSample(size, seed))
            samples[-1].update(part)
        while len(samples) > 1:  # as a tree
            pairs = zip(samples[::2], samples[1::2], strict=False)
            rest = samples[len(samples) & ~1 :]
            samples = [a for a, b in pairs if a.merge(b) is None] + rest
        (sample,) = samples
        np.testing.assert_array_equal(sample.numbers, expected)
        np.testing.assert_array_equal(sample.X, X[expected])
        np.testing.assert_array_equal(sample.y, Y[expected])
        np.testing.assert_array_equal(sample.weight, WEIGHT[expected])


def test_a_smaller_sample_is_the_beginning_of_a_larger_one():
    small, large = HashSample(10, 4), HashSample(300, 4)
    for sample in (small, large):
        sample.update(block(slice(0, N)))
    np.testing.assert_array_equal(small.numbers, large.numbers[:10])


def test_hash_sample_of_later_rows_continues_the_numbers():
    whole, parts = HashSample(50, 2), HashSample(50, 2)
    whole.update(block(slice(0, N)))
    parts.update(block(slice(0, 400)))
    later = HashSample(50, 2, first_row=400)
    later.update(Block(X[400:], Y[400:], WEIGHT[400:], 0, np.arange(600)))
    parts.merge(later)
    np.testing.assert_array_equal(parts.numbers, whole.numbers)


def test_hashes_of_text_and_numbers_spread_evenly():
    for ids in (np.arange(20_000), np.array([f"row {i}" for i in range(20_000)])):
        share = hash_ids(ids, 7) / 2.0**64
        counts = np.histogram(share, bins=20, range=(0, 1))[0]
        # Chi-squared of 19 degrees of freedom; 43.8 is its 99.9% point.
        assert np.sum((counts - 1000) ** 2 / 1000) < 43.8
        assert not np.array_equal(hash_ids(ids, 7), hash_ids(ids, 8))


def statistic(name):
    thin = {"HashSample of sparse rows": sparse.csr_matrix(X)}.get(name, X)
    make = {
        "Moments": lambda: Moments("X"),
        "HashSample": lambda: HashSample(30, 3),
        "HashSample of sparse rows": lambda: HashSample(30, 3),
        "RidgeStatistic": lambda: RidgeStatistic(FEATURES, 2, Y.mean(0), n_folds=3),
        "ResidualStatistic": lambda: ResidualStatistic(
            FEATURES, np.ones((2, FEATURES.n_features, 2)), np.ones((2, 2))
        ),
        "KernelNormal": lambda: KernelNormal(
            RBF(0.5).columns(X[:7]), np.ones((7, 2)), np.ones(2), np.dtype(float), double=False
        ),
        "Digests": Digests,
        "Together": lambda: Together(a=Moments("y"), b=HashSample(30, 3)),
    }[name]
    return make, [block(slice(0, 600), of=thin), block(slice(600, N), of=thin)]


STATISTICS = [
    "Moments",
    "HashSample",
    "HashSample of sparse rows",
    "RidgeStatistic",
    "ResidualStatistic",
    "KernelNormal",
    "Digests",
    "Together",
]


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_goes_on_after_a_round_trip_as_if_nothing_had_been(name, tmp_path):
    make, (first, second) = statistic(name)
    straight, interrupted = make(), make()
    straight.update(first)
    interrupted.update(first)
    np.savez(tmp_path / "sums.npz", **interrupted.arrays())
    restored = make()
    with np.load(tmp_path / "sums.npz", allow_pickle=False) as arrays:
        restored.restore(dict(arrays))
    straight.update(second)
    restored.update(second)
    expected, found = straight.arrays(), restored.arrays()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


def test_every_statistic_is_in_these_tests():
    for module in pkgutil.walk_packages(sk.__path__, "scalekern."):
        importlib.import_module(module.name)
    waiting, found = [Statistic], set()
    while waiting:
        children = waiting.pop().__subclasses__()
        waiting += children
        found |= {c.__name__ for c in children if c.__module__.startswith("scalekern.")}
    # Their own files merge and restore these: test_sgd, test_prepare, test_classifier, test_choice.
    elsewhere = {"Sketch", "NumberSums", "CategorySums", "ClassCounts", "GradientOuterProduct"}
    found.remove("Sums")  # what several of them are made of
    assert found == {name.split()[0] for name in STATISTICS} | elsewhere


# ----- passes ----------------------------------------------------------------------------------


class Uneven(RidgeStatistic):
    """Chunks that finish in another order than they started in."""

    def update(self, rows):
        time.sleep(0.003 * (rows.start // 16 % 3))
        super().update(rows)


def sums_of(source, n_jobs):
    def make():
        return Together(sums=Uneven(FEATURES, 2, Y.mean(0)), moments=Moments("X"))

    return ThreadEngine(n_jobs).reduce(source, make).arrays()


@pytest.mark.parametrize("n_jobs", [2, 3, 4])
def test_reduce_gives_the_same_bits_for_any_number_of_threads(small_chunks, n_jobs):
    source = ArraySource(SCALED, Y, WEIGHT)
    expected, found = sums_of(source, 1), sums_of(source, n_jobs)
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)
    backwards = RidgeStatistic(FEATURES, 2, Y.mean(0))
    for part in reversed(list(source.blocks(16))):
        one = RidgeStatistic(FEATURES, 2, Y.mean(0))
        one.update(part)
        backwards.merge(one)
    np.testing.assert_allclose(backwards.G, expected["sums.G"], atol=1e-9)
    assert (backwards.G != expected["sums.G"]).any(), "in another order the bits would differ"


@pytest.mark.parametrize("rows_per_group", [7, 130, 5000])
def test_parquet_gives_the_same_bits_as_memory(small_chunks, tmp_path, rows_per_group):
    table = pa.table({f"x{j}": SCALED[:, j] for j in range(3)} | {"w": WEIGHT})
    table = table.append_column("y0", [Y[:, 0]]).append_column("y1", [Y[:, 1]])
    for i, (low, high) in enumerate([(0, 411), (411, 412), (412, N)]):
        part = table.slice(low, high - low)
        pq.write_table(part, tmp_path / f"part{i}.parquet", row_group_size=rows_per_group)
    source = sk.rows(tmp_path, target=["y0", "y1"], weight="w")
    assert not source.in_memory
    expected = sums_of(ArraySource(SCALED, Y, WEIGHT), 1)
    for n_jobs in (1, 3):
        found = sums_of(source, n_jobs)
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)


def test_chunks_depend_on_the_rows_alone():
    assert 1 <= -(-336_776 // chunk_rows(336_776, 80)) <= 64 + 1
    assert chunk_rows(10**9, 80) <= plan.MOST_CHUNK_ROWS
    assert chunk_rows(100, 80) >= 100
    assert chunk_rows(10**6, 10**6) * 10**6 <= plan.MOST_CHUNK_BYTES
    assert chunk_rows(10**6, 10**9) == 1


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_map_blocks_gives_results_in_the_order_of_the_rows(small_chunks, n_jobs):
    seen = []

    def slow_at_first(rows):
        time.sleep(0.02 if rows.start == 0 else 0.0)
        return rows.X.sum()

    ThreadEngine(n_jobs).map_blocks(
        ArraySource(X), slow_at_first, lambda rows, result: seen.append((rows.start, result))
    )
    assert [start for start, _ in seen] == list(range(0, N, 16))
    assert [total for _, total in seen] == [X[i : i + 16].sum() for i in range(0, N, 16)]


def test_no_more_blocks_are_in_flight_than_threads_and_one(small_chunks):
    lock, read, done, most = threading.Lock(), [0], [0], [0]

    class Watched(ArraySource):
        def blocks(self, max_rows):
            for rows in super().blocks(max_rows):
                with lock:
                    read[0] += 1
                    most[0] = max(most[0], read[0] - done[0])
                yield rows

    def sink(_rows, _result):
        with lock:
            done[0] += 1

    ThreadEngine(3).map_blocks(Watched(X), lambda rows: time.sleep(0.001), sink)
    assert 2 <= most[0] <= 3 + 1


class BrokenError(Exception):
    pass


def break_at(start):
    def function(rows):
        if rows.start == start:
            raise BrokenError(f"at {start}")
        return rows.start

    return function


@pytest.mark.parametrize("n_jobs", [1, 3])
@pytest.mark.parametrize("where", ["function", "sink", "source"])
@pytest.mark.parametrize("start", [0, 320, 992])
def test_an_error_comes_out_as_it_is_and_leaves_no_thread(small_chunks, n_jobs, where, start):
    threads = set(threading.enumerate())

    class Breaking(ArraySource):
        def blocks(self, max_rows):
            for rows in super().blocks(max_rows):
                if where == "source":
                    break_at(start)(rows)
                yield rows

    function = break_at(start) if where == "function" else lambda rows: None
    with threadpool_limits(3):
        before = limits_now()
        with pytest.raises(BrokenError, match=f"at {start}"):
            ThreadEngine(n_jobs).map_blocks(
                Breaking(X),
                function,
                lambda rows, _: break_at(start)(rows) if where == "sink" else None,
            )
        assert limits_now() == before
    assert set(threading.enumerate()) <= threads


# ----- limits of threads -----------------------------------------------------------------------


def limits_now():
    return sorted((lib["filepath"], lib["num_threads"]) for lib in threadpool_info())


@pytest.mark.parametrize("n_rows", [16, N])  # in the calling thread, and in a pool
@pytest.mark.parametrize("in_main_thread", [True, False])
def test_blas_and_openmp_have_one_thread_inside_a_pass(small_chunks, n_rows, in_main_thread):
    inside = []

    def run():
        before = limits_now()
        ThreadEngine(2).map_blocks(
            ArraySource(X[:n_rows]),
            lambda rows: inside.append({n for _, n in limits_now()}),
            lambda *_: None,
        )
        assert limits_now() == before

    with threadpool_limits(3):
        before = limits_now()
        assert {n for _, n in before} == {3}, "else this test would show nothing"
        if in_main_thread:
            run()
        else:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(run).result()
        assert limits_now() == before
    assert inside
    assert all(numbers == {1} for numbers in inside)


@pytest.mark.parametrize("first_out", [0, 1])
def test_the_last_of_two_passes_restores_the_limits_whichever_began(first_out):
    begun, may_end = [threading.Event() for _ in "ab"], [threading.Event() for _ in "ab"]

    def work(number):
        def wait(_rows):
            begun[number].set()
            may_end[number].wait(10)

        before = limits_now()
        ThreadEngine(1).map_blocks(ArraySource(X), wait, lambda *_: None)
        return [lib for lib in limits_now() if lib not in before]

    original = {lib["filepath"]: lib["num_threads"] for lib in threadpool_info()}
    threadpool_limits(3)
    try:
        before = limits_now()
        with ThreadPoolExecutor(1) as a, ThreadPoolExecutor(1) as b:
            results = []
            for number, pool in enumerate([a, b]):
                results.append(pool.submit(work, number))
                assert begun[number].wait(10)
            for number in (first_out, 1 - first_out):
                may_end[number].set()
                changed = results[number].result()
                if number == first_out:
                    assert {n for _, n in changed} <= {1}, "the other pass still holds them"
            assert limits_now() == before
    finally:
        threadpool_limits(original)


# OpenBLAS before 0.3.30 crashes where it began with one thread, as in tests, and is given more.
old_openblas = pytest.mark.skipif(
    any(
        library.get("threading_layer") == "pthreads"
        and tuple(map(int, library["version"].split(".")[:3])) < (0, 3, 30)
        for library in threadpool_info()
    ),
    reason="OpenBLAS before 0.3.30 that began with one thread cannot be given more",
)


@old_openblas
def test_two_fits_at_once_are_right_and_leave_the_limits_as_they_were(small_chunks):
    def model():
        return sk.SimilarityRegressor(
            gamma=0.3, alpha=0.1, approximation="nystroem", landmarks=SCALED[:20], n_jobs=2
        )

    targets = [np.sin(SCALED[:, 0]), np.cos(SCALED[:, 1])]
    expected = [model().fit(SCALED, y).predict(SCALED[:50]) for y in targets]
    gate = threading.Barrier(2)

    def work(number):
        before = limits_now()
        gate.wait()
        for _ in range(3):
            found = model().fit(SCALED, targets[number]).predict(SCALED[:50])
            np.testing.assert_allclose(found, expected[number], rtol=1e-9, atol=1e-9)
        gate.wait()  # both are done
        return before, limits_now()

    with threadpool_limits(3):
        before = limits_now()
        with ThreadPoolExecutor(2) as pool:
            for start, end in pool.map(work, range(2)):
                assert end == start
        assert limits_now() == before


@old_openblas
def test_a_failed_fit_beside_another_leaves_the_limits_as_they_were(small_chunks):
    def bad(_rows, _columns):
        raise BrokenError

    def fit(kernel):
        model = sk.SimilarityRegressor(
            kernel, gamma=0.3, alpha=0.1, approximation="nystroem", landmarks=SCALED[:20]
        )
        return model.fit(SCALED, Y)

    with threadpool_limits(3):
        before = limits_now()
        with ThreadPoolExecutor(2) as pool:
            good, wrong = pool.submit(fit, "rbf"), pool.submit(fit, sk.BlockKernel(bad))
            with pytest.raises(BrokenError):
                wrong.result()
            assert np.isfinite(good.result().predict(SCALED)).all()
        assert limits_now() == before


# ----- cores and memory ------------------------------------------------------------------------


@pytest.mark.parametrize("approximation", ["exact", "nystroem", "fourier"])
def test_too_little_memory_is_said_before_any_work(approximation):
    # A definite exact model could do without its Gram matrix.
    solver = "cholesky" if approximation == "exact" else "auto"
    model = sk.SimilarityRegressor(gamma=1.0, alpha=1.0, approximation=approximation, solver=solver)
    with (
        sk.config_context(memory_limit=20_000),
        pytest.raises(InvalidInputError, match=r"needs about .* GB but 2e-05 GB.*memory_limit"),
    ):
        model.fit(SCALED, Y)
    with sk.config_context(memory_limit=2**31):
        model.fit(SCALED, Y)


@pytest.mark.parametrize("setting", [0, -5, 1.5, "2GB"])
def test_memory_limit_is_a_number_of_bytes(setting):
    with (
        pytest.raises(InvalidInputError, match="memory_limit="),
        sk.config_context(memory_limit=setting),
    ):
        pass


def files(monkeypatch, **contents):
    texts = {"/sys/fs/cgroup/" + name: text for name, text in contents.pop("cgroup", {}).items()}
    texts |= {"/proc/" + name: text for name, text in contents.items()}
    monkeypatch.setattr(limits, "_read", lambda path: texts.get(path, ""))


@pytest.mark.parametrize(
    ("cgroup", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000"}, 8),
        ({"cpu.max": "300000 100000"}, 3),
        ({"cpu.max": "150000 50000"}, 3),
        ({"cpu.max": "20000 100000"}, 1),
        ({"cpu.max": "6400000 100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ({"cpu/cpu.cfs_quota_us": "200000"}, 2),
    ],
)
def test_cores_are_those_of_the_cgroup(monkeypatch, cgroup, cores):
    files(monkeypatch, cgroup=cgroup)
    monkeypatch.setattr(limits.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert limits.available_cores() == cores
    assert limits.resolve_threads(None) == limits.resolve_threads(-1) == cores
    assert limits.resolve_threads(-2) == max(1, cores - 1)
    assert limits.resolve_threads(5) == 5


GIB = 1 << 30
MEMINFO = "MemTotal:  16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n"
V1 = "memory/memory."


@pytest.mark.parametrize(
    ("cgroup", "free"),
    [
        ({}, 8 * GIB),
        ({"memory.max": "max", "memory.current": "5"}, 8 * GIB),
        ({"memory.max": str(4 * GIB), "memory.current": str(GIB)}, 3 * GIB),
        ({"memory.max": str(GIB), "memory.current": str(2 * GIB)}, 0),
        ({"memory.max": str(64 * GIB), "memory.current": str(GIB)}, 8 * GIB),
        # Pages of files that were read are given back when memory is wanted.
        (
            {
                "memory.max": str(4 * GIB),
                "memory.current": str(4 * GIB),
                "memory.stat": f"anon {GIB}\nactive_file 5\ninactive_file {2 * GIB}\n",
            },
            2 * GIB,
        ),
        ({V1 + "limit_in_bytes": str(3 * GIB), V1 + "usage_in_bytes": str(GIB)}, 2 * GIB),
        (
            {
                V1 + "limit_in_bytes": str(3 * GIB),
                V1 + "usage_in_bytes": str(3 * GIB),
                V1 + "stat": f"cache 7\ninactive_file 5\ntotal_inactive_file {GIB}\n",
            },
            GIB,
        ),
        ({V1 + "limit_in_bytes": "9223372036854771712", V1 + "usage_in_bytes": "7"}, 8 * GIB),
    ],
)
def test_memory_is_that_of_the_cgroup(monkeypatch, cgroup, free):
    files(monkeypatch, cgroup=cgroup, meminfo=MEMINFO)
    assert limits.free_memory() == free
    assert limits.memory_budget() == int(0.6 * free)
    with sk.config_context(memory_limit=123):
        assert limits.memory_budget() == 123


@pytest.mark.parametrize("n_jobs", [0, 1.5, "two", True])
def test_number_of_threads_is_a_whole_number(n_jobs):
    with pytest.raises(InvalidInputError, match="n_jobs="):
        sk.SimilarityRegressor(n_jobs=n_jobs).fit(SCALED[:20], Y[:20])
