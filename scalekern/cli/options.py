"""Options that several commands share, declared once, and the types of their values."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from scalekern.cli.help import OTHER, under

SIMILARITY = "Model: similarity (kernel) models"
NEIGHBORS = "Model: k-nearest neighbours"
KERNELS = (
    "rbf", "laplacian", "matern12", "matern32", "matern52", "rational_quadratic", "linear",
    "polynomial", "cosine",
)  # fmt: skip
Command = Callable[..., Any]


class NumberOr(click.ParamType):  # type: ignore[type-arg]
    """A number above or equal to 0, or one of some words."""

    name = "number"

    def __init__(self, *words: str, several: bool = False) -> None:
        self.words, self.several = words, several

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Return what the help writes for a value."""
        return f"[{'|'.join(self.words)}|NUMBER{'S' if self.several else ''}]"

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


class Bytes(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes, with or without a unit."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the bytes."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is not a size; write one such as 4GB or 500MB")
        number, unit, binary = match.groups()
        return int(float(number) * (1024 if binary else 1000) ** " kmgt".index(unit or " "))


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """One whole number above 0, or several with commas."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return the numbers as a list."""
        parts = str(value).split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
            self.fail(f"{value!r}: write a whole number above 0, or several with commas")
        return [int(part) for part in parts]


def several(value: tuple[str, ...]) -> list[str]:
    """Return the names of a repeatable option whose values may have commas."""
    return [name for part in value for name in part.split(",") if name]


def data_options(command: Command) -> Command:
    """Add the options that say which column plays which part."""
    option = under("Columns of DATA")
    return add_options(
        command,
        option("--target", required=True, metavar="COLUMN", help="The column to predict."),
        option("--features", multiple=True, metavar="COLUMNS", help="The columns to predict from: "
               "names separated by commas, or the option repeated. Default: all the others."),
        option("--drop", multiple=True, metavar="COLUMNS", help="Columns to leave out of the "
               "features."),
        option("--weight", metavar="COLUMN", help="The column of sample weights. Default: all rows "
               "count alike."),
        option("--key", metavar="COLUMN", help="The column that identifies each row; which rows "
               "are drawn at random then depends on it, and not on the order of the rows. "
               "Default: the row number."),
    )  # fmt: skip


def prepare_options(command: Command) -> Command:
    """Add how columns become numbers on one scale, missing values and text among them."""
    option = under("Preparing the columns")
    return add_options(
        command,
        option("--scaler", type=click.Choice(["standard", "minmax", "none"]), default="standard",
               help="Scale each number to mean 0 and variance 1, to the range 0 to 1, or not at "
               "all."),
        option("--missing", type=click.Choice(["error", "mean", "median"]), default="error",
               help="What to put in place of a missing number: the mean or median of its column, "
               "with a second column of 0 and 1 that marks where. 'error' stops at the first."),
        option("--categories", type=click.Choice(["error", "onehot", "target"]),
               default="error", help="What to make of a column of text: one column of 0 and 1 for "
               "each category, or the mean target of its category (out of fold). 'error' stops, "
               "since a single bad cell turns a column of numbers into text."),
        option("--max-categories", type=click.IntRange(2), metavar="N", default=32,
               help="The most columns that 'onehot' makes of one column; the rarest categories "
               "share one."),
    )  # fmt: skip


def kernel_options(
    kernels: tuple[str, ...], kernel: str, gamma: str
) -> Callable[[Command], Command]:
    """Return what adds the kernel and its bandwidth, with their defaults."""
    option = under(SIMILARITY)
    auto = "'auto' takes the best of several by leave-one-out error. " if "auto" in kernels else ""
    return lambda command: add_options(
        command,
        option("--kernel", type=click.Choice(kernels), metavar="NAME", default=kernel,
               help=f"How similarity falls with distance. {auto}One of {', '.join(kernels)}."),
        option("--gamma", type=NumberOr("median", "scale", "cv"), default=gamma,
               help="How fast it falls: 'median' sets it by the median distance between rows, "
               "'cv' searches around that by leave-one-out error, 'scale' is 1 / (columns x "
               "variance); or a number, larger for narrower kernels."),
    )  # fmt: skip


def alpha_options(command: Command) -> Command:
    """Add the penalty and the intercept."""
    option = under(SIMILARITY)
    return add_options(
        command,
        option("--alpha", type=NumberOr("loo", "gcv", "cv", several=True), default="loo",
               help="The penalty on rough fits: chosen by leave-one-out error ('loo'), "
               "generalised ('gcv') or five-fold ('cv') cross-validation; or a number, or several "
               "with commas to choose from."),
        option("--intercept/--no-intercept", default=True, help="Whether to fit an intercept."),
    )  # fmt: skip


def seed_option(command: Command) -> Command:
    """Add the seed."""
    return add_options(
        command,
        under("Model")("--random-state", type=click.IntRange(0), metavar="SEED", default=0,
                       help="The seed of everything drawn at random; the same seed gives the same "
                       "model."),
    )  # fmt: skip


def preparation(options: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the options of `prepare_options`, and the scaler."""
    return {name: options[name] for name in ("scaler", "missing", "categories", "max_categories")}


def run_options(command: Command) -> Command:
    """Add the settings of a run."""
    run, tell = under("Speed and memory"), under(OTHER)
    return add_options(
        command,
        run("--n-jobs", type=int, metavar="N", help="Threads to use. Default: one for each core."),
        run("--tile-dtype", type=click.Choice(["float32", "float64"]),
            help="The precision that similarities are computed in; float32 is faster and less "
            "accurate. Default: that of the data."),
        run("--memory-limit", type=Bytes(), help="The most memory that the working arrays of a "
            "pass over the rows may take, such as 4GB. Default: a share of what is free."),
        tell("--json", "json_path", metavar="FILE", help="Write the result as JSON to a file, or "
             "to standard output for '-' (and nothing else there)."),
        tell("--quiet", is_flag=True, help="Show no progress bars and print no result."),
    )  # fmt: skip


def add_options(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Add options in their order."""
    for option in reversed(options):
        command = option(command)
    return command


@contextmanager
def run_settings(options: dict[str, Any], what: str) -> Any:
    """Run under the settings that the options of `run_options` say; `what` is what is done."""
    from scalekern._config import config_context
    from scalekern.engine.progress import whole

    progress = not options["quiet"] and sys.stderr.isatty()
    settings = config_context(
        tile_dtype=options["tile_dtype"], memory_limit=options["memory_limit"], progress=progress
    )
    with settings, whole(what):
        yield


def check_output(path: str | None) -> None:
    """Raise before any work where a file cannot be written."""
    if path in (None, "-"):
        return
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
        raise click.UsageError("texts are compared in one column; give exactly one with --features")
    return rows(
        data,
        target=options["target"],
        features=features or None,
        drop=several(options["drop"]),
        weight=options["weight"],
        key=options["key"],
        raw=not texts,
    )
