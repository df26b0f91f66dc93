"""What a feature of a row may become, as far as the leaves of trees tell."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Options", "options_of"]


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


def options_of(row, leaves, cuts, j):
    """Find what a feature may become, at no more than what is known to be enough.

    Parameters
    ----------
    row : Row
        The row.
    leaves : Leaves
        The leaves of the trees.
    cuts : dict of {int: Cuts}
        Cells of each number.
    j : int
        The feature.

    Returns
    -------
    Options
    """
    if j not in cuts:
        options = _categories(row, leaves, j)
    elif np.isnan(row.z[j]):
        options = _missing_number(row, leaves, cuts[j], j)
    else:
        options = _number(row, leaves, cuts[j], j)
    return options.take(np.flatnonzero(options.costs <= row.dearest))


def _number(row, leaves, cuts, j):
    """One value for each cell: its number that is nearest to the row's own."""
    z, low, high = row.z[j], row.low[j], row.high[j]
    if row.constraints.frozen[j] or low > high:
        low = high = row.base[j]
    lows, highs = np.maximum(cuts.lows, low), np.minimum(cuts.highs, high)
    if row.constraints.integer[j]:
        lows, highs = np.ceil(lows), np.floor(highs)
    own = cuts.cell_of(z)
    if low <= z <= high:  # it may stay where it is, whatever that is
        lows[own], highs[own] = min(lows[own], z), max(highs[own], z)
    cells = np.flatnonzero((lows <= highs) & (np.abs(np.clip(z, lows, highs)) < np.inf))
    ends = np.array([lows[cells], highs[cells]])
    values = np.clip(z, *ends)
    return Options(values, row.price(j, values), _fits(leaves, j, cells), ends)


def _fits(leaves, j, cells):
    return (leaves.low[j][:, None] <= cells) & (cells <= leaves.high[j][:, None])


def _missing_number(row, leaves, cuts, j):
    """A missing number may stay, or be filled with one of any cell, at one price."""
    cells, values = np.empty(0, dtype=np.intp), np.empty(0)
    if not row.is_fixed(j):
        low, high = row.filling(j)
        lows, highs = np.maximum(cuts.lows, low), np.minimum(cuts.highs, high)
        middle = (low + high) / 2
        if row.constraints.integer[j]:
            lows, highs, middle = np.ceil(lows), np.floor(highs), np.rint(middle)
        cells = np.flatnonzero(lows <= highs)
        values = np.clip(middle, lows[cells], highs[cells])
    fits = np.column_stack([leaves.with_odd(j, row.x), _fits(leaves, j, cells)])
    values = np.append(np.nan, values)
    return Options(values, row.price(j, values), fits)


def _categories(row, leaves, j):
    """The categories that are allowed, and an odd one that is kept."""
    values = row.base[[j]] if row.is_fixed(j) else row.categories(j)[0]
    seen = values >= 0
    fits = np.empty((len(leaves.tree), len(values)), dtype=bool)
    fits[:, seen] = leaves.members[j][:, values[seen].astype(np.intp)]
    if not seen.all():
        fits[:, ~seen] = leaves.with_odd(j, row.x)[:, None]
    return Options(values, row.price(j, values), fits)
