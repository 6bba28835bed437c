"""The two feature maps as scikit-learn transformers, for pipelines of the user's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from scalekern.engine import ThreadEngine, engine_for
from scalekern.engine.lazy import lazy_on_dask
from scalekern.features.base import FeatureMap
from scalekern.features.landmarks import choose_landmarks, landmark_sample_rows
from scalekern.features.maps import NystroemMap, centre_of, random_map
from scalekern.features.parameters import (
    check_choice,
    check_integer,
    check_share,
    require_random_features,
    seed_of,
    tile_dtype_of,
)
from scalekern.features.survey import check_gamma, resolve_kernel, survey
from scalekern.kernels import Kernel
from scalekern.kernels.sampling import SAMPLINGS, Sampling
from scalekern.rows import RowSource
from scalekern.rows.validate import fit_source, predict_source


class _MapTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC):
    """What both transformers share: rows in, the map's features out."""

    _map: FeatureMap

    def fit(self, X: Any, y: Any = None) -> Any:
        """Draw the map from the rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d)
        y : ignored

        Returns
        -------
        self
        """
        del y
        source = fit_source(self, X, needs_y=False, objects=self._objects())
        self._fit_map(source)
        self._n_features_out = self._map.n_features
        return self

    @abstractmethod
    def _fit_map(self, source: RowSource) -> None:
        """Draw the map, and set `_map`."""

    def _objects(self) -> bool:
        return False

    @lazy_on_dask
    def transform(self, X: Any) -> np.ndarray:
        """Return the features of the rows.

        Parameters
        ----------
        X : array, sparse matrix, frame or rows of shape (n, d)

        Returns
        -------
        array of shape (n, n_features_out), float32 for float32 rows, else float64
        """
        check_is_fitted(self, "_map")
        source = predict_source(self, X, objects=self._objects())
        dtype = tile_dtype_of(source)
        out = np.empty((source.n_rows, self._map.n_features), dtype=dtype)

        def write(block: Any) -> None:
            out[block.rows] = self._map(block.X)

        ThreadEngine(self.n_jobs).map_blocks(source, write, lambda block, _: None, "features")
        return out

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Nystroem(_MapTransformer):
    """Features whose inner products are the Nyström approximation of a kernel.

    Parameters
    ----------
    kernel : str, callable or Kernel, default="rbf"
        What similar means: a short name, a function of two objects, or a kernel object, as in
        `SimilarityRegressor`.
    gamma : float, "scale" or "median", default="median"
        The bandwidth where the kernel leaves it open: a number above 0; "scale" is
        1 / (d * variance of X); "median" is that of the median distance between rows.
    n_components : int, default=1000
        How many landmarks; fewer if there are fewer rows.
    landmarks : "uniform", "kmeans", "rpcholesky" or array, default="uniform"
        "uniform" draws rows by a hash of the row number and the seed. The next two draw ten times
        as many first: "kmeans" takes the means of their clusters, "rpcholesky" those that span the
        others best. Or an array of rows of shape (m, d), or of row numbers. See docs/landmarks.md
        for what each is good for.
    cutoff : float or None, default=None
        Directions of the landmarks' Gram matrix below this share of the largest are left out, so
        there can be fewer features than landmarks. None is 1e-9 for float32 rows, 1e-14 for
        float64.
    random_state : int, RandomState or None, default=None
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    kernel_ : Kernel
        With its bandwidth.
    landmarks_ : rows
        Those that were kept.

    Raises
    ------
    InvalidInputError
        If a parameter has a bad value, or X has missing or infinite values.

    References
    ----------
    Williams and Seeger (2001), Using the Nyström method to speed up kernel machines.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import Nystroem
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> Phi = Nystroem(gamma=0.1, n_components=6, random_state=0).fit_transform(X)
    >>> bool(np.allclose(np.diag(Phi @ Phi.T), 1.0))
    True
    """

    def __init__(
        self,
        kernel: Any = "rbf",
        *,
        gamma: Any = "median",
        n_components: int = 1000,
        landmarks: Any = "uniform",
        cutoff: float | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.n_components = n_components
        self.landmarks = landmarks
        self.cutoff = cutoff
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _objects(self) -> bool:
        from scalekern.kernels import as_kernel

        return not as_kernel(self.kernel).takes_vectors

    def _fit_map(self, source: RowSource) -> None:
        m = check_integer("n_components", self.n_components)
        cutoff = None if self.cutoff is None else check_share("cutoff", self.cutoff)
        check_gamma(self.gamma)
        engine, seed = engine_for(source, self.n_jobs), seed_of(self.random_state)
        size = landmark_sample_rows(self.landmarks, m)
        seen = survey(engine, source, size, seed, gamma=self.gamma)
        self.kernel_: Kernel = resolve_kernel(self.kernel, self.gamma, seen)
        Z = choose_landmarks(self.landmarks, source, seen.sample, m, self.kernel_).rows
        self._map = NystroemMap(self.kernel_, Z, tile_dtype_of(source), cutoff)
        self.landmarks_ = self._map.Z


class FourierFeatures(_MapTransformer):
    """Random features whose inner products approximate a stationary or polynomial kernel.

    Cosines and sines of random frequencies for a stationary kernel; for a polynomial one a tensor
    sketch, as in `sklearn.kernel_approximation.PolynomialCountSketch`.

    Parameters
    ----------
    kernel : str or Kernel, default="rbf"
        "rbf", "laplacian", "matern12", "matern32", "matern52", "rational_quadratic", sums and
        products of them, or "polynomial".
    gamma : float, "scale" or "median", default="median"
        The bandwidth where the kernel leaves it open; see `Nystroem`.
    n_components : int, default=1000
        How many features: half are cosines and half sines, so an odd number is rounded up.
    sampling : {"orthogonal", "qmc", "random"}, default="orthogonal"
        How the frequencies of a stationary kernel are drawn: orthogonal to each other; from a
        scrambled Sobol sequence, which is better still in few dimensions; or independent.
    random_state : int, RandomState or None, default=None
    n_jobs : int or None, default=None
        Threads; None is one a core.

    Attributes
    ----------
    kernel_ : Kernel
        With its bandwidth.
    frequencies_ : float64 array of shape (d, n_components / 2)
        Of a polynomial kernel the places and signs of the sketch, integers of shape
        (degree + 1, d + 1).
    centre_ : float64 array of shape (d,)
        The mean of a sample of rows, taken off each row, which keeps the digits of the angles.
        0 of a polynomial kernel.

    Raises
    ------
    InvalidInputError, UnsupportedError
        If a parameter or X has bad values, or the kernel is neither stationary nor polynomial.

    References
    ----------
    Rahimi and Recht (2007), Random features for large-scale kernel machines; Yu et al. (2016),
    Orthogonal random features; Yang et al. (2014), Quasi-Monte Carlo feature maps; Pham and Pagh
    (2013), Fast and scalable polynomial kernels via explicit feature maps.

    Examples
    --------
    >>> import numpy as np
    >>> from scalekern import FourierFeatures
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> FourierFeatures(gamma=0.1, n_components=10, random_state=0).fit_transform(X).shape
    (6, 10)
    """

    def __init__(
        self,
        kernel: Any = "rbf",
        *,
        gamma: Any = "median",
        n_components: int = 1000,
        sampling: Sampling = "orthogonal",
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.n_components = n_components
        self.sampling = sampling
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit_map(self, source: RowSource) -> None:
        D = check_integer("n_components", self.n_components)
        check_choice("sampling", self.sampling, SAMPLINGS)
        check_gamma(self.gamma)
        engine, seed = engine_for(source, self.n_jobs), seed_of(self.random_state)
        seen = survey(engine, source, 1, seed, gamma=self.gamma)
        self.kernel_ = require_random_features(resolve_kernel(self.kernel, self.gamma, seen))
        d, dtype, centre = source.n_features, tile_dtype_of(source), centre_of(seen.sample.X)
        self._map = random_map(self.kernel_, D, d, seed, dtype, self.sampling, centre)
        self.centre_ = self._map.centre
        self.frequencies_ = self._map.frequencies
