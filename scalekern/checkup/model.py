"""Whether a stored model is whole, and was made by versions like those that are here.

Apart from the machine's checks because it is of one folder, and reads every byte of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

from scalekern.checkup.findings import OK, PROBLEM, WARNING, Finding


def check_model(path: Any) -> Iterator[Finding]:
    """Yield whether the files of a stored model are as they were saved, and what saved it."""
    from scalekern.errors import ScalekernError
    from scalekern.storage.arrays import read_array
    from scalekern.storage.document import read_document
    from scalekern.storage.hosted import local_model
    from scalekern.storage.registry import functions_in

    try:
        folder = local_model(path)
        document = read_document(folder)
        for step in document["steps"]:
            for name, entry in step["arrays"].items():
                read_array(folder, entry, name)
    except (ScalekernError, LookupError, TypeError, AttributeError) as error:
        yield Finding(PROBLEM, "model", str(error))  # which says what to do
        return
    classes = ", ".join(str(step.get("class")) for step in document["steps"])
    yield Finding(OK, "model", f"{path}: {classes}; all files are intact")
    functions = sorted(set(functions_in(document["steps"])))
    if functions:
        named = ", ".join(map(repr, functions))
        cure = "pass it when loading: scalekern.load(path, kernel=function)"
        yield Finding(WARNING, "model", f"its function for {named} is not stored", cure)
    yield from _versions(document.get("versions"))


def _versions(saved: Any) -> Iterator[Finding]:
    others = []
    for package, version in (saved if isinstance(saved, Mapping) else {}).items():
        try:
            here = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        if here.split(".")[:2] != str(version).split(".")[:2]:
            others.append(f"{package} {version} (here {here})")
    if others:
        cure = "install those versions, or compare some predictions with the machine that saved it"
        yield Finding(WARNING, "model", f"was saved with {', '.join(others)}", cure)
