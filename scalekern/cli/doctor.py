"""scalekern doctor: whether this machine lets scalekern run, and run fast."""

from __future__ import annotations

import click

from scalekern.cli.help import OTHER, HelpfulCommand, under
from scalekern.cli.options import check_output, write_json

COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor", cls=HelpfulCommand,
    short_help="Check this machine, the installation, or a saved model.",
    examples=("scalekern doctor", "scalekern doctor noise-model"))  # fmt: skip
@click.argument("model", required=False)
@under(OTHER)("--json", "json_path", metavar="FILE",
    help="Write the findings as JSON to a file, or to standard output for '-'.")  # fmt: skip
def doctor_command(model: str | None, json_path: str | None) -> None:
    """Check whether scalekern can run, and run fast, on this machine.

    Looks at versions, cores, memory, BLAS, environment variables and optional packages; and of a
    saved MODEL, whether its files are intact and what saved it. Each line is ok, a warning or a
    problem, with what to do about it. The exit code is 1 if there is a problem.
    """
    check_output(json_path)
    from scalekern.checkup import doctor

    found = doctor(model)
    write_json(json_path, found.to_dict())
    if json_path != "-":
        *lines, summary = str(found).splitlines()
        for line in lines:
            level, _, rest = line.partition(" ")
            known = level in COLORS
            click.echo(click.style(level, fg=COLORS[level]) + " " + rest if known else line)
        click.echo(summary)
    if found.problems:
        raise click.exceptions.Exit(1)
