"""Representations of rows, as maps that are asked for their values and for how these change.

Beside what `skcf._maps` reads (torch modules, affine maps, functions), there are here maps that
are piecewise constant, which small differences do not see, and maps of so many features that each
cannot be asked about.
"""

import numpy as np

from skcf._classifiers import is_torch_module
from skcf._dense_map import DenseMap, dense_map
from skcf._differences import BLOCK_ELEMENTS
from skcf._distilled import DistilledMap
from skcf._maps import (
    N_CHECKS,
    STEP,
    AffineMap,
    AskedMap,
    FilledMap,
    Map,
    TorchMap,
    affine,
    check_numbers,
    check_output,
    function_of,
)
from skcf.space._features import NumericFeature

__all__ = [
    "ScaledMap",
    "SimultaneousMap",
    "front_of",
    "has_slopes",
    "in_units",
    "innermost",
    "is_flat",
    "read_representation",
    "resolution_of",
    "share_unmoved",
]

WIDE_STEP = 0.5
"""How far a map that is piecewise constant is asked on both sides, as a share of the scale."""

BESIDE = 0.1
"""A step by which it is told whether a map has slopes, as a share of that of differences."""

MOST_ASKED = 256
"""Features up to which each is asked about, beyond which all are moved together."""

N_DIRECTIONS = 32
"""Directions in which all features are moved together, for one gradient."""

BATCH_ELEMENTS = 2**20
"""Values that a module is given at a time."""


def read_representation(
    given, Z, space, *, step=None, n_directions=N_DIRECTIONS, random_state=None
):
    """Read a representation r, and what it makes of the training rows.

    Parameters
    ----------
    given : object
        A torch module, which is read once if `dense_map` knows what it does; a fitted
        transformer; or a function of rows. None: rows in units of the scale of their features.
    Z : ndarray, shape (n_rows, n_features)
        Encoded training rows, without missing values. Rows of float32 stay that.
    space : FeatureSpace
        The features. Where there are categories, r is a transformer that encodes them itself, or
        None, which leaves them out.
    step : float, default=None
        How far a function is asked on both sides of a column, as a share of its scale. None: small
        (`STEP`), or `WIDE_STEP` where small steps change nothing, as with trees.
    n_directions : int, default=32
        Directions for one gradient where there are more than `MOST_ASKED` features (SPSA).
    random_state : int or RandomState, default=None
        Draws these.

    Returns
    -------
    found : Map
        With ``values(Z)`` of shape (n_rows, n_outputs) and ``pullback(Z, V)``, the gradient of
        ``sum(V * values(Z))`` by Z.
    values : ndarray of float64, shape (n_rows, n_outputs)
        Of the training rows.

    Raises
    ------
    ValueError
        If there are categories, or r gives what is not 2-D, not finite or not one row a row.
    """
    if given is None:
        found = ScaledMap(space.scale_, space.constraints_.numeric)
        return found, found.values(Z)
    if _has_categories(space) and hasattr(given, "transform"):
        return _of_rows_as_they_came(given, Z, space, step)
    check_numbers(space, "representation")
    if is_torch_module(given):
        found = dense_map(given) or TorchMap(given, BATCH_ELEMENTS)
        return found, _checked_values(found, Z)
    asked = AskedMap(function_of(given, "representation", space), np.asarray(space.scale_))
    values = _checked_values(asked, Z)
    sample = np.linspace(0, len(Z) - 1, min(len(Z), N_CHECKS)).astype(int)
    Z, shown = np.asarray(Z[sample], dtype=np.float64), values[sample]
    found = affine(asked, Z, shown)
    if found is None:
        found, asked.is_smooth = asked, not _is_flat(asked, Z, shown)
        asked.step = (STEP if asked.is_smooth else WIDE_STEP) if step is None else step
        if Z.shape[1] > MOST_ASKED:
            found = SimultaneousMap(asked, n_directions, random_state)
    return found, values


def _has_categories(space):
    return not all(isinstance(f, NumericFeature) for f in space.encoding_.features)


