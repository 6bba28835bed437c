"""HTML by construction: text is escaped wherever it enters, so no name of a column can be code.

Apart from the page, which then has no place where escaping could be forgotten.
"""

from __future__ import annotations

from html import escape

EMPTY = frozenset({"img", "meta", "br"})  # elements without an end


class Html(str):
    """Text that is HTML already; all other text is escaped by `element`."""

    __slots__ = ()


def element(tag: str, *content: object, **attributes: str) -> Html:
    """Return an element; `class_` is the attribute class, and `aria_label` aria-label.

    Examples
    --------
    >>> from scalekern.report.markup import element
    >>> str(element("td", '<b> & "c"', class_="name"))
    '<td class="name">&lt;b&gt; &amp; &quot;c&quot;</td>'
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
    )
    if tag in EMPTY:
        return Html(f"<{tag}{named}>")
    return Html(f"<{tag}{named}>{join(*content)}</{tag}>")


def join(*content: object) -> Html:
    """Return pieces one after the other, those that are no HTML escaped."""
    return Html("".join(piece if isinstance(piece, Html) else text(piece) for piece in content))


def text(value: object) -> Html:
    """Return a value as escaped text, without what neither HTML nor UTF-8 has."""
    plain = str(value).encode("utf-8", "replace").decode()
    return Html(escape("".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}"
                               for c in plain)))  # fmt: skip


def shortened(value: object, most: int = 120) -> str:
    """Return a value as text of at most `most` letters."""
    plain = str(value)
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
