"""Errors on whole tables of real data, of which the fast tests take a part."""

from __future__ import annotations

from test_local import errors_on_protein, protein


def test_protein_is_predicted_far_better_than_by_distance_weighted_neighbours(data_folder):
    ours, theirs = errors_on_protein(*protein(data_folder))
    assert ours < 0.53
    assert ours < 0.95 * theirs
