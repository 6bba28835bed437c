"""scalekern fit: one model from rows, saved as a directory."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from typing import Any

import click

from scalekern.cli.help import HelpfulCommand, under
from scalekern.cli.labels import are_labels, rows_and_labels
from scalekern.cli.on_cluster import cluster_options, on_cluster
from scalekern.cli.options import (
    KERNELS,
    NEIGHBORS,
    Command,
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
    source_from,
    write_json,
)
from scalekern.cli.stopping import leaving

MODELS = ("auto", "exact", "nystroem", "fourier", "local", "nystroem+local", "fourier+local",
          "knn", "linear")  # fmt: skip


ON_FEATURES = ("nystroem", "fourier", "nystroem+local", "fourier+local")
ON_NEIGHBORS = ("local", "nystroem+local", "fourier+local")
SIMILARITY = tuple(name for name in MODELS if name not in ("knn", "linear"))
OF_MODELS = {
    **dict.fromkeys(("kernel", "gamma", "alpha", "intercept", "solver"), SIMILARITY),
    "metric": (*SIMILARITY, "knn"),
    "n_components": ("auto", *ON_FEATURES),
    "n_neighbors": ("auto", *ON_NEIGHBORS, "knn"),
    **dict.fromkeys(("weights", "algorithm", "target_recall"), ("knn",)),
}
"""Which models take notice of an option."""


FORETOLD_WORK = 1e10
"""Operations and bytes: with fewer, measuring the machine takes as long as the fit."""


def refuse_unused(model: str) -> None:
    """Raise if an option was given that the model takes no notice of."""
    context = click.get_current_context()
    for name, models in OF_MODELS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and model not in models:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(
                f"{option} does nothing with --model {model}, only with {', '.join(models)}; "
                "leave it out, or choose one of these models"
            )


def fit_options(command: Command) -> Command:
    """Add what chooses and shapes the model of a fit, which a plan has too."""
    model, neighbors = under("Model"), under(NEIGHBORS)
    command = add_options(
        command,
        neighbors("--weights", type=click.Choice(["uniform", "distance"]), default="uniform",
                  help="With knn, whether all neighbours count alike or the nearer ones more."),
        neighbors("--algorithm", metavar="NAME", default="auto", help="With knn, the index: auto, "
                  "brute, kd_tree, hnsw, ivf, ivfpq or a FAISS factory string."),
        neighbors("--target-recall", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE",
                  default=0.95, help="With knn, the share of the true neighbours that an "
                  "approximate index must find; 1 makes the search exact."),
    )  # fmt: skip
    kernels = kernel_options(("auto", *KERNELS, "edit_distance"), "auto", "cv")
    command = kernels(alpha_options(command))
    return add_options(
        command,
        model("--model", type=click.Choice(MODELS), metavar="NAME", default="auto",
              help="'auto' is exact or Nyström, by the number of rows, or local where that is "
              f"clearly better on held-out rows. One of {', '.join(MODELS)}."),
        model("--n-components", type=click.IntRange(1), metavar="N", default=1000,
              help="The landmarks of nystroem, or the random features of fourier: more take longer "
              "and come closer to the exact model."),
        model("--n-neighbors", type=click.IntRange(1), metavar="N",
              help="The neighbours that knn and local models predict from. Default: 5 for knn, "
              "chosen from 32 to 128 for local."),
        model("--metric", metavar="NAME", help="The distance. With knn: euclidean (the default), "
              "cosine, levenshtein for text, and others; with similarity models: auto (the "
              "default), euclidean, or learned, which finds how much each column matters."),
        model("--solver", type=click.Choice(["auto", "pinv", "cholesky", "cg", "sgd"]),
              default="auto", help="How the coefficients are found: pinv is for exact, cg for "
              "exact and nystroem, sgd for nystroem and fourier."),
    )  # fmt: skip


@click.command("fit", cls=HelpfulCommand, short_help="Fit one model and save it.", examples=(
    "scalekern fit airfoil.csv --target pressure -o noise-model",
    "scalekern fit 'flights/*.parquet' --target delay --categories target -o delay-model",
))  # fmt: skip
@click.argument("data")
@data_options
@under("The saved model")("-o", "--output", required=True, metavar="FOLDER",
                          help="The folder to save the model in, or its URL.")  # fmt: skip
@under("The saved model")("--calibrate", metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Keep this share of the rows (such as 0.2) out of the fit and measure errors on them, so "
    "that `predict --coverage` can write intervals.")  # fmt: skip
@under("The saved model")("--checkpoint", metavar="FOLDER",
    help="Save the progress of the fit there; after an interruption the same command goes on. For "
    "nystroem, fourier, and exact with --solver cg.")  # fmt: skip
@fit_options
@seed_option
@prepare_options
@run_options
@cluster_options
def fit_command(data: str, **options: Any) -> None:
    """Fit one model on the rows of DATA and save it, for `scalekern predict`.

    DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file; or a URL of one
    (s3://, gs://, abfs://). With --scheduler, the workers must be able to read it too.

    To compare texts, name their column with --features and give --kernel edit_distance, or --model
    knn --metric levenshtein. With --model knn the target may be text too: class labels.
    """
    check_output(options["json_path"])
    refuse_unused(options["model"])
    with run_settings(options, "fitting"):
        report = _fitted(data, options)
    write_json(options["json_path"], report)
    if options["json_path"] != "-" and not options["quiet"]:
        _tell(report)


def _fitted(data: str, options: dict[str, Any]) -> dict[str, Any]:
    """Fit and save the model, and return what the command says of it."""
    from scalekern.engine.progress import step
    from scalekern.storage import model_bytes, save
    from scalekern.storage.directory import check_target

    check_target(options["output"])
    summed = options["model"] in ("nystroem", "fourier")
    if options["checkpoint"] and not (summed or options["solver"] == "cg"):
        raise click.UsageError(
            "--checkpoint needs a fit that goes in passes: --model nystroem or fourier, or "
            "--solver cg"
        )
    texts, labelled = of_texts(options), _is_labelled(data, options)
    if labelled:
        train: tuple[Any, ...] = rows_and_labels(data, options, texts=texts)
        calibration = None
    else:
        source, calibration = _parts(source_from(data, options, texts=texts), options["calibrate"])
        train = (source,)
    model = make_model(options, labelled=labelled)
    start = time.perf_counter()
    if not labelled:
        _foretell(model, source)
    kept = options["checkpoint"]
    left = (
        "no model was saved"
        if kept is None
        else (f"the progress is in {kept}, and the same command goes on from there")
    )
    with leaving(left), on_cluster(options):
        model.fit(*train, **({} if kept is None else {"model__checkpoint": kept}))
        if calibration is not None:
            _calibrate(model, calibration)
    seconds = time.perf_counter() - start
    with step("saving the model"):
        save(model, options["output"])
    last = model.steps[-1][1]
    return {
        "model": type(last).__name__,
        "rows": last.n_samples_fit_ if labelled else source.n_rows,
        "calibration_rows": 0 if calibration is None else calibration.n_rows,
        "features": list(model.steps[0][1].feature_names_in_),
        "prepared": {} if texts else model.steps[0][1].report_,
        "fit_seconds": seconds,
        "model_bytes": model_bytes(model),
        "output": options["output"],
        "report": getattr(last, "report_", {}),
    }


def _foretell(model: Any, source: Any) -> None:
    """Tell the display what steps there will be, where it shows any and there is much to do."""
    from scalekern._config import get_config

    if not get_config().progress:
        return
    from scalekern.engine.choose import crew_for
    from scalekern.engine.machine import rates
    from scalekern.engine.progress import expect
    from scalekern.errors import ScalekernError
    from scalekern.planning import foresee
    from scalekern.rows.outline import outline_of

    with suppress(ScalekernError):  # what is wrong is said by the fit
        steps = foresee(model, outline_of(source, None))[0].steps
        known = all(step.known for step in steps)
        if known and sum(sum(step.work.values()) for step in steps) > FORETOLD_WORK:
            crew = crew_for(source, model.steps[-1][1].get_params()["n_jobs"])
            expect([(step.what, step.seconds(rates(), crew)) for step in steps])


def _parts(source: Any, share: float | None) -> tuple[Any, Any]:
    if share is None:
        return source, None
    from scalekern.estimators.intervals import held_out

    return held_out(source, share)


def _calibrate(model: Any, calibration: Any) -> None:
    from scalekern.estimators.streaming import last_step

    last, rows = last_step(model, calibration)
    last.calibrate(rows)


def _is_labelled(data: str, options: dict[str, Any]) -> bool:
    return options["model"] == "knn" and are_labels(data, options["target"])


def make_model(options: dict[str, Any], *, labelled: bool = False) -> Any:
    """Return the unfitted pipeline that the options describe, for a target of labels or numbers."""
    from sklearn.pipeline import Pipeline

    from scalekern.estimators import (
        KNeighborsClassifier,
        KNeighborsRegressor,
        LinearRegressor,
        SimilarityRegressor,
    )
    from scalekern.features import RowPreparer

    name, seed, jobs = options["model"], options["random_state"], options["n_jobs"]
    if name == "linear":
        last: Any = LinearRegressor(n_jobs=jobs)
    elif name == "knn":
        neighbors = KNeighborsClassifier if labelled else KNeighborsRegressor
        last = neighbors(
            options["n_neighbors"] or 5,
            weights=options["weights"],
            metric=options["metric"] or "euclidean",
            algorithm=options["algorithm"],
            target_recall=options["target_recall"],
            random_state=seed,
            n_jobs=jobs,
        )
    else:
        last = SimilarityRegressor(
            options["kernel"],
            gamma=options["gamma"],
            alpha=options["alpha"],
            approximation=name,
            n_components=options["n_components"],
            solver=options["solver"],
            metric=options["metric"] or "auto",
            n_neighbors=options["n_neighbors"] or "auto",
            fit_intercept=options["intercept"],
            random_state=seed,
            n_jobs=jobs,
        )
    if of_texts(options):
        return Pipeline([("model", last)])
    preparer = RowPreparer(**preparation(options), n_jobs=jobs)
    return Pipeline([("prepare", preparer), ("model", last)])


def of_texts(options: dict[str, Any]) -> bool:
    """Return whether the model that the options describe compares texts."""
    if options["model"] != "knn":
        return bool(options["kernel"] == "edit_distance")
    from scalekern.neighbors import takes_objects

    return takes_objects(options["metric"] or "euclidean")


TOLD = {
    "approximation": "approximation",
    "why": "because",
    "kernel": "kernel",
    "length": "length scale",
    "alpha": "alpha",
    "landmarks": "landmarks",
    "n_neighbors": "neighbours",
    "index": "index",
    "recall": "recall",
}
"""What is printed of a model's `report_`, and how it is called there."""


def _tell(report: dict[str, Any]) -> None:
    from scalekern.report.table import bytes_text
    from scalekern.report.wording import rounded

    detail, model = report["report"], shlex.quote(report["output"])
    click.echo(
        f"Fitted a {report['model']} on {_counted(report['rows'], 'row')} x "
        f"{_counted(len(report['features']), 'feature')} in {report['fit_seconds']:.2f} s."
    )
    for name, text in report["prepared"].items():
        click.echo(f"  column {name}: {text}")
    for name, called in TOLD.items():
        if name in detail:
            value = detail[name]
            click.echo(f"  {called:<14}{rounded(value)}")
    tried = detail.get("held_out_errors")
    if isinstance(tried, dict):  # of conjugate gradients it is a list, one for each iteration
        errors = ", ".join(f"{name} {error:.3g}" for name, error in tried.items())
        click.echo(f"  {'held-out RMSE':<14}{errors} (in standard deviations of the target)")
    if report["calibration_rows"]:
        click.echo(f"Measured its intervals on {report['calibration_rows']:,} other rows.")
    click.echo(f"Saved it in {report['output']} ({bytes_text(report['model_bytes'])}).")
    coverage = " --coverage 0.9" if report["calibration_rows"] else ""
    click.echo(f"Next: scalekern predict {model} NEW-DATA -o predictions.parquet{coverage}")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
