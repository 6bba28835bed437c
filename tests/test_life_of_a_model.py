"""Whatever is done to a model in whatever order, it is the model of the rows that it was given.

State machines. A similarity model: fits, partial fits, weights, other penalties, failed fits,
saves, loads, pickles, clones, calibrations, interruptions and resumptions; after each step the
predictions are those of the dense equations of all rows so far. A k-NN model: rows come and go, and
after each step the neighbours are those that a scan of the rows that are there finds.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import dense
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sklearn.base import clone

import scalekern as sk
from scalekern.engine import checkpoint, threads
from scalekern.errors import InvalidInputError

GAMMA = 0.7
RNG = np.random.default_rng(21)
LANDMARKS = RNG.uniform(-2, 2, size=(12, 2))
QUERIES = RNG.uniform(-2, 2, size=(20, 2))
MANY = RNG.uniform(-2, 2, size=(9_000, 2))  # three chunks, so that there is something to resume
# An interruption at the very first or second sum, or in the second pass, or never.
STOPS = st.sampled_from([1, 2, 4, 99])


def kernel(X, Z):
    return np.exp(-GAMMA * ((X[:, None] - Z[None]) ** 2).sum(axis=2))


def target(X):
    return np.sin(2 * X[:, 0]) * X[:, 1]


def drawn(n, seed, weighted):
    """Return rows, targets, and weights, some of them 0, or None."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, size=(n, 2))
    weight = np.where(rng.random(n) < 0.3, 0.0, rng.uniform(0.1, 3, size=n)) if weighted else None
    if weighted:
        weight[0] = 1.0
    return X, target(X), weight


class Life(RuleBasedStateMachine):
    """One model, and the rows that it should know."""

    @initialize(intercept=st.booleans())
    def born(self, intercept):
        self.folder = Path(tempfile.mkdtemp())
        self.model = sk.SimilarityRegressor(
            gamma=GAMMA, alpha=0.1, approximation="nystroem", landmarks=LANDMARKS,
            fit_intercept=intercept, random_state=0,
        )  # fmt: skip
        self.rows = self.weight = None
        self.alpha = 0.1  # of the last fit
        self.adds = True  # whether partial_fit adds to what is there
        self.loaded = False

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(n=st.integers(3, 60), seed=st.integers(0, 99), weighted=st.booleans())
    def fit(self, n, seed, weighted):
        X, y, weight = drawn(n, seed, weighted)
        self.model.fit(X, y, sample_weight=weight)
        self._knows(X, weight)
        self.adds = self.loaded = False

    @rule(n=st.integers(1, 60), seed=st.integers(0, 99), weighted=st.booleans())
    def partial_fit(self, n, seed, weighted):
        X, y, weight = drawn(n, seed, weighted)
        if self.loaded:
            with pytest.raises(InvalidInputError, match="a loaded model has no sums"):
                self.model.partial_fit(X, y, sample_weight=weight)
            return
        self.model.partial_fit(X, y, sample_weight=weight)
        known = self.adds and self.rows is not None
        weight = np.ones(n) if weight is None else weight
        self._knows(
            np.vstack([self.rows, X]) if known else X,
            np.concatenate([self.weight, weight]) if known else weight,
        )
        self.adds = True

    @rule(alpha=st.sampled_from([1e-3, 0.1, 3.0]))
    def set_params(self, alpha):
        self.model.set_params(alpha=alpha)  # which counts from the next fit on

    @rule(
        partly=st.booleans(), place=st.integers(0, 9), value=st.sampled_from([np.nan, np.inf, 1e80])
    )
    def fit_what_cannot_be(self, partly, place, value):
        X, y, _ = drawn(10, 3, weighted=False)
        X[place] = value
        before = self._state()
        with pytest.raises(InvalidInputError):
            (self.model.partial_fit if partly and not self.loaded else self.model.fit)(X, y)
        self._is_as(before)

    @precondition(lambda self: self.rows is not None)
    @rule(seed=st.integers(0, 99))
    def calibrate(self, seed):
        before = self._state()
        X, y, _ = drawn(60, seed, weighted=False)
        self.model.calibrate(X, y)
        self._is_as(before)
        low, high = self.model.predict_interval(QUERIES, coverage=0.8)
        assert (low <= before).all()
        assert (before <= high).all()

    @rule(stop=STOPS)
    def fit_with_a_checkpoint_and_an_interruption(self, stop):
        kept = self.folder / "sums"
        saved = []

        def save(self, *what, write=checkpoint.PassFile.save):
            write(self, *what)
            saved.append(what)
            if len(saved) == stop:
                raise KeyboardInterrupt

        before = self._state()
        with (
            mock.patch.object(threads, "EVERY_BLOCKS", 1),
            mock.patch.object(checkpoint.PassFile, "save", save),
        ):
            try:
                self.model.fit(MANY, target(MANY), checkpoint=kept)
            except KeyboardInterrupt:
                assert kept.is_dir()
                self._is_as(before)
                self._is_no_other_fits(kept)
                self.model = clone(self.model)  # as another process would go on
                self.model.fit(MANY, target(MANY), checkpoint=kept)
        assert not kept.exists()
        self._knows(MANY, None)
        self.adds = self.loaded = False

    @precondition(lambda self: self.rows is not None)
    @rule()
    def save_and_load(self):
        sk.save(self.model, self.folder / "model")
        before = self.model.predict(QUERIES)
        self.model = sk.load(self.folder / "model")
        np.testing.assert_array_equal(self.model.predict(QUERIES), before)
        self.loaded = True

    @precondition(lambda self: self.rows is not None)
    @rule()
    def pickle(self):
        self.model = pickle.loads(pickle.dumps(self.model))

    @rule()
    def clone(self):
        self.model = clone(self.model)
        self.rows, self.adds, self.loaded = None, True, False

    @invariant()
    def predictions_are_those_of_all_rows_so_far(self):
        if getattr(self, "rows", None) is None:
            return
        K = kernel(self.rows, LANDMARKS)
        a, b = dense.nystroem(
            K, kernel(LANDMARKS, LANDMARKS), target(self.rows), self.alpha, self.weight,
            intercept=self.model.fit_intercept,
        )  # fmt: skip
        expected = (kernel(QUERIES, LANDMARKS) @ a + b)[:, 0]
        np.testing.assert_allclose(self.model.predict(QUERIES), expected, atol=1e-7)

    def _knows(self, rows, weight):
        self.rows, self.alpha = rows, self.model.alpha
        self.weight = np.ones(len(rows)) if weight is None else weight

    def _is_no_other_fits(self, kept):
        other = clone(self.model).set_params(alpha=0.77)
        with pytest.raises(InvalidInputError, match="other parameters"):
            other.fit(MANY, target(MANY), checkpoint=kept)
        with pytest.raises(InvalidInputError, match="other rows"):
            clone(self.model).fit(MANY[1:], target(MANY[1:]), checkpoint=kept)

    def _state(self):
        return self.model.predict(QUERIES) if self.rows is not None else None

    def _is_as(self, before):
        """An interrupted fit changes nothing: what was fitted still answers."""
        if before is not None:
            np.testing.assert_array_equal(self.model.predict(QUERIES), before)


