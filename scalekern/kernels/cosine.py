"""The cosine similarity: the linear kernel of rows of length 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scalekern.kernels.base import Columns, Kernel
from scalekern.kernels.linear import Linear
from scalekern.storage import storable


@storable
class Cosine(Kernel):
    """The cosine of the angle between two rows, `k(x, z) = x @ z / (|x| |z|)`.

    The same as `sklearn.metrics.pairwise.cosine_similarity`. A row of zeros has similarity 0 to all
    rows, itself included.

    Examples
    --------
    >>> import numpy as np
    >>> kernel = Cosine()
    >>> float(kernel.block(np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]]))[0, 0].round(4))
    0.7071
    """

    def columns(self, Z: Any, dtype: Any = np.float64) -> Columns:
        """Return the columns of the Gram matrix for Z, to be evaluated in `dtype`."""
        return _CosineColumns(Z, dtype)

    def diagonal(self, X: Any) -> np.ndarray:
        """Return 1, and 0 for rows of zeros."""
        return (Linear().diagonal(X) > 0).astype(np.float64)

    def rank(self, X: Any) -> int:
        """Return the rank of the rows, which their lengths do not change."""
        return Linear().rank(_of_length_one(X))


class _CosineColumns(Columns):
    def __init__(self, Z: Any, dtype: Any) -> None:
        self._products = Linear().columns(_of_length_one(Z), dtype)
        self._dtype = dtype
        self.n_columns = self._products.n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((X.shape[0], self.n_columns), dtype=self._dtype)
        return self._products(_of_length_one(X), out)


def _of_length_one(X: Any) -> Any:
    # Squares of float32 values overflow or vanish long before the values do.
    norms = np.sqrt(Linear().diagonal(X))
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    if sparse.issparse(X):
        return sparse.diags_array(inverse, format="csr") @ X
    return np.asarray(X, dtype=np.float64) * inverse[:, None]
