"""scalekern neighbors: which training rows speak for one prediction of a saved model."""

from __future__ import annotations

from typing import Any

import click

from scalekern.cli.options import check_output, run_options, run_settings, write_json


@click.command("neighbors")
@click.argument("model_path", metavar="MODEL")
@click.argument("data")
@click.option("--row", type=click.IntRange(0), required=True,
              help="The row of DATA to explain; the first is 0.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=10, show_default=True,
              help="How many training rows to show.")  # fmt: skip
@click.option("--rows", "train", metavar="TRAIN",
              help="The rows that were fitted. Nyström, Fourier and linear models keep only a "
              "sample of them; with any model their columns are shown.")  # fmt: skip
@click.option("--target", help="The target column of TRAIN.")
@click.option("--weight", help="The column of sample weights of TRAIN.")
@click.option("--key", help="The column that identifies each row of TRAIN, as in fit.")
@click.option("--picture", metavar="FILE.png", help="Also draw a picture.")
@run_options
def neighbors_command(model_path: str, data: str, **options: Any) -> None:
    """Show the training rows that a prediction for one row of DATA comes from, and their weights.

    A prediction is baseline + the sum of weight x (target - baseline) over the training rows.
    MODEL is a directory of `scalekern fit`; DATA and TRAIN are Parquet, CSV or NumPy files.
    """
    if options["train"] and not options["target"]:
        raise click.UsageError("--rows needs --target, the column that the model predicts")
    for name in ("json_path", "picture"):
        check_output(options[name])
    from scalekern.estimators.streaming import last_step
    from scalekern.storage import load

    model = load(model_path)
    steps = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    names = getattr(steps[0], "feature_names_in_", None)
    query = _query(data, names, options["row"])
    train = _train(names, options)
    with run_settings(options):
        last, prepared = last_step(model, query)
        rows = None if train is None else last_step(model, train)[1]
        why = last.explain(prepared, rows, top=options["top"])
    values, query_values = _columns(why, query, train)
    _write(why, values, query_values, options)


def _query(data: str, names: Any, row: int) -> Any:
    from scalekern.errors import InvalidInputError
    from scalekern.rows import ArraySource, rows

    source = rows(data, features=None if names is None else list(names))
    if row >= source.n_rows:
        raise InvalidInputError(f"--row {row}: {data} has {source.n_rows} rows, from 0")
    import numpy as np

    return ArraySource(source.take(np.array([row])), feature_names=source.feature_names, name=data)


def _train(names: Any, options: dict[str, Any]) -> Any:
    if options["train"] is None:
        return None
    from scalekern.rows import rows

    features = None if names is None else list(names)
    return rows(
        options["train"],
        target=options["target"],
        features=features,
        weight=options["weight"],
        key=options["key"],
    )


def _columns(why: Any, query: Any, train: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of the shown rows and of the query, in their own units."""
    numbers = None if train is None else _numbers_of(why.row_id[0], train)
    if numbers is None:
        return {}, {}
    shown, (block,) = train.take(numbers), query.blocks(1)
    names = train.feature_names
    values = {name: shown[:, j].tolist() for j, name in enumerate(names)}
    return values, {name: block.X[0, j].item() for j, name in enumerate(names)}


def _numbers_of(ids: Any, train: Any) -> Any:
    """Return the numbers of the rows with the given ids; None where one of them is not there."""
    import numpy as np

    found: dict[Any, int] = {}
    for block in train.blocks(65_536):
        for i in np.flatnonzero(np.isin(block.ids, ids)):
            found.setdefault(block.ids[i], block.start + i)
    return np.array([found[i] for i in ids]) if all(i in found for i in ids) else None


def _write(
    why: Any, values: dict[str, Any], query_values: dict[str, Any], options: dict[str, Any]
) -> None:
    from scalekern.report.explanation import (
        explanation_records,
        explanation_text,
        plot_explanation,
    )

    if options["picture"]:
        plot_explanation(
            why, path=options["picture"], title=f"Row {options['row']}: training rows by weight"
        )
    document = {
        "row": options["row"],
        "prediction": why.prediction[0],
        "baseline": why.baseline,
        "not_shown": why.not_shown[0],
        "share_not_shown": why.share_not_shown[0],
        "query": query_values,
        "neighbors": explanation_records(why, 0, values),
    }
    write_json(options["json_path"], document)
    if options["json_path"] != "-" and not options["quiet"]:
        click.echo(explanation_text(why, 0, values, query_values))
