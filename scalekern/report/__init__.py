"""What a person sees of models: the comparison, tables and pictures."""

from scalekern.report.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
