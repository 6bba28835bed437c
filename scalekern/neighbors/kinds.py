"""Which kind of index answers for which rows: the choice, apart from the building.

It depends on the number of rows and columns, the metric and the recall asked for, never on a
clock: the same data and seed give the same index on every machine.
"""

from __future__ import annotations

from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.neighbors.centres import ITERATIONS
from scalekern.neighbors.factory import new_index
from scalekern.neighbors.graphs import is_graph
from scalekern.neighbors.ivf import TRAINING_ROWS_A_LIST, IVFPQIndex, lists_for
from scalekern.neighbors.metrics import FAISS_METRICS, KD_TREE_METRICS, WALKED_METRICS
from scalekern.neighbors.work import work_of

# Where a KD-tree stops being the cheapest exact answer: against FAISS's scan, and against cdist.
# 100,000 gaussian rows, µs a query, KD-tree/scan: d = 6 34/370, d = 8 130/460, d = 10 460/340.
KD_TREE_COLUMNS = 8
KD_TREE_COLUMNS_WITHOUT_FAISS = 15
SCAN_ROWS = 20_000

NAMES = ("auto", "brute", "kd_tree", "hnsw", "ivf", "ivfsq", "ivfpq")
_REFUSED = {"ball_tree": "use 'kd_tree' in few columns, 'brute' for exact or 'auto'"}


def kind_for_function(algorithm: str) -> str:
    """Return the kind of index for a metric that is a function: all pairs, or an error."""
    if algorithm not in ("auto", "brute"):
        raise UnsupportedError(
            f"algorithm={algorithm!r} cannot use a function as its metric; use 'auto' or 'brute'"
        )
    return "pairs"


def kind_for_texts(algorithm: str) -> str:
    """Return the kind of index for a metric of texts: all pairs, or an error."""
    if algorithm not in ("auto", "brute"):
        raise UnsupportedError(
            f"algorithm={algorithm!r} indexes vectors, and metric='levenshtein' is of texts; "
            "use 'auto' or 'brute'"
        )
    return "texts"


def kind_for_rows(
    algorithm: str,
    n: int,
    d: int,
    metric: str,
    target_recall: float,
    expected_queries: int | None = None,
) -> str:
    """Return "flat", "pairs", "kd_tree", "contest", a name or a factory string for n rows.

    "contest" is for the approximate indices that the counted work decides between.

    Raises
    ------
    InvalidInputError
        If there is no such algorithm and FAISS does not know the string either.
    UnsupportedError
        If the algorithm exists but not for this metric, or cannot be exact and should be.
    """
    if algorithm == "auto":
        return _automatic(n, d, metric, target_recall, expected_queries)
    if algorithm == "brute":
        return "flat" if metric in FAISS_METRICS else "pairs"
    if algorithm == "kd_tree":
        _require(metric in KD_TREE_METRICS, algorithm, metric, [*KD_TREE_METRICS])
        return algorithm
    if algorithm not in NAMES:
        _check_factory(algorithm, d)
    known = WALKED_METRICS if algorithm in ("ivf", "hnsw") else FAISS_METRICS
    _require(metric in known, algorithm, metric, [*known])
    if target_recall == 1:
        raise UnsupportedError(
            f"algorithm={algorithm!r} is approximate and cannot promise target_recall=1.0; use "
            "'brute' or 'auto' for exact neighbours, or a target such as 0.99"
        )
    return algorithm


def is_tuned_apart(kind: str, d: int) -> bool:
    """Return whether an index of some kind is tuned by rows that are not in it."""
    if kind in NAMES or kind == "contest":
        return kind == "hnsw"
    return is_graph(new_index(d, kind))


def _automatic(
    n: int, d: int, metric: str, target_recall: float, expected_queries: int | None
) -> str:
    if metric in KD_TREE_METRICS and metric not in FAISS_METRICS:
        exact = "kd_tree" if d <= KD_TREE_COLUMNS_WITHOUT_FAISS else "pairs"
        return "ivf" if exact == "pairs" and n >= SCAN_ROWS and target_recall < 1 else exact
    if metric not in FAISS_METRICS:
        return "pairs"
    if metric in KD_TREE_METRICS and d <= KD_TREE_COLUMNS:
        return "kd_tree"
    if n < SCAN_ROWS or target_recall == 1 or _scan_is_cheaper(n, d, expected_queries):
        return "flat"
    return "contest"


def _scan_is_cheaper(n: int, d: int, expected_queries: int | None) -> bool:
    """Return whether so few queries cost less by scans than a better index costs to build.

    k-means compares each of its points with each centre ten times, and then each row once.
    """
    if expected_queries is None:
        return False
    lists = lists_for(n, IVFPQIndex.density)
    built = (TRAINING_ROWS_A_LIST * lists * ITERATIONS + n) * lists
    return work_of("centre", float(n) * expected_queries, d) < work_of("centre", built, d)


def _require(possible: bool, algorithm: str, metric: str, known: list[str]) -> None:
    if not possible:
        raise UnsupportedError(
            f"algorithm={algorithm!r} has no metric={metric!r}, only {', '.join(known)}; "
            "use algorithm='auto' or 'brute'"
        )


def _check_factory(algorithm: str, d: int) -> None:
    if algorithm in _REFUSED:
        raise UnsupportedError(
            f"algorithm={algorithm!r} does not exist here: {_REFUSED[algorithm]}"
        )
    try:
        new_index(d, algorithm)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"algorithm={algorithm!r} is none of {', '.join(map(repr, NAMES))}, and {error}"
        ) from error
