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
    results = []
    with tempfile.TemporaryDirectory() as work:
        os.chdir(work)
        for number, cell in enumerate(cells):
            run = _shell if cell["kind"] == "shell" else _python
            text, failed = run(cell["code"], scope)
            results.append({"text": text, "figures": _figures(target.parent, number)})
            if failed != cell["fails"]:
                expected = "was to fail" if cell["fails"] else "failed"
                sys.exit(f"{cell['place']}: this cell {expected}:\n{cell['code']}\n{text}")
        os.chdir("/")
    target.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _python(code: str, scope: dict[str, Any]) -> tuple[str, bool]:
    """Run it as an interactive session would: the value of the last expression is shown."""
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    out, failed = io.StringIO(), False
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(tree, "<cell>", "exec"), scope)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), scope)
                if value is not None:
                    print(value if isinstance(value, str) else repr(value))
        except Exception as error:  # noqa: BLE001 - whatever the page's code raises
            failed = True
            print(*traceback.format_exception_only(error), end="")
            print(*traceback.format_tb(error.__traceback__)[1:], sep="", file=sys.stderr)
    return out.getvalue().rstrip(), failed


def _shell(code: str, _scope: dict[str, Any]) -> tuple[str, bool]:
    done = subprocess.run(
        ["bash", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout.rstrip(), done.returncode != 0


def _figures(folder: Path, number: int) -> list[str]:
    if "matplotlib.pyplot" not in sys.modules:
        return []
    import matplotlib.pyplot as plt

    names = []
    for figure in map(plt.figure, plt.get_fignums()):
        names.append(f"cell-{number}-{figure.number}.png")
        figure.savefig(folder / names[-1], dpi=110, bbox_inches="tight")
    plt.close("all")
    return names


if __name__ == "__main__":
    main(Path(sys.argv[1]))
