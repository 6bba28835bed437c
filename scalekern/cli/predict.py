"""scalekern predict: score rows with a saved model, into one file or a folder of parts."""

from __future__ import annotations

import time
from typing import Any

import click
from click.core import ParameterSource

from scalekern.cli.help import HelpfulCommand, under
from scalekern.cli.on_cluster import cluster_options, on_cluster
from scalekern.cli.options import (
    Command,
    add_options,
    check_output,
    run_options,
    run_settings,
    several,
    write_json,
)
from scalekern.cli.stopping import leaving

OF_FOLDERS = (
    "resume", "key", "rename", "cast", "columns", "by_row_group", "max_failures", "break_lock",
)  # fmt: skip


FILES = (".parquet", ".csv")
OTHER_FILES = (".gz", ".npy", ".npz", ".json", ".txt", ".zarr")


def folder_options(command: Command) -> Command:
    """Add what goes with a folder of output."""
    option = under("Only where OUT is a folder")
    return add_options(
        command,
        option("--resume", is_flag=True, help="Go on with the folder of an earlier run: make only "
               "the parts that are missing or whose input has changed."),
        option("--key", metavar="COLUMN", help="A column that identifies the rows: it is written "
               "beside the predictions, and a missing value in it is an error."),
        option("--rename", multiple=True, metavar="MODEL=DATA", help="The model's column MODEL is "
               "called DATA in the data. Can be repeated."),
        option("--cast", multiple=True, metavar="COLUMN=TYPE", help="Convert a column to another "
               "type, such as float64. Can be repeated."),
        option("--columns", type=click.Choice(["strict", "used"]), default="strict",
               help="A part fails if its columns differ from those of the first part: any of them "
               "(strict), or only those that the model uses (used)."),
        option("--by-row-group", is_flag=True, help="Make a part of each row group, instead of "
               "each file."),
        option("--max-failures", type=click.IntRange(0), metavar="N", default=20,
               help="Stop when more than this many parts have failed."),
        option("--break-lock", is_flag=True, help="Remove the lock of an earlier job on the "
               "folder. Only when you are sure that it no longer runs."),
    )  # fmt: skip


@click.command("predict", cls=HelpfulCommand, short_help="Predict for new rows with a saved model.",
    examples=(
        "scalekern predict noise-model new.csv -o noise.csv",
        "scalekern predict delay-model 'flights/*.parquet' -o scores/ --key flight_id --resume",
    ))  # fmt: skip
@click.argument("model_path", metavar="MODEL")
@click.argument("data")
@under("Predictions")("-o", "--output", required=True, metavar="OUT",
    help="A file OUT.parquet or OUT.csv, or else a folder, which gets one part for each Parquet "
    "file of DATA; or the URL of one.")  # fmt: skip
@under("Predictions")("--keep", multiple=True, metavar="COLUMNS",
    help="Columns of DATA to write beside the predictions, separated by commas.")  # fmt: skip
@under("Predictions")("--coverage", metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Also write the columns lower and upper: an interval that holds this share (such as 0.9) "
    "of the targets. For models fitted with --calibrate.")  # fmt: skip
@folder_options
@run_options
@cluster_options
@click.pass_context
def predict_command(context: click.Context, /, model_path: str, data: str, **options: Any) -> None:
    """Predict for each row of DATA with a MODEL that `scalekern fit` saved.

    DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file; MODEL, DATA and OUT
    may be URLs (s3://, gs://, abfs://). Columns are found by name, and columns that the model does
    not know are ignored. The output has a column "prediction" (or "prediction_0", "prediction_1",
    ... if the model has several targets) and one row for each row of DATA, in the same order.

    A folder of output gets one part for each Parquet file of DATA, under the same name;
    _scalekern/manifest.json in it says whether it is complete. The exit code is 1 if parts failed.
    """
    check_output(options["json_path"])
    if options["output"].endswith(FILES):
        _refuse_folder_options(context)
        _one_file(model_path, data, options)
    elif options["output"].endswith(OTHER_FILES):
        raise click.UsageError(
            f"-o {options['output']} must end in .parquet or .csv, or be a folder"
        )
    else:
        _parts(model_path, data, options)


def _refuse_folder_options(context: click.Context) -> None:
    for name in OF_FOLDERS:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is only for a folder of output, and -o names a file; "
                "leave it out, or give -o a folder"
            )


def _parts(model_path: str, data: str, options: dict[str, Any]) -> None:
    from scalekern.scoring import predict_files

    left = "the finished parts are kept, and the same command with --resume goes on"
    with run_settings(options, "predicting"), on_cluster(options), leaving(left):
        scoring = predict_files(
            model_path,
            data,
            options["output"],
            resume=options["resume"],
            key=options["key"],
            keep=several(options["keep"]),
            coverage=options["coverage"],
            rename=_pairs("--rename", options["rename"]),
            cast=_pairs("--cast", options["cast"]),
            columns=options["columns"],
            by_row_group=options["by_row_group"],
            max_failures=options["max_failures"],
            break_lock=options["break_lock"],
            n_jobs=options["n_jobs"],
        )
    write_json(options["json_path"], scoring.to_dict())
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(str(scoring))
    if not scoring.complete:
        raise click.exceptions.Exit(1)


def _pairs(option: str, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, other = value.partition("=")
        if not (name and equals and other):
            raise click.UsageError(f"{option} {value}: write NAME=VALUE")
        pairs[name] = other
    return pairs


def _one_file(model_path: str, data: str, options: dict[str, Any]) -> None:
    from scalekern.estimators.streaming import predict_to_file
    from scalekern.features import RowPreparer
    from scalekern.paths import is_url, place_of
    from scalekern.rows import rows
    from scalekern.storage import load
    from scalekern.storage.registry import steps_of

    output = place_of(options["output"])
    if not is_url(output):
        check_output(str(output))
    with run_settings(options, "predicting"), on_cluster(options):
        model = load(model_path)
        steps = steps_of(model)
        if options["n_jobs"] is not None and "n_jobs" in steps[-1].get_params():
            steps[-1].set_params(n_jobs=options["n_jobs"])
        names = getattr(steps[0], "feature_names_in_", None)
        raw = isinstance(steps[0], RowPreparer)
        source = rows(data, features=None if names is None else list(names), raw=raw)
        start = time.perf_counter()
        keep = several(options["keep"])
        predict_to_file(model, source, output, data, keep, options["coverage"])
    seconds = time.perf_counter() - start
    report = {
        "rows": source.n_rows,
        "predict_seconds": seconds,
        "rows_per_second": source.n_rows / seconds,
        "output": str(output),
    }
    write_json(options["json_path"], report)
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(
            f"Wrote {source.n_rows:,} predictions to {output} in {seconds:.2f} s "
            f"({report['rows_per_second']:,.0f} rows per second)."
        )
