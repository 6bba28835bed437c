"""The parts of the report of a comparison, each a function from the comparison to HTML.

Apart from the page, which orders and styles them. What a part has nothing to say about is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from scalekern.report.about import written
from scalekern.report.embed import figure_html
from scalekern.report.markup import Html, element, join, shortened
from scalekern.report.more_time import trends
from scalekern.report.names import family_of, name_of
from scalekern.report.recommend import RULE, on_front
from scalekern.report.table import BEST, bytes_text, named, table_cells
from scalekern.report.wording import local_words, rounded

CAUTION = (
    "These are extrapolations. If the last doubling of components gained half of what the doubling "
    "before it did, the next is assumed to gain half of that again, and so with any other share; "
    "but never more than is missing to the exact model. Work is counted, not timed."
)
WHAT_MODELS_ARE = {
    "exact": "a weighted sum of the similarities to every training row; accurate, but too costly "
    "beyond some ten thousand rows",
    "linear": "a straight line in each feature; the simplest model, to compare with",
    "knn": "the mean of the targets of the most similar training rows (k nearest neighbours)",
    "local": "an exact model of just the most similar training rows, solved anew for each "
    "prediction",
    "nystroem": "approximates the exact model by the similarities to a sample of the rows, its "
    "landmarks",
    "fourier": "approximates the exact model by random waves (cosines) of the features",
    "auto": "what scalekern fits with nothing set: it chooses kernel, metric and approximation by "
    "errors on held-out training rows, whatever the other models share",
}
HALF, WHOLE, SQUARE = (5.6, 4.2), (6.4, 4.2), (5.2, 4.5)
"""Inches of pictures that stand side by side or alone: their letters are as large as the text's."""
MOST_NAMES = 60  # of columns that are listed
MEANINGS = {
    "RMSE, MAE": "Root mean squared error and mean absolute error on the test rows, in the units "
    "of the target: the smaller, the better. * marks the smallest RMSE.",
    "R²": "The share of the variance of the test targets that the predictions explain: 1 is "
    "perfect, 0 is no better than always predicting their mean.",
    "gap to exact": "How far a model's predictions are from the exact model's: their root mean "
    "squared difference, in standard deviations of the test targets. 0 means the same "
    "predictions.",
    "fit, predict": "Seconds to fit the model and to predict all test rows, measured once on the "
    "machine named below.",
    "model size": "The bytes that a model needs in order to predict.",
    "front": "The models that no other model beats in both error and cost (the Pareto front); "
    "dotted steps join them in the pictures.",
    "recommended": RULE,
}


def answer(comparison: Any, unit: str | None) -> Html:
    """Return the recommended model and why."""
    advice = comparison.recommended
    row = next(result for result in comparison.fitted if result.model == advice.model)
    share = "" if row.r2 is None else f" and explains {row.r2:.1%} of the variance of the target"
    in_unit = f" {shortened(unit)}" if unit else ""
    facts = (
        f"On the test rows it is off by {row.rmse:.4g}{in_unit} (RMSE){share}. It takes "
        f"{bytes_text(row.model_bytes)}. What it is: {WHAT_MODELS_ARE[family_of(row.model)]}."
        f"{f' It {row.note}.' if row.note else ''}"
    )
    return element(
        "div",
        element("p", "Recommended: ", element("strong", name_of(advice.model))),
        element("p", advice.reason),
        element("p", facts, class_="quiet"),
        class_="answer",
    )


def question(comparison: Any, target: str | None) -> Html:
    """Return what was compared, for a reader who knows nothing of it."""
    about, rows = comparison.data, f"{len(comparison.y_test):,} other rows"
    learnt = "" if about is None else f" to the same {about.n_train:,} rows{_but(comparison)}"
    what = f"Several models that predict {shortened(target)}" if target else "Several models"
    text = (
        f"{what} were fitted{learnt} and measured on {rows} (the test rows). This page compares "
        "their errors, their cost in time and memory, and how close the fast approximations come "
        "to the exact model."
    )
    return element("p", text)


