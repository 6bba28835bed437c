"""Make the stored models of one format version; run by hand, once for each version.

    python tests/make_stored_models.py

writes tests/stored_models/v<format>/, which is then never made again: that later versions of the
package read these very files, and predict what was predicted then, is what the test is for. For a
new format raise FORMAT in scalekern/storage/document.py first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.pipeline import make_pipeline

import scalekern as sk
from scalekern.kernels import RBF, Matern
from scalekern.storage.document import FORMAT

FOLDER = Path(__file__).parent / "stored_models" / f"v{FORMAT}"
RNG = np.random.default_rng(20)
X = np.round(RNG.normal(size=(80, 3)), 3)
Y = np.round(X[:, 0] - np.sin(2 * X[:, 1]) + 0.1 * RNG.normal(size=80), 3)
LABELS = np.where(Y > 0.5, "high", np.where(Y > -0.5, "middle", "low"))
NEW = np.round(RNG.normal(size=(12, 3)), 3)
SMALL = {"n_components": 12, "random_state": 0}


def models():
    """Return each model by name, fitted."""
    product = Matern(nu=1.5, length_scale=2.0) * RBF(gamma=0.2) + 0.5
    return {
        "exact": sk.SimilarityRegressor(product, alpha=0.1, approximation="exact").fit(X, Y),
        "nystroem": sk.SimilarityRegressor(approximation="nystroem", **SMALL).fit(X, Y),
        "fourier": sk.SimilarityRegressor("matern52", approximation="fourier", **SMALL).fit(X, Y),
        "local": sk.SimilarityRegressor(approximation="local", n_neighbors=8, random_state=0).fit(
            X, np.column_stack([Y, -Y])
        ),
        "linear": sk.LinearRegressor().fit(X, Y),
        "knn": sk.KNeighborsRegressor(3, algorithm="kd_tree").fit(X, Y),
        "knn-faiss": sk.KNeighborsClassifier(3, algorithm="ivf", random_state=0).fit(X, LABELS),
        "classifier": sk.SimilarityClassifier(approximation="nystroem", **SMALL).fit(X, LABELS),
        "pipeline": make_pipeline(
            sk.RowPreparer("minmax"),
            sk.SimilarityRegressor(approximation="fourier", **SMALL),
        ).fit(X, Y),
    }


def main() -> None:
    """Write models, inputs and predictions, unless they are there."""
    if FOLDER.exists():
        sys.exit(f"{FOLDER} is there, and is kept as it is; a new format has a new number")
    FOLDER.mkdir(parents=True)
    np.save(FOLDER / "inputs.npy", NEW)
    predictions = {}
    for name, model in models().items():
        sk.save(model, FOLDER / name)
        predictions[name] = model.predict(NEW).tolist()
    text = json.dumps(predictions, indent=1)
    (FOLDER / "predictions.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
