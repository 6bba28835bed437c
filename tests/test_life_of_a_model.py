"""Whatever is done to a model in whatever order, it is the model of the rows that it was given.

A state machine: fits, partial fits, saves, loads, pickles, clones, interruptions and resumptions;
after each step the predictions are those of the dense equations of all rows so far.
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

GAMMA, ALPHA = 0.7, 0.1
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


class Life(RuleBasedStateMachine):
    """One model, and the rows that it should know."""

    @initialize(intercept=st.booleans())
    def born(self, intercept):
        self.folder = Path(tempfile.mkdtemp())
        self.model = sk.SimilarityRegressor(
            gamma=GAMMA, alpha=ALPHA, approximation="nystroem", landmarks=LANDMARKS,
            fit_intercept=intercept, random_state=0,
        )  # fmt: skip
        self.rows = None
        self.adds = True  # whether partial_fit adds to what is there
        self.loaded = False

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    @rule(n=st.integers(3, 60), seed=st.integers(0, 99))
    def fit(self, n, seed):
        X = np.random.default_rng(seed).uniform(-2, 2, size=(n, 2))
        self.model.fit(X, target(X))
        self.rows, self.adds, self.loaded = X, False, False

    @rule(n=st.integers(1, 60), seed=st.integers(0, 99))
    def partial_fit(self, n, seed):
        X = np.random.default_rng(seed).uniform(-2, 2, size=(n, 2))
        if self.loaded:
            with pytest.raises(InvalidInputError, match="a loaded model has no sums"):
                self.model.partial_fit(X, target(X))
            return
        self.model.partial_fit(X, target(X))
        known = self.adds and self.rows is not None
        self.rows = np.vstack([self.rows, X]) if known else X
        self.adds = True

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
                self.model.fit(MANY, target(MANY), checkpoint=kept)
        assert not kept.exists()
        self.rows, self.adds, self.loaded = MANY, False, False

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
            K, kernel(LANDMARKS, LANDMARKS), target(self.rows), ALPHA,
            intercept=self.model.fit_intercept,
        )  # fmt: skip
        expected = (kernel(QUERIES, LANDMARKS) @ a + b)[:, 0]
        np.testing.assert_allclose(self.model.predict(QUERIES), expected, atol=1e-7)

    def _state(self):
        return self.model.predict(QUERIES) if self.rows is not None else None

    def _is_as(self, before):
        """An interrupted fit changes nothing: what was fitted still answers."""
        if before is not None:
            np.testing.assert_array_equal(self.model.predict(QUERIES), before)


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, derandomize=True
)
