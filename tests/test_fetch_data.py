"""The data sets come from where they are said to, whole and with the content expected.

No network is used: a server on this machine has the files.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import sys
import threading
from dataclasses import replace
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "benchmarks" / "fetch_data.py"


@pytest.fixture(scope="module")
def fetching():
    spec = importlib.util.spec_from_file_location("fetch_data", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["fetch_data"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fetch_data"]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_words):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder and the address at which its files are served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def as_uci_serves_it(airfoil: bytes) -> bytes:
    """UCI's file has tabs, no header, and the line ends of Windows."""
    return b"\r\n".join(line.replace(b",", b"\t") for line in airfoil.splitlines()[1:])


def test_every_real_file_passes_from_server_to_folder(
    fetching, served, data_folder, tmp_path, monkeypatch, capsys
):
    folder, address = served
    sources = []
    for source in fetching.SOURCES:
        data = (data_folder / source.name).read_bytes()
        if source.convert is not bytes:
            data = as_uci_serves_it(data)
        elif source.name.endswith("mask.csv.gz"):
            data = gzip.compress(gzip.decompress(data))  # compressed anew, with another date
        name = source.name.replace("/", "-")
        (folder / name).write_bytes(data)
        sources.append(replace(source, url=address + name))
    monkeypatch.setattr(fetching, "SOURCES", sources)
    target = tmp_path / "fetched"
    assert fetching.main(["--folder", str(target)]) == 0
    assert (target / "airfoil.csv").read_text() == (data_folder / "airfoil.csv").read_text()
    assert len(list(target.rglob("*.*"))) == len(sources)
    assert str(target) in capsys.readouterr().out
    for file in folder.iterdir():
        file.unlink()
    assert fetching.main(["--folder", str(target)]) == 0  # what is there is not fetched again
    assert capsys.readouterr().out.count("is there") == len(sources)


@pytest.fixture
def small(fetching, served):
    folder, address = served
    (folder / "a.csv").write_bytes(b"x,y\n1,2\n")
    checksum = fetching.hashlib.sha256(b"x,y\n1,2\n").hexdigest()
    return fetching.Source("a", "a.csv", address + "a.csv", checksum)


def test_a_file_with_another_content_is_refused_and_not_written(fetching, small, tmp_path):
    with pytest.raises(fetching.FetchError, match="has changed; nothing was written"):
        fetching.fetch(replace(small, sha256="0" * 64), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_file_that_was_there_and_is_another_is_not_overwritten(fetching, small, tmp_path):
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(fetching.FetchError, match=r"move .* away"):
        fetching.fetch(small, tmp_path)
    assert (tmp_path / "a.csv").read_text() == "mine"


def test_without_network_the_message_says_which_file_to_put_where(
    fetching, small, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(fetching, "SOURCES", [replace(small, url="http://127.0.0.1:9/a.csv")])
    assert fetching.main(["--folder", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert "http://127.0.0.1:9/a.csv" in message
    assert str(tmp_path / "a.csv") in message


def test_what_is_no_gzip_file_is_refused(fetching, small, tmp_path):
    with pytest.raises(fetching.FetchError, match="not a gzip file"):
        fetching.fetch(replace(small, name="a.csv.gz"), tmp_path)


def test_an_unknown_name_is_answered_with_the_known_ones(fetching, capsys):
    with pytest.raises(SystemExit):
        fetching.main(["airfoils"])
    assert "airfoil, fashion-mnist, flights" in capsys.readouterr().err