def _but(comparison: Any) -> str:
    """Return which models were fitted to fewer rows than the others."""
    most = comparison.data.n_train
    fewer = [
        f"{name_of(one.model)} to {one.n_train:,} of them"
        for one in comparison.fitted
        if one.n_train < most
    ]
    return f" ({', '.join(fewer)})" if fewer else ""


def kinds(comparison: Any) -> Html:
    """Return what each kind of model in the table is."""
    families = dict.fromkeys(family_of(result.model) for result in comparison.results)
    pairs = [
        join(element("dt", name_of(family)), element("dd", f"{WHAT_MODELS_ARE[family]}."))
        for family in families
    ]
    sized = any(family_of(result.model) != result.model for result in comparison.results)
    size = "The number after Nyström or Fourier counts its landmarks or waves, its components."
    return join(element("dl", *pairs), *([element("p", size, class_="quiet")] if sized else []))


def data(comparison: Any, target: str | None, unit: str | None) -> Html:
    """Return the summary of the rows."""
    about, y = comparison.data, comparison.y_test
    in_unit = f" {shortened(unit)}" if unit else ""
    facts: dict[str, Any] = {"target": shortened(target)} if target else {}
    if about is not None:
        facts |= _facts(about)
    facts["test targets"] = (
        f"mean {y.mean():.4g}, standard deviation {y.std():.4g}, from {y.min():.4g} to "
        f"{y.max():.4g}{in_unit}"
        if np.ptp(y)
        else f"all are {y[0]:.4g}{in_unit}, so there is no R²"
    )
    pairs = [join(element("dt", name), element("dd", value)) for name, value in facts.items()]
    return element("dl", *pairs)


def _facts(about: Any) -> dict[str, Any]:
    weighted = ", weighted" if about.weighted else ""
    facts: dict[str, Any] = {
        "training rows": f"{about.n_train:,}{weighted}{_named(about.train)}",
        "test rows": f"{about.n_test:,}{_named(about.test)}",
    }
    if not about.n_columns:
        return facts | {"features": "none: the rows are texts or other objects"}
    facts["features"] = f"{about.n_columns:,}"
    if about.columns:
        shown = [shortened(name, 60) for name in about.columns[:MOST_NAMES]]
        named = [join(element("bdi", name), ", ") for name in shown[:-1]]
        more = len(about.columns) - len(shown)
        end = f" and {more:,} more" if more else ""
        facts["features"] = join(f"{about.n_columns:,}: ", *named, element("bdi", shown[-1]), end)
    return facts


def _named(rows: str) -> str:
    return f" ({shortened(rows)})" if rows else ""


def table(comparison: Any) -> Html:
    """Return the table, as it is printed, the recommended model marked."""
    header, cells, _ = table_cells(comparison.rows(), all_notes=True)
    chosen = comparison.recommended.model
    kinds = [{"class_": "words"} if name == "note" else {} for name in header]
    titles = [element("th", name.replace("\n", " "), **kind)
              for name, kind in zip(header, kinds, strict=True)]  # fmt: skip
    lines = [
        element(
            "tr",
            *(
                element("td", _starred(cell), **kind)
                for cell, kind in zip(line, kinds, strict=True)
            ),
            **({"class_": "chosen"} if result.model == chosen else {}),
        )
        for line, result in zip(cells, comparison.results, strict=True)
    ]
    return _scrolled("Error, time and size of each model", titles, lines)


def _starred(cell: str) -> Html:
    """Return a cell whose star hangs beyond its digits, so that decimal points are in line."""
    star = element("span", BEST, class_="star")
    return join(cell.strip(f" {BEST}"), *([star] if cell.endswith(BEST) else []))


def _scrolled(label: str, titles: Sequence[Html], lines: Sequence[Html]) -> Html:
    """Return a table that a narrow screen scrolls sideways, by keyboard too."""
    head = element("thead", element("tr", *titles))
    body = element("table", head, element("tbody", *lines))
    return element("div", body, class_="scroll", role="region", tabindex="0", aria_label=label)


