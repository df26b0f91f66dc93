"""Encoders and autoencoders as maps of encoded rows: their values, and how these change.

Paper 5 follows gradients through both. A torch module has them; a map that is affine (a PCA, a
scaler, a linear net) has one for all rows, which is found by asking; any other is asked on both
sides of each column. None of them need know of missing values: these enter as medians.
"""

import warnings
from functools import partial

import numpy as np

from skcf._classifiers import evaluating, is_torch_module
from skcf._differences import BLOCK_ELEMENTS
from skcf.space._containers import BACKENDS, Table
from skcf.space._features import NumericFeature

__all__ = ["AffineMap", "AskedMap", "FilledMap", "Map", "TorchMap", "medians", "read_map"]

STEP = 1e-4
"""How far a map is asked on both sides of a column, as a share of its scale."""

BATCH_ELEMENTS = 2**16
"""Values that a module is given at a time, what it makes of them on its way takes more: 83 images
of 28 by 28 pixels."""

N_CHECKS = 16
"""Rows on which a map must be affine to be taken as that."""

WANTED = {"autoencoder": "predict"}
"""The method that is called, where it is not ``transform``."""

ON_CATEGORIES = {"representation": "encode them as numbers first."}
"""What is advised where there are categories."""


def read_map(given, name, Z, space, n_outputs=None):
    """Read an encoder or autoencoder, and check what it gives.

    Parameters
    ----------
    given : object
        A torch module; or a fitted transformer, with an inverse if it is to reconstruct; or an
        estimator that predicts what it is given; or a function of rows.
    name : {"encoder", "autoencoder"}
        What it is to be.
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    space : FeatureSpace
        The features, all of them numbers.
    n_outputs : int, default=None
        How many numbers it has to give for a row; None: any.

    Returns
    -------
    object
        With ``values(Z)`` of shape (n_rows, n_outputs) and ``pullback(Z, V)``, the gradient of
        ``sum(V * values(Z))`` by Z.

    Raises
    ------
    ValueError
        If there are categories, or it gives what is not 2-D, not finite or not one row a row.
    """
    check_numbers(space, name)
    typical = medians(Z)
    Z = np.where(np.isnan(Z), typical, Z)
    if is_torch_module(given):
        found = TorchMap(given)
    else:
        found = AskedMap(function_of(given, name, space), space.scale_)
    values = found.values(Z)
    check_output(values, len(Z), name, n_outputs)
    if isinstance(found, AskedMap):
        found = affine(found, Z, values) or found
    return FilledMap(found, typical)


def medians(Z):
    """What stands for missing values; 0 in a column without any value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nan_to_num(np.nanmedian(Z, axis=0))


def check_numbers(space, name):
    """Refuse categories: a map of numbers cannot take them."""
    features = space.encoding_.features
    other = [f.name for f in features if not isinstance(f, NumericFeature)]
    if other:
        raise ValueError(
            f"{name} takes rows of numbers, but the features {other} are categories: "
            + ON_CATEGORIES.get(name, f"leave {name} out, so that categories are placed on axes.")
        )


def check_output(values, n_rows, name, n_outputs):
    """Refuse what a distance cannot be taken of."""
    if values.ndim != 2:
        raise ValueError(
            f"{name} must give a 2-D array, one row a row; got shape {values.shape}. Flatten it."
        )
    if len(values) != n_rows:
        raise ValueError(f"{name} must give one row a row; got {len(values)} rows for {n_rows}.")
    if n_outputs is not None and values.shape[1] != n_outputs:
        raise ValueError(
            f"{name} must give rows of {n_outputs} numbers, as it is given; got {values.shape[1]}."
        )
    if not np.isfinite(values).all():
        raise ValueError(f"{name} gives values that are not finite for rows of X.")


def function_of(given, name, space):
    """What is to be called with rows, whether it knows the names of the columns or not."""
    return _under_names(_function(given, name), given, space)


def _function(given, name):
    """What is to be called."""
    if name == "autoencoder" and hasattr(given, "inverse_transform"):
        return partial(_there_and_back, given)
    wanted = WANTED.get(name, "transform")
    if hasattr(given, wanted):
        return getattr(given, wanted)
    if callable(given):
        return given
    raise TypeError(
        f"{name} must be a torch module, a function, or a fitted estimator with "
        f"{'inverse_transform or predict' if name == 'autoencoder' else 'transform'}; "
        f"got {given!r}."
    )


def _there_and_back(transformer, X):
    return transformer.inverse_transform(transformer.transform(X))


def _under_names(function, given, space):
    """A function that is given frames, where it knows the names of the columns."""
    names = space.encoding_.names
    if names is None or not hasattr(given, "feature_names_in_"):
        return function
    return partial(_of_frames, function, space.encoding_.backend_name, names)


def _of_frames(function, backend, names, Z):
    table = Table(BACKENDS["array"], list(Z.T)).converted(BACKENDS[backend], names)
    return function(table.container())


def affine(asked, Z, values):
    """The map as an affine one, if it is that; its values of rows without gaps tell."""
    centre = np.median(Z, axis=0)
    origin = asked.values(centre[None])[0]
    Z, values = Z[:N_CHECKS], values[:N_CHECKS]
    size = max(np.abs(values - origin).max() + np.abs(origin).max(), 1e-12)
    halfway = asked.values((Z + centre) / 2)
    if np.abs(halfway - (values + origin) / 2).max() > 1e-6 * size:
        return None  # known by few questions: the slope takes one for each feature
    slope = _slope(asked, centre, origin)
    found = AffineMap(slope, origin - centre @ slope)
    return found if np.abs(found.values(Z) - values).max() <= 1e-6 * size else None


def _slope(asked, centre, origin):
    """Change of the values with each feature, some features at a time."""
    d = len(centre)
    slope = np.empty((d, len(origin)))
    size = max(1, BLOCK_ELEMENTS // d)
    for first in range(0, d, size):
        b = slice(first, min(first + size, d))
        rows = np.tile(centre, (b.stop - b.start, 1))
        rows[np.arange(len(rows)), np.arange(b.start, b.stop)] += asked.scale[b]
        slope[b] = (asked.values(rows) - origin) / asked.scale[b, None]
    return slope


class Map:
    """What all maps share.

    Attributes
    ----------
    is_smooth : bool
        Whether gradients are the map's own: not where it is piecewise constant, and differences
        are taken of wide steps, nor where they are estimates.
    """

    is_smooth = True

    def residual_pullback(self, Z, residual_of):
        """Gradient by Z where what the values are weighted with depends on the values.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows.
        residual_of : callable
            Takes the values of some rows, and which rows these are (a slice), to weights V.

        Returns
        -------
        V : ndarray of float64, shape (n_rows, n_outputs)
        grad : ndarray of float64, shape (n_rows, n_features)
            Of ``sum(V * values(Z))``, with V held fixed.
        """
        V = residual_of(self.values(Z), slice(0, len(Z)))
        return V, self.pullback(Z, V)


class FilledMap(Map):
    """A map of rows in which something typical is in the place of what is missing."""

    def __init__(self, inner, typical):
        self.inner, self.typical, self.is_smooth = inner, typical, inner.is_smooth

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return self.inner.values(self._filled(Z))

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``; 0 for what is missing."""
        return np.where(np.isnan(Z), 0.0, self.inner.pullback(self._filled(Z), V))

    def residual_pullback(self, Z, residual_of):
        """The same; 0 for what is missing."""
        V, grad = self.inner.residual_pullback(self._filled(Z), residual_of)
        return V, np.where(np.isnan(Z), 0.0, grad)

    def _filled(self, Z):
        return np.where(np.isnan(Z), self.typical, Z)


