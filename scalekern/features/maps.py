"""The two feature maps of similarity models: Nyström on landmarks, and random Fourier features."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from scalekern.features.base import FeatureMap
from scalekern.features.whitening import CUTOFFS, Whitening, eliminated, whiten
from scalekern.kernels import Kernel, Polynomial
from scalekern.kernels.base import check_positive, check_values
from scalekern.kernels.sampling import Sampling
from scalekern.rows.base import dense_rows, take_rows

FARTHEST = 1e30
"""In wavelengths, from the centre: no digit of a farther row's angle means anything."""
SKETCH_ROWS = 256


class NystroemMap(FeatureMap):
    """phi(x) = L^-1 k(Z, x): phi(x) @ phi(z) is the Nyström kernel (Williams and Seeger 2001).

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
        cutoff = CUTOFFS[self.dtype] if cutoff is None else cutoff
        definite = kernel.positive_definite
        self.whitening = whiten(K_ZZ, cutoff, self.dtype, positive_definite=definite)
        self.Z = take_rows(Z, self.whitening.kept)
        self.n_features = self.whitening.rank
        self.unfinished = UnfinishedNystroemMap(kernel, self.Z, self.whitening, self.dtype)
        self._finish = self.whitening.finish.astype(self.dtype)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        tile = self.unfinished(X)
        blocks = self.whitening.blocks
        if len(blocks) == 1:
            return np.matmul(tile, self._finish, out=out)
        if out is None:
            out = np.empty((len(tile), self.n_features), dtype=self.dtype)
        for b in blocks:
            np.matmul(tile[:, b], self._finish[b, b], out=out[:, b])
        return out


class UnfinishedNystroemMap(FeatureMap):
    """Kernel values after elimination, whose sums are turned into those of features at the end."""

    def __init__(self, kernel: Kernel, Z: Any, whitening: Whitening, dtype: np.dtype) -> None:
        self._columns = kernel.columns(Z, dtype)
        self._blocks = whitening.blocks
        self._eliminate = whitening.eliminate.astype(dtype)
        self.n_features = self._columns.n_columns
        self.dtype = dtype

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return k(X, Z), each block of columns freed of what earlier ones explain."""
        return eliminated(self._columns(X, out), self._blocks, self._eliminate)


class KernelColumnsMap(FeatureMap):
    """Kernel values against landmarks, as they are."""

    def __init__(self, kernel: Kernel, Z: Any, dtype: Any) -> None:
        self.columns, self.dtype = kernel.columns(Z, dtype), np.dtype(dtype)
        self.n_features = self.columns.n_columns

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return k(X, Z)."""
        return self.columns(X, out)


class RandomMap(FeatureMap):
    """Random features, which are known by what was drawn.

    Attributes
    ----------
    frequencies : array
    centre : float64 array of shape (d,)
        Taken off each row first.
    """

    frequencies: np.ndarray
    centre: np.ndarray


class FourierMap(RandomMap):
    """phi(x) = sqrt(2/D) [cos(xW), sin(xW)]: phi(x) @ phi(z) is near k(x, z) (Rahimi, Recht 2007).

    A common offset of the rows turns each pair of features and changes no product of them, but
    would cost the digits of the angles; so it is taken off first.

    Parameters
    ----------
    frequencies : float64 array of shape (d, D/2)
    dtype : numpy dtype
        Of the tiles.
    amplitude : float, default=1.0
        k(x, x), which scales phi by its square root.
    centre : float64 array of shape (d,), optional
        Taken off each row; 0 by default.
    """

    def __init__(
        self,
        frequencies: np.ndarray,
        dtype: Any,
        amplitude: float = 1.0,
        centre: np.ndarray | None = None,
    ) -> None:
        self.frequencies, self.dtype, self._amplitude = frequencies, np.dtype(dtype), amplitude
        self.centre = np.zeros(len(frequencies)) if centre is None else np.asarray(centre)
        # A power of two, so that frequencies of 1e-40 do not vanish in float32 and none is rounded.
        self._unit = 2.0 ** -np.round(np.log2(np.abs(frequencies).max(initial=1e-300)))
        self._W = (frequencies * self._unit).astype(self.dtype)
        self.n_features = 2 * frequencies.shape[1]

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        half = self._W.shape[1]
        if out is None:
            out = np.empty((X.shape[0], self.n_features), dtype=self.dtype)
        angles = self._angles(X)
        np.cos(angles, out=out[:, :half])
        np.sin(angles, out=out[:, half:])
        out *= self.dtype.type((self._amplitude / half) ** 0.5)
        return out

    def _angles(self, X: Any) -> np.ndarray:
        if hasattr(X, "tocsr"):
            angles = X.astype(np.float64) @ self.frequencies - self.centre @ self.frequencies
            return np.clip(angles, -FARTHEST, FARTHEST).astype(self.dtype, copy=False)
        # In float64, whatever X is; a row out of all bounds gets an angle that is any but finite.
        with np.errstate(over="ignore"):
            centred = np.subtract(X, self.centre, dtype=np.float64) / self._unit
        np.clip(centred, -FARTHEST, FARTHEST, out=centred)
        return np.matmul(centred.astype(self.dtype, copy=False), self._W)


class ProjectedMap(FeatureMap):
    """The features of another map along an orthonormal basis.

    Parameters
    ----------
    feature_map : FeatureMap
    basis : float64 array of shape (n_features of the map, r)
    """

    def __init__(self, feature_map: FeatureMap, basis: np.ndarray) -> None:
        self.full, self.basis, self.dtype = feature_map, basis, feature_map.dtype
        self._basis = basis.astype(self.dtype)
        self.n_features = basis.shape[1]

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        return np.matmul(self.full(X), self._basis, out=out)


class TensorSketchMap(RandomMap):
    """phi(x) with phi(x) @ phi(z) near (gamma x @ z + coef0)^degree (Pham and Pagh 2013).

    A polynomial is a product of inner products, that of count sketches is a convolution, and so a
    product of their Fourier transforms.

    Parameters
    ----------
    kernel : Polynomial
    places : int array of shape (1 + degree, d + 1)
        From `draw_places`.
    dtype : numpy dtype
        Of the tiles.
    """

    def __init__(self, kernel: Polynomial, places: np.ndarray, dtype: Any) -> None:
        self._kernel, self.frequencies, self.dtype = kernel, np.asarray(places), np.dtype(dtype)
        self.n_features = D = int(places[0, 0])
        d = places.shape[1] - 1
        self.centre = np.zeros(d)  # what is not stationary has no freedom to move the rows
        gamma = 1.0 / d if kernel.gamma is None else check_positive("gamma", kernel.gamma)
        # What the constant adds is one feature more.
        scale = np.sqrt(np.append(np.full(d, gamma), max(kernel.coef0, 0.0)))
        self._sketches = [
            sparse.csr_matrix(
                (scale * np.sign(row), (np.arange(d + 1), np.abs(row) - 1)), shape=(d + 1, D)
            )
            for row in self.frequencies[1:]
        ]

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return the features of the rows of X."""
        rows = X.shape[0]
        if out is None:
            out = np.empty((rows, self.n_features), dtype=self.dtype)
        for low in range(0, rows, SKETCH_ROWS):
            part = X[low : low + SKETCH_ROWS]
            part = np.asarray(part.toarray() if sparse.issparse(part) else part, dtype=np.float64)
            one = np.hstack([part, np.ones((len(part), 1))])
            with np.errstate(over="ignore", invalid="ignore"):
                spectrum = np.prod([np.fft.rfft(one @ S, axis=1) for S in self._sketches], axis=0)
                features = np.fft.irfft(spectrum, n=self.n_features, axis=1)
                squares = np.square(features).astype(self.dtype)
            check_values(self._kernel, squares)
            out[low : low + SKETCH_ROWS] = features
        return out


