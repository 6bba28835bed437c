"""Few rows: `python -m benchmarks.few` cross-validates the defaults on tables of 100 to 350 rows.

Tables come with scikit-learn or are made up. The similarity models see columns in the units that
they have, but for "standardised", which is what an expert would do by hand; lines are standardised,
too, and trees need no units. "searched" is scikit-learn's KernelRidge or SVC on standardised
columns and targets, its two settings by a grid search with five folds. Five folds, three times, the
same for all; means of R², or of the share that is right for classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RepeatedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from benchmarks.results import keep, parser, say, table
from scalekern import LinearRegressor, SimilarityClassifier, SimilarityRegressor

Table = tuple[np.ndarray, np.ndarray]


def proline() -> Table:
    """Return what a wine holds of one substance, from all others."""
    X, _ = load_wine(return_X_y=True)
    return X[:, :12], X[:, 12]


def diabetes() -> Table:
    """Return 300 patients, in the units of the measurements."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return X[:300], y[:300]


def tails() -> Table:
    """Return columns over many orders of magnitude, and a target that follows their logarithms."""
    Z = np.random.default_rng(0).standard_normal((250, 3))
    return np.exp(2.5 * Z), np.sin(Z[:, 0]) + Z[:, 1]


def units() -> Table:
    """Return a column that says nothing, of much larger numbers than those that do."""
    Z = np.random.default_rng(0).standard_normal((250, 3))
    return Z * [1, 1, 1e4], np.sin(Z[:, 0]) + Z[:, 1]


def line() -> Table:
    """Return a straight line of three columns, one of heavy tails."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    X[:, 2] = rng.standard_t(2, 200)
    return X, X @ [1.0, -2.0, 3.0] + 0.3 * rng.standard_normal(200)


TABLES: dict[str, Callable[[], Table]] = {
    "wine": lambda: load_wine(return_X_y=True),
    "iris": lambda: load_iris(return_X_y=True),
    "breast cancer, 300 rows": lambda: tuple(
        part[:300] for part in load_breast_cancer(return_X_y=True)
    ),
    "wine, proline": proline,
    "diabetes, 300 rows": diabetes,
    "tails": tails,
    "units": units,
    "line": line,
}


def searched(classes: bool) -> Any:
    """Return what scikit-learn has for the same, with a search over its two settings."""
    if classes:
        model, prefix, penalty = SVC(), "svc__", "C"
    else:
        model = TransformedTargetRegressor(KernelRidge(kernel="rbf"), transformer=StandardScaler())
        prefix, penalty = "transformedtargetregressor__regressor__", "alpha"
    grid = {prefix + penalty: np.logspace(-3, 3, 7), prefix + "gamma": np.logspace(-3, 1, 9)}
    return GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=5)


def models(classes: bool) -> dict[str, Any]:
    """Return what is compared, for classes or numbers."""
    own = SimilarityClassifier if classes else SimilarityRegressor
    given = own(metric="euclidean", random_state=0)
    trees = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    linear = LogisticRegression(max_iter=1_000) if classes else LinearRegressor()
    return {
        "linear": make_pipeline(StandardScaler(), linear),
        "trees": trees(random_state=0),
        "searched": searched(classes),
        "as they are": given,
        "standardised": make_pipeline(StandardScaler(), given),
        "default": own(random_state=0),
    }


def main() -> None:
    """Cross-validate, and write the table."""
    command = parser("few", __doc__)
    command.add_argument("--repeats", type=int, default=3, help="times five folds")
    options = command.parse_args()
    folds = RepeatedKFold(n_splits=5, n_repeats=options.repeats, random_state=0)
    results: dict[str, dict[str, Any]] = {}
    for name, load in TABLES.items():
        X, y = load()
        results[name] = {"rows": len(X)} | {
            label: float(cross_val_score(model, X, y, cv=folds).mean())
            for label, model in models(y.dtype.kind == "i").items()
        }
        say(f"{name}: {results[name]['default']:.3f}")
    labels = list(models(classes=False))
    lines = [
        [name, f"{found['rows']}", *(f"{found[label]:.3f}" for label in labels)]
        for name, found in results.items()
    ]
    page = table(["table", "rows", *labels], lines)
    keep("few", page, {"found": results}, record=options.record)


if __name__ == "__main__":
    main()
