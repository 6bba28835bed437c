"""scalekern doctor: whether this machine lets scalekern run, and run fast."""

from __future__ import annotations

import click

from scalekern.cli.options import check_output, write_json

COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@click.argument("model", required=False)
@click.option("--json", "json_path", metavar="FILE", default=None,
              help="Write the findings as JSON; - is standard output.")  # fmt: skip
def doctor_command(model: str | None, json_path: str | None) -> None:
    """Check versions, cores, memory, BLAS, environment variables and optional packages.

    Of a stored MODEL also whether its files are as they were saved, and what saved it. Each line is
    ok, a warning or a problem, with what to do. Exit code 1 where there is a problem.
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
