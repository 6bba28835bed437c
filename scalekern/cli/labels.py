"""A target of labels: a column of text that k-NN classifiers tell, read whole beside its rows.

Apart from `fit`, whose rows are streamed, because targets there are numbers; the rows of a k-NN
classifier are all in memory anyway.
"""

from __future__ import annotations

from typing import Any

import click

from scalekern.cli.options import several

REFUSED = ("weight", "key", "calibrate", "checkpoint")


def are_labels(data: str, target: str) -> bool:
    """Return whether the target is a column of text."""
    from scalekern.errors import InvalidInputError
    from scalekern.rows.stream import ColumnStream
    from scalekern.rows.texts import is_text_feature

    try:
        return is_text_feature(ColumnStream(data, [target]).schema, [target])
    except InvalidInputError:
        return False  # what reads the rows says what is wrong


def rows_and_labels(data: str, options: dict[str, Any], *, texts: bool) -> tuple[Any, Any]:
    """Return the features as an Arrow table, and the labels."""
    import numpy as np
    import pyarrow as pa

    from scalekern.rows import rows
    from scalekern.rows.stream import ColumnStream

    refused = [f"--{name}" for name in REFUSED if options[name]]
    if refused:
        raise click.UsageError(
            f"{refused[0]} cannot be used with the target {options['target']!r}, which is text "
            "(class labels); leave it out"
        )
    features = several(options["features"])
    if texts and len(features) != 1:
        raise click.UsageError("texts are compared in one column; give exactly one with --features")
    drop = [*several(options["drop"]), options["target"]]
    source = rows(data, features=features or None, drop=drop, raw=True)
    names = list(source.feature_names or ())
    stream = ColumnStream(data, [*names, options["target"]])
    stream.refuse_missing(options["target"])
    columns = stream.take(source.n_rows)
    labels = np.array(columns.pop(options["target"]).to_pylist())
    return pa.table(columns), labels
