"""scalekern neighbors: which training rows speak for one prediction of a saved model."""

from __future__ import annotations

from typing import Any

import click

from scalekern.cli.help import HelpfulCommand, under
from scalekern.cli.options import (
    Command,
    add_options,
    check_output,
    run_options,
    run_settings,
    write_json,
)

MOST_COLUMNS = 12
"""Of rows with more, the table shows none."""
MOST_LETTERS = 24
"""Of longer texts, the table and the picture show the beginning."""


def neighbors_options(command: Command) -> Command:
    """Add what is explained, by which rows, and how it is shown."""
    show, train, draw = under("The prediction"), under("The training rows"), under("Picture")
    return add_options(
        command,
        show("--row", type=click.IntRange(0), required=True, metavar="N",
             help="The row of DATA to explain; the first is 0."),
        show("--output-index", type=click.IntRange(0), metavar="N",
             help="If the model predicts several targets, the one to explain; the first is 0."),
        show("--top", type=click.IntRange(1), metavar="N", default=10,
             help="How many training rows to show, those of the largest weights first."),
        train("--rows", "train", metavar="TRAIN", help="The data that the model was fitted on, to "
              "show the columns of the rows. Nyström, Fourier and linear models, which keep only a "
              "sample of them, then explain by all. Needs --target."),
        train("--target", metavar="COLUMN", help="The column of TRAIN that the model predicts."),
        train("--weight", metavar="COLUMN", help="The column of sample weights, if it was fitted "
              "with one."),
        train("--key", metavar="COLUMN", help="The column that identifies each row, if it was "
              "fitted with one."),
        draw("--picture", metavar="FILE.png", help="Also draw the weights as a picture."),
        draw("--image", metavar="HEIGHTxWIDTH", help="In the picture, draw each row of TRAIN as an "
             "image of this many pixels, such as 28x28. Needs --rows."),
    )  # fmt: skip


@click.command("neighbors", cls=HelpfulCommand,
    short_help="Show which training rows a prediction comes from.", examples=(
        "scalekern neighbors noise-model new.csv --row 17",
        "scalekern neighbors noise-model new.csv --row 17 --rows airfoil.csv --target pressure",
    ))  # fmt: skip
@click.argument("model_path", metavar="MODEL")
@click.argument("data")
@neighbors_options
@run_options
def neighbors_command(model_path: str, data: str, **options: Any) -> None:
    """Show the training rows that the prediction for one row of DATA comes from.

    The prediction is a baseline plus the sum of weight x (target - baseline) over the training
    rows; the command lists those with the largest weights. MODEL is a folder that `scalekern fit`
    saved; DATA is a Parquet, CSV or NumPy file.
    """
    if options["train"] and not options["target"]:
        raise click.UsageError(
            "--rows needs --target too: the column of TRAIN that the model predicts"
        )
    shape = _shape(options)
    for name in ("json_path", "picture"):
        check_output(options[name])
    with run_settings(options, "explaining"):
        from scalekern.estimators.streaming import last_step
        from scalekern.storage import load
        from scalekern.storage.registry import steps_of

        model = load(model_path)
        steps = steps_of(model)
        from scalekern.features import RowPreparer

        names = getattr(steps[0], "feature_names_in_", None)
        raw = isinstance(steps[0], RowPreparer)
        how = {"features": None if names is None else list(names), "raw": raw}
        roles = [options[name] for name in ("target", "weight", "key") if options[name]]
        query = _query(data, how, options["row"], roles)
        train = _train(how, options, keeps_rows=hasattr(steps[-1], "n_samples_fit_"))
        last, prepared = last_step(model, query)
        rows = None if train is None or not train.n_outputs else last_step(model, train)[1]
        why = last.explain(prepared, rows, top=options["top"], output=options["output_index"])
        values, query_values = _columns(why, query, train)
    _write(why, values, query_values, options, shape)


def _shape(options: dict[str, Any]) -> tuple[int, int] | None:
    if options["image"] is None:
        return None
    if not (options["picture"] and options["train"]):
        raise click.UsageError("--image draws rows of TRAIN, so it needs --rows and --picture too")
    height, _, width = options["image"].lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) * int(width)):
        raise click.UsageError(
            f"--image {options['image']!r}: write HEIGHTxWIDTH in pixels, such as 28x28"
        )
    return int(height), int(width)


