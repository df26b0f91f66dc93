"""A smooth net in the place of a map that is constant in steps, as the margins of trees are.

Small differences do not see such a map, and wide ones see little of it. A net that is fitted to its
values has slopes to follow; where these lead is then for the map itself to judge.
"""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.utils import check_random_state

from skcf._dense_map import dense_map_of
from skcf._maps import Map

__all__ = ["DistilledMap", "distilled"]

MOST_ROWS, N_CROSSED = 2500, 3
"""Rows of the data that the net sees, and how many crossed ones for each."""

HIDDEN, MAX_EPOCHS, PENALTY = (64, 32), 200, 1e-3
"""Layers of the net, passes over the rows, and weight of its l2 norm."""


def distilled(asked, Z, categorical=(), random_state=None):
    """Fit a net to the values of a map.

    It sees rows of the data, and rows that have each of their numbers from one or the other of two
    of them, since translations lead to where no row has been.

    Parameters
    ----------
    asked : Map
        What is to be followed.
    Z : ndarray of float64, shape (n_rows, n_features)
        Rows, without missing values.
    categorical : sequence of int
        Features that hold category codes. They enter one-hot, and have no slope.
    random_state : int, RandomState or None, default=None
        Draws rows and weights.

    Returns
    -------
    DistilledMap
    """
    random = check_random_state(random_state)
    numeric = np.setdiff1d(np.arange(Z.shape[1]), categorical)
    rows = Z[np.sort(random.permutation(len(Z))[:MOST_ROWS])]
    rows = np.concatenate([rows, *(_crossed(rows, numeric, random) for _ in range(N_CROSSED))])
    values = asked.values(rows)
    inputs = NetInputs(Z, numeric, categorical)
    centre, spread = values.mean(axis=0), values.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    net = MLPRegressor(
        hidden_layer_sizes=HIDDEN, activation="tanh", alpha=PENALTY, early_stopping=True,
        max_iter=MAX_EPOCHS, random_state=int(random.randint(2**31 - 1)),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it need not be a perfect likeness
        net.fit(inputs.of(rows), _as_taken((values - centre) / spread))
    *hidden, (W, b) = zip(net.coefs_, net.intercepts_, strict=True)
    return DistilledMap(inputs, dense_map_of([*hidden, (W * spread, b * spread + centre)]))


def _as_taken(values):
    """One output as scikit-learn takes it."""
    return values[:, 0] if values.shape[1] == 1 else values


def _crossed(rows, numeric, random):
    """Rows with each number from one or the other of two rows."""
    others = rows[random.permutation(len(rows))][:, numeric]
    found = rows.copy()
    found[:, numeric] = np.where(random.random_sample(others.shape) < 0.5, others, rows[:, numeric])
    return found


class NetInputs:
    """How rows enter a net: numbers in units of their spread, categories one-hot."""

    def __init__(self, Z, numeric, categorical):
        self.numeric, self.categorical = numeric, list(categorical)
        self.mean = Z[:, numeric].mean(axis=0)
        spread = Z[:, numeric].std(axis=0)
        self.spread = np.where(spread > 0, spread, 1.0)
        self.codes = [np.unique(Z[:, j]) for j in self.categorical]

    def of(self, Z):
        """The net's inputs; numbers come first."""
        numbers = (Z[:, self.numeric] - self.mean) / self.spread
        flags = [Z[:, [j]] == codes for j, codes in zip(self.categorical, self.codes, strict=True)]
        return np.column_stack([numbers, *flags])

    def pulled(self, grad, shape):
        """Gradient by rows, from that by the inputs."""
        found = np.zeros(shape)
        found[:, self.numeric] = grad[:, : len(self.numeric)] / self.spread
        return found


class DistilledMap(Map):
    """The net, of rows.

    Parameters
    ----------
    inputs : NetInputs
    net : DenseMap
    """

    def __init__(self, inputs, net):
        self.inputs, self.net = inputs, net

    def values(self, Z):
        """Its values, shape (n_rows, n_outputs)."""
        return self.net.values(self.inputs.of(Z))

    def pullback(self, Z, V):
        """Gradient of ``sum(V * values(Z))``; 0 for categories."""
        return self.inputs.pulled(self.net.pullback(self.inputs.of(Z), V), Z.shape)

    def residual_pullback(self, Z, residual_of):
        """Gradient, with a single pass for it and the values."""
        V, grad = self.net.residual_pullback(self.inputs.of(Z), residual_of)
        return V, self.inputs.pulled(grad, Z.shape)
