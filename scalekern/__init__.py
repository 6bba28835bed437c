"""Prediction by similarity: k-nearest neighbours, kernel regression, and their approximations.

What is named here is imported when it is first used (PEP 562), and heavy libraries (FAISS, pyarrow,
matplotlib, Dask) later still, when they are needed: help and mistakes should not wait for them.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scalekern._config import config_context

if TYPE_CHECKING:
    from scalekern import errors, kernels
    from scalekern.checkup import doctor
    from scalekern.estimators import (
        KNeighborsClassifier,
        KNeighborsRegressor,
        LinearRegressor,
        NeighborsTransformer,
        SimilarityClassifier,
        SimilarityRegressor,
    )
    from scalekern.features import FourierFeatures, Nystroem, RowPreparer
    from scalekern.features.gram import gram
    from scalekern.kernels import BlockKernel
    from scalekern.report import (
        AlphaPathDisplay,
        ApproximationErrorDisplay,
        ComponentsDisplay,
        ErrorCostDisplay,
        ExplanationDisplay,
    )
    from scalekern.report.compare import compare
    from scalekern.report.plan import plan
    from scalekern.rows import rows
    from scalekern.scoring import predict_files
    from scalekern.storage import load, save

__version__ = "0.1.0"

__all__ = [
    "AlphaPathDisplay",
    "ApproximationErrorDisplay",
    "BlockKernel",
    "ComponentsDisplay",
    "ErrorCostDisplay",
    "ExplanationDisplay",
    "FourierFeatures",
    "KNeighborsClassifier",
    "KNeighborsRegressor",
    "LinearRegressor",
    "NeighborsTransformer",
    "Nystroem",
    "RowPreparer",
    "SimilarityClassifier",
    "SimilarityRegressor",
    "compare",
    "config_context",
    "doctor",
    "errors",
    "gram",
    "kernels",
    "load",
    "plan",
    "predict_files",
    "rows",
    "save",
]

_HOMES = {
    "AlphaPathDisplay": "report",
    "ApproximationErrorDisplay": "report",
    "BlockKernel": "kernels",
    "ComponentsDisplay": "report",
    "ErrorCostDisplay": "report",
    "ExplanationDisplay": "report",
    "FourierFeatures": "features",
    "KNeighborsClassifier": "estimators",
    "KNeighborsRegressor": "estimators",
    "LinearRegressor": "estimators",
    "NeighborsTransformer": "estimators",
    "Nystroem": "features",
    "RowPreparer": "features",
    "SimilarityClassifier": "estimators",
    "SimilarityRegressor": "estimators",
    "compare": "report",
    "doctor": "checkup",
    "gram": "features.gram",
    "load": "storage",
    "plan": "report.plan",
    "predict_files": "scoring",
    "save": "storage",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for the first time."""
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in __all__:
        value = import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def import_classes() -> None:
    """Import every module that has classes which models can be stored of."""
    for home in ("kernels", "features", "estimators"):
        import_module(f"{__name__}.{home}")


class _Package(ModuleType):
    """What `scalekern` is: `rows` in it is the function, though a package has the same name."""

    @property
    def rows(self) -> Any:
        return import_module(f"{__name__}.rows").rows

    @rows.setter
    def rows(self, package: Any) -> None:
        """Take no notice of the package, which is where the import system looks for it."""


sys.modules[__name__].__class__ = _Package
