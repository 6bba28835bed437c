"""What a person sees of models: the comparison, tables and pictures."""

from scalekern.report.compare import compare
from scalekern.report.comparison import Comparison

__all__ = ["Comparison", "compare"]
