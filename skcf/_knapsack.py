"""Knapsacks with a choice for each feature, for many rows at once."""

import numpy as np

__all__ = ["Knapsack"]


class Knapsack:
    """The cheapest choice of at most one move a feature that adds up to a number of parts.

    Dynamic programming [1]_: the least cost at which at least so many parts are had, feature by
    feature. Moves may take parts away, if their cost is negative.

    Parameters
    ----------
    feature : ndarray of int, shape (n_moves,)
        Which feature each move changes.
    parts : ndarray of int, shape (n_rows, n_moves)
        What it adds.
    cost : ndarray of float, shape (n_rows, n_moves)
        What it costs; infinite where it is not to be used.
    most : int
        Numbers of parts from ``-most`` to ``most`` are told apart.

    References
    ----------
    .. [1] K. Dudzinski, S. Walukiewicz. "Exact methods for the knapsack problem and its
       generalizations." European Journal of Operational Research 28 (1987), 3-21.
    """

    def __init__(self, feature, parts, cost, most):
        self._parts, self._most = parts, most
        level = np.arange(-most, most + 1)
        least = np.full((len(parts), len(level)), np.inf, dtype=np.float32)
        least[:, level <= 0] = 0
        self._taken = []
        for j in np.unique(feature):
            before, least = least, least.copy()
            taken = np.full(least.shape, -1, dtype=np.int32)
            for move in np.flatnonzero(feature == j):
                rows = np.flatnonzero(np.isfinite(cost[:, move]))
                if not len(rows):
                    continue
                rest = np.maximum(level - parts[rows, move, None], -most)
                total = np.take_along_axis(before[rows], np.minimum(rest, most) + most, axis=1)
                total += cost[rows, move, None].astype(np.float32)
                better = (total < least[rows]) & (rest <= most)
                least[rows] = np.where(better, total, least[rows])
                taken[rows] = np.where(better, move, taken[rows])
            self._taken.append(taken)
        self._possible = np.isfinite(least)

    def choose(self, demand):
        """Choose moves whose parts add up to a demand, or to as much of it as can be had.

        Parameters
        ----------
        demand : ndarray of int, shape (n_rows,)
            Parts.

        Returns
        -------
        ndarray of bool, shape (n_rows, n_moves)
        """
        rows, n_levels = np.arange(len(self._parts)), 2 * self._most + 1
        highest = n_levels - 1 - self._possible[:, ::-1].argmax(axis=1)
        level = np.clip(demand + self._most, 0, highest)
        chosen = np.zeros(self._parts.shape, dtype=bool)
        for taken in reversed(self._taken):
            move = taken[rows, level]
            some = np.flatnonzero(move >= 0)
            chosen[some, move[some]] = True
            level[some] = np.clip(level[some] - self._parts[some, move[some]], 0, n_levels - 1)
        return chosen