def draw_places(
    kernel: Polynomial, n_components: int, d: int, rng: np.random.Generator
) -> np.ndarray:
    """Return where each feature of a row goes, with its sign, once for each factor.

    The first row says how many places there are; the others hold places from 1 on.
    """
    shape = (int(kernel.degree), d + 1)
    places = rng.integers(1, n_components + 1, shape) * rng.choice([-1, 1], shape)
    return np.vstack([np.full((1, d + 1), n_components), places])


class StandardizedMap(FeatureMap):
    """The rows themselves, centred and scaled so that sums of squares are well conditioned."""

    def __init__(self, mean: np.ndarray, scale: np.ndarray, dtype: Any) -> None:
        self.mean, self.scale, self.dtype = mean, scale, np.dtype(dtype)
        self.n_features = len(mean)

    def __call__(self, X: Any, out: np.ndarray | None = None) -> np.ndarray:
        """Return (X - mean) / scale."""
        X = dense_rows(X)
        return np.divide(X - self.mean, self.scale, out=out, casting="same_kind")


def random_map(
    kernel: Kernel,
    n_components: int,
    d: int,
    seed: int,
    dtype: Any,
    sampling: Sampling = "orthogonal",
    centre: np.ndarray | None = None,
) -> RandomMap:
    """Draw a map of `n_components` random features for rows of length d.

    Those of a stationary kernel are pairs, so that an odd number is rounded up.
    """
    rng = np.random.default_rng(seed)
    if isinstance(kernel, Polynomial):
        return TensorSketchMap(kernel, draw_places(kernel, n_components, d, rng), dtype)
    W = kernel.frequencies(-(-n_components // 2), d, rng, sampling=sampling)
    return random_map_at(kernel, W, dtype, centre)


def random_map_at(
    kernel: Kernel, frequencies: np.ndarray, dtype: Any, centre: np.ndarray | None = None
) -> RandomMap:
    """Return the map at frequencies that were drawn before; a polynomial kernel has no centre."""
    if isinstance(kernel, Polynomial):
        return TensorSketchMap(kernel, frequencies, dtype)
    (amplitude,) = kernel.diagonal(np.zeros((1, len(frequencies))))
    return FourierMap(frequencies, dtype, float(amplitude), centre)


def centre_of(X: Any) -> np.ndarray:
    """Return the mean of a sample of rows, float64 of shape (d,)."""
    # Divided first: values near the largest float64 have no sum.
    return np.asarray((X.astype(np.float64) / X.shape[0]).sum(axis=0)).ravel()
