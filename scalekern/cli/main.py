"""The group of commands, and how its errors look: one line on standard error, exit code 2.

Heavy imports wait until a command runs, so that help and mistakes are quick.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from scalekern import __version__
from scalekern.cli.cluster import cluster_command
from scalekern.cli.compare import compare_command
from scalekern.cli.completion import completion_command, with_completion
from scalekern.cli.demo import demo_command
from scalekern.cli.doctor import doctor_command
from scalekern.cli.fit import fit_command
from scalekern.cli.help import SETTINGS
from scalekern.cli.neighbors import neighbors_command
from scalekern.cli.plan import plan_command
from scalekern.cli.predict import predict_command
from scalekern.cli.startup import postpone_imports
from scalekern.cli.stopping import reason_of
from scalekern.errors import ScalekernError


class _Group(click.Group):
    """Turns wrong input into one line and exit code 2; bugs keep their traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which they are first needed."""
        return list(self.commands)

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **more: Any
    ) -> Any:
        """Run the command line; without arguments it says what there is."""
        words = list(sys.argv[1:] if args is None else args) or ["--help"]
        if not standalone_mode:
            return super().main(words, standalone_mode=False, **more)
        postpone_imports()
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _note
                code = super().main(words, standalone_mode=False, **more)
        except BrokenPipeError:
            # The reader of our output went away; there is nobody to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 1
        except (KeyboardInterrupt, click.Abort) as stop:
            click.echo(f"scalekern: {reason_of(stop)}", err=True)
            code = 130
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else "scalekern"
            advice = f"see {command} --help"
            if "unexpected extra argument" in str(error):
                advice = f"put quotes around a pattern that means several files; {advice}"
            code = _fail(f"{error.format_message().rstrip('.')}; {advice}")
        except click.ClickException as error:
            code = _fail(error.format_message())
        except (ScalekernError, ValueError, OSError) as error:
            code = _fail(str(error))
        except MemoryError as error:
            code = _fail(f"out of memory: {error}; use fewer rows, or fewer --n-components")
        sys.exit(code if isinstance(code, int) else 0)


def _note(message: Warning | str, *_where: Any, **_more: Any) -> None:
    click.echo(f"scalekern: note: {' '.join(str(message).split())}", err=True)


def _fail(message: str) -> int:
    click.echo(f"scalekern: {' '.join(message.split())}", err=True)
    return 2


@click.group(cls=_Group, context_settings=SETTINGS)
@click.version_option(__version__, prog_name="scalekern")
def main() -> None:
    """Predict by similarity: k-NN, kernel regression, and their fast approximations.

    \b
    Start with:  scalekern compare DATA --target COLUMN
    Then:        scalekern fit DATA --target COLUMN -o MODEL
                 scalekern predict MODEL NEW-DATA -o predictions.parquet
    """  # noqa: D301 - click's sign to keep the lines


for _command in (
    compare_command,
    fit_command,
    predict_command,
    neighbors_command,
    plan_command,
    doctor_command,
    cluster_command,
    demo_command,
    completion_command,
):
    main.add_command(with_completion(_command))
