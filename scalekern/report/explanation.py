"""One explained prediction as a table and as a picture: from the baseline, row by row, to it.

Apart from the estimators, which give plain arrays; everything here is drawn from an `Explanation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scalekern.approximations.explanation import Explanation
from scalekern.errors import InvalidInputError
from scalekern.report.style import (
    COLOURS,
    INK,
    QUIET,
    axes_to_draw_on,
    dress,
    finish,
    with_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UP, DOWN, OTHERS = COLOURS["nystroem"], COLOURS["knn"], "#B5B5B5"


def explanation_records(
    why: Explanation,
    query: int = 0,
    values: Mapping[str, Sequence[Any]] | None = None,
    output: int | None = None,
) -> list[dict[str, Any]]:
    """Return one mapping for each shown row of one query, the strongest first.

    Parameters
    ----------
    why : Explanation
    query : int, default=0
    values : mapping of str to sequence, optional
        Further columns of the shown rows.
    output : int, optional
        Contributions to this output or class only; by default to all outputs, of a classifier to
        the class of the highest prediction.

    Returns
    -------
    list of dict
        With `rank`, `row`, `weight`, `similarity`, `target`, `contribution` and the columns.
    """
    names = {
        "row": why.row_id,
        "weight": why.weight,
        "similarity": why.similarity,
        "target": why.target,
    }
    output = _class_asked(why, query, output)
    steps = steps_of(why, query, output)
    found = [
        {"rank": j + 1}
        | {name: np.asarray(array[query, j]).tolist() for name, array in names.items()}
        | {"contribution": steps[j].tolist()}
        for j in range(why.weight.shape[1])
    ]
    for name, column in (values or {}).items():
        for record, value in zip(found, column, strict=True):
            record[name] = value
    return found


def explanation_text(
    why: Explanation,
    query: int = 0,
    values: Mapping[str, Sequence[Any]] | None = None,
    query_values: Mapping[str, Any] | None = None,
    output: int | None = None,
) -> str:
    """Return one explained prediction as a table of plain text, and what it adds up to.

    Parameters
    ----------
    why : Explanation
    query : int, default=0
    values : mapping of str to sequence, optional
        Further columns of the shown rows.
    query_values : mapping of str to value, optional
        The same columns of the query, in the first line.
    output : int, optional
        As in `explanation_records`.
    """
    output = _class_asked(why, query, output)
    records = explanation_records(why, query, values, output)
    header = list(records[0])
    asked = {"row": "query"} | dict(query_values or {})
    lines = [header, *([cell(asked.get(name, "")) for name in header] for _ in query_values or ())]
    lines = lines[: 2 if query_values else 1]
    lines += [[cell(record[name]) for name in header] for record in records]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    table = [
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    end = [
        ("baseline", _of(why.baseline, output)),
        (f"the {len(records)} rows shown", steps_of(why, query, output).sum(axis=0)),
        ("all others", _of(_rest(why)[query], output)),
        ("prediction", _of(why.prediction[query], output)),
    ]
    about = [] if why.classes is None else [f"{outcome_unit(why, output)}:"]
    sums = [f"{name:<20}{cell(np.asarray(value).tolist())}" for name, value in end]
    share = np.ravel(_of(why.share_not_shown[query], output))
    sums[2] += f"  ({', '.join(f'{part:.0%}' for part in share)} of the absolute contributions)"
    return "\n".join([*table, "", *about, *sums])


def plot_explanation(
    why: Explanation,
    query: int = 0,
    path: str | Path | None = None,
    ax: Axes | None = None,
    *,
    output: int | None = None,
    most: int = 12,
    names: Sequence[str] | None = None,
    title: str | None = None,
    unit: str | None = None,
) -> Figure:
    """Draw how training rows lead from the baseline to the prediction, the strongest on top.

    Parameters
    ----------
    why : Explanation
    query : int, default=0
        Which of its queries.
    path : path, optional
        Write the picture there, as PNG or what its ending says, at 150 dots per inch.
    ax : matplotlib Axes, optional
        Draw there instead of on a new figure.
    output : int, optional
        Which output, or class of a classifier; by default the first output, or the class of the
        highest prediction.
    most : int, default=12
        How many rows get a bar; all others share one.
    names : sequence of str, optional
        What to call the shown rows, such as the texts that they are; "row" and the id by default.
    title, unit : str, optional
        The unit is that of the target.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInputError
        If there is no such query or output, or the file cannot be written.
    MissingExtraError
        If matplotlib is not installed.
    """
    why = why.top(most)
    output = single_output(why, query, output)
    base, end = float(_of(why.baseline, output)), float(_of(why.prediction[query], output))
    steps = steps_of(why, query, output)
    rest = float(_of(_rest(why)[query], output))
    colours = [UP if step >= 0 else DOWN for step in steps]
    if rest:
        steps, colours = np.append(steps, rest), [*colours, OTHERS]
    ends = base + np.cumsum(steps)
    starts = ends - steps
    places = np.arange(len(steps))[::-1]
    ax = axes_to_draw_on(ax, (8.0, 2.0 + 0.33 * len(steps)))
    ax.barh(places, steps, left=starts, height=0.66, color=colours, zorder=3)
    ax.vlines(ends[:-1], places[1:] - 0.33, places[:-1] + 0.33, color=QUIET, linewidth=0.8)
    label = "Target" if why.classes is None else outcome_unit(why, output)
    dress(ax, title or "From the baseline to the prediction", with_unit(label, unit), "")
    ax.grid(visible=False, axis="y")
    ax.set_yticks(places, _labels(why, query, names)[: len(steps)], fontsize=9)
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.set_ylim(-0.7, len(steps) + 0.5)
    _mark(ax, base, end, np.append(starts, end))
    _write_steps(ax, steps, starts, ends, places)
    return finish(ax, path)


def single_output(why: Explanation, query: int, output: int | None) -> int:
    """Return the output or class to draw, or raise where there is no such query or output."""
    found = _class_asked(why, query, output) or 0
    outputs = np.size(why.baseline)
    if not (0 <= query < len(why.weight) and 0 <= found < outputs):
        raise InvalidInputError(
            f"query={query} and output={found}: the explanation has {len(why.weight)} queries and "
            f"{outputs} outputs, both numbered from 0"
        )
    return found


def steps_of(why: Explanation, query: int, output: int | None) -> np.ndarray:
    """Return what each shown row adds, to all outputs where none is asked for."""
    return np.asarray(_of(why.contribution[query], output if np.ndim(why.baseline) else None))


def outcome(why: Explanation, query: int, output: int | None) -> str:
    """Return the prediction in words."""
    value = cell(np.asarray(_of(why.prediction[query], output)).tolist())
    return f"{outcome_unit(why, output)}: {value}"


def outcome_unit(why: Explanation, output: int | None) -> str:
    """Return what is predicted: for a classifier of which class."""
    if why.classes is None:
        return "prediction"
    return f"{why.unit} of class {cell(np.asarray(why.classes[output or 0]).tolist())}"


def _class_asked(why: Explanation, query: int, output: int | None) -> int | None:
    if output is None and why.classes is not None:
        return int(why.prediction[query].argmax())
    return output


def _of(values: Any, output: int | None) -> Any:
    return values if output is None or np.ndim(values) == 0 else values[..., output]


def _rest(why: Explanation) -> np.ndarray:
    """Return what is not shown, 0 where it is rounding."""
    rest, size = why.not_shown, np.abs(why.contribution).sum(axis=1)
    return np.where(np.abs(rest) < 1e-9 * size, 0.0, rest)


def _labels(why: Explanation, query: int, names: Sequence[str] | None) -> list[str]:
    names = [f"row {row}" for row in why.row_id[query]] if names is None else names
    kind = "target" if why.classes is None else "class"
    rows = [
        f"{name}: {kind} {cell(np.asarray(y).tolist())}, weight {w:.3g}"
        for name, y, w in zip(names, why.target[query], why.weight[query], strict=False)
    ]
    return [*rows, "all other rows"]


def _mark(ax: Axes, base: float, end: float, drawn: np.ndarray) -> None:
    """Mark both ends of the way, each named on its own side, and leave room beside the bars."""
    room = (np.ptp(drawn) or abs(base) or 1.0) * 0.2
    ax.set_xlim(drawn.min() - room, drawn.max() + room)
    top = ax.get_ylim()[1]
    left, right = ("right", "left") if base <= end else ("left", "right")
    for value, name, side, dashes in (
        (base, "baseline", left, (0, (2, 2))),
        (end, "prediction", right, "-"),
    ):
        ax.axvline(value, color=INK, linewidth=1.1, linestyle=dashes, zorder=2)
        text = f" {name} \n {value:.5g} "
        ax.text(value, top, text, ha=side, va="top", fontsize=9.5, color=INK)


def _write_steps(ax: Axes, steps: Any, starts: Any, ends: Any, places: Any) -> None:
    """Write each contribution beyond the end of its bar."""
    gap = 0.008 * float(np.ptp(ax.get_xlim()))
    for step, start, end, place in zip(steps, starts, ends, places, strict=True):
        at = max(start, end) + gap
        text = ax.text(at, place, f"{step:+.3g}", va="center", fontsize=8.5, color=QUIET, zorder=4)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85})


def cell(value: Any) -> str:
    """Return a value, or several with commas, in six digits."""
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
