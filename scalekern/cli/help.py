"""How a command explains itself: required options in its usage, the others by topic, and examples.

Apart from the commands, which only say under which heading an option belongs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

OTHER = "Other options"
SETTINGS: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "show_default": True,
    "max_content_width": 100,
}
"""Of the group, and so of each command."""


class Option(click.Option):
    """An option that the help shows under a heading."""

    def __init__(self, *args: Any, heading: str = OTHER, **more: Any) -> None:
        super().__init__(*args, **more)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return what stands in brackets: the default; the text of an option has its bounds."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


def under(heading: str) -> Callable[..., Any]:
    """Return what declares options of a heading, as `click.option` does."""
    return partial(click.option, cls=Option, heading=heading)


class HelpfulCommand(click.Command):
    """A command whose help groups its options and ends with examples.

    Parameters
    ----------
    *args, **more : as in `click.Command`
    examples : sequence of str
        Command lines that a reader may copy.
    """

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = examples

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line, with the options that must be given."""
        pieces = [piece for p in self.get_params(ctx) for piece in p.get_usage_pieces(ctx)]
        required = [
            f"{min(p.opts, key=len)} {p.make_metavar(ctx)}"
            for p in self.get_params(ctx)
            if isinstance(p, click.Option) and p.required
        ]
        return [*pieces, *required, "[OPTIONS]"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings, in the order they were declared."""
        headings: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                headings.setdefault(getattr(param, "heading", OTHER), []).append(record)
        headings[OTHER] = headings.pop(OTHER)  # they come last, --help among them
        for heading, records in headings.items():
            with formatter.section(heading if len(headings) > 1 else "Options"):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, whose lines are kept."""
        if self.examples:
            with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
                for line in "\n".join(self.examples).splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
