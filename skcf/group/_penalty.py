"""The l1 norms of translations between groups, and their proximal operators.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
"""

import numpy as np

__all__ = ["PairwiseL1", "TargetL1", "pools", "prox_of_differences"]

ROUNDING = 1e-13
"""Neighbouring values are one where they differ by less, as a share of the largest."""

BLOCK_ELEMENTS = 2**21
"""Values that are sorted at a time."""


class PairwiseL1:
    """The mean l1 norm of the translations of all ordered pairs ([1]_, Eq. 9).

    ``p(T) = sum_{i != j} ||t_j - t_i||_1 / (g (g - 1))``: of the distinct differences each
    counts twice.
    """

    signs = None

    def __init__(self, n_groups):
        self.n_groups = n_groups
        self.weight = 2 / (n_groups * (n_groups - 1))

    def values(self, T):
        """Its value for each T of shape (..., n_groups, n_features)."""
        ranks = _slopes(self.n_groups)
        return self.weight * np.einsum("g,...gd->...", ranks, np.sort(T, axis=-2))

    def prox(self, T, step):
        """The minimiser U of ``||U - T||^2 / 2 + step * p(U)``.

        The step is one for all, or broadcasts to shape (..., n_features): to one for each feature.
        """
        return prox_of_differences(T, self.weight * np.asarray(step))

    def dual_norm(self, G):
        """The least alpha with which 0 minimises ``<G, T> + alpha * p(T)``.

        Gradients sum to 0 in each column. Groups are raised from the least gradient on.
        """
        raised = np.cumsum(np.sort(-G, axis=-2)[..., ::-1, :], axis=-2)[..., :-1, :]
        m = np.arange(1, self.n_groups)[:, None]
        return (raised / (self.weight * m * (self.n_groups - m))).max(axis=(-2, -1))

    def feasible(self, T):
        """The translations themselves: nothing is ruled out."""
        return T

    def on(self, columns):
        """The penalty of some columns."""
        return self


class TargetL1:
    """The mean l1 norm of the translations that lead to one target.

    ``p(T) = sum_i ||t_i||_1 / (g - 1)`` over the other groups, with t_target = 0 and ``delta_i =
    -t_i``; infinite where delta has a sign that its column does not permit.

    Parameters
    ----------
    n_groups : int
        Number of groups.
    target : int
        The group they lead to.
    signs : ndarray of int, shape (n_features,), default=None
        1: a column may only rise; -1: only fall; 0: both. None: both, all of them.
    """

    def __init__(self, n_groups, target, signs=None):
        self.n_groups, self.target = n_groups, target
        self.weight = 1 / (n_groups - 1)
        self.signs = signs

    def values(self, T):
        """Its value for each T of shape (..., n_groups, n_features)."""
        return self.weight * np.abs(T).sum(axis=(-2, -1))

    def prox(self, T, step):
        """The minimiser U of ``||U - T||^2 / 2 + step * p(U)``.

        The step is one for all, or broadcasts to shape (..., n_features): to one for each feature.
        """
        threshold = self.weight * np.atleast_1d(step)[..., None, :]
        T = self.feasible(T)
        return T - np.clip(T, -threshold, threshold)

    def dual_norm(self, G):
        """The least alpha with which 0 minimises ``<G, T> + alpha * p(T)``."""
        pull = np.abs(G)
        if self.signs is not None:
            pull = np.where(self.signs > 0, np.maximum(G, 0), pull)
            pull = np.where(self.signs < 0, np.maximum(-G, 0), pull)
        return pull.max(axis=(-2, -1)) / self.weight

    def feasible(self, T):
        """The nearest translations with the signs that are permitted."""
        T = T - T[..., self.target, None, :]
        if self.signs is None:
            return T
        T = np.where(self.signs > 0, np.minimum(T, 0), T)
        return np.where(self.signs < 0, np.maximum(T, 0), T)

    def on(self, columns):
        """The penalty of some columns."""
        signs = None if self.signs is None else self.signs[columns]
        return TargetL1(self.n_groups, self.target, signs)


