"""Values that the features of a row are tried with, one feature at a time."""

import numpy as np

__all__ = ["Moves"]

N_BINS = 32
"""Quantiles of each number, at most."""

TAILS = np.array([0.002, 0.005, 0.01, 0.02])
"""Quantiles beside the first and the last: between these lies half the range of many columns."""

STEPS = np.array([12, 4, 40, 1, 20, 2, 32, 7])
"""How many quantiles a number is moved, up and down: small steps may cross a threshold near by,
and large ones show where more leads to. The most useful first: wide tables do not get all."""

MOST_NUMBERS = 600
"""Numbers that a row is tried with, roughly."""

MOST_CATEGORIES = 100
"""Categories that each feature is tried with: the commonest ones."""


class Moves:
    """What to try each feature with: all categories, and numbers some quantiles away.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    constraints : Constraints
        What may change.

    Attributes
    ----------
    features : ndarray of int
        The features that may change.
    n_values : int
        How many values each row is tried with, of all features together.
    """

    def __init__(self, Z, constraints):
        self.features = np.flatnonzero(~constraints.frozen)
        self._listed = {
            j: _commonest(constraints.features[j].counts, constraints.permitted[j])
            for j in self.features
            if j in constraints.permitted
        }
        self._grids = {j: _grid(Z[:, j]) for j in self.features if j not in self._listed}
        n_steps = max(1, MOST_NUMBERS // (2 * max(1, len(self._grids))))
        self._steps = np.sort(STEPS[:n_steps])
        of_one_row = np.zeros(1)
        self.n_values = sum(self.values(j, of_one_row, of_one_row).shape[1] for j in self.features)

    def values(self, j, z, base):
        """Values to try one feature of some rows with.

        Parameters
        ----------
        j : int
            The feature.
        z, base : ndarray of float64, shape (n_rows,)
            The rows' own values, and the nearest ones that are allowed: tried, too, since they undo
            a change.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_values)
        """
        if j in self._listed:
            listed = np.broadcast_to(self._listed[j], (len(z), len(self._listed[j])))
            return np.hstack([base[:, None], listed])
        grid = self._grids[j]
        if not len(grid):
            return base[:, None]
        below = np.searchsorted(grid, z, side="left")[:, None] - self._steps
        above = np.searchsorted(grid, z, side="right")[:, None] - 1 + self._steps
        places = np.clip(np.hstack([below, above]), 0, len(grid) - 1)
        return np.hstack([base[:, None], grid[places]])


def _commonest(counts, permitted):
    """Permitted categories: the commonest, in the order of their codes."""
    codes = np.flatnonzero(permitted)
    order = np.argsort(-np.asarray(counts)[codes], kind="stable")[:MOST_CATEGORIES]
    return np.sort(codes[order]).astype(np.float64)


def _grid(values):
    """Quantiles of the distinct values: many columns are mostly zero."""
    values = np.unique(values[~np.isnan(values)])
    if len(values) <= N_BINS:
        return values
    places = np.concatenate([np.linspace(0, 1, N_BINS), TAILS, 1 - TAILS])
    return values[np.unique(np.rint(places * (len(values) - 1)).astype(np.intp))]
