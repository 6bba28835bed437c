"""Fetch the public data sets that the benchmarks, some tests and the tutorial read.

    python benchmarks/fetch_data.py                     # all, 46 MB, into SCALEKERN_DATA or data/
    python benchmarks/fetch_data.py airfoil flights --folder /path/to/data

Apart from the benchmarks, because it is the only file that goes to the network. It needs Python and
nothing else. A file is written whole or not at all, and only if it has the checksum below.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import sys
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_SECONDS = 60
VEGA = "https://cdn.jsdelivr.net/npm/vega-datasets@3.2.0/data/"
SPLITS = "https://raw.githubusercontent.com/treforevans/uci_datasets/"
# Commits that hold the files.
ROWS = SPLITS + "36a67b7e5d4b1c08151a7d044f555f50af16548a/uci_datasets/"
MASKS = SPLITS + "44e180090ed474858f5a9f3bd38ff2c24eac5174/uci_datasets/"
FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def with_commas(table: bytes) -> bytes:
    """Return UCI's table of airfoil noise as CSV with a header."""
    lines = [b",".join(line.split()) for line in table.splitlines() if line.strip()]
    return b"\n".join([b"frequency,angle,chord,velocity,thickness,pressure", *lines, b""])


@dataclass(frozen=True)
class Source:
    """One file: where it comes from, and what it must hold.

    The checksum is SHA-256 of the content: of .gz, of what is compressed, since servers compress
    anew; of .csv, with the line ends of Unix; of a converted file, of what it was converted to.
    """

    data_set: str
    name: str
    url: str
    sha256: str
    convert: Callable[[bytes], bytes] = bytes


# Airfoil and protein: UCI Machine Learning Repository (CC BY 4.0); protein and kin40k with the
# splits of the Gaussian process literature. Flights and airports: US Bureau of Transportation
# Statistics and FAA, through vega-datasets. Fashion-MNIST: Zalando (MIT).
SOURCES = (
    Source("airfoil", "airfoil.csv",
           "https://archive.ics.uci.edu/ml/machine-learning-databases/00291/airfoil_self_noise.dat",
           "b3e1b3e6705dbc1e1282180f732140ef1fe7f669018648aac5da23560ffa62ea", with_commas),
    Source("flights", "flights-3m.parquet", VEGA + "flights-3m.parquet",
           "dbeb920c90f59b6ccaff823dcc3d08f25a97fa1ce128d93f40be4e931f5900b0"),
    Source("flights", "airports.csv", VEGA + "airports.csv",
           "903c7169e6d558eefb95295fe2947ec8503135fbb855ea5c737cf4a90ea603ad"),
    Source("kin40k", "kin40k.data.csv.gz",
           ROWS + "kin40k/data.csv.gz",
           "72ad383c3281a7c85ac49cde9b9682d3e0181e24b1b8a6fe33fd9b993b7db16e"),
    Source("kin40k", "kin40k.test_mask.csv.gz",
           MASKS + "kin40k/test_mask.csv.gz",
           "56908124080d079831505c36143ea4a6a0c635f480c0c1a07d7202063ca24acf"),
    Source("protein", "protein.data.csv.gz",
           ROWS + "protein/data.csv.gz",
           "6ccb1a6bf7e7ba40febe2b8226779cb62e4ca2fa4d193bdec8538c6b5f991ec5"),
    Source("protein", "protein.test_mask.csv.gz",
           MASKS + "protein/test_mask.csv.gz",
           "7745295a642503ea0ef994841cbf352492e8fbf38b37c34473bb456f3ff13703"),
    Source("fashion-mnist", "fashion-mnist/train-images-idx3-ubyte.gz",
           FASHION + "train-images-idx3-ubyte.gz",
           "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
    Source("fashion-mnist", "fashion-mnist/train-labels-idx1-ubyte.gz",
           FASHION + "train-labels-idx1-ubyte.gz",
           "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
    Source("fashion-mnist", "fashion-mnist/t10k-images-idx3-ubyte.gz",
           FASHION + "t10k-images-idx3-ubyte.gz",
           "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
    Source("fashion-mnist", "fashion-mnist/t10k-labels-idx1-ubyte.gz",
           FASHION + "t10k-labels-idx1-ubyte.gz",
           "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
)  # fmt: skip


class FetchError(Exception):
    """A file that cannot be had, or is not what was expected; the message says what to do."""


def main(arguments: list[str] | None = None) -> int:
    names = sorted({source.data_set for source in SOURCES})
    parser = argparse.ArgumentParser(description="Fetch the public data sets of the benchmarks.")
    parser.add_argument("data_sets", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument(
        "--folder", type=Path, default=Path(os.environ.get("SCALEKERN_DATA") or "data"),
        help="where to; by default SCALEKERN_DATA, else data/",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    wanted = set(options.data_sets or names)
    if unknown := wanted - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    failed = 0
    for source in SOURCES:
        if source.data_set in wanted:
            try:
                print(f"{source.name:<44}{fetch(source, options.folder)}")
            except FetchError as error:
                failed += 1
                print(f"{source.name}: {error}", file=sys.stderr)
    if not failed:
        print(f"Next: export SCALEKERN_DATA={options.folder.resolve()}")
    return 1 if failed else 0


def fetch(source: Source, folder: Path) -> str:
    """Put the file into the folder unless it is there, and say which of both."""
    target = folder / source.name
    if target.exists():
        _check(source, target.read_bytes(), f"move {target} away and fetch again")
        return "is there"
    data = source.convert(_download(source, target))
    _check(source, data, f"{source.url} has changed; nothing was written")
    _write_whole(target, data)
    return f"{len(data) / 1e6:.1f} MB from {source.url}"


def _download(source: Source, target: Path) -> bytes:
    try:
        # The addresses are those above, none a user's.
        with urllib.request.urlopen(source.url, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return answer.read()
    except OSError as error:
        by_hand = "" if source.convert is bytes else ", with commas and a header line,"
        raise FetchError(
            f"cannot be fetched from {source.url} ({getattr(error, 'reason', error)}). If this "
            f"machine has no network, fetch it on another, put it{by_hand} into {target}, and "
            "repeat this command, which checks it"
        ) from error


def _check(source: Source, data: bytes, advice: str) -> None:
    content = data
    if source.name.endswith(".gz"):
        try:
            content = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FetchError(f"is not a gzip file; {advice}") from error
    elif source.name.endswith(".csv"):
        content = data.replace(b"\r\n", b"\n")
    found = hashlib.sha256(content).hexdigest()
    if found != source.sha256:
        raise FetchError(f"has SHA-256 {found}, but {source.sha256} is expected; {advice}")


def _write_whole(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_bytes(data)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
