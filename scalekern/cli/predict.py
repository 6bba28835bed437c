"""scalekern predict: score rows with a saved model, into one file or a folder of parts."""

from __future__ import annotations

import time
from typing import Any

import click
from click.core import ParameterSource

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
    return add_options(
        command,
        click.option("--resume", is_flag=True, help="Go on with the output folder of an earlier "
                     "run: only parts that are missing or whose input changed are done."),
        click.option("--key", metavar="COLUMN", help="A column that identifies rows: kept, and no "
                     "value may be missing."),
        click.option("--map", "rename", multiple=True, metavar="MODEL=DATA",
                     help="A column that has another name in the data than in the model."),
        click.option("--cast", multiple=True, metavar="COLUMN=TYPE", help="A column to turn into "
                     "another type, such as float64."),
        click.option("--columns", type=click.Choice(["strict", "used"]), default="strict",
                     show_default=True, help="Parts with other columns than the first one fail: "
                     "of all columns, or only of those that are used."),
        click.option("--by-row-group", is_flag=True, help="One part for each row group, not file."),
        click.option("--max-failures", type=click.IntRange(0), default=20, show_default=True,
                     help="So many parts may fail without stopping the others."),
        click.option("--break-lock", is_flag=True, help="Take the lock of another job on the "
                     "output, which must be gone."),
    )  # fmt: skip


@click.command("predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("data")
@click.option("-o", "--output", required=True, metavar="OUT",
              help="A file OUT.parquet or OUT.csv, or a folder, which gets one part for each of "
              "DATA; or a URL of one.")  # fmt: skip
@click.option("--keep", multiple=True, metavar="COLUMNS",
              help="Columns of DATA to write beside the predictions.")  # fmt: skip
@click.option("--coverage", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Also write lower and upper, an interval that holds this share of targets; "
              "for a model of fit --calibrate.")  # fmt: skip
@folder_options
@run_options
@cluster_options
@click.pass_context
def predict_command(context: click.Context, /, model_path: str, data: str, **options: Any) -> None:
    """Predict for the rows of DATA with a model that `scalekern fit` saved.

    DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file; MODEL, DATA and OUT
    may be URLs (s3://, gs://, abfs://). Columns are found by their names; others are ignored. The
    output has a column "prediction" (or "prediction_0", "prediction_1", ... for several targets)
    and one row for each row of DATA, in order.

    Into a folder goes one part for each Parquet file of DATA, under the same name. It can be
    resumed, and says in _scalekern/manifest.json whether it is complete. Exit code 1 where parts
    failed.
    """
    check_output(options["json_path"])
    if options["output"].endswith(FILES):
        _refuse_folder_options(context)
        _one_file(model_path, data, options)
    elif options["output"].endswith(OTHER_FILES):
        raise click.UsageError(f"{options['output']} must end in .parquet or .csv, or be a folder")
    else:
        _parts(model_path, data, options)


def _refuse_folder_options(context: click.Context) -> None:
    for name in OF_FOLDERS:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            word = "map" if name == "rename" else name.replace("_", "-")
            raise click.UsageError(f"--{word} goes with a folder of output, not with a file")


def _parts(model_path: str, data: str, options: dict[str, Any]) -> None:
    from scalekern.scoring import predict_files

    left = "the parts that are done are there; the same command with --resume goes on"
    with on_cluster(options), run_settings(options), leaving(left):
        scoring = predict_files(
            model_path,
            data,
            options["output"],
            resume=options["resume"],
            key=options["key"],
            keep=several(options["keep"]),
            coverage=options["coverage"],
            rename=_pairs("--map", options["rename"]),
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
    model = load(model_path)
    steps = steps_of(model)
    if options["n_jobs"] is not None and "n_jobs" in steps[-1].get_params():
        steps[-1].set_params(n_jobs=options["n_jobs"])
    names = getattr(steps[0], "feature_names_in_", None)
    raw = isinstance(steps[0], RowPreparer)
    source = rows(data, features=None if names is None else list(names), raw=raw)
    start = time.perf_counter()
    with on_cluster(options), run_settings(options):
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
            f"({report['rows_per_second']:,.0f} rows a second)."
        )
