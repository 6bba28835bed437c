"""scalekern compare: every model on the same rows."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from scalekern.cli.options import (
    KERNELS,
    check_output,
    data_options,
    kernel_options,
    model_options,
    preparation,
    prepare_options,
    run_options,
    run_settings,
    several,
    source_from,
    write_json,
)
from scalekern.cli.stopping import leaving


@click.command("compare")
@click.argument("data")
@data_options
@click.option("--test", "test_data", help="Rows to measure on; by default some are split off.")
@click.option("--test-size", type=float, default=0.25, show_default=True,
              help="Share of the rows to split off; above 1, their number.")  # fmt: skip
@click.option("--models", multiple=True, metavar="NAMES",
              help="Of exact, linear, knn, local, nystroem, fourier; all by default.")  # fmt: skip
@click.option("--exact-rows", type=click.IntRange(2),
              help="Fit the exact model on a sample of so many rows.")  # fmt: skip
@click.option("--sizes", metavar="NUMBERS", multiple=True,
              help="Fit Nyström and Fourier at several sizes, such as 125,250,500; instead of "
              "--n-components, of which --report takes a quarter, half and all.")  # fmt: skip
@click.option("--report", metavar="FILE.html", default=None,
              help="Also write one HTML file to send around: table, pictures, and which model to "
              "take.")  # fmt: skip
@prepare_options
@kernel_options(KERNELS, "rbf", "median")
@model_options
@run_options
def compare_command(data: str, **options: Any) -> None:
    """Fit every model on the rows of DATA and print error, time, size and gap to the exact model.

    DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file.
    """
    for name in ("json_path", "report"):
        check_output(options[name])
    sizes = _sizes(options["sizes"])
    if options["report"] and not sizes:
        sizes = _parts(options["n_components"])
    from scalekern.rows import rows

    train = source_from(data, options)
    test = None
    if options["test_data"]:
        test = rows(
            options["test_data"],
            target=options["target"],
            features=train.feature_names,
            raw=True,
        )
    from scalekern.report import compare  # last: a wrong name is told at once

    size = options["test_size"]
    with run_settings(options), leaving("nothing was written"):
        comparison = compare(
            train,
            test=test,
            test_size=int(size) if size > 1 else size,
            models=several(options["models"]) or None,
            **preparation(options),
            kernel=options["kernel"],
            gamma=options["gamma"],
            alpha=options["alpha"],
            fit_intercept=options["intercept"],
            n_components=sizes or options["n_components"],
            n_neighbors=options["n_neighbors"],
            exact_rows=options["exact_rows"],
            random_state=options["random_state"],
            n_jobs=options["n_jobs"],
        )
    if options["report"]:
        comparison.to_html(options["report"], target=options["target"], command=_command_line())
    write_json(options["json_path"], comparison.rows())
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(str(comparison))
        _tell(comparison, options)


def _tell(comparison: Any, options: dict[str, Any]) -> None:
    from scalekern.report.more_time import trends
    from scalekern.report.names import name_of

    click.echo(f"\n{len(comparison.y_test):,} test rows; errors are in the units of "
               f"{options['target']}.")  # fmt: skip
    if comparison.kernel:
        click.echo(f"The similarity models share {comparison.kernel} and alpha "
                   f"{comparison.alpha:.4g}.")  # fmt: skip
    if "local" in comparison.models:
        local = comparison.models["local"]
        click.echo(f"The local model has {local.kernel_!r} of length {local.report_['length']} and "
                   f"alpha {local.alpha_:.4g}.")  # fmt: skip
    for name in comparison.certificates:
        gap, low, high = comparison.gap_interval(name)
        click.echo(f"{name_of(name)}: gap to exact {gap:.2%} ({low:.2%} to {high:.2%}) of the "
                   "target's standard deviation, measured on parts of the rows.")  # fmt: skip
    for trend in trends(comparison):
        click.echo(str(trend))
    advice = comparison.recommended
    click.echo(f"Recommended: {name_of(advice.model)}. {advice.reason}")
    if options["report"]:
        click.echo(f"Wrote {options['report']}")
    for name, reason in comparison.left_out.items():
        if name == "exact":
            click.echo("Too many rows for the exact model; --exact-rows 5000 fits it on a sample.")
        elif name == "knn":
            click.echo(f"k-NN was left out: {reason}.")


def _sizes(values: tuple[str, ...]) -> list[int]:
    try:
        return [int(word) for word in several(values)]
    except ValueError:
        raise click.UsageError(
            f"--sizes {','.join(values)}: give whole numbers with commas"
        ) from None


def _parts(most: int) -> list[int]:
    """Return a quarter, half and all of the components: a report shows what more of them buy."""
    return sorted({max(1, most // 4), max(1, most // 2), most})


def _command_line() -> str:
    return shlex.join(["scalekern", *sys.argv[1:]])
