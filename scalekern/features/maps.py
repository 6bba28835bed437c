"""The two feature maps of similarity models: Nyström on landmarks, and random Fourier features."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalekern.features.base import FeatureMap
from scalekern.features.whitening import CUTOFFS, Whitening, multiply, whiten
from scalekern.kernels import Kernel, StationaryKernel
from scalekern.rows.base import take_rows


class NystroemMap(FeatureMap):
    """phi(x) = T'^-1 k(Z, x), so that phi(x) @ phi(z) is the Nyström kernel (Williams, Seeger 2001).

    Parameters
    ----------
    kernel : Kernel
        With its bandwidth set.
    Z : rows
        The landmarks.
    dtype : numpy dtype
        Of the tiles; K_ZZ is float64 always.
    cutoff : float, optional
        Relative; the directions of K_ZZ below it are left out. By default what the tiles' dtype
        can resolve.
    """

    def __init__(self, kernel: Kernel, Z: Any, dtype: Any, cutoff: float | None = None) -> None:
        self.kernel, self.dtype = kernel, np.dtype(dtype)
        K_ZZ = np.asarray(kernel.columns(Z, np.float64)(Z), dtype=np.float64)
        K_ZZ = 0.5 * (K_ZZ + K_ZZ.T)
        self.cutoff = CUTOFFS[self.dtype] if cutoff is None else cutoff
        white = whiten(K_ZZ, self.cutoff, positive_definite=kernel.positive_definite)
        self._take(white, take_rows(Z, white.kept))

    def _take(self, whitening: Whitening, Z: Any) -> None:
        self.whitening, self.Z = whitening, Z
        self.n_features = whitening.rank
        self.columns = self.kernel.columns(Z, self.dtype)
        self._U = whitening.inverse.astype(self.dtype)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        if out is None:
            out = np.empty((_length(X), self.n_features), dtype=self.dtype)
        return multiply(self.columns(X), self.whitening, self._U, out)

    def late_is_sound(self, n_rows: float, alpha: float) -> bool:
        """Return whether raw kernel sums may be whitened at the end, with no digits lost.

        The test bounds the condition of the normal equations in kernel coordinates by what the
        tiles' dtype resolves.
        """
        white = self.whitening
        if not white.triangular:
            return False
        per_landmark = n_rows / len(white.kept)
        least = per_landmark * white.smallest**2 + alpha * white.smallest
        most = per_landmark * white.largest**2
        return bool(least >= 0.1 * np.finfo(self.dtype).eps * most)


class LateNystroemMap(FeatureMap):
    """The raw kernel values of a `NystroemMap`, for sums that are whitened once at the end."""

    def __init__(self, nystroem: NystroemMap) -> None:
        self._columns = nystroem.columns
        self.n_features = nystroem.columns.n_columns
        self.dtype = nystroem.dtype

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return k(X, Z)."""
        return self._columns(X, out)


class FourierMap(FeatureMap):
    """phi(x) = sqrt(2/D) [cos(xW), sin(xW)], with phi(x) @ phi(z) near k(x, z) (Rahimi, Recht 2007).

    Parameters
    ----------
    frequencies : float64 array of shape (d, D/2)
    dtype : numpy dtype
        Of the tiles.
    """

    def __init__(self, frequencies: np.ndarray, dtype: Any) -> None:
        self.frequencies, self.dtype = frequencies, np.dtype(dtype)
        self._W = frequencies.astype(self.dtype)
        self.n_features = 2 * frequencies.shape[1]

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        half = self._W.shape[1]
        if out is None:
            out = np.empty((X.shape[0], self.n_features), dtype=self.dtype)
        angles = np.asarray(X @ self._W, dtype=self.dtype)
        np.cos(angles, out=out[:, :half])
        np.sin(angles, out=out[:, half:])
        out *= self.dtype.type(half**-0.5)
        return out


class StandardizedMap(FeatureMap):
    """The rows themselves, centred and scaled so that sums of squares are well conditioned."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray, dtype: Any) -> None:
        self.mean, self.scale, self.dtype = mean, scale, np.dtype(dtype)
        self.n_features = len(mean)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return (X - mean) / scale."""
        X = X.toarray() if hasattr(X, "toarray") else X
        return np.divide(X - self.mean, self.scale, out=out, casting="same_kind")


def fourier_map(
    kernel: StationaryKernel, n_components: int, d: int, seed: int, dtype: Any, orthogonal: bool
) -> FourierMap:
    """Draw a Fourier map of `n_components` features (rounded up to even) for rows of length d."""
    rng = np.random.default_rng(seed)
    W = kernel.frequencies(-(-n_components // 2), d, rng, orthogonal=orthogonal)
    return FourierMap(W, dtype)


def _length(X: Any) -> int:
    return len(X) if isinstance(X, list) else int(X.shape[0])
