"""What a fit must be for its sums to be saved on the way, and what tells it from others."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from scalekern._config import get_config
from scalekern.engine import engine_for
from scalekern.engine.fingerprint import fingerprint
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.rows import RowSource


def checkpoint_identity(model: Any, source: RowSource) -> dict[str, Any]:
    """Return what a fit must share with the one it goes on from, as JSON.

    Raises
    ------
    UnsupportedError, InvalidInputError
        If the fit is one that cannot go on.
    """
    params = model.get_params(deep=False)
    name, solver = params["approximation"], params["solver"]
    if not (name in ("nystroem", "fourier") or (name, solver) == ("exact", "cg")):
        raise UnsupportedError(
            f"checkpoint= cannot save a fit of approximation={name!r} with solver={solver!r}; it "
            "saves passes over the rows, which 'nystroem', 'fourier', and 'exact' with "
            "solver='cg' make"
        )
    config = get_config()
    if not source.n_features:
        raise UnsupportedError("checkpoint= needs rows of numbers, not objects; leave it out")
    if not isinstance(params["random_state"], numbers.Integral):
        raise InvalidInputError(
            "checkpoint= needs a whole number as random_state, so that a resumed fit draws the "
            "same rows"
        )
    if not isinstance(params["landmarks"], str):
        params["landmarks"] = str(np.asarray(params["landmarks"]).tolist())
    for name in ("alpha", "metric"):
        params[name] = getattr(params[name], "tolist", lambda own=params[name]: own)()
    own = {k: v for k, v in params.items() if k != "n_jobs"} | {"tile_dtype": config.tile_dtype}
    return {
        "parameters": repr(sorted(own.items())),
        "rows": fingerprint(engine_for(source, model.n_jobs), source),
    }
