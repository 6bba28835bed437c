"""`model.json`: what it says besides the arrays, sealed by a checksum of its own values."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from scalekern.errors import ModelFormatError

FORMAT = 1
MOST_JSON_BYTES = 64 << 20
NAME = "model.json"


def write_document(folder: Path, steps: list[dict[str, Any]], *, pipeline: bool) -> None:
    """Write the description of the steps into `folder`."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "versions": _versions(),
        "pipeline": pipeline,
        "steps": steps,
    }
    document["sha256"] = seal(document)
    (folder / NAME).write_text(json.dumps(document, indent=1), encoding="utf-8")


def seal(document: dict[str, Any]) -> str:
    """Return the checksum of a document's values; spaces and the order of keys do not count."""
    values = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def read_document(folder: Path) -> dict[str, Any]:
    """Return the document of a stored model.

    Raises
    ------
    ModelFormatError
        If it is not there, not whole, altered, or of another format.
    """
    document = parse(folder)
    file = folder / NAME
    if document.get("format") != FORMAT or isinstance(document["format"], bool):
        raise ModelFormatError(
            f"{file} has format {document.get('format')!r}; this version of scalekern reads "
            f"format {FORMAT}: install the version that saved it, or fit and save the model again"
        )
    if document.get("sha256") != seal(document):
        raise ModelFormatError(
            f"{file} is altered: its values are not those that were saved; copy or save the model "
            "again"
        )
    steps = document.get("steps")
    if not isinstance(steps, list) or not steps or not all(isinstance(s, dict) for s in steps):
        raise ModelFormatError(
            f"{file} has no list of steps: the file is altered; copy or save the model again"
        )
    return document


def parse(folder: Path) -> dict[str, Any]:
    """Return what `model.json` holds, whatever it is, or raise where it is no JSON object."""
    file = folder / NAME
    if not file.is_file():
        raise no_model(folder, is_there=folder.exists())
    if file.stat().st_size > MOST_JSON_BYTES:
        raise ModelFormatError(
            f"{file} is larger than {MOST_JSON_BYTES} bytes: scalekern did not write it"
        )
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{file} is truncated or damaged ({error}); copy or save the model again"
        ) from error
    if not isinstance(document, dict):
        raise ModelFormatError(f"{file} does not describe a model of scalekern")
    return document


def no_model(folder: Any, *, is_there: bool) -> ModelFormatError:
    """Return the error for a place without a model."""
    what = f"is not a stored model: it has no {NAME}" if is_there else "does not exist"
    advice = "give the folder that `scalekern fit -o` or `scalekern.save` made"
    return ModelFormatError(f"{folder} {what}; {advice}")


def _versions() -> dict[str, str]:
    found = {}
    for package in ("scalekern", "numpy", "scikit-learn", "faiss-cpu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
