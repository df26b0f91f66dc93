"""What a feature of a row may become, as far as the leaves of trees tell."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Options", "Reach"]


@dataclass(frozen=True, eq=False)
class Options:
    """Values of one feature, one of which it is to take.

    Attributes
    ----------
    values : ndarray of float64, shape (n_options,)
        Encoded values; of numbers, from low to high.
    costs : ndarray of float64, shape (n_options,)
        What each costs.
    fits : ndarray of bool, shape (n_leaves, n_options)
        Which leaves a row with this value can end in.
    ends : ndarray of float64, shape (2, n_options), or None
        Of numbers: the lowest and highest number of the option's cells.
    """

    values: np.ndarray
    costs: np.ndarray
    fits: np.ndarray
    ends: np.ndarray | None = None

    def take(self, which):
        """Some of the options."""
        ends = None if self.ends is None else self.ends[:, which]
        return Options(self.values[which], self.costs[which], self.fits[:, which], ends)

    def of_leaves(self, which):
        """The options with regard to some of the leaves."""
        return Options(self.values, self.costs, self.fits[which], self.ends)


class Reach:
    """What the features of a row may become, at no more than what is known to be enough.

    Parameters
    ----------
    row : Row
        The row.
    leaves : Leaves
        The leaves of the trees.
    cuts : dict of {int: Cuts}
        Cells of each number.

    Attributes
    ----------
    asked : list of int
        The features that decide where the row ends.
    anyway : ndarray of bool, shape (n_leaves,)
        Which leaves it can end in for all that no feature decides.
    """

    def __init__(self, row, leaves, cuts):
        self.row, self.leaves, self.cuts = row, leaves, cuts
        decided = {j: leaves.decided_by(effect) for j, effect in row.effects.items()}
        self._decided = {j: columns for j, columns in decided.items() if columns.any()}
        self.asked = sorted({*leaves.asked, *self._decided})
        none = np.zeros(row.x.shape, dtype=bool)
        self.anyway = leaves.at_reference(~sum(self._decided.values(), none))

    def of(self, z):
        """Tell which leaves the row can end in, moved to a row."""
        here = self.anyway.copy()
        for j in self.asked:
            here &= self._fits(j, z[[j]])[:, 0]
        return here

    def options(self, j):
        """Find what a feature may become.

        Parameters
        ----------
        j : int
            The feature.

        Returns
        -------
        Options
        """
        row, ends = self.row, None
        if j in row.constraints.permitted:
            values = row.base[[j]] if row.is_fixed(j) else row.categories(j)[0]
        elif np.isnan(row.z[j]):
            values = self._fillings(j)
        else:
            values, ends = self._of_cells(j)
        options = Options(values, row.price(j, values), self._fits(j, values), ends)
        return options.take(np.flatnonzero(options.costs <= row.dearest))

    def _of_cells(self, j):
        """One number for each cell, that which is nearest to the row's own; and the cells' ends."""
        row, cuts = self.row, self.cuts[j]
        z, low, high = row.z[j], row.low[j], row.high[j]
        if row.constraints.frozen[j] or low > high:
            low = high = row.base[j]
        lows, highs = np.maximum(cuts.lows, low), np.minimum(cuts.highs, high)
        if row.constraints.integer[j]:
            lows, highs = np.ceil(lows), np.floor(highs)
        if low <= z <= high:  # it may stay where it is, whatever that is
            own = cuts.cells_of(z)
            lows[own], highs[own] = min(lows[own], z), max(highs[own], z)
        ends = np.array([lows, highs])[:, lows <= highs]
        values = np.clip(z, *ends)
        return values[np.isfinite(values)], ends[:, np.isfinite(values)]

    def _fillings(self, j):
        """What a missing number may be: missing, or one of each cell, all at one price."""
        row = self.row
        if row.is_fixed(j):
            return np.array([np.nan])
        low, high = row.filling(j)
        if j not in self.cuts:
            return np.array([np.nan, low])
        cuts, middle = self.cuts[j], (low + high) / 2
        lows, highs = np.maximum(cuts.lows, low), np.minimum(cuts.highs, high)
        if row.constraints.integer[j]:
            lows, highs, middle = np.ceil(lows), np.floor(highs), np.rint(middle)
        filled = np.clip(middle, lows, highs)[lows <= highs]
        return np.append(np.nan, filled)

    def _fits(self, j, values):
        """Tell which leaves the row can end in with each value, shape (n_leaves, n_values)."""
        leaves, decided = self.leaves, self._decided.get(j, np.zeros(self.row.x.shape, dtype=bool))
        odd = np.isnan(values) | ((j in self.row.constraints.permitted) & (values < 0))
        fits = np.empty((len(leaves.tree), len(values)), dtype=bool)
        fits[:, odd] = leaves.with_odd(j, self.row.x, decided)[:, None] if odd.any() else False
        usual = values[~odd]
        if j in leaves.members:
            fits[:, ~odd] = leaves.members[j][:, usual.astype(np.intp)]
        elif j in leaves.low:
            cells = self.cuts[j].cells_of(usual)
            fits[:, ~odd] = (leaves.low[j][:, None] <= cells) & (cells <= leaves.high[j][:, None])
        else:
            fits[:, ~odd] = True
        fits[:, ~odd] &= leaves.at_reference(decided)[:, None]
        return fits
