"""One array of a model as one file, checked before anything in it is parsed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import ModelFormatError, UnsupportedError

MOST_HEADER_BYTES = 4_096
CHUNK = 1 << 20


def write_array(folder: Path, name: str, value: Any) -> dict[str, Any]:
    """Write a value into `folder` and return its entry for model.json."""
    if isinstance(value, list):
        return _write_texts(folder, name, value)
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        entries = {k: write_array(folder, f"{name}-{k}", v) for k, v in parts.items()}
        return {"kind": "csr", "shape": list(csr.shape), "parts": entries}
    array = np.asarray(value, order="C")
    if array.dtype.kind == "O":
        array = array.astype(str)
    raw = name.endswith("index.faiss")
    file = folder / (name if raw else f"{name}.npy")
    if raw:
        array.tofile(file)
    else:
        np.save(file, array, allow_pickle=False)
    shape = list(np.shape(value))
    return {"kind": "raw" if raw else "npy", "shape": shape, "dtype": array.dtype.str} | _seal(file)


def _write_texts(folder: Path, name: str, items: list[Any]) -> dict[str, Any]:
    if not all(isinstance(item, str) for item in items):
        raise UnsupportedError(
            f"{name} holds objects that are neither numbers nor texts; such a model cannot be "
            "saved as a directory"
        )
    file = folder / f"{name}.json"
    file.write_text(json.dumps(items), encoding="utf-8")
    return {"kind": "texts", "shape": [len(items)]} | _seal(file)


def _seal(file: Path) -> dict[str, Any]:
    return {"file": file.name, "bytes": file.stat().st_size, "sha256": checksum(file)}


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def read_array(folder: Path, entry: Any, name: str) -> Any:
    """Return the value behind an entry of model.json, after its checks.

    Raises
    ------
    ModelFormatError
        If the file is missing, outside the folder, truncated or altered, or is not what the entry
        says.
    """
    kind = _field(entry, "kind", str, name)
    if kind == "csr":
        parts = _field(entry, "parts", dict, name)
        loaded = {k: read_array(folder, parts.get(k), f"{name}-{k}")
                  for k in ("data", "indices", "indptr")}  # fmt: skip
        shape = tuple(_field(entry, "shape", list, name))
        return sparse.csr_matrix((loaded["data"], loaded["indices"], loaded["indptr"]), shape=shape)
    file = _checked_file(folder, entry, name)
    if kind == "texts":
        return json.loads(file.read_text(encoding="utf-8"))
    shape, dtype = tuple(_field(entry, "shape", list, name)), _field(entry, "dtype", str, name)
    if kind == "raw":
        return np.fromfile(file, dtype=np.uint8)
    if kind != "npy":
        raise ModelFormatError(f"model.json says {name} is of unknown kind {kind!r}")
    try:
        array = np.load(file, mmap_mode="r" if 0 not in shape and shape else None,
                        allow_pickle=False, max_header_size=MOST_HEADER_BYTES)  # fmt: skip
    except (ValueError, OSError, EOFError) as error:
        raise ModelFormatError(f"{file} is not a plain array ({error})") from error
    if array.shape != shape or array.dtype.str != dtype or array.dtype.kind == "O":
        raise ModelFormatError(
            f"{file} holds {array.dtype} of shape {array.shape}, "
            f"but model.json says {dtype} of shape {shape}"
        )
    return array


def _checked_file(folder: Path, entry: Any, name: str) -> Path:
    file_name = _field(entry, "file", str, name)
    if Path(file_name).name != file_name or file_name in ("", ".", ".."):
        raise ModelFormatError(f"model.json names a file outside its folder: {file_name!r}")
    file = folder / file_name
    if file.is_symlink() or not file.is_file():
        raise ModelFormatError(f"{folder} has no file {file_name!r}; the model is incomplete")
    size = _field(entry, "bytes", int, name)
    if file.stat().st_size != size:
        raise ModelFormatError(
            f"{file} has {file.stat().st_size} bytes, but model.json says {size}; "
            "the file is truncated or altered"
        )
    if checksum(file) != _field(entry, "sha256", str, name):
        raise ModelFormatError(f"{file} is altered: its checksum is not that of model.json")
    return file


def _field(entry: Any, key: str, kind: type, name: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise ModelFormatError(f"model.json lacks {key!r} for {name}; the file is altered")
    return value
