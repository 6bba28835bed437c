"""Models that earlier versions stored load for ever, and predict what they did then."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import scalekern as sk
from scalekern.storage.document import FORMAT

FOLDER = Path(__file__).parent / "stored_models"
MODELS = sorted(file.parent for file in FOLDER.glob("v*/*/model.json"))


def test_this_format_has_stored_models():
    versions = {folder.parent.name for folder in MODELS}
    assert versions == {f"v{number}" for number in range(1, FORMAT + 1)}
    size = sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file())
    assert size < FORMAT * 300_000


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_a_stored_model_predicts_what_it_did_when_it_was_stored(folder):
    if folder.name == "knn-faiss":
        pytest.importorskip("faiss")
    inputs = np.load(folder.parent / "inputs.npy")
    expected = json.loads((folder.parent / "predictions.json").read_text())[folder.name]
    found = sk.load(folder).predict(inputs)
    if isinstance(expected[0], str):
        assert found.tolist() == expected
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_a_stored_model_is_stored_again(folder, tmp_path):
    if folder.name == "knn-faiss":
        pytest.importorskip("faiss")
    inputs = np.load(folder.parent / "inputs.npy")
    model = sk.load(folder)
    sk.save(model, tmp_path / "again")
    again = sk.load(tmp_path / "again").predict(inputs)
    np.testing.assert_array_equal(again, model.predict(inputs))
