"""Implications: a rise of one feature that needs a rise of another.

A degree takes years: who is told to have one must be told to be older. If the first feature
rises by k, the second has to rise by at least ``amount * k``; where the first does not rise,
nothing is asked of the second. Features are measured by heights: numbers by their values,
ordinal categories by their steps. A value without a height (missing, or a category that fit
did not see) neither rises nor has to. But of linked columns with a gap, or a tuple that fit did
not see, the one that an implication is about may well have a value: so nothing rises that needs
them to, and they stay where an implication starts from them (see `Constraints.anchored`).
"""

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np

__all__ = ["Implication", "Implications", "Leeway"]

TOLERANCE = 1e-9
"""Share of a rise that may be missing: what rounding leaves of a sum of fractions."""

ULPS = 16 * np.finfo(np.float64).eps
"""Share of the heights themselves that may be missing: their difference is rounded, too."""


@dataclass(frozen=True)
class Implication:
    """A rise of the first feature by k needs one of the second by at least ``amount * k``.

    Attributes
    ----------
    first, second : int
        Features.
    amount : float
        Above zero.
    """

    first: int
    second: int
    amount: float


class Implications:
    """All implications between features.

    Parameters
    ----------
    rules : list of Implication
        The implications.
    heights : dict of int -> ndarray of float64, shape (n_categories,)
        For each categorical feature in them, the height of each category, all different.
    linked : set of int
        Features that are linked columns.

    Attributes
    ----------
    order : list of int
        The features in them, the first one of each implication before its second.

    Raises
    ------
    graphlib.CycleError
        If a feature needs itself to rise.
    """

    def __init__(self, rules=(), heights=None, linked=()):
        self.rules = list(rules)
        self.linked = set(linked)
        self.category_heights = heights or {}
        needs = {rule.second: set() for rule in self.rules}
        for rule in self.rules:
            needs[rule.second].add(rule.first)
        self.order = list(TopologicalSorter(needs).static_order())

    def __len__(self):
        return len(self.rules)

    def heights(self, j, values):
        """Heights of encoded values of one feature; NaN where a value has none."""
        if j not in self.category_heights:
            return values
        table = np.append(self.category_heights[j], np.nan)
        return table[np.where(values >= 0, values, -1).astype(np.intp)]

    def broken(self, reference, Z):
        """Tell which moves lack a rise that another one needs.

        Parameters
        ----------
        reference, Z : ndarray of float64, shapes (..., n_features)
            Encoded rows to move from and to; they broadcast against each other.

        Returns
        -------
        ndarray of bool, shape (...)
        """
        shape = np.broadcast_shapes(reference.shape[:-1], Z.shape[:-1])
        broken = np.zeros(shape, dtype=bool)
        for rule in self.rules:
            x, had, x_rounding = self._ahead(rule, reference)
            y, has, y_rounding = self._ahead(rule, Z)
            behind = has + y_rounding < had - x_rounding
            if rule.second in self.linked:
                behind |= reference[..., rule.second] < 0  # its rise is not known
            broken |= (y > x) & behind
        return broken

    def _ahead(self, rule, Z):
        """Height of the first, how far the second is ahead of what that needs, and its rounding.

        The rule holds where a rise of the first leaves the second as far ahead as it was.
        """
        first = self.heights(rule.first, Z[..., rule.first])
        second = self.heights(rule.second, Z[..., rule.second])
        with np.errstate(over="ignore", invalid="ignore"):
            needed = rule.amount * (1 - TOLERANCE) * first
            return first, second - needed, ULPS * (np.abs(second) + np.abs(needed))


class Leeway:
    """How far the features of some rows can rise together with what their rises need.

    Parameters
    ----------
    constraints : Constraints
        What each feature may be by itself, and the implications.
    reference : ndarray of float64, shape (n_rows, n_features)
        Encoded rows.

    Attributes
    ----------
    most : dict of int -> ndarray of float64, shape (n_rows,)
        The largest allowed height of each feature that the others can keep up with; NaN where
        there is none.
    """

    def __init__(self, constraints, reference):
        self.implications = constraints.implications
        self.reference = reference
        self.values, self.most = {}, {}
        for j in self.implications.order:
            allowed = _Levels if j in constraints.permitted else _Numbers
            self.values[j] = allowed(constraints, j, reference[:, j])
        for j in reversed(self.implications.order):
            self.most[j] = self.values[j].at_most(self._affordable(j))

    def _affordable(self, j):
        """Heights up to which a feature may rise, for what the others can do."""
        start = self.values[j].start
        bound = np.full(len(start), np.inf)
        for rule in self.implications.rules:
            if rule.first == j:
                other = self.values[rule.second].start
                room = np.fmax(self.most[rule.second] - other, 0)
                room[np.isnan(other)] = np.inf  # nothing is asked of it
                if rule.second in self.implications.linked:
                    room[self.reference[:, rule.second] < 0] = 0.0
                bound = np.fmin(bound, start + room / rule.amount)
        return bound

    def unaffordable(self):
        """Tell which values have to rise, into their range, and cannot: shape of the reference."""
        lost = np.zeros(self.reference.shape, dtype=bool)
        for j, most in self.most.items():
            lost[:, j] = np.isnan(most) & ~np.isnan(self.values[j].start)
        return lost

    def repair(self, Z):
        """Let the seconds rise as much as the firsts need; where they cannot, lower the firsts.

        Parameters
        ----------
        Z : ndarray of float64, shape (n_rows, n_features)
            Encoded rows, each feature allowed by itself.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
            With the reference's values where there is no way.
        """
        repaired, chosen = Z.copy(), {}
        for j in self.implications.order:
            values = self.values[j]
            height = self.implications.heights(j, Z[:, j])
            chosen[j] = self._settled(j, height, self._needed(j, chosen))
            moved = chosen[j] != height
            moved &= ~np.isnan(height)
            repaired[moved, j] = values.encoded(chosen[j][moved])
        order = self.implications.order
        lost = np.isnan(repaired[:, order]) & ~np.isnan(Z[:, order])
        lost = lost.any(axis=1) | self.implications.broken(self.reference, repaired)
        repaired[np.ix_(lost, order)] = self.reference[np.ix_(lost, order)]
        return repaired

    def _needed(self, j, chosen):
        """Heights that a feature must have for what the others have been settled to."""
        start = self.values[j].start
        needed = np.full(len(start), -np.inf)
        for rule in self.implications.rules:
            if rule.second == j:
                rise = chosen[rule.first] - self.values[rule.first].start
                asked = (rise > 0) & ~np.isnan(start)
                needed = np.where(asked, np.fmax(needed, start + rule.amount * rise), needed)
        return needed

    def _settled(self, j, height, needed):
        """Raise a feature to what is needed, and lower it to what can be afforded."""
        values, most = self.values[j], self.most[j]
        short = height < needed - values.rounding(needed)
        height = np.where(short, np.fmin(values.at_least(needed), most), height)
        far = (height > values.start) & ~(height <= most + values.rounding(most))
        return np.where(far, most, height)