def _of_rows_as_they_came(given, Z, space, step):
    """The map of a transformer that encodes categories itself: it is asked about whole rows."""
    asked = RowsMap(given, space)
    values = _checked_values(asked, Z)
    sample = np.linspace(0, len(Z) - 1, min(len(Z), N_CHECKS)).astype(int)
    slopes = asked.pullback(Z[sample], np.ones((len(sample), values.shape[1])))
    asked.is_smooth = bool(slopes.any())
    asked.step = (STEP if asked.is_smooth else WIDE_STEP) if step is None else step
    return asked, values


def _checked_values(found, Z):
    """Values of all rows, some at a time."""
    size = max(1, BLOCK_ELEMENTS // max(1, Z.shape[1]))
    parts = []
    for first in range(0, len(Z), size):
        rows = Z[first : first + size]
        values = found.values(rows)
        check_output(values, len(rows), "representation", None)
        parts.append(values)
    return np.concatenate(parts)


def _is_flat(asked, Z, values):
    """Whether most rows are represented alike after a small step of all features."""
    signs = np.where(np.arange(Z.size).reshape(Z.shape) % 2, 1.0, -1.0)
    return np.ptp(values, axis=0).any() and share_unmoved(asked, Z, asked.scale * signs) > 0.5


def share_unmoved(asked, Z, width):
    """Share of rows with the same values after a small step, of a share of a width a feature.

    From beside the rows, not from where they are: trees may be cut there.
    """
    steps = STEP * width, (1 + BESIDE) * STEP * width
    beside, moved = (asked.values(Z + step) for step in steps)
    return np.mean((moved == beside).all(axis=1))


def front_of(found):
    """The affine first layer of a map, and the map that follows it.

    Translations between groups are differences, which an affine layer may be given before they
    are paired: each group's then, instead of each pair's.

    Returns
    -------
    slope : ndarray of float64, shape (n_features, n_hidden), or None
        None where there is no such layer, or where it is no narrower than the features.
    intercept : ndarray of float64, shape (n_hidden,), or None
    rest : Map
        What takes the hidden rows; the map itself where there is no layer.
    """
    if isinstance(found, UnitsMap):
        slope, intercept, rest = front_of(found.inner)
        if slope is not None:
            return slope * found.units[:, None], intercept, rest
    if isinstance(found, AffineMap):
        front = found.slope, found.intercept, ScaledMap(np.ones(found.slope.shape[1]))
    else:
        front = found.first_layer() if isinstance(found, DenseMap) else _first_layer(found)
    return front if front and front[0].shape[1] < front[0].shape[0] else (None, None, found)


def _first_layer(found):
    """The first layer of a sequential module, and the others."""
    if not isinstance(found, TorchMap):
        return None
    from torch import nn

    module = found.module
    if type(module) is not nn.Sequential or len(module) < 2 or type(module[0]) is not nn.Linear:
        return None
    if any(part._forward_hooks or part._forward_pre_hooks for part in (module, module[0])):
        return None
    slope = module[0].weight.detach().double().cpu().numpy().T
    bias = module[0].bias
    intercept = np.zeros(slope.shape[1]) if bias is None else bias.detach().double().cpu().numpy()
    rest = module[1:]
    return slope, intercept, dense_map(rest) or TorchMap(rest, found.batch_elements)


def resolution_of(found):
    """The relative rounding of a map's values."""
    found = innermost(found)
    if isinstance(found, TorchMap):
        import torch

        like = next(iter(found.module.parameters()), torch.empty(0))
        return float(torch.finfo(like.dtype).eps)
    return float(np.finfo(np.float64).eps)


def has_slopes(found):
    """Whether a map's gradients are more than differences of its values."""
    exact = DenseMap, TorchMap, AffineMap, ScaledMap, DistilledMap
    return isinstance(innermost(found), exact)


def is_flat(found):
    """Whether a map is constant in steps, so that small differences see nothing of it."""
    found = innermost(found)
    return not getattr(found, "asked", found).is_smooth


def innermost(found):
    """The map itself, of one that fills gaps or has other units."""
    while isinstance(found, FilledMap | UnitsMap):
        found = found.inner
    return found


class ScaledMap(Map):
    """Rows in units of the scale of their features, of some features or of all."""

    def __init__(self, scale, features=None):
        self.scale = np.asarray(scale, dtype=np.float64)
        self.features = np.arange(len(self.scale)) if features is None else features

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return (Z / self.scale)[:, self.features]

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        grad = np.zeros(Z.shape)
        grad[:, self.features] = V / self.scale[self.features]
        return grad

    @property
    def slope(self):
        """As a matrix, shape (n_features, n_outputs)."""
        return np.diag(1 / self.scale)[:, self.features]


def in_units(found, units):
    """A map of rows whose features are in other units; an affine one stays that.

    Parameters
    ----------
    found : Map
        Of rows.
    units : ndarray of float64, shape (n_features,)
        What 1 stands for in each feature.
    """
    if np.all(units == 1):
        return found
    if isinstance(found, AffineMap):
        return AffineMap(found.slope * units[:, None], found.intercept)
    if isinstance(found, ScaledMap):
        return ScaledMap(found.scale / units, found.features)
    return UnitsMap(found, units)


class UnitsMap(Map):
    """Any map, of rows whose features are in other units."""

    def __init__(self, inner, units):
        self.inner, self.units, self.is_smooth = inner, units, inner.is_smooth

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return self.inner.values(Z * self.units)

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``."""
        return self.inner.pullback(Z * self.units, V) * self.units

    def residual_pullback(self, Z, residual_of):
        """Values' residuals, and the gradient; see `Map.residual_pullback`."""
        V, grad = self.inner.residual_pullback(Z * self.units, residual_of)
        return V, grad * self.units


class RowsMap(Map):
    """A transformer of rows with categories, which are written as they came, numbers as floats.

    Differences are taken of the numbers alone.
    """

    def __init__(self, transformer, space, step=STEP):
        self.transformer, self.space, self.step = transformer, space, step

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return np.asarray(self.transformer.transform(self._written(Z)), dtype=np.float64)

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``; 0 for categories."""
        grad = np.zeros(Z.shape)
        for j in self.space.constraints_.numeric:
            width = self.step * self.space.scale_[j]
            above, below = Z.copy(), Z.copy()
            above[:, j] += width
            below[:, j] -= width
            change = self.values(above) - self.values(below)
            grad[:, j] = np.einsum("ne,ne->n", change, V) / (2 * width)
        return grad

    def _written(self, Z):
        """The rows in their container: whole numbers would be cut if they were written as such."""
        encoding = self.space.encoding_
        table = encoding.decoder()(Z)
        for j in self.space.constraints_.numeric:
            position = encoding.features[j].positions[0]
            table.columns[position] = table.backend.from_float(Z[:, j], np.dtype(float))
        return table.container()


class SimultaneousMap(Map):
    """Any map, with gradients by simultaneous perturbation (SPSA).

    ``grad_j = mean_k V'(r(z + c s_k) - r(z - c s_k)) / (2 c_j s_kj)``, with random signs s_k and
    the step c_j, a share of the feature's scale: two questions a direction instead of two a
    feature ([1]_, appendix A.2, names [2]_). Its expectation is the gradient, up to the step's
    square; its variance falls with the number of directions. Directions are drawn anew for
    each call, the same for all its rows.

    References
    ----------
    .. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
       low-dimensional representations." ICML 2020.
    .. [2] J. Spall. "An overview of the simultaneous perturbation method for efficient
       optimization." Johns Hopkins APL Technical Digest, 1998.
    """

    is_smooth = False

    def __init__(self, asked, n_directions=N_DIRECTIONS, random_state=None):
        self.asked, self.n_directions = asked, n_directions
        self.random_state = (
            np.random.RandomState(random_state)
            if (random_state is None or isinstance(random_state, (int, np.integer)))
            else random_state
        )

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return self.asked.values(Z)

    def pullback(self, Z, V):
        """An estimate of the gradient of ``sum(V * values(Z))``."""
        width = self.asked.step * self.asked.scale
        grad = np.zeros(Z.shape)
        for _ in range(self.n_directions):
            signs = self.random_state.choice([-1.0, 1.0], Z.shape[1])
            change = self._change(Z, width * signs)
            grad += np.einsum("ne,ne->n", change, V)[:, None] * signs
        return grad / (2 * width * self.n_directions)

    def _change(self, Z, move):
        """Values after a move less those before it, some rows at a time."""
        size = max(1, BLOCK_ELEMENTS // Z.shape[1])
        blocks = [Z[first : first + size] for first in range(0, len(Z), size)]
        return np.concatenate([self.values(b + move) - self.values(b - move) for b in blocks])
