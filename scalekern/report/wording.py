"""How models read to people: numbers of few digits, kernels by name, what a model chose by itself.

Apart from the tables and pages, so that a terminal and a report say the same.
"""

from __future__ import annotations

import re
from typing import Any

from scalekern.kernels import Kernel, Matern
from scalekern.report.names import name_of

LONG = re.compile(r"(?<![\w.])\d*\.\d{5,}(?:[eE][+-]?\d+)?(?![\w.])")
"""A number of more decimals than anybody reads."""


def rounded(value: Any) -> str:
    """Return a value as text, its numbers of five decimals or more in four significant digits.

    Examples
    --------
    >>> from scalekern.kernels import RBF, Linear
    >>> from scalekern.report.wording import rounded
    >>> rounded(RBF(0.06068091705114675) + 2.0 * Linear()), rounded(1.23456789e-05)
    ('RBF(gamma=0.06068) + 2.0 * Linear()', '1.235e-05')
    """
    return LONG.sub(lambda found: f"{float(found[0]):.4g}", str(value))


def kernel_name(kernel: Kernel) -> str:
    """Return the name of a kind of kernel, without its bandwidth."""
    if isinstance(kernel, Matern):
        return f"Matérn {2 * kernel.nu:.0f}/2"
    return type(kernel).__name__


def choice_of(model: Any) -> str:
    """Return what a fitted `SimilarityRegressor` chose: approximation, kernel, size and metric.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import SimilarityRegressor
    >>> from scalekern.report.wording import choice_of
    >>> X = np.linspace(0, 6, 50)[:, None]
    >>> choice_of(SimilarityRegressor("matern12", random_state=0).fit(X, np.sin(X[:, 0])))
    'exact, Matérn 1/2'
    """
    report = model.report_
    words = [name_of(report["approximation"]), kernel_name(model.kernel_)]
    if "n_neighbors" in report:
        words.append(f"{report['n_neighbors']} neighbours")
    if "landmarks" in report:
        words.append(f"{report['landmarks']:,} landmarks")
    if hasattr(model, "feature_relevances_"):
        words.append("learned metric")
    return ", ".join(words)


def local_words(model: Any) -> str:
    """Return how a local model of a comparison is made, as a sentence."""
    return (
        f"For each row to predict, the local model fits an exact model to the {model.n_neighbors} "
        f"nearest training rows (kernel {kernel_name(model.kernel_)}, alpha {model.alpha_:.4g}). "
        "Its length scale, the distance over which similarity falls, is "
        f"{rounded(model.report_['length'])}."
    )
