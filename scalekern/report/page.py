"""The page that a comparison makes: one HTML file, all that it needs inside, safe to send around.

Its parts are `sections`; here they are put in order, styled for screens, phones, the dark and
paper, and written whole or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from scalekern.errors import InvalidInputError
from scalekern.report import sections
from scalekern.report.about import versions
from scalekern.report.markup import Html, element, join, shortened

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --quiet: #59636e; --line: #d8dee4;
  --paper: #fff; --card: #f6f8fa; --mark: #0072b2; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --quiet: #a0a8b0; --line: #3a3f45; --paper: #1a1a1a; --card: #242628;
    --mark: #6cb6e8; }
  figure img { filter: invert(.9) hue-rotate(180deg); } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; }
p, ul { margin: .5rem 0; max-width: 46rem; }
.quiet, figcaption, dt { color: var(--quiet); }
.answer { background: var(--card); border-left: 4px solid var(--mark); border-radius: 4px;
  padding: .9rem 1.1rem; margin: 1.2rem 0; }
.answer strong { font-size: 1.2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .93rem; }
th, td { padding: .35rem 1rem .35rem 0; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: normal; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child, td.words, th.words { text-align: left; }
.scroll th:first-child, .scroll td:first-child { position: sticky; left: 0;
  background: var(--paper); }
.star { position: absolute; }
td.words { white-space: normal; min-width: 12rem; overflow-wrap: anywhere; }
tr.chosen td { font-weight: 700; color: var(--mark); }
.settings td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.settings td:first-child { color: var(--quiet); white-space: nowrap; padding-right: 1.5rem; }
.pictures { display: grid; gap: 1.2rem; margin-top: 1.6rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 29rem), 1fr)); }
figure { margin: 0; max-width: 46rem; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: .9rem; padding: .3rem .2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: .5rem 0; }
dt, dd { margin: 0; }
pre { background: var(--card); padding: .8rem; border-radius: 4px; white-space: pre-wrap;
  font-size: .86rem; }
details { margin: .6rem 0; }
summary { cursor: pointer; }
@media (max-width: 30rem) { body { font-size: .95rem; } th, td { padding-right: .8rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --quiet: #444; --line: #ccc; --paper: #fff;
    --card: #f4f4f4; --mark: #0072b2; }
  figure img { filter: none; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .pictures { grid-template-columns: 1fr 1fr; }
  figure, .answer, tr, pre { break-inside: avoid; }
  h2 { break-after: avoid; }
  details:not([open]) { display: none; }
  .scroll { overflow: visible; } th, td { padding-right: .4rem; font-size: 8pt; } }
"""


def comparison_page(
    comparison: Any,
    *,
    title: str | None = None,
    target: str | None = None,
    unit: str | None = None,
    command: str | None = None,
) -> Html:
    """Return the page of a `Comparison`; see its `to_html`."""
    target = target or (comparison.data.target if comparison.data else None)
    title = title or (f"Predicting {shortened(target)}" if target else "Models compared")
    known = versions()
    made = f"Made on {date.today():%d %B %Y} by scalekern {known['scalekern']}."  # noqa: DTZ011
    parts = [
        element("h1", title),
        element("p", made, class_="quiet"),
        sections.question(comparison, target),
        sections.answer(comparison, unit),
        _section("The data", sections.data(comparison, target, unit)),
        _section(
            "The models",
            sections.table(comparison),
            sections.missing(comparison),
            sections.kinds(comparison),
        ),
        _section("Error against time and memory", sections.costs(comparison, unit)),
        _section("Error against the number of components", sections.components(comparison, unit)),
        _section("What more time would buy", sections.more_time(comparison)),
        _section(
            "How close the models are to the exact one",
            sections.gap_table(comparison),
            sections.gaps(comparison, unit),
            sections.certificates(comparison),
        ),
        _section("The recommended model's predictions", sections.predictions(comparison, unit)),
        _section("How to read this", sections.meanings()),
        _section("How it was made", sections.made(comparison, known, command)),
    ]
    return _document(title, parts)


def _section(heading: str, *content: Html) -> Html:
    """Return a section with its heading; nothing where there is nothing to say."""
    return element("section", element("h2", heading), *content) if any(content) else Html()


def _document(title: str, parts: Sequence[Html]) -> Html:
    head = join(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Html(STYLE)),
    )
    body = element("body", Html("\n"), *(join(part, Html("\n")) for part in parts if part))
    page = element("html", element("head", head), Html("\n"), body, lang="en")
    return join(Html("<!DOCTYPE html>\n"), page, Html("\n"))


def write_page(path: str | Path, page: str) -> None:
    """Write a page under another name first, so that a file of this name is always whole.

    Raises
    ------
    InvalidInputError
        If the file cannot be written, or is a folder.
    """
    path = Path(path)
    if path.is_dir():
        raise InvalidInputError(f"cannot write {path}: it is a folder; give the name of a file")
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_text(page, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror or error}; give a folder that exists and can "
            "be written"
        ) from error
