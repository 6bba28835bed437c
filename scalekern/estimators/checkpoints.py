"""What a fit must be for its sums to be saved on the way, and what tells it from others."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from scalekern._config import get_config
from scalekern.errors import InvalidInputError, UnsupportedError
from scalekern.rows import RowSource


def checkpoint_parameters(model: Any, source: RowSource, folder: Any) -> dict[str, Any]:
    """Return the parameters that a fit must share with the one it goes on from.

    Raises
    ------
    UnsupportedError, InvalidInputError
        If the fit is one that cannot go on; nothing is checked where `folder` is None.
    """
    if folder is None:
        return {}
    params = model.get_params(deep=False)
    pair = params["approximation"], params["solver"]
    if pair[0] not in ("nystroem", "fourier") or pair[1] in ("sgd", "cg"):
        raise UnsupportedError(
            "checkpoint= saves sums, which approximation='nystroem' and 'fourier' have, with a "
            f"solver other than 'sgd' and 'cg'; not {pair[0]!r} with {pair[1]!r}"
        )
    config = get_config()
    if source.split()[0].on_dask or config.engine == "dask" or not source.n_features:
        raise UnsupportedError("checkpoint= is for vectors of numbers, and not on Dask")
    if not isinstance(params["random_state"], numbers.Integral):
        raise InvalidInputError("checkpoint= needs a whole number as random_state, to draw alike")
    if not isinstance(params["landmarks"], str):
        params["landmarks"] = str(np.asarray(params["landmarks"]).tolist())
    if getattr(params["alpha"], "tolist", None):
        params["alpha"] = params["alpha"].tolist()
    return {k: v for k, v in params.items() if k != "n_jobs"} | {"tile_dtype": config.tile_dtype}