class _Numbers:
    """Allowed values of one numeric feature, for each reference row.

    Parameters
    ----------
    constraints : Constraints
        What is allowed.
    j : int
        The feature.
    reference : ndarray of float64, shape (n_rows,)
        Its values.
    """

    def __init__(self, constraints, j, reference):
        self.start = reference
        self.feature = constraints.features[j]
        self.low, self.high = constraints.interval(j, reference)
        self.kept = np.where((self.low <= reference) & (reference <= self.high), reference, np.nan)

    def rounding(self, heights):
        """What rounding may have added to heights: less than the implications tolerate."""
        return _rounding(heights, self.start)

    def at_most(self, bound):
        """The largest allowed value up to a bound; NaN where there is none."""
        if self.feature.integer:
            value = np.floor(np.fmin(bound + self.rounding(bound), self.high))
        else:
            value = self._representable(np.fmin(bound, self.high), -1)
        value = np.where(value >= self.low, value, np.nan)
        return np.fmax(value, np.where(self.kept <= bound, self.kept, np.nan))

    def at_least(self, bound):
        """The smallest allowed value from a bound on; NaN where there is none."""
        if self.feature.integer:
            value = np.ceil(np.fmax(bound - self.rounding(bound), self.low))
        else:
            value = self._representable(np.fmax(bound, self.low), 1)
        value = np.where(value <= self.high, value, np.nan)
        return np.fmin(value, np.where(self.kept >= bound, self.kept, np.nan))

    def _representable(self, value, side):
        """The next number on one side that the column's dtype can hold."""
        number = self.feature.float_type
        with np.errstate(over="ignore", invalid="ignore"):
            near = value.astype(number)
            beyond = (value - near.astype(np.float64)) * side > 0
            near = np.where(beyond, np.nextafter(near, number(side * np.inf)), near)
        return near.astype(np.float64)

    def encoded(self, heights):
        """Encoded values of heights."""
        return heights


class _Levels:
    """Allowed categories of one ordinal feature, for each reference row, by their heights.

    Parameters
    ----------
    constraints : Constraints
        What is allowed.
    j : int
        The feature.
    reference : ndarray of float64, shape (n_rows,)
        Its codes.
    """

    def __init__(self, constraints, j, reference):
        self.heights = constraints.implications.category_heights[j]
        self.start = constraints.implications.heights(j, reference)
        self.allowed = constraints.levels(j, reference)

    def rounding(self, heights):
        """See `_Numbers.rounding`."""
        return _rounding(heights, self.start)

    def at_most(self, bound):
        """See `_Numbers.at_most`."""
        within = self.allowed & (self.heights <= (bound + self.rounding(bound))[:, None])
        highest = np.where(within, self.heights, -np.inf).max(axis=1, initial=-np.inf)
        return np.where(within.any(axis=1), highest, np.nan)

    def at_least(self, bound):
        """See `_Numbers.at_least`."""
        within = self.allowed & (self.heights >= (bound - self.rounding(bound))[:, None])
        lowest = np.where(within, self.heights, np.inf).min(axis=1, initial=np.inf)
        return np.where(within.any(axis=1), lowest, np.nan)

    def encoded(self, heights):
        """See `_Numbers.encoded`."""
        order = np.argsort(self.heights)
        place = np.searchsorted(self.heights[order], heights).clip(max=len(order) - 1)
        return np.where(np.isnan(heights), np.nan, order[place])


def _rounding(heights, start):
    """A tenth of the tolerance for a rise from one height to another; 0 where there is none."""
    with np.errstate(invalid="ignore"):
        rounding = TOLERANCE / 10 * np.abs(heights - start)
        rounding += ULPS / 8 * (np.abs(heights) + np.abs(start))
    return np.where(np.isfinite(rounding), rounding, 0.0)


def check_acyclic(rules, names):
    """Refuse features that need themselves to rise.

    Raises
    ------
    ValueError
        Which names the features.
    """
    try:
        Implications(rules)
    except CycleError as error:
        cycle = " -> ".join(repr(names[j]) for j in error.args[1])
        raise ValueError(f"implications go round in a circle: {cycle}.") from None
