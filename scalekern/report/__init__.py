"""What a person sees of models: the comparison, tables and pictures."""

from scalekern.report.compare import compare
from scalekern.report.comparison import Comparison
from scalekern.report.comparison_displays import ComponentsDisplay, ErrorCostDisplay
from scalekern.report.displays import (
    AlphaPathDisplay,
    ApproximationErrorDisplay,
    ExplanationDisplay,
)

__all__ = [
    "AlphaPathDisplay",
    "ApproximationErrorDisplay",
    "Comparison",
    "ComponentsDisplay",
    "ErrorCostDisplay",
    "ExplanationDisplay",
    "compare",
]