def _query(data: str, how: dict[str, Any], row: int, roles: list[str]) -> Any:
    from scalekern.errors import InvalidInputError
    from scalekern.rows import rows
    from scalekern.rows.raw import source_of_rows

    try:
        # A model of texts knows no columns; those of TRAIN that are not its texts are left out.
        source = rows(data, **how, drop=roles if how["features"] is None else ())
    except InvalidInputError:
        source = rows(data, **how)
    if row >= source.n_rows:
        raise InvalidInputError(
            f"--row {row}: {data} has {source.n_rows:,} rows, numbered from 0 to "
            f"{source.n_rows - 1}"
        )
    import numpy as np

    return source_of_rows(source.take(np.array([row])), None, None, source)


def _train(how: dict[str, Any], options: dict[str, Any], *, keeps_rows: bool) -> Any:
    """Return the rows that were fitted; of a model that keeps them, only to show their columns."""
    if options["train"] is None:
        return None
    from scalekern.rows import rows

    roles = {name: options[name] for name in ("target", "weight", "key")}
    if keeps_rows:
        drop = [roles.pop(name) for name in ("target", "weight") if roles[name]]
        roles = {"key": roles["key"], "drop": () if how["features"] else drop}
    return rows(options["train"], **how, **roles)


def _columns(why: Any, query: Any, train: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of the shown rows and of the query, in their own units."""
    if train is None:
        return {}, {}
    numbers = _numbers(why.row_id[0], train)
    if numbers is None:
        return {}, {}
    (block,) = query.blocks(1)
    shown, asked = _lists(train.take(numbers), train), _lists(block.X, query)
    return shown, {name: column[0] for name, column in asked.items()}


def _numbers(ids: Any, train: Any) -> Any:
    """Return the places in TRAIN of rows by their ids; None where one of them is not there."""
    import numpy as np

    places: dict[Any, int] = {}
    for block in train.blocks(65_536):
        for place in np.flatnonzero(np.isin(block.ids, ids)):
            places.setdefault(block.ids[place : place + 1].tolist()[0], block.start + int(place))
    found = [places.get(key) for key in ids.tolist()]
    return None if None in found else np.array(found)


def _lists(X: Any, source: Any) -> dict[str, Any]:
    """Return the columns of rows as lists, by name."""
    if hasattr(X, "table"):
        return {str(name): X.table.column(name).to_pylist() for name in X.table.column_names}
    if isinstance(X, list):
        return {source.text_column or "text": X}
    names = source.feature_names or range(X.shape[1])
    return {str(name): X[:, j].tolist() for j, name in enumerate(names)}


def _write(
    why: Any,
    values: dict[str, Any],
    query_values: dict[str, Any],
    options: dict[str, Any],
    shape: tuple[int, int] | None,
) -> None:
    from scalekern.report.explanation import (
        explanation_records,
        explanation_text,
        plot_explanation,
    )

    title = f"Row {options['row']}: training rows by weight"
    if options["picture"] and shape is None:
        plot_explanation(why, path=options["picture"], title=title, names=_texts(values))
    elif options["picture"]:
        _draw_images(why, values, query_values, shape, options["picture"], title)
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
        wide = len(values) > MOST_COLUMNS
        shown = {name: [_short(value) for value in column] for name, column in values.items()}
        asked = {name: _short(value) for name, value in query_values.items()}
        click.echo(explanation_text(why, 0, *(({}, {}) if wide else (shown, asked))))
        if wide:
            click.echo(f"\nThe {len(values)} columns are too many to print; --json FILE has them.")


def _texts(values: dict[str, Any]) -> list[str] | None:
    """Return the names of rows that are texts: the texts."""
    if len(values) != 1:
        return None
    (column,) = values.values()
    return [_short(text) for text in column] if all(isinstance(t, str) for t in column) else None


def _short(value: Any) -> Any:
    """Return a value, of a long text the beginning."""
    is_long = isinstance(value, str) and len(value) > MOST_LETTERS
    return f"{value[: MOST_LETTERS - 1]}…" if is_long else value


def _draw_images(why: Any, values: Any, asked: Any, shape: Any, path: str, title: str) -> None:
    import numpy as np

    from scalekern.errors import InvalidInputError
    from scalekern.report.explanation_images import plot_explanation_images

    if not values:
        raise InvalidInputError(
            "--image: not all of the training rows are in TRAIN; give the data that the model was "
            "fitted on, and its --key if it had one"
        )
    try:
        pixels = np.array(list(values.values()), dtype=float).T
        query = np.array(list(asked.values()), dtype=float)
    except (TypeError, ValueError):
        raise InvalidInputError(
            "--image: some columns are not numbers, so they cannot be pixels; leave --image out"
        ) from None
    plot_explanation_images(why, query, pixels, shape, path=path, title=title)
