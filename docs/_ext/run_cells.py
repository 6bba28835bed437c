"""Run the cells of one page in this process, in their order, and say what each printed and drew.

A process of its own for each page: a reader starts from nothing too. The cells come as JSON on
standard input; the results go to the file that is named, pictures beside it.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any


def main(target: Path) -> None:
    """Run the cells in an empty working directory until one fails that should not."""
    cells = json.load(sys.stdin)
    scope: dict[str, Any] = {"__name__": "__main__"}
    results, drawn = [], []
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        for number, cell in enumerate(cells):
            run = _shell if cell["kind"] == "shell" else _python
            text, failed = run(cell["code"], scope, drawn)
            figures = _figures(target.parent, number, drawn)
            results.append({"text": text, "figures": figures})
            if failed != cell["fails"]:
                expected = "was to fail" if cell["fails"] else "failed"
                sys.exit(f"{cell['place']}: this cell {expected}:\n{cell['code']}\n{text}")
        os.chdir("/")
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _python(code: str, scope: dict[str, Any], drawn: list[Any]) -> tuple[str, bool]:
    """Run it as an interactive session would: the value of the last expression is shown."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out, failed = io.StringIO(), False
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(tree, "<cell>", "exec"), scope)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)
                if type(value).__module__ == "matplotlib.figure":
                    drawn.append(value)
                elif value is not None:
                    print(value if isinstance(value, str) else repr(value))
        except Exception as error:  # noqa: BLE001 - whatever the page's code raises
            failed = True
            print(*traceback.format_exception_only(error), end="")
            print(*traceback.format_tb(error.__traceback__)[1:], sep="", file=sys.stderr)
    return out.getvalue().rstrip(), failed


def _shell(code: str, _scope: dict[str, Any], _drawn: list[Any]) -> tuple[str, bool]:
    done = subprocess.run(
        ["bash", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    text, data = done.stdout.rstrip(), os.environ.get("SCALEKERN_DATA")
    # What is recorded names no folder of the machine that ran it.
    return text.replace(data, "$SCALEKERN_DATA") if data else text, done.returncode != 0


def _figures(folder: Path, number: int, drawn: list[Any]) -> list[str]:
    """Save what pyplot holds and what the cell returned, once each."""
    plt = sys.modules.get("matplotlib.pyplot")
    figures = [] if plt is None else [plt.figure(n) for n in plt.get_fignums()]
    figures += [figure for figure in drawn if figure not in figures]
    names = [f"cell-{number}-{place}.png" for place in range(1, len(figures) + 1)]
    for figure, name in zip(figures, names, strict=True):
        figure.savefig(folder / name, dpi=110, bbox_inches="tight")
    if plt is not None:
        plt.close("all")
    drawn.clear()
    return names


if __name__ == "__main__":
    main(Path(sys.argv[1]))
