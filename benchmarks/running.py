"""How a measured run is started: in a process of its own, which prints what it measured."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def run(task: str, **options: Any) -> dict[str, Any]:
    """Return what one run in a process of its own measured."""
    command = [sys.executable, "-m", "benchmarks.worker", task, json.dumps(options)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)