class AffineMap(Map):
    """A map that is a matrix product and a shift."""

    def __init__(self, slope, intercept):
        self.slope, self.intercept = slope, intercept

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return Z @ self.slope + self.intercept

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        return V @ self.slope.T


class AskedMap(Map):
    """Any map, with gradients by central differences."""

    def __init__(self, function, scale, step=STEP):
        self.function, self.scale, self.step = function, scale, step

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return np.asarray(self.function(Z), dtype=np.float64)

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        grad = np.empty(Z.shape)
        width = self.step * self.scale
        size = max(1, BLOCK_ELEMENTS // (2 * Z.shape[1] ** 2))
        for first in range(0, len(Z), size):
            b = slice(first, first + size)
            both = Z[b, None, None] + np.array([1, -1])[:, None, None] * np.diag(width)
            asked = self.values(both.reshape(-1, Z.shape[1]))
            above, below = np.moveaxis(asked.reshape(len(Z[b]), 2, Z.shape[1], -1), 1, 0)
            grad[b] = np.einsum("nje,ne->nj", above - below, V[b]) / (2 * width)
        return grad


class TorchMap(Map):
    """A torch module, with gradients by autograd, in the dtype of its parameters.

    Parameters
    ----------
    module : torch.nn.Module
        In whatever mode: it is asked in evaluation mode, and put back.
    batch_elements : int, default=None
        Values that it is given at a time; None: `BATCH_ELEMENTS`.
    """

    def __init__(self, module, batch_elements=None):
        self.module, self.batch_elements = module, batch_elements

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return np.concatenate([self._values(Z[b]) for b in self._batches(Z)])

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        return self.residual_pullback(Z, lambda values, b: V[b])[1]

    def residual_pullback(self, Z, residual_of):
        """Gradient, with a single pass through the module for it and its values."""
        import torch

        with evaluating(self.module), torch.inference_mode(False), torch.enable_grad():
            parts = [self._residual_pullback(Z[b], b, residual_of) for b in self._batches(Z)]
        V, grad = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return V, grad

    def _values(self, Z):
        import torch

        with evaluating(self.module), torch.no_grad():
            return self._of(self._batch(Z)).double().cpu().numpy()

    def _residual_pullback(self, Z, b, residual_of):
        import torch

        batch = self._batch(Z).requires_grad_()
        out = self._of(batch.clone())
        V = residual_of(out.detach().double().cpu().numpy(), b)
        (grad,) = torch.autograd.grad(out, batch, self._batch(V).to(out.dtype))
        return V, grad.double().cpu().numpy()

    def _of(self, batch):
        out = self.module(batch)
        return out[0] if isinstance(out, tuple) else out

    def _batch(self, Z):
        import torch

        like = next(iter(self.module.parameters()), torch.empty(0))
        return torch.tensor(Z, dtype=like.dtype, device=like.device)

    def _batches(self, Z):
        """Rows of which a module can hold what it makes of them; one batch of no rows, too."""
        size = max(1, (self.batch_elements or BATCH_ELEMENTS) // max(1, Z.shape[1]))
        return [slice(i, i + size) for i in range(0, max(1, len(Z)), size)]
