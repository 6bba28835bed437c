"""Options that several commands share, declared once, and the types of their values."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

KERNELS = (
    "rbf", "laplacian", "matern12", "matern32", "matern52", "rational_quadratic", "linear",
    "polynomial", "cosine",
)  # fmt: skip
Command = Callable[..., Any]


class NumberOr(click.ParamType):  # type: ignore[type-arg]
    """A number above or equal to 0, or one of some words."""

    def __init__(self, *words: str, several: bool = False) -> None:
        self.words, self.several = words, several
        self.name = "|".join(["NUMBER", *words])

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the number, numbers or word."""
        if not isinstance(value, str):
            return value
        if value.lower() in self.words:
            return value.lower()
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            self.fail(f"{value!r} is neither a number nor one of {', '.join(self.words)}")
        if len(numbers) == 1:
            return numbers[0]
        if not self.several:
            self.fail(f"{value!r} is several numbers; give one")
        return numbers


def several(value: tuple[str, ...]) -> list[str]:
    """Return the names of a repeatable option whose values may have commas."""
    return [name for part in value for name in part.split(",") if name]


def data_options(command: Command) -> Command:
    """Add the options that say which column plays which part."""
    return add_options(
        command,
        click.option("--target", required=True, help="The column to predict."),
        click.option("--features", multiple=True, metavar="COLUMNS", help="Columns to predict "
                     "from, with commas or repeated; by default all that are left."),
        click.option("--drop", multiple=True, metavar="COLUMNS", help="Columns to leave out."),
        click.option("--weight", help="A column of sample weights."),
        click.option("--key", help="A column that identifies each row."),
    )  # fmt: skip


def model_options(command: Command) -> Command:
    """Add the parameters of the models."""
    return add_options(
        command,
        click.option("--scaler", type=click.Choice(["standard", "minmax", "none"]),
                     default="standard", show_default=True, help="How to scale the features."),
        click.option("--alpha", type=NumberOr("loo", "gcv", "cv", several=True), default="loo",
                     show_default=True, help="The penalty; several with commas."),
        click.option("--intercept/--no-intercept", default=True, help="Fit an intercept."),
        click.option("--n-components", type=click.IntRange(1), default=1000, show_default=True,
                     help="Landmarks or random features."),
        click.option("--n-neighbors", type=click.IntRange(1), default=None,
                     help="Of knn and local; by default 5 and 32 to 128."),
        click.option("--random-state", type=click.IntRange(0), default=0, show_default=True,
                     help="The seed of everything that is drawn."),
    )  # fmt: skip


def kernel_options(
    kernels: tuple[str, ...], kernel: str, gamma: str
) -> Callable[[Command], Command]:
    """Return what adds the kernel and its bandwidth, with their defaults."""
    return lambda command: add_options(
        command,
        click.option("--kernel", type=click.Choice(kernels), default=kernel, show_default=True,
                     help="How similarity falls with distance."),
        click.option("--gamma", type=NumberOr("median", "scale", "cv"), default=gamma,
                     show_default=True, help="The bandwidth."),
    )  # fmt: skip


def prepare_options(command: Command) -> Command:
    """Add what becomes of missing values and of columns that are not numbers."""
    return add_options(
        command,
        click.option("--missing", type=click.Choice(["error", "mean", "median"]), default="error",
                     show_default=True, help="What a missing feature becomes; a column that has "
                     "some gets a second one that says where. 'error' refuses them."),
        click.option("--categories", type=click.Choice(["error", "onehot", "target"]),
                     default="error", show_default=True, help="What text becomes: a column of 0 "
                     "and 1 for each category, or its mean target, out of fold. 'error' refuses "
                     "it, since one bad cell makes text of a column of numbers."),
        click.option("--max-categories", type=click.IntRange(2), default=32, show_default=True,
                     help="The most columns that one-hot makes of one; rare categories share one."),
    )  # fmt: skip


def preparation(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the options of `prepare_options`, and the scaler."""
    return {name: options[name] for name in ("scaler", "missing", "categories", "max_categories")}


def run_options(command: Command) -> Command:
    """Add the settings of a run."""
    return add_options(
        command,
        click.option("--n-jobs", type=int, default=None, help="Threads; one a core by default."),
        click.option("--tile-dtype", type=click.Choice(["float32", "float64"]), default=None,
                     help="Of the kernel tiles; as the data by default. float32 is faster."),
        click.option("--memory-limit", type=int, default=None, metavar="BYTES",
                     help="For the tiles and sums of a pass; a share of what is free by default."),
        click.option("--json", "json_path", metavar="FILE", default=None,
                     help="Write the result as JSON; - is standard output."),
        click.option("--quiet", is_flag=True, help="No progress bars and no report."),
    )  # fmt: skip


def add_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options in their order."""
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def run_settings(options: dict[str, Any]) -> Any:
    """Run under the settings that the options of `run_options` say."""
    from scalekern._config import config_context

    progress = not options["quiet"] and sys.stderr.isatty()
    with config_context(
        tile_dtype=options["tile_dtype"], memory_limit=options["memory_limit"], progress=progress
    ):
        yield


def check_output(path: str | None) -> None:
    """Raise before any work where a file cannot be written."""
    if path in (None, "-"):
        return
    if "://" in str(path):
        raise click.UsageError(f"{path} is a URL; give the name of a file on this machine")
    target = Path(str(path))
    if target.is_dir():
        raise click.UsageError(f"{target} is a folder; give the name of a file")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        existed = target.exists()
        with target.open("ab"):
            pass
        if not existed:
            target.unlink()
    except OSError as error:
        raise click.UsageError(f"{target} cannot be written: {error.strerror}") from error


def write_json(path: str | None, document: Any) -> None:
    """Write a document where `--json` asks for it, whole or not at all."""
    if path is None:
        return
    text = json.dumps(_plain(document), indent=2, default=str, allow_nan=False) + "\n"
    if path == "-":
        click.echo(text, nl=False)
        return
    target = Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Return what JSON has words for: null for what is not finite."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def source_from(data: str, options: dict[str, Any], *, texts: bool = False) -> Any:
    """Return the rows that the options of `data_options` describe.

    They are of any columns, for a `RowPreparer`, or `texts` of one column.
    """
    from scalekern.rows import rows

    features = several(options["features"])
    if texts and len(features) != 1:
        raise click.UsageError("texts are compared in one column; name it with --features")
    return rows(
        data,
        target=options["target"],
        features=features or None,
        drop=several(options["drop"]),
        weight=options["weight"],
        key=options["key"],
        raw=not texts,
    )
