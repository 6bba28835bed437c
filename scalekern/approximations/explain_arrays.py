"""What a model keeps to explain its predictions with: arrays, `EXPLAIN_ARRAYS` by name.

Weights of training rows come from the same system as the coefficients, with the query in place of
the targets (`solvers.smoother`); what that needs beyond the model itself is kept here, and
`weighers` make weights of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from scalekern.approximations.gathered import GatheredRows
from scalekern.engine import HashSample
from scalekern.errors import InvalidInputError
from scalekern.features import Whitening
from scalekern.rows import ArraySource, RowSource
from scalekern.solvers import Smoother
from scalekern.storage.registry import array_bytes

EXPLAIN_ROWS = 1_000
"""A model on features keeps so many of its training rows, drawn by hash, to explain with."""
MOST_COMPONENTS = 4_096
"""Up to here the factor, 8 bytes for each pair of components, is kept with the model."""
EXPLAIN_ARRAYS = (
    "explain_rows_",
    "explain_ids_",
    "explain_targets_",
    "explain_weights_",
    "explain_factor_",
    "explain_offset_",
    "explain_baseline_",
    "explain_share_",
    "explain_eliminate_",
    "explain_blocks_",
)
EXPLAIN_AXES = {
    "explain_rows_": "ed|e?", "explain_ids_": "e?", "explain_targets_": "et",
    "explain_weights_": "e", "explain_factor_": "cq", "explain_offset_": "q",
    "explain_baseline_": "t", "explain_share_": "",
}  # fmt: skip
"""Of these arrays, for `check_arrays`."""
KEPT_OF_EXACT = ("explain_targets_", "explain_baseline_", "explain_share_")
KEPT_ON_FEATURES = (*KEPT_OF_EXACT, "explain_rows_", "explain_ids_", "explain_factor_",
                    "explain_offset_")  # fmt: skip
RERUN = "pass the training rows, explain(X, rows=(X_train, y_train)), which are then read twice"


def kept_of_exact(rows: GatheredRows, fit_intercept: bool) -> dict[str, Any]:
    """Return what an exact model keeps to explain: 8 bytes a row and output, 8 more if weighted."""
    W = rows.weight.sum()
    share, mean = (1.0 / W, rows.weight @ rows.y / W) if fit_intercept else (0.0, 0.0 * rows.y[0])
    kept = {"explain_targets_": rows.y, "explain_baseline_": mean, "explain_share_": share}
    weighted = not (rows.weight == 1).all()
    return (
        {name: np.asarray(value) for name, value in kept.items()}
        | ({"explain_weights_": rows.weight} if weighted else {})
        | kept_ids(rows.ids)
    )


def kept_ids(ids: np.ndarray | None) -> dict[str, Any]:
    """Return row ids to keep; none where they are the numbers of the rows."""
    plain = ids is None or (ids.dtype.kind in "iu" and np.array_equal(ids, np.arange(len(ids))))
    return {} if plain else {"explain_ids_": ids}


def kept_of_features(
    smoother: Smoother | None,
    sample: HashSample | None,
    basis: np.ndarray | None = None,
    more: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """Return what a model on m features keeps: about 8 m^2 bytes, and a sample of 1,000 rows.

    Nothing where there is no smoother or too many features.

    Parameters
    ----------
    smoother : Smoother
    sample : HashSample
        Training rows in the order of their hashes.
    basis : float64 array of shape (columns, m), optional
        Features are columns times this; the columns themselves if None.
    more : mapping
        Other arrays to keep with these.
    """
    if smoother is None or sample is None or len(smoother.factor) > MOST_COMPONENTS:
        return {}
    part = sample.first(EXPLAIN_ROWS)
    rows = {"explain_rows_": part.X, "explain_ids_": part.ids, "explain_targets_": part.y}
    weight = {} if part.weight is None else {"explain_weights_": part.weight}
    return kept_smoother(smoother, basis) | dict(more) | rows | weight


def kept_smoother(smoother: Smoother, basis: np.ndarray | None) -> dict[str, Any]:
    """Return the smoother as arrays, on the columns that `basis` turns into features."""
    return {
        "explain_factor_": smoother.factor if basis is None else basis @ smoother.factor,
        "explain_offset_": smoother.offset,
        "explain_baseline_": smoother.baseline,
        "explain_share_": np.asarray(smoother.share),
    }


def explain_bytes(arrays: Mapping[str, Any]) -> int:
    """Return the bytes of those arrays of a model that it needs to explain itself only."""
    return sum(array_bytes(value) for name, value in arrays.items() if name in EXPLAIN_ARRAYS)


def kept_elimination(whitening: Whitening) -> dict[str, Any]:
    """Return the block elimination of Nyström tiles, 4 m^2 bytes; nothing for a single block.

    Without it, kernel values times the whole whitening lose half the digits where K_ZZ is badly
    conditioned, and weights no longer add up to the prediction.
    """
    if len(whitening.blocks) == 1:
        return {}
    starts = np.array([b.start for b in whitening.blocks])
    upper = np.triu_indices(len(whitening.eliminate), 1)
    return {"explain_eliminate_": whitening.eliminate[upper], "explain_blocks_": starts}


def elimination(model: Any) -> Whitening:
    """Return what `kept_elimination` kept; the rest of the whitening is empty."""
    m = model.explain_factor_.shape[0] if hasattr(model, "explain_factor_") else 0
    E, starts = np.zeros((m, m)), np.zeros(1, dtype=np.int64)
    if hasattr(model, "explain_blocks_"):
        E[np.triu_indices(m, 1)] = model.explain_eliminate_
        starts = model.explain_blocks_
    stops = [*starts[1:], m]
    blocks = [slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True)]
    return Whitening(np.arange(m), blocks, E, np.zeros((m, 0)), 0.0)


def require_kept(model: Any, advice: str = RERUN) -> None:
    """Raise where the model did not keep what an explanation needs."""
    if not hasattr(model, "explain_baseline_"):
        raise InvalidInputError(
            f"this {type(model).__name__} keeps nothing to explain its predictions with: it has "
            f"more than {MOST_COMPONENTS:,} components, was not solved from sums, or was saved "
            f"by an older version; {advice}"
        )


def kept_sample(model: Any) -> RowSource:
    """Return the training rows that a model on features keeps, or raise where there are none."""
    require_kept(model)
    X = model.explain_rows_
    return ArraySource(
        X if isinstance(X, list) or hasattr(X, "tocsr") else np.asarray(X),
        model.explain_targets_,
        getattr(model, "explain_weights_", None),
        ids=model.explain_ids_,
    )
