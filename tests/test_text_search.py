"""Search among long texts: bounds that leave rows aside, and answers that are those of a scan."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalekern.kernels.levenshtein import levenshtein, levenshtein_pairs
from scalekern.neighbors import build_index
from scalekern.neighbors.text_bounds import Profiles, lower_bounds

LETTERS = st.text(alphabet="ACGT\u017e\U0001f600\ud800", max_size=30)


def mutated(text, rng, share):
    kept = [c if rng.random() > share else "ACGT"[rng.integers(4)] for c in text]
    del kept[: rng.integers(0, 6)]
    return "".join(kept)


def families(n, length, share, seed=0):
    rng = np.random.default_rng(seed)
    heads = ["".join(rng.choice(list("ACGT"), length)) for _ in range(12)]
    return [mutated(heads[rng.integers(12)], rng, share) for _ in range(n)]


def brute(queries, rows, k):
    exact = levenshtein(queries, rows)
    order = np.argsort(exact, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(exact, order, 1), order


@settings(max_examples=200, deadline=None)
@given(X=st.lists(LETTERS, min_size=1, max_size=4), Z=st.lists(LETTERS, min_size=1, max_size=4))
def test_bounds_are_never_above_the_distance(X, Z):
    assert (lower_bounds(Profiles.of(X), Profiles.of(Z)) <= levenshtein(X, Z)).all()


@settings(max_examples=60, deadline=None)
@given(text=LETTERS.filter(lambda t: len(t) > 3), data=st.data())
def test_a_text_that_contains_another_is_bounded_by_their_difference(text, data):
    longer = text + data.draw(LETTERS)
    bound = lower_bounds(Profiles.of([text]), Profiles.of([longer]))[0, 0]
    assert bound == len(longer) - len(text)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("k", [1, 5, 150])
def test_long_texts_are_found_as_by_a_scan_ties_included(share, k):
    rows, queries = families(300, 120, share), families(40, 120, share, seed=1)
    rows += [*rows[:40], "", "A", rows[0] * 5]
    index = build_index(rows, metric="levenshtein", n_neighbors=k).index
    assert index._profiles is not None
    distances, indices = index.search([*queries, "", rows[3]], k)
    expected, order = brute([*queries, "", rows[3]], rows, k)
    np.testing.assert_array_equal(distances, expected)
    np.testing.assert_array_equal(indices, order)


@pytest.mark.parametrize("radius", [0, 7.5, 60, 1e300])
def test_long_texts_within_a_radius_are_all_found(radius):
    rows, queries = families(200, 150, 0.05), families(10, 150, 0.05, seed=2)
    index = build_index(rows, metric="levenshtein").index
    exact = levenshtein(queries, rows)
    for row, (near, numbers) in zip(exact, index.within(queries, radius), strict=True):
        assert set(numbers) == set(np.flatnonzero(row <= radius))
        np.testing.assert_array_equal(near, row[numbers])


def test_most_of_the_rows_are_left_aside(monkeypatch):
    everything = families(620, 200, 0.02)
    rows, queries = everything[:600], everything[600:]
    index = build_index(rows, metric="levenshtein").index
    compared = []

    def counting(X, Z, most=None):
        compared.append((len(X) * len(Z), most))
        return levenshtein(X, Z, most)

    monkeypatch.setattr("scalekern.neighbors.texts.levenshtein", counting)
    index.search(queries, 5)
    assert sum(pairs for pairs, _ in compared) < 0.7 * 20 * 600
    assert max(most for _, most in compared) < 40


def test_pairs_are_the_diagonal():
    X, Z = families(9, 40, 0.2), families(9, 40, 0.2, seed=4)
    np.testing.assert_array_equal(levenshtein_pairs(X, Z), np.diag(levenshtein(X, Z)))
