"""scalekern plan: what a fit would do, in passes, bytes and seconds, without doing it."""

from __future__ import annotations

from typing import Any

import click

from scalekern.cli.fit import fit_options
from scalekern.cli.options import (
    check_output,
    data_options,
    model_options,
    prepare_options,
    run_options,
    run_settings,
    source_from,
    write_json,
)


@click.command("plan")
@click.argument("data", metavar="TRAIN")
@data_options
@fit_options
@prepare_options
@model_options
@run_options
def plan_command(data: str, **options: Any) -> None:
    """Say what a fit on TRAIN would do: passes, bytes, memory and seconds. Nothing is fitted.

    Of Parquet only the footers are read; a CSV or NumPy file is read, since its rows tell its
    columns. The options are those of `scalekern fit`. Exit code 1 where the fit would be refused
    for want of memory.
    """
    check_output(options["json_path"])
    from scalekern.cli.fit import make_model, of_texts, refuse_unused

    refuse_unused(options["model"])
    source = source_from(data, options, texts=of_texts(options))
    from scalekern.report.plan import plan

    with run_settings(options):
        found = plan(source, estimator=make_model(options))
    write_json(options["json_path"], found.to_dict())
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(str(found))
    if not found.fits:
        raise click.exceptions.Exit(1)