def missing(comparison: Any) -> Html:
    """Return the models that were not tried, and why."""
    items = [
        element("li", f"{name_of(name)}: {reason}.") for name, reason in comparison.left_out.items()
    ]
    return join(element("p", "Left out:"), element("ul", *items)) if items else Html()


def costs(comparison: Any, unit: str | None) -> Html:
    """Return error against time and against memory."""
    from scalekern.report.pictures import plot_error_against_size, plot_error_against_time
    from scalekern.report.style import axes_to_draw_on

    rows = [result.__dict__ for result in comparison.fitted]
    errors = [row["rmse"] for row in rows]
    seconds = [row["fit_seconds"] + row["predict_seconds"] for row in rows]
    sizes = [row["model_bytes"] for row in rows]
    names = named(rows)
    return element(
        "div",
        figure_html(
            lambda: plot_error_against_time(rows, ax=axes_to_draw_on(None, HALF), unit=unit),
            "On the front (dotted; no other model is both faster and more accurate): "
            f"{_front(names, seconds, errors)}.",
        ),
        figure_html(
            lambda: plot_error_against_size(rows, ax=axes_to_draw_on(None, HALF), unit=unit),
            "On the front (dotted; no other model is both smaller and more accurate): "
            f"{_front(names, sizes, errors)}.",
        ),
        class_="pictures",
    )


def _front(names: list[str], costs: list[float], errors: list[float]) -> str:
    return ", ".join(n for n, on in zip(names, on_front(costs, errors), strict=True) if on)


def components(comparison: Any, unit: str | None) -> Html:
    """Return error against components, where a family was fitted at several sizes."""
    from scalekern.report.pictures import plot_error_against_components
    from scalekern.report.style import axes_to_draw_on

    curves = comparison.curves()
    if not curves:
        return Html()
    rmse = {result.model: result.rmse for result in comparison.fitted}
    others = {name: rmse[name] for name in ("linear", "knn", "local", "auto") if name in rmse}
    return element(
        "div",
        figure_html(
            lambda: plot_error_against_components(
                curves,
                comparison.exact_rmse,
                ax=axes_to_draw_on(None, WHOLE),
                references=others,
                unit=unit,
            ),
            "More components (landmarks of Nyström, random waves of Fourier) cost more time and "
            "memory; where a line is flat, they no longer make predictions more accurate.",
        ),
        class_="pictures",
    )


def more_time(comparison: Any) -> Html:
    """Return what more components would buy, where a family was fitted at several sizes."""
    found = trends(comparison)
    if not found:
        return Html()
    how = [] if all(trend.is_noise for trend in found) else [element("p", CAUTION, class_="quiet")]
    return element("div", element("ul", *(element("li", str(one)) for one in found)), *how)


def gap_table(comparison: Any) -> Html:
    """Return the gap of each approximation to the exact model, with its confidence interval."""
    lines = []
    for result in comparison.fitted:
        found = comparison.gap_interval(result.model)
        if found is None or result.model in ("exact", "linear", "knn"):
            continue
        gap, low, high = (f"{value:.3g}" for value in found)
        lines.append(
            (name_of(result.model), gap, f"{low} to {high}", _gap_note(comparison, result))
        )
    if not lines:
        return Html()
    header = ["model", "gap to exact", "95% confidence interval", "measured on"]
    titles = [element("th", name) for name in header]
    rows = [element("tr", *(element("td", cell) for cell in line)) for line in lines]
    said = element(
        "p",
        "The gap is the root mean squared difference between a model's predictions and the exact "
        "model's, in standard deviations of the target: 0 means the same predictions, 1 a "
        "difference as large as the target's own spread. Nyström and Fourier are made to "
        "approximate the exact model; local and auto are not, and may well be better than it.",
    )
    return join(said, _scrolled("Gap of each model to the exact model", titles, rows))


def _gap_note(comparison: Any, result: Any) -> str:
    if result.model not in comparison.certificates:
        return f"{len(comparison.y_test):,} test rows"
    size = int(comparison.certificates[result.model].size[-1])
    return f"parts of {size:,} training rows, both solved on each"


