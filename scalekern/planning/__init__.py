"""What a fit would do, from the outline of its rows: the passes, and what is needed and kept.

Above the estimators, whose own choices it asks, and below the table that people look at.
"""

from scalekern.planning.outlook import Limit, Outlook
from scalekern.planning.pipelines import foresee

__all__ = ["Limit", "Outlook", "foresee"]
