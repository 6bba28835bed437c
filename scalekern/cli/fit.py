"""scalekern fit: one model from rows, saved as a directory."""

from __future__ import annotations

import shlex
import time
from typing import Any

import click

from scalekern.cli.labels import are_labels, rows_and_labels
from scalekern.cli.on_cluster import cluster_options, on_cluster
from scalekern.cli.options import (
    KERNELS,
    Command,
    add_options,
    check_output,
    data_options,
    kernel_options,
    model_options,
    preparation,
    prepare_options,
    run_options,
    run_settings,
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


def refuse_unused(model: str) -> None:
    """Raise if an option was given that the model takes no notice of."""
    context = click.get_current_context()
    for name, models in OF_MODELS.items():
        given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if given and model not in models:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(
                f"{option} does nothing with --model {model}, but with {', '.join(models)}; "
                "leave it out, or take one of these"
            )


def fit_options(command: Command) -> Command:
    """Add what chooses the model of a fit, which a plan has too."""
    return add_options(
        kernel_options(("auto", *KERNELS, "edit_distance"), "auto", "cv")(command),
        click.option("--model", type=click.Choice(MODELS), default="auto", show_default=True),
        click.option("--solver", type=click.Choice(["auto", "pinv", "cholesky", "cg", "sgd"]),
                     default="auto", show_default=True,
                     help="cg: exact and nystroem; sgd: nystroem and fourier; pinv: exact."),
        click.option("--weights", type=click.Choice(["uniform", "distance"]), default="uniform",
                     show_default=True, help="Of the neighbours (knn)."),
        click.option("--metric", help="Of the neighbours (knn), by default euclidean, and "
                     "levenshtein of texts; of other models auto, euclidean or learned, by "
                     "default auto."),
        click.option("--algorithm", default="auto", show_default=True, help="The index (knn)."),
        click.option("--target-recall", type=click.FloatRange(0, 1, min_open=True), default=0.95,
                     show_default=True, help="Of an approximate index (knn)."),
    )  # fmt: skip


@click.command("fit")
@click.argument("data", metavar="TRAIN")
@data_options
@fit_options
@click.option("--calibrate", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              metavar="SHARE", help="Hold this share of the rows out of the fit, to measure "
              "prediction intervals on (predict --coverage).")  # fmt: skip
@click.option("--checkpoint", metavar="DIR", help="Save the sums so far there; after a kill the "
              "same command goes on (nystroem, fourier, exact by cg).")  # fmt: skip
@prepare_options
@model_options
@run_options
@cluster_options
@click.option("-o", "--output", required=True, help="The directory of the model, or its URL.")
def fit_command(data: str, **options: Any) -> None:
    """Fit a model on the rows of TRAIN and save it.

    TRAIN is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file; or a URL of them
    (s3://, gs://, abfs://). The workers of a cluster must be able to read it too.

    Texts are compared as they are with --kernel edit_distance, or --model knn --metric levenshtein;
    name their column with --features. With --model knn the target may be text: labels to tell.
    """
    check_output(options["json_path"])
    refuse_unused(options["model"])
    from scalekern.storage import model_bytes, save
    from scalekern.storage.directory import check_target

    check_target(options["output"])
    summed = options["model"] in ("nystroem", "fourier")
    if options["checkpoint"] and not (summed or options["solver"] == "cg"):
        raise click.UsageError("--checkpoint goes with --model nystroem or fourier, or --solver cg")
    texts, labelled = of_texts(options), _is_labelled(data, options)
    if labelled:
        train: tuple[Any, ...] = rows_and_labels(data, options, texts=texts)
        calibration = None
    else:
        source, calibration = _parts(source_from(data, options, texts=texts), options["calibrate"])
        train = (source,)
    model = make_model(options, labelled=labelled)
    start = time.perf_counter()
    kept = options["checkpoint"]
    left = (
        "nothing was saved"
        if kept is None
        else (f"the passes so far are in {kept}, and the same command goes on from there")
    )
    with leaving(left), on_cluster(options), run_settings(options):
        model.fit(*train, **({} if kept is None else {"model__checkpoint": kept}))
        if calibration is not None:
            _calibrate(model, calibration)
    seconds = time.perf_counter() - start
    save(model, options["output"])
    last = model.steps[-1][1]
    report = {
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
    write_json(options["json_path"], report)
    if options["json_path"] != "-" and not options["quiet"]:
        _tell(report, data)


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


def _tell(report: dict[str, Any], data: str) -> None:
    from scalekern.report.table import bytes_text

    detail = report["report"]
    click.echo(
        f"Fitted {report['model']} on {_counted(report['rows'], 'row')} x "
        f"{_counted(len(report['features']), 'feature')} in {report['fit_seconds']:.2f} s."
    )
    for name, text in report["prepared"].items():
        click.echo(f"  {name:<14}{text}")
    for name in ("approximation", "why", "kernel", "alpha", "length", "landmarks", "index"):
        if name in detail:
            value = detail[name]
            text = f"{value:.6g}" if isinstance(value, float) else str(value)
            click.echo(f"  {name:<14}{text}")
    click.echo(f"Saved {report['output']} ({bytes_text(report['model_bytes'])} of arrays).")
    model, rows = shlex.quote(report["output"]), shlex.quote(data)
    click.echo(f"Next: scalekern predict {model} {rows} -o predictions.parquet")


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
