"""Files here and behind URLs: what is written is whole, and what is created was not there."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="fsspec is not installed")

from scalekern.errors import InvalidInputError
from scalekern.paths import (
    RemotePath,
    find_remote,
    fingerprint_of,
    is_url,
    open_folder,
    place_of,
    whole_file,
)


@pytest.fixture(params=["disk", "memory"])
def folder(request, tmp_path):
    """An empty folder, on a disk and in a store."""
    if request.param == "disk":
        return open_folder(tmp_path / "folder")
    return open_folder(f"memory://{tmp_path}/folder")


def test_a_folder_has_what_was_written_and_nothing_else(folder):
    assert folder.names() == []
    folder.write("a/b.txt", b"1")
    folder.write("c.txt", b"2")
    folder.write("c.txt", b"3")
    assert folder.names() == ["a/b.txt", "c.txt"]
    assert folder.read("c.txt") == b"3"
    assert folder.read("no.txt") is None
    folder.delete("c.txt")
    folder.delete("c.txt")
    assert folder.names() == ["a/b.txt"]


def test_only_one_creates(folder):
    assert folder.create("lock", b"1")
    assert not folder.create("lock", b"2")
    assert folder.read("lock") == b"1"
    folder.delete("lock")
    assert folder.create("lock", b"3")


def test_a_store_without_conditional_writes_is_asked_first(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    real = MemoryFileSystem.pipe_file

    def pipe_file(self, path, value, mode="overwrite", **more):
        if mode == "create":
            raise NotImplementedError
        return real(self, path, value, **more)

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    folder = open_folder(f"memory://{tmp_path}/folder")
    assert folder.create("lock", b"1")
    assert not folder.create("lock", b"2")
    assert folder.read("lock") == b"1"


def test_a_file_that_fails_half_way_does_not_appear(folder):
    def fails():
        with whole_file(folder.at("a/x")) as part:
            part.write_bytes(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert folder.names() == []
    with whole_file(folder.at("a/x")) as part:
        part.write_bytes(b"whole")
    assert folder.names() == ["a/x"]
    assert folder.read("a/x") == b"whole"


def test_a_fingerprint_changes_with_the_file(folder):
    folder.write("x", b"1")
    before = fingerprint_of(folder.at("x"))
    assert fingerprint_of(folder.at("x")) == before
    folder.write("x", b"22")
    assert fingerprint_of(folder.at("x")) != before


def test_what_is_a_url_and_what_a_path():
    assert is_url("s3://bucket/key")
    assert is_url(RemotePath("gs://bucket/key"))
    for path in ("/data/x", "C:/data", Path("s3:/x"), "file:///data", 7):
        assert not is_url(path)
    assert place_of("file:///data/x") == Path("/data/x")
    place = place_of("s3://bucket/a/b.parquet")
    assert (place.name, place.suffix, str(place.parent)) == (
        "b.parquet", ".parquet", "s3://bucket/a",
    )  # fmt: skip


def test_hidden_files_and_folders_are_no_data(tmp_path):
    folder = open_folder(f"memory://{tmp_path}/rows")
    for name in ("a.parquet", "m=1/b.parquet", "_scalekern/c.parquet", ".d.parquet", "e.txt"):
        folder.write(name, b"")
    found = [str(file).partition("rows/")[2] for file in find_remote(str(folder))]
    assert found == ["a.parquet", "m=1/b.parquet"]
    with pytest.raises(InvalidInputError, match="does not exist"):
        find_remote(f"{folder}/none/*.parquet")
