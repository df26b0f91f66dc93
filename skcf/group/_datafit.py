"""How far translations lead groups from where they are to arrive.

References
----------
.. [1] G. Plumb, J. Terhorst, S. Sankararaman, A. Talwalkar. "Explaining groups of points in
   low-dimensional representations." ICML 2020.
"""

from copy import copy

import numpy as np
from sklearn.neighbors import NearestNeighbors

from skcf._representations import front_of

__all__ = ["MeanDatafit", "MinDatafit"]

BLOCK_ELEMENTS = 2**23
"""Values of moved points that are made up at a time: 64 MiB."""


class _Datafit:
    """What both have in common: the first layer of r is given translations before it pairs them.

    Translations T have shape (n_problems, n_groups, n_features).
    """

    def __init__(self, representation, pairs):
        self.pairs = pairs
        self.slope, self.intercept, self.rest = front_of(representation)

    def on(self, columns):
        """The same for some columns, where there are no moves in the others."""
        part = copy(self)
        part.slope = self.slope[columns]
        return part

    def values(self, T):
        """The loss of each T, shape (n_problems,)."""
        return np.concatenate([self._of_block(H, False)[0] for H in self._blocks(T)])

    def values_and_gradients(self, T):
        """The same, and its gradient by T."""
        parts = [self._of_block(H, True) for H in self._blocks(T)]
        values, gradients = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return values, gradients if self.slope is None else gradients @ self.slope.T

    def _blocks(self, T):
        """Translations that the rest of r takes, some problems at a time."""
        H = self._led(T)
        size = max(1, BLOCK_ELEMENTS // (len(self.pairs) * self._rows_a_pair() * H.shape[2]))
        return [H[first : first + size] for first in range(0, len(H), size)]

    def _led(self, T):
        """Translations as the rest of r takes them."""
        return T if self.slope is None else T @ self.slope

    def _hidden(self, X):
        """Rows as the rest of r takes them."""
        return X if self.slope is None else X @ self.slope + self.intercept


class MeanDatafit(_Datafit):
    """How far the group means are led from the other groups' representations.

    ``f(T) = sum_ij w_ij ||r(xbar_i + t_j - t_i) - rbar_j||^2`` over pairs of groups ([1]_,
    Eq. 9; the weights are 1 / (g (g - 1)) unless others are given), with xbar_i the mean of a
    group's rows, and rbar_j that of their representations.

    Parameters
    ----------
    representation : Map
        r.
    means : ndarray of float64, shape (n_groups, n_features)
        xbar.
    targets : ndarray of float64, shape (n_groups, n_outputs)
        rbar.
    pairs : Pairs
        Which pairs count.
    """

    def __init__(self, representation, means, targets, pairs):
        super().__init__(representation, pairs)
        self.targets, self.points = targets, self._hidden(means)

    def hessian(self, T, features, width):
        """Gradient and Hessian of one T by the pairs' translations, in some features.

        The Hessian is that of differences of gradients, a share of the pairs each.

        Parameters
        ----------
        T : ndarray of float64, shape (n_groups, n_features)
        features : ndarray of int, shape (n_chosen,)
        width : float
            How far a translation is moved.

        Returns
        -------
        gradient : ndarray of float64, shape (n_pairs, n_chosen)
        hessian : ndarray of float64, shape (n_pairs, n_chosen, n_chosen)
        """
        axes = (np.eye(T.shape[1]) if self.slope is None else self.slope)[features]
        moved = self.points[self.pairs.source] + self.pairs.deltas(self._led(T))
        asked = np.concatenate([moved[None], moved + width * axes[:, None]])
        doubled = np.tile(2 * self.pairs.weights[:, None], (len(asked), 1))
        ends = np.tile(self.targets[self.pairs.end], (len(asked), 1))
        _, grad = self.rest.residual_pullback(
            asked.reshape(-1, asked.shape[2]), lambda values, b: doubled[b] * (values - ends[b])
        )
        grad = grad.reshape(asked.shape) @ axes.T
        return grad[0], np.moveaxis((grad[1:] - grad[0]) / width, 0, 1)

    def _rows_a_pair(self):
        return 1

    def _of_block(self, H, with_gradient):
        pairs = self.pairs
        moved = self.points[pairs.source] + pairs.deltas(H)
        flat = moved.reshape(-1, moved.shape[-1])
        weights, ends = pairs.weights[:, None], self.targets[pairs.end]
        if not with_gradient:
            residual = self.rest.values(flat).reshape(*moved.shape[:2], -1) - ends
            return ((weights * residual**2).sum(axis=(1, 2)),)
        ends, doubled = np.tile(ends, (len(H), 1)), 2 * np.tile(weights, (len(H), 1))
        V, grad = self.rest.residual_pullback(
            flat, lambda values, b: doubled[b] * (values - ends[b])
        )
        V = V.reshape(*moved.shape[:2], -1)
        value = np.divide(V**2, 4 * weights, out=np.zeros(V.shape), where=weights > 0)
        return value.sum(axis=(1, 2)), pairs.gathered(grad.reshape(moved.shape))


class MinDatafit(_Datafit):
    """How far rows are led from the nearest row of the other group.

    ``f(T) = sum_ij w_ij mean_{x in X_i} min_{x' in X_j} ||r(x + t_j - t_i) - r(x')||^2`` ([1]_,
    Eq. 5). Its gradient is that with the nearest rows held fixed.

    Cost: the representation of each row moved to each other group, and a nearest-neighbour search.

    Parameters
    ----------
    representation : Map
        r.
    members : list of ndarray, shapes (n_rows_of_group, n_features)
        The rows of each group.
    represented : list of ndarray of float64, shapes (n_rows_of_group, n_outputs)
        Their representations.
    pairs : Pairs
        Which pairs count.
    """

    def __init__(self, representation, members, represented, pairs):
        super().__init__(representation, pairs)
        self.points = [self._hidden(rows) for rows in members]
        self.represented = represented
        self.searches = [NearestNeighbors(n_neighbors=1).fit(rows) for rows in represented]

    def _rows_a_pair(self):
        return max(map(len, self.points))

    def _of_block(self, H, with_gradient):
        pairs = self.pairs
        value, grad = np.zeros(len(H)), np.zeros((len(H), len(pairs), H.shape[2]))
        for p, (i, j) in enumerate(zip(pairs.source, pairs.end, strict=True)):
            weight = pairs.weights[p] / len(self.points[i])
            moved = self.points[i] + (H[:, j] - H[:, i])[:, None]
            flat = moved.reshape(-1, moved.shape[-1])
            values = self.rest.values(flat)
            places = self.searches[j].kneighbors(values, return_distance=False)[:, 0]
            residual = values - self.represented[j][places]
            value += weight * (residual**2).reshape(len(H), -1).sum(axis=1)
            if with_gradient:
                pulled = self.rest.pullback(flat, 2 * weight * residual)
                grad[:, p] = pulled.reshape(moved.shape).sum(axis=1)
        return (value, pairs.gathered(grad)) if with_gradient else (value,)
