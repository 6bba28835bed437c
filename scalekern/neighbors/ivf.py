"""IVF: rows in lists around k-means centres; a query scans the lists of its nearest centres.

The usual approximate index here: trained and filled on one thread, it is the same on any machine
with any number of cores, and still builds in seconds where a graph takes minutes.
"""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np

from scalekern.neighbors.approximate import ApproximateIndex
from scalekern.neighbors.base import FloatArray
from scalekern.neighbors.embedding import Embedding
from scalekern.neighbors.faiss_index import faiss_module, filled, one_openmp_thread, training_points

_TRAINING_ROWS_A_LIST = 64
_FEWEST_ROWS_A_LIST = 39


@final
class IVFIndex(ApproximateIndex):
    """Lists of uncompressed rows; `setting` is nprobe, the lists scanned for a query.

    There are 4·√n lists, fewer where that would leave less than 39 rows a list. The seed draws the
    rows k-means is trained on (64 a list) and its first centres; the rest has no chance in it, so
    the same seed gives the same index.
    """

    name: ClassVar[str] = "ivf"

    @classmethod
    def build(cls, rows: FloatArray, metric: str = "euclidean", seed: int = 0) -> IVFIndex:
        """Index `rows` (n_rows, n_features) for metric "euclidean" or "cosine"."""
        faiss = faiss_module()
        embedding = Embedding.of(rows, metric)
        n_lists = lists_for(len(rows))
        quantizer = faiss.IndexFlatL2(embedding.dimensions)
        index = faiss.IndexIVFFlat(quantizer, embedding.dimensions, n_lists)
        index.cp.seed = seed % 2**31
        index.cp.min_points_per_centroid = 1  # else FAISS prints a warning of its own
        with one_openmp_thread():
            index.train(training_points(embedding, _TRAINING_ROWS_A_LIST * n_lists, seed))
        return cls(embedding, filled(index, embedding))

    def _words(self) -> str:
        return f"IVF, {self.knob.largest} lists"


def lists_for(n_rows: int) -> int:
    """Return the number of lists for `n_rows` rows.

    Examples
    --------
    >>> lists_for(1_000_000), lists_for(1000), lists_for(10)
    (4000, 25, 1)
    """
    return max(1, min(int(4 * np.sqrt(n_rows)), n_rows // _FEWEST_ROWS_A_LIST))
