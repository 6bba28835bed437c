"""The models, by scikit-learn's contract."""

from scalekern.estimators.classifier import SimilarityClassifier
from scalekern.estimators.linear import LinearRegressor
from scalekern.estimators.neighbor_transformer import NeighborsTransformer
from scalekern.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor
from scalekern.estimators.similarity import SimilarityRegressor

__all__ = [
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "LinearRegressor",
    "NeighborsTransformer",
    "SimilarityClassifier",
    "SimilarityRegressor",
]
