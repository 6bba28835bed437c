"""Which metrics there are, their other names, and which kind of index can answer for which.

One table, so that the choice of an index and its error messages cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from scalekern.errors import InvalidInputError, ModelFormatError

PairMetric = Callable[[Any, Any], float]
Metric = str | PairMetric

#: answered by FAISS, exactly as well
FAISS_METRICS = ("euclidean", "cosine", "inner_product")
#: answered by FAISS's lists of uncompressed rows and its graphs
WALKED_METRICS = (*FAISS_METRICS, "manhattan", "chebyshev")
#: answered by a KD-tree, with the order of the norm
KD_TREE_METRICS = {"euclidean": 2.0, "manhattan": 1.0, "chebyshev": np.inf}
#: answered by a scan with scipy.spatial.distance.cdist, with SciPy's name. Those that would need
#: statistics of the fitted rows (seuclidean, mahalanobis) are left out: cdist takes them from the
#: queries too, and the answers would change with the batch.
CDIST_METRICS = {
    "manhattan": "cityblock",
    **{
        name: name
        for name in (
            "chebyshev", "braycurtis", "canberra", "correlation", "hamming", "jensenshannon",
            "sqeuclidean", "jaccard", "dice", "rogerstanimoto", "russellrao", "sokalsneath", "yule",
        )
    },
}  # fmt: skip
#: of texts, answered by a scan with rapidfuzz
TEXT_METRICS = ("levenshtein",)
_ALIASES = {
    "l2": "euclidean",
    "minkowski": "euclidean",  # scikit-learn's default, with p = 2
    "l1": "manhattan",
    "cityblock": "manhattan",
}
_NEED_STATISTICS = ("mahalanobis", "seuclidean")


def canonical_metric(metric: Metric) -> Metric:
    """Return a callable metric as it is and a name as the one this package uses for it.

    Raises
    ------
    InvalidInputError
        If there is no such metric; the message lists those that exist.
    """
    if callable(metric):
        return metric
    name = _ALIASES.get(metric, metric)
    if name in FAISS_METRICS or name in KD_TREE_METRICS or name in CDIST_METRICS:
        return name
    if name in TEXT_METRICS:
        return name
    if metric in _NEED_STATISTICS:
        raise InvalidInputError(
            f"metric={metric!r} depends on statistics of the rows; scale or whiten the columns "
            "first and use metric='euclidean'"
        )
    raise InvalidInputError(
        f"metric={metric!r} does not exist; use one of {', '.join(metric_names())} "
        "or a function f(x, z) -> distance"
    )


def takes_objects(metric: Metric) -> bool:
    """Return whether the metric is of objects, texts among them, and not of vectors only."""
    return callable(metric) or (isinstance(metric, str) and metric in TEXT_METRICS)


def metric_names() -> list[str]:
    """Return every metric name accepted, other names included."""
    return sorted({*FAISS_METRICS, *KD_TREE_METRICS, *CDIST_METRICS, *TEXT_METRICS, *_ALIASES})


def stored_metric(name: Any, known: Any) -> str:
    """Return the metric name of a stored index, ModelFormatError if that index cannot have it."""
    if not isinstance(name, str) or name not in known:
        raise ModelFormatError(
            f"the stored neighbour index has the metric {name!r}, which it cannot have; "
            "the model was altered or comes from another version"
        )
    return name