def certificates(comparison: Any) -> Html:
    """Return the gap against the size of subproblems, where the exact model was not fitted."""
    from scalekern.report.gap import plot_gap

    pictures = [
        figure_html(
            partial(plot_gap, found),
            f"{name_of(name)}: the exact model was not fitted to all rows, so both models were "
            "fitted to parts of them, of growing size. On all rows, expect the gap at which the "
            f"line settles. The similarities themselves are off by {100 * found.trace_error:.2g}% "
            "(trace norm of the kernel matrix's error, over its trace).",
        )
        for name, found in comparison.certificates.items()
    ]
    return element("div", *pictures, class_="pictures") if pictures else Html()


def gaps(comparison: Any, unit: str | None) -> Html:
    """Return predictions of the approximations against those of the exact model."""
    from scalekern.report.pictures import plot_predictions
    from scalekern.report.style import axes_to_draw_on

    largest = {
        family_of(result.model): result
        for result in comparison.fitted
        if family_of(result.model) in ("nystroem", "fourier", "local", "auto")
        and result.gap_to_exact is not None
    }
    exact = comparison.predictions.get("exact")
    if exact is None or not largest:
        return Html()
    pictures = []
    for result in largest.values():
        name, ours = name_of(result.model), comparison.predictions[result.model]
        pictures.append(
            figure_html(
                partial(
                    plot_predictions,
                    exact,
                    ours,
                    ax=axes_to_draw_on(None, SQUARE),
                    title=f"{name} against exact",
                    x_label="Exact model's prediction",
                    y_label=f"{name} prediction",
                    unit=unit,
                ),
                f"{name}, gap to exact {result.gap_to_exact:.3g}: each point is a test row, and on "
                "the dashed line both models predict the same. The root mean squared difference is "
                f"{np.sqrt(np.mean((ours - exact) ** 2)):.3g}.",
                kind="png",
            )
        )
    return element("div", *pictures, class_="pictures")


def predictions(comparison: Any, unit: str | None) -> Html:
    """Return the recommended model's predictions against what was so."""
    from scalekern.report.pictures import plot_predictions
    from scalekern.report.style import axes_to_draw_on

    name = comparison.recommended.model
    title = f"{name_of(name)}: predicted against actual"
    return element(
        "div",
        figure_html(
            lambda: plot_predictions(
                comparison.y_test,
                comparison.predictions[name],
                ax=axes_to_draw_on(None, SQUARE),
                title=title,
                unit=unit,
            ),
            "Each point is a test row; on the dashed line the prediction is right.",
            kind="png",
        ),
        class_="pictures",
    )


def meanings() -> Html:
    """Return what the words of the report mean."""
    pairs = [join(element("dt", name), element("dd", said)) for name, said in MEANINGS.items()]
    return element("dl", *pairs)


def made(comparison: Any, versions: Mapping[str, str], command: str | None) -> Html:
    """Return the command, the settings, what was chosen in each model, and the versions."""
    parts = [element("pre", element("code", command or comparison.call))]
    if comparison.kernel:
        chosen = f"{rounded(comparison.kernel)} and alpha {comparison.alpha:.4g}"
        parts.append(element("p", f"Exact, Nyström and Fourier models share {chosen}."))
    if "local" in comparison.models:
        parts.append(element("p", local_words(comparison.models["local"])))
    settings = {name: rounded(written(value)) for name, value in comparison.settings.items()}
    parts.append(_details("Settings", settings))
    for name, model in comparison.models.items():
        report = getattr(model, "report_", None) or {}
        facts = {key: shortened(rounded(value), 300) for key, value in report.items()}
        if facts:
            parts.append(_details(f"How it was fitted: {name_of(name)}", facts))
    parts.append(_details("Versions", versions))
    return join(*parts)


def _details(title: str, facts: Mapping[str, str]) -> Html:
    lines = [
        element("tr", element("td", name), element("td", value)) for name, value in facts.items()
    ]
    rows = element("table", element("tbody", *lines), class_="settings")
    return element("details", element("summary", title), rows)
