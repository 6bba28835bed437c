"""Indices that find the most similar rows: choose one, build it, tune it to a recall, search it.

Nothing here knows about targets or estimators; those live floors above. An index returns true
(not squared) float64 distances, recomputed from the rows, and marks what it did not find by -1.
"""

from scalekern.neighbors.base import NeighborIndex, without_itself
from scalekern.neighbors.build import BuiltIndex, build_index, build_index_on_disk
from scalekern.neighbors.metrics import takes_objects
from scalekern.neighbors.stored import index_from_state

__all__ = [
    "BuiltIndex",
    "NeighborIndex",
    "build_index",
    "build_index_on_disk",
    "index_from_state",
    "takes_objects",
    "without_itself",
]
