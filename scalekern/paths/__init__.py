"""Where files are: on this machine, or behind a URL of an object store (fsspec).

Below rows and storage, which both read and write files and are side by side.
"""

from scalekern.paths.folder import Folder, fetch, open_folder
from scalekern.paths.remote import (
    RemotePath,
    find_remote,
    fingerprint_of,
    is_url,
    local_file,
    place_of,
    reached,
)
from scalekern.paths.whole import whole_file

__all__ = [
    "Folder",
    "RemotePath",
    "fetch",
    "find_remote",
    "fingerprint_of",
    "is_url",
    "local_file",
    "open_folder",
    "place_of",
    "reached",
    "whole_file",
]