def prox_of_differences(V, gamma):
    """Proximal operator of ``gamma * sum_{i<j} |u_i - u_j|``, for each feature by itself.

    The minimiser of ``sum_i (u_i - v_i)^2 / 2 + gamma * sum_{i<j} |u_i - u_j|`` has the order of
    v, in which the sum is linear: ``sum_i (2 i - g - 1) u_(i)``. So it is the isotonic regression
    of ``v_(i) - gamma (2 i - g - 1)``, exactly. Groups that are pooled have one value, so
    that their differences are exactly 0.

    Cost: a sort, and of the features that do not pool as a whole g^2 operations.

    Parameters
    ----------
    V : ndarray of float64, shape (..., n_groups, n_features)
        The point.
    gamma : float or ndarray of float64
        At least 0; broadcasts to shape (..., n_features).

    Returns
    -------
    ndarray of float64, shape (..., n_groups, n_features)
    """
    g, d = V.shape[-2:]
    columns = np.moveaxis(V, -2, 0).reshape(g, -1)
    gamma = np.broadcast_to(np.asarray(gamma, float), (*V.shape[:-2], d)).ravel()
    U = np.empty(columns.shape)
    size = max(1, BLOCK_ELEMENTS // g)
    for first in range(0, columns.shape[1], size):
        b = slice(first, first + size)
        U[:, b] = _prox_columns(columns[:, b], gamma[b])
    return np.moveaxis(U.reshape(g, *V.shape[:-2], d), 0, -2)


def pools(ordered, gamma):
    """Whether the proximal operator gives all groups one value.

    The isotonic regression is constant where no first part of it has a mean below that of all:
    ``sum_{i<=k} (mean - v_(i)) <= gamma k (g - k)`` for all k.

    Parameters
    ----------
    ordered : ndarray of float64, shape (n_groups, n_columns)
        Sorted values of each column.
    gamma : ndarray of float64, shape (n_columns,)

    Returns
    -------
    ndarray of bool, shape (n_columns,)
    """
    g = len(ordered)
    k = np.arange(1, g)[:, None]
    short = np.cumsum(ordered.mean(axis=0) - ordered, axis=0)[:-1]
    return (short <= gamma * k * (g - k)).all(axis=0)


def _prox_columns(V, gamma):
    """Proximal operator of columns, shape (n_groups, n_columns)."""
    ordered = np.sort(V, axis=0)
    U = np.tile(ordered.mean(axis=0), (len(V), 1))
    apart = np.flatnonzero(~pools(ordered, gamma))
    if len(apart):
        order = np.argsort(V[:, apart], axis=0, kind="stable")
        rising = _isotonic(ordered[:, apart] - gamma[apart] * _slopes(len(V))[:, None])
        fitted = np.empty(rising.shape)
        np.put_along_axis(fitted, order, rising, axis=0)
        U[:, apart] = fitted
    return U


def _isotonic(Z):
    """Isotonic regression of columns: ``max_{a<=k} min_{b>=k} mean(z_a, ..., z_b)`` at k."""
    g = len(Z)
    total = np.concatenate([np.zeros((1, Z.shape[1])), np.cumsum(Z, axis=0)])
    U = np.full(Z.shape, -np.inf)
    for a in range(g):
        means = (total[a + 1 :] - total[a]) / np.arange(1, g - a + 1)[:, None]
        least = np.minimum.accumulate(means[::-1], axis=0)[::-1]
        np.maximum(U[a:], least, out=U[a:])
    return _one_value_a_block(Z, U)


def _one_value_a_block(Z, U):
    """The same, with the mean of each block in all its places, to the last bit."""
    size = np.abs(Z).max(axis=0)
    starts = np.ones(U.shape, dtype=bool)
    starts[1:] = np.diff(U, axis=0) > ROUNDING * size
    starts = starts.T.ravel()
    first = np.flatnonzero(starts)
    means = np.add.reduceat(Z.T.ravel(), first) / np.diff(first, append=Z.size)
    return means[np.cumsum(starts) - 1].reshape(U.T.shape).T


def _slopes(n_groups):
    """What the sum of all differences grows by, with each of the sorted values."""
    return 2.0 * np.arange(1, n_groups + 1) - n_groups - 1