class LifeOfNeighbors(RuleBasedStateMachine):
    """A k-NN model, and the rows that it should know by their numbers."""

    @initialize(
        algorithm=st.sampled_from(["auto", "brute", "kd_tree"]),
        weights=st.sampled_from(["uniform", "distance"]),
        dtype=st.sampled_from([np.float64, np.float32]),
        seed=st.integers(0, 99),
    )
    def born(self, algorithm, weights, dtype, seed):
        self.folder, self.dtype = Path(tempfile.mkdtemp()), dtype
        self.model = sk.KNeighborsRegressor(3, algorithm=algorithm, weights=weights)
        self.fit(30, seed)

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(n=st.integers(5, 40), seed=st.integers(0, 99))
    def fit(self, n, seed):
        X = drawn(n, seed, weighted=False)[0].astype(self.dtype)
        self.model.fit(X, target(X))
        self.rows, self.there = X, np.ones(n, dtype=bool)

    @rule(n=st.integers(1, 20), seed=st.integers(100, 199))
    def add(self, n, seed):
        X = drawn(n, seed, weighted=False)[0].astype(self.dtype)
        self.model.add(X, target(X))
        self.rows = np.vstack([self.rows, X])
        self.there = np.concatenate([self.there, np.ones(n, dtype=bool)])

    @precondition(lambda self: self.there.sum() > 5)
    @rule(data=st.data())
    def remove(self, data):
        at_most = int(self.there.sum()) - 4
        gone = data.draw(st.lists(st.sampled_from(np.flatnonzero(self.there).tolist()),
                                  min_size=1, max_size=min(12, at_most), unique=True))  # fmt: skip
        self.model.remove(gone)
        self.there[gone] = False
        with pytest.raises(InvalidInputError):
            self.model.remove(gone)

    @rule()
    def add_what_cannot_be(self):
        with pytest.raises(InvalidInputError):
            self.model.add(np.full((2, 2), np.nan), [0.0, 1.0])

    @rule(k=st.integers(1, 4))
    def set_params(self, k):
        self.model.set_params(n_neighbors=k)

    @rule()
    def save_and_load(self):
        sk.save(self.model, self.folder / "model")
        self.model = sk.load(self.folder / "model")

    @rule()
    def pickle(self):
        self.model = pickle.loads(pickle.dumps(self.model))

    @invariant()
    def neighbors_are_those_of_a_scan(self):
        if not hasattr(self, "there"):
            return
        k, queries = self.model.n_neighbors, QUERIES.astype(self.dtype)
        distances = np.linalg.norm(
            queries[:, None].astype(float) - self.rows[None].astype(float), axis=2
        )
        distances[:, ~self.there] = np.inf
        expected = np.sort(distances, axis=1)[:, :k]
        found, numbers = self.model.kneighbors(queries)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert self.there[numbers].all()
        np.testing.assert_allclose(np.take_along_axis(distances, numbers, axis=1), found, rtol=1e-6)
        near = 1 / found if self.model.weights == "distance" else np.ones_like(found)
        means = (near * target(self.rows)[numbers]).sum(axis=1) / near.sum(axis=1)
        np.testing.assert_allclose(self.model.predict(queries), means, rtol=1e-6, atol=1e-9)


SHORT = settings(max_examples=12, stateful_step_count=14, deadline=None, derandomize=True)
TestLife = Life.TestCase
TestLife.settings = SHORT
TestLifeOfNeighbors = LifeOfNeighbors.TestCase
TestLifeOfNeighbors.settings = SHORT
