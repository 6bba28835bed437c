"""One file that appears under its name when it is whole, on this machine or in a store.

Here it is written beside its place and renamed. A store has no rename that is sure, but an upload
appears only when it is finished.
"""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scalekern.paths.remote import RemotePath, reached


@contextmanager
def whole_file(target: Path | RemotePath) -> Iterator[Path]:
    """Yield the file to write; where the block ends well it becomes `target`, else it is gone.

    Raises
    ------
    OSError, InvalidInputError
        If it cannot be written.
    """
    if isinstance(target, Path):
        target.parent.mkdir(parents=True, exist_ok=True)
        # Of two that write the same file at once, neither disturbs the other.
        part = target.with_name(f".{target.name}-{secrets.token_hex(4)}.part")
        try:
            yield part
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="scalekern-") as folder:
        part = Path(folder) / target.name
        yield part
        system, path = target.filesystem()
        with reached(target):
            system.put_file(str(part), path)
