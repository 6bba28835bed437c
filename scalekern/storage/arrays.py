"""One array of a model as one file, checked before anything in it is parsed."""

from __future__ import annotations

import hashlib
import json
import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from scalekern.errors import ModelFormatError, UnsupportedError

MOST_HEADER_BYTES = 4_096
PLAIN_KINDS = "biufUS"
_UNREADABLE = (ValueError, OSError, EOFError, TypeError, SyntaxError, RecursionError,
               tokenize.TokenError)  # fmt: skip
CHUNK = 1 << 20


def write_array(folder: Path, name: str, value: Any) -> dict[str, Any]:
    """Write a value into `folder` and return its entry for model.json."""
    if isinstance(value, list):
        return {"kind": "texts"} | _write_texts(folder, name, value)
    if isinstance(value, np.ndarray) and value.dtype.kind == "O":
        return {"kind": "labels"} | _write_texts(folder, name, value.tolist())
    if sparse.issparse(value):
        csr = value.tocsr()
        parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr}
        entries = {k: write_array(folder, f"{name}-{k}", v) for k, v in parts.items()}
        return {"kind": "csr", "shape": list(csr.shape), "parts": entries}
    array = np.asarray(value, order="C")
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
    return {"shape": [len(items)]} | _seal(file)


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
    shape = tuple(_field(entry, "shape", list, name))
    if kind == "csr":
        return _read_csr(folder, _field(entry, "parts", dict, name), shape, name)
    file = _checked_file(folder, entry, name)
    if kind in ("texts", "labels"):
        items = _read_texts(file, shape)
        return items if kind == "texts" else np.array(items, dtype=object)
    if kind == "raw":
        size = file.stat().st_size
        return np.memmap(file, np.uint8, "r") if size else np.zeros(0, np.uint8)
    if kind != "npy":
        raise ModelFormatError(
            f"model.json gives {name} the unknown kind {kind!r}; the file is altered or from "
            "another version"
        )
    return _read_npy(file, shape, _field(entry, "dtype", str, name))


def _read_npy(file: Path, shape: tuple[Any, ...], dtype: str) -> np.ndarray:
    """Map an array after its header was found to be as expected and to fit the file's size."""
    try:
        with file.open("rb") as stream:
            np.lib.format.read_magic(stream)  # other versions have other headers, which fail below
            found, fortran, kind = np.lib.format.read_array_header_1_0(
                stream, max_header_size=MOST_HEADER_BYTES
            )
            size = stream.tell() + math.prod(found) * kind.itemsize
    except _UNREADABLE as error:
        raise ModelFormatError(f"{file} is not a plain array ({error})") from error
    if (found, kind.str) != (shape, dtype) or fortran or kind.kind not in PLAIN_KINDS:
        raise ModelFormatError(
            f"{file} holds {kind} of shape {found}, but model.json says {dtype} of shape {shape}"
        )
    if file.stat().st_size != size:
        raise ModelFormatError(f"{file} does not have the {size} bytes that its header says")
    mapped = shape and 0 not in shape
    array: np.ndarray = np.load(file, mmap_mode="r" if mapped else None, allow_pickle=False)
    return array


def _read_texts(file: Path, shape: tuple[Any, ...]) -> list[str]:
    try:
        items = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelFormatError(f"{file} is not a list of texts ({error})") from error
    texts = isinstance(items, list) and all(isinstance(item, str) for item in items)
    if not texts or (len(items),) != shape:
        raise ModelFormatError(f"{file} is not the list of texts that model.json says")
    return list(items)


def _read_csr(folder: Path, parts: dict[str, Any], shape: Any, name: str) -> Any:
    data, indices, indptr = (
        read_array(folder, parts.get(key), f"{name}-{key}") for key in ("data", "indices", "indptr")
    )
    try:
        matrix = sparse.csr_matrix((data, indices, indptr), shape=shape)
        # SciPy's loops trust the indices.
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise ModelFormatError(
            f"{name} is not a valid sparse matrix ({error}); the file is altered"
        ) from error
    return matrix


def _checked_file(folder: Path, entry: Any, name: str) -> Path:
    file_name = _field(entry, "file", str, name)
    if Path(file_name).name != file_name or file_name in ("", ".", ".."):
        raise ModelFormatError(f"model.json names a file outside its folder: {file_name!r}")
    file = folder / file_name
    if file.is_symlink() or not file.is_file():
        raise ModelFormatError(
            f"{folder} has no file {file_name!r}: the model is incomplete; copy or save it again"
        )
    size = _field(entry, "bytes", int, name)
    if file.stat().st_size != size:
        raise ModelFormatError(
            f"{file} has {file.stat().st_size} bytes, but model.json says {size}; "
            "the file is truncated or altered; copy or save the model again"
        )
    if checksum(file) != _field(entry, "sha256", str, name):
        raise ModelFormatError(
            f"{file} is altered or damaged: its checksum is not the one in model.json; copy or "
            "save the model again"
        )
    return file


def _field(entry: Any, key: str, kind: type, name: str) -> Any:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise ModelFormatError(
            f"model.json lacks {key!r} for {name}: the file is altered; save the model again"
        )
    return value
