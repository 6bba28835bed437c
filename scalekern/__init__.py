"""Prediction by similarity: k-nearest neighbours, kernel regression, and their approximations.

Heavy libraries (FAISS, pyarrow, matplotlib, Dask) are imported when they are first needed.
"""

from scalekern import errors, kernels
from scalekern._config import config_context
from scalekern.estimators import (
    KNeighborsClassifier,
    KNeighborsRegressor,
    LinearRegressor,
    SimilarityClassifier,
    SimilarityRegressor,
)
from scalekern.features import FourierFeatures, Nystroem, RowPreparer
from scalekern.features.gram import gram
from scalekern.kernels import BlockKernel
from scalekern.report import compare
from scalekern.rows import rows
from scalekern.storage import load, save

__version__ = "0.1.0"

__all__ = [
    "BlockKernel",
    "FourierFeatures",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "LinearRegressor",
    "Nystroem",
    "RowPreparer",
    "SimilarityClassifier",
    "SimilarityRegressor",
    "compare",
    "config_context",
    "errors",
    "gram",
    "kernels",
    "load",
    "rows",
    "save",
]
