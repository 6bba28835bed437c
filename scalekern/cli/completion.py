"""scalekern completion, and what a shell may put where: files, and the columns of the file named.

Apart from the commands, whose parameters get their words here by name, so that every command that
has a `--target` completes it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from scalekern.cli.help import HelpfulCommand

FILES = {"data", "model_path", "output", "report", "json_path", "picture", "test_data", "train",
         "checkpoint"}  # fmt: skip
COLUMNS = {"target", "features", "drop", "weight", "key", "keep"}
SHELLS = ("bash", "zsh", "fish")


class _Word(click.types.StringParamType):
    """Text that a shell completes to files."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Leave it to the shell, which knows files best."""
        return [CompletionItem(incomplete, type="file")]


class _Column(click.types.StringParamType):
    """Text that a shell completes to columns of the file that the command names."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the columns, behind those that stand before a comma already."""
        before, comma, begun = incomplete.rpartition(",")
        # While an option waits for its value, the words before it are not parameters yet.
        data = ctx.params.get("data") or (ctx.args or [""])[-1]
        names = _columns_of(str(data))
        return [CompletionItem(before + comma + name) for name in names if name.startswith(begun)]


def with_completion(command: click.Command) -> click.Command:
    """Return the command, its files and columns known to shells."""
    for param in command.params:
        if isinstance(param.type, click.types.StringParamType):
            if param.name in FILES:
                param.type = _Word()
            elif param.name in COLUMNS:
                param.type = _Column()
    return command


def _columns_of(data: str) -> list[str]:
    """Return the columns of a Parquet or CSV file; none for what cannot be told at once."""
    try:
        path = Path(data)
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as lines:
                return next(csv.reader(lines))
        if path.is_dir():
            path = min(path.rglob("*.parquet"))
        from pyarrow.parquet import read_schema

        return list(read_schema(path).names)
    except Exception:  # noqa: BLE001 - a completion that fails must not print into the command line
        return []


@click.command("completion", cls=HelpfulCommand,
    short_help="Let the shell complete commands, files and columns.", examples=(
        'eval "$(scalekern completion bash)"    # in ~/.bashrc',
        'eval "$(scalekern completion zsh)"     # in ~/.zshrc',
        "scalekern completion fish > ~/.config/fish/completions/scalekern.fish",
    ))  # fmt: skip
@click.argument("shell", metavar="SHELL", type=click.Choice(SHELLS))
def completion_command(shell: str) -> None:
    """Print a script for the shell that completes commands, options, files and column names."""
    root: Any = click.get_current_context().find_root()
    known = get_completion_class(shell)
    assert known is not None
    completion = known(root.command, {}, "scalekern", "_SCALEKERN_COMPLETE")
    click.echo(completion.source_template % completion.source_vars())
