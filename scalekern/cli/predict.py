"""scalekern predict: score rows with a saved model, block by block, into a Parquet file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from scalekern.cli.options import check_output, run_options, run_settings, several, write_json


@click.command("predict")
@click.argument("model_path", metavar="MODEL")
@click.argument("data")
@click.option("-o", "--output", required=True, metavar="OUT.parquet")
@click.option("--keep", multiple=True, metavar="COLUMNS",
              help="Columns of DATA to write beside the predictions.")  # fmt: skip
@click.option("--coverage", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="Also write lower and upper, an interval that holds this share of targets; "
              "for a model of fit --calibrate.")  # fmt: skip
@run_options
def predict_command(model_path: str, data: str, **options: Any) -> None:
    """Predict for the rows of DATA with a model that `scalekern fit` saved.

    DATA is a Parquet file, folder or glob, a CSV file, or a .npy or .npz file. Columns are found by
    their names; others are ignored. The output has a column "prediction" (or "prediction_0",
    "prediction_1", ... for several targets) and one row for each row of DATA, in order.
    """
    output = Path(options["output"])
    if output.suffix != ".parquet":
        raise click.UsageError(f"{output} must end in .parquet")
    check_output(str(output))
    check_output(options["json_path"])
    from scalekern.estimators.streaming import predict_to_parquet
    from scalekern.features import RowPreparer
    from scalekern.rows import rows
    from scalekern.storage import load

    model = load(model_path)
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    if options["n_jobs"] is not None and "n_jobs" in steps[-1].get_params():
        steps[-1].set_params(n_jobs=options["n_jobs"])
    names = getattr(steps[0], "feature_names_in_", None)
    raw = isinstance(steps[0], RowPreparer)
    source = rows(data, features=None if names is None else list(names), raw=raw)
    start = time.perf_counter()
    with run_settings(options):
        keep = several(options["keep"])
        predict_to_parquet(model, source, output, data, keep, options["coverage"])
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
