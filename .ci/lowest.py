"""Print pip constraints that hold each core dependency to the lowest version pyproject.toml allows.

Kept beside the gate, not in the package: only `make verify` needs it.
"""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in project["dependencies"]:
    print(requirement.replace(">=", "=="))
