"""scalekern compare: every model on the same rows."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click
from click.core import ParameterSource

from scalekern.cli.help import HelpfulCommand, under
from scalekern.cli.options import (
    KERNELS,
    Command,
    Numbers,
    add_options,
    alpha_options,
    check_output,
    data_options,
    kernel_options,
    preparation,
    prepare_options,
    run_options,
    run_settings,
    seed_option,
    several,
    source_from,
    write_json,
)
from scalekern.cli.stopping import leaving

MODELS = ("exact", "linear", "knn", "local", "nystroem", "fourier", "auto")


def compare_options(command: Command) -> Command:
    """Add what is compared, and on which rows."""
    test, model = under("Test rows"), under("Model")
    command = kernel_options(KERNELS, "rbf", "median")(alpha_options(command))
    return add_options(
        command,
        under("Report")("--report", metavar="FILE.html", help="Also write a report to send to "
                        "somebody: one HTML file with the table, pictures, and which model to take "
                        "and why."),
        test("--test", "test_data", metavar="DATA", help="Other data with the same columns to "
             "measure errors on. Default: a part of DATA is split off."),
        test("--test-size", type=float, metavar="SHARE", default=0.25, help="The share of the "
             "rows to split off at random; a number above 1 is a number of rows."),
        model("--models", multiple=True, metavar="NAMES", help="Which models to fit, separated by "
              f"commas: of {', '.join(MODELS)}. Default: all."),
        model("--n-components", type=Numbers(), default="1000", help="The landmarks of Nyström and "
              "the random features of Fourier. Several, such as 125,250,500, fit both at each; "
              "--report takes a quarter, half and all of a single number."),
        model("--n-neighbors", type=click.IntRange(1), metavar="N", help="The neighbours that k-NN "
              "and local models predict from. Default: 5 for k-NN, 32 for local."),
        model("--exact-rows", type=click.IntRange(2), metavar="N", help="Fit the exact model on "
              "a random sample of this many rows. Default: on all, if they are at most 10,000."),
    )  # fmt: skip


@click.command(
    "compare",
    cls=HelpfulCommand,
    short_help="Fit every model and compare error, time and size.",
    examples=(
        "scalekern compare airfoil.csv --target pressure --report report.html",
        "scalekern compare 'flights/*.parquet' --target delay --drop id --models knn,nystroem",
    ),
)
@click.argument("data")
@data_options
@compare_options
@seed_option
@prepare_options
@run_options
def compare_command(data: str, **options: Any) -> None:
    """Fit every model on a part of DATA, and compare them on the rest.

    Prints the error, time and size of each, how far it is from the exact model, and which one to
    take. DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file.

    The auto model is what `scalekern fit` fits with nothing set: it makes its own choices, whatever
    --kernel, --gamma, --alpha, --n-components and the like say to the others.
    """
    for name in ("json_path", "report"):
        check_output(options[name])
    sizes = options["n_components"]
    if options["report"] and len(sizes) == 1:
        sizes = _parts(sizes[0])
    size = options["test_size"]
    with run_settings(options, "comparing"), leaving("nothing was written"):
        from scalekern.engine.progress import step
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
            n_components=sizes if len(sizes) > 1 else sizes[0],
            n_neighbors=options["n_neighbors"],
            exact_rows=options["exact_rows"],
            random_state=options["random_state"],
            n_jobs=options["n_jobs"],
        )
        if options["report"]:
            with step("writing the report"):
                comparison.to_html(
                    options["report"], target=options["target"], command=_command_line()
                )
    write_json(options["json_path"], comparison.rows())
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(str(comparison))
        _tell(comparison, data, options)


FIT_OPTIONS = ("target", "features", "drop", "weight", "key", "scaler", "missing", "categories",
               "max_categories", "random_state", "tile_dtype", "memory_limit")  # fmt: skip
"""What a fit of the recommended model shares with the comparison."""
KERNEL_FAMILIES = ("exact", "nystroem", "fourier", "local")
OPTIONS_OF = {
    "knn": ("n_neighbors",),
    **dict.fromkeys(KERNEL_FAMILIES, ("alpha", "intercept")),
}
"""And what else, of each family."""


def _tell(comparison: Any, data: str, options: dict[str, Any]) -> None:
    from scalekern.report.more_time import trends
    from scalekern.report.names import name_of
    from scalekern.report.wording import local_words, rounded

    click.echo(f"\nErrors are on {len(comparison.y_test):,} test rows, in the units of "
               f"{options['target']}; * marks the smallest RMSE.")  # fmt: skip
    least, most = comparison.y_test.min(), comparison.y_test.max()
    if least == most:
        click.echo(f"All test targets are {least:.4g}, so there is no R².")
    if any(result.gap_to_exact is not None for result in comparison.fitted):
        click.echo("Gap to exact: the RMS difference from the exact model's predictions, in "
                   "standard deviations of the target.")  # fmt: skip
    if comparison.kernel:
        click.echo("Exact, Nyström and Fourier models share one kernel, "
                   f"{rounded(comparison.kernel)}, and alpha {comparison.alpha:.4g}.")  # fmt: skip
    if "local" in comparison.models:
        click.echo(local_words(comparison.models["local"]))
    for name in comparison.certificates:
        gap, low, high = comparison.gap_interval(name)
        click.echo(f"{name_of(name)}: the gap to an exact model is {gap:.3g} (95% interval "
                   f"{low:.3g} to {high:.3g}), measured on parts of the rows.")  # fmt: skip
    for trend in trends(comparison):
        click.echo(str(trend))
    for name, reason in comparison.left_out.items():
        if name == "exact":
            click.echo("The exact model was left out: there are too many rows for it; "
                       "--exact-rows 5000 fits it on a random sample.")  # fmt: skip
        else:
            click.echo(f"{name_of(name)} was left out: {reason}.")
    advice = comparison.recommended
    click.echo(f"\nRecommended: {name_of(advice.model)}. {advice.reason}")
    if options["report"]:
        click.echo(f"Wrote {options['report']}")
    click.echo(f"Next: {_fit_command(advice.model, comparison.models[advice.model], data)}")


def _fit_command(model: str, fitted: Any, data: str) -> str:
    """Return the command that fits a model of the comparison, on the same columns and as it was."""
    from scalekern.report.names import family_of

    context = click.get_current_context()
    family, params = family_of(model), context.params
    shared = (*FIT_OPTIONS, *OPTIONS_OF.get(family, ()))
    words = ["scalekern", "fit", data]
    for param in context.command.params:
        given = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name in shared:
            words += _words_of(param, params[param.name])
    words += ["--model", family]
    if family in KERNEL_FAMILIES:
        words += ["--kernel", params["kernel"], "--gamma", str(params["gamma"])]
        words += ["--metric", "euclidean"]
    if family in ("nystroem", "fourier"):
        size = model.removeprefix(family).lstrip("-") or params["n_components"][-1]
        words += ["--n-components", str(size)]
    if family == "local":
        words += ["--n-neighbors", str(fitted.n_neighbors)]
    return shlex.join([*words, "-o", "MODEL"])


def _words_of(param: click.Parameter, value: Any) -> list[str]:
    """Return an option as it was given."""
    if isinstance(param, click.Option) and param.secondary_opts:  # --intercept / --no-intercept
        return [param.opts[-1] if value else param.secondary_opts[-1]]
    values = value if isinstance(value, tuple) else (value,)
    texts = (",".join(map(str, one)) if isinstance(one, list) else str(one) for one in values)
    return [word for text in texts for word in (param.opts[-1], text)]


def _parts(most: int) -> list[int]:
    """Return a quarter, half and all of the components: a report shows what more of them buy."""
    return sorted({max(1, most // 4), max(1, most // 2), most})


def _command_line() -> str:
    return shlex.join(["scalekern", *sys.argv[1:]])
