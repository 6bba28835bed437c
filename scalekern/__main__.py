"""The command line from its first moment on, for `scalekern` and for `python -m scalekern`."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it by one line also while modules are being imported."""
    try:
        from scalekern.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("scalekern: stopped\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
