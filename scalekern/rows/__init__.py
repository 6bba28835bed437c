"""Where rows come from: one `RowSource` for arrays, frames and files.

Code above this floor never touches a container's own methods; it asks a source for blocks.
"""

from scalekern.rows.base import Block, MappedSource, RowSource
from scalekern.rows.containers import is_frame, source_of
from scalekern.rows.files import rows
from scalekern.rows.memory import ArraySource
from scalekern.rows.tables import TableSource

__all__ = [
    "ArraySource",
    "Block",
    "MappedSource",
    "RowSource",
    "TableSource",
    "is_frame",
    "rows",
    "source_of",
]
