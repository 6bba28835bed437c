"""Rows of Zarr arrays and groups: read as needed, and the same model as from memory."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("zarr")

import zarr

import scalekern
from scalekern import RowPreparer, SimilarityRegressor
from scalekern.errors import InvalidInputError

N = 10_000


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A matrix whose last column is the target, and a group of the same rows, as paths."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 3))
    y, weight = np.sin(X).sum(axis=1), rng.uniform(0.5, 2.0, size=N)
    folder = tmp_path_factory.mktemp("zarr")
    zarr.create_array(str(folder / "m.zarr"), data=np.column_stack([X, y]), chunks=(3_333, 4))
    group = zarr.open_group(str(folder / "g.zarr"), mode="w")
    group.create_array("X", data=X, chunks=(1_999, 2))
    group.create_array("y", data=y, chunks=(5_000,))
    group.create_array("w", data=weight, chunks=(999,))
    return X, y, weight, folder


def model(**options):
    plain = {"kernel": "rbf", "gamma": "median", "metric": "euclidean", "n_components": 50}
    return SimilarityRegressor(**plain, approximation="nystroem", random_state=0, **options)


@pytest.mark.parametrize("options", [{}, {"solver": "sgd"}, {"alpha": "cv"}])
def test_a_fit_from_zarr_is_that_from_memory_to_the_last_bit(stored, options):
    X, y, weight, folder = stored
    there = model(**options).fit(scalekern.rows(folder / "m.zarr", target="-1"))
    here = model(**options).fit(X, y)
    np.testing.assert_array_equal(there.dual_coef_, here.dual_coef_)
    np.testing.assert_array_equal(
        there.predict(scalekern.rows(folder / "m.zarr", drop=["3"])), here.predict(X)
    )
    source = scalekern.rows(folder / "g.zarr", target="y", weight="w")
    assert source.feature_names == ("0", "1", "2")
    here = model(**options).fit(X, y, weight)
    np.testing.assert_array_equal(model(**options).fit(source).dual_coef_, here.dual_coef_)


def test_dask_reads_zarr_on_its_workers(stored):
    pytest.importorskip("dask")
    X, y, _, folder = stored
    with scalekern.config_context(engine="dask"):
        there = model().fit(scalekern.rows(folder / "m.zarr", target="-1"))
    np.testing.assert_array_equal(there.dual_coef_, model().fit(X, y).dual_coef_)


def test_blocks_do_not_depend_on_chunks(stored):
    X, y, _, folder = stored
    source = scalekern.rows(folder / "m.zarr", target="-1")
    blocks = list(source.blocks(4_096))
    assert [len(block) for block in blocks] == [4_096, 4_096, N - 8_192]
    np.testing.assert_array_equal(np.concatenate([block.X for block in blocks]), X)
    (last,) = source.runs(np.array([2]), 4_096)
    np.testing.assert_array_equal(last.y[:, 0], y[8_192:])
    np.testing.assert_array_equal(source.select(["2", "0"]).take(np.array([9_999])), X[-1:, [2, 0]])


def test_missing_values_are_named_or_filled_in(tmp_path):
    X = np.ones((5, 2), dtype=np.float32)
    X[3, 1] = np.nan
    zarr.create_array(str(tmp_path / "x.zarr"), data=X)
    source = scalekern.rows(tmp_path / "x.zarr")
    assert source.dtype == np.float32
    for strict in (RowPreparer(), RowPreparer(missing="error")):
        with pytest.raises(InvalidInputError, match=r"column '1' of .*x\.zarr has .* at row 3"):
            strict.fit(scalekern.rows(tmp_path / "x.zarr", raw=True))
    filled = RowPreparer("none", missing="mean").fit_transform(source)
    assert next(filled.blocks(5)).X[3].tolist() == [1.0, 1.0, 1.0]


def test_what_is_no_matrix_is_refused(tmp_path):
    zarr.create_array(str(tmp_path / "v.zarr"), data=np.ones(3))
    zarr.open_group(str(tmp_path / "empty.zarr"), mode="w")
    bad = zarr.open_group(str(tmp_path / "bad.zarr"), mode="w")
    bad.create_array("X", data=np.ones((4, 2)))
    bad.create_array("y", data=np.ones(3))
    (tmp_path / "no.zarr").mkdir()
    for name, words in (
        ("v", "shape"), ("empty", "no array 'X'"), ("bad", "'y' of"), ("no", "cannot be read"),
        ("gone", "cannot be read"),
    ):  # fmt: skip
        with pytest.raises(InvalidInputError, match=words):
            scalekern.rows(tmp_path / f"{name}.zarr")
