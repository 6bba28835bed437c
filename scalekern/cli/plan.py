"""scalekern plan: what a fit would do, in passes, bytes and seconds, without doing it."""

from __future__ import annotations

from typing import Any

import click

from scalekern.cli.fit import fit_options
from scalekern.cli.help import HelpfulCommand
from scalekern.cli.options import (
    check_output,
    data_options,
    prepare_options,
    run_options,
    run_settings,
    seed_option,
    source_from,
    write_json,
)


@click.command("plan", cls=HelpfulCommand,
    short_help="Say what a fit would take, without doing it.", examples=(
        "scalekern plan 'flights/*.parquet' --target delay --categories target --model nystroem",
    ))  # fmt: skip
@click.argument("data")
@data_options
@fit_options
@seed_option
@prepare_options
@run_options
def plan_command(data: str, **options: Any) -> None:
    """Say what a fit on DATA would take, without doing it: passes, memory, time.

    The options are those of `scalekern fit`. Of Parquet files only the footers are read; CSV and
    NumPy files are read whole, to know their columns. The exit code is 1 if the fit would need more
    memory than it may use.
    """
    check_output(options["json_path"])
    from scalekern.cli.fit import make_model, of_texts, refuse_unused

    refuse_unused(options["model"])
    source = source_from(data, options, texts=of_texts(options))
    from scalekern.report.plan import plan

    with run_settings(options, "planning"):
        found = plan(source, estimator=make_model(options))
    write_json(options["json_path"], found.to_dict())
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(str(found))
    if not found.fits:
        raise click.exceptions.Exit(1)
