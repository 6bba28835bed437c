"""A picture inside a page: drawn, encoded into the address of an image, with its caption.

Apart from the sections because it is about files, not about models. An image in the `img` element
can neither load anything nor run anything.
"""

from __future__ import annotations

import io
import warnings
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING

from scalekern.report.markup import Html, element

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TYPES = {"svg": "image/svg+xml", "png": "image/png"}


def figure_html(draw: Callable[[], Figure], caption: str, kind: str = "svg") -> Html:
    """Return the `figure` element of what `draw` draws; pictures of many points are best as PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The font may lack letters of a unit; a box is drawn for them.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = draw()
        title = figure.axes[0].get_title(loc="left")
        meta = {"Date": None} if kind == "svg" else None
        figure.savefig(buffer, format=kind, dpi=150, metadata=meta)
    source = f"data:{TYPES[kind]};base64,{b64encode(buffer.getvalue()).decode('ascii')}"
    image = element("img", src=source, alt=f"{title}. {caption}")
    return element("figure", image, element("figcaption", caption))
