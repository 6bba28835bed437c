"""Feature maps that make similarity models linear, and the transformers built on them."""

from scalekern.features.base import FeatureMap
from scalekern.features.maps import (
    FourierMap,
    NystroemMap,
    ProjectedMap,
    RandomMap,
    StandardizedMap,
    centre_of,
    random_map,
    random_map_at,
)
from scalekern.features.prepare import RowPreparer
from scalekern.features.transformers import FourierFeatures, Nystroem
from scalekern.features.whitening import Whitening, whiten

__all__ = [
    "FeatureMap",
    "FourierFeatures",
    "FourierMap",
    "Nystroem",
    "NystroemMap",
    "ProjectedMap",
    "RandomMap",
    "RowPreparer",
    "StandardizedMap",
    "Whitening",
    "centre_of",
    "random_map",
    "random_map_at",
    "whiten",
]
