"""The command line: each command in a file of its own, and one place for errors."""

from scalekern.cli.main import main

__all__ = ["main"]
