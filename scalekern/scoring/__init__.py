"""Batch scoring: a folder of predictions from a folder of rows, part by part, that can be resumed.

A room of its own beside the reports: it puts together rows, a stored model and an engine, and knows
what is done, what failed and what is missing.
"""

from scalekern.scoring.files import predict_files
from scalekern.scoring.summary import Scoring

__all__ = ["Scoring", "predict_files"]
