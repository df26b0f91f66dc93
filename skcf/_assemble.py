"""Counterfactuals put together from changes of single features.

The nearest rows of the target class differ in many features, none of them by much. What moves
a row across the boundary at the least cost is often another thing: one or two features, changed
by more than any neighbour has them. So each row is asked about with each of its features set to
each of a few values, all in one go. What these changes buy, and what they cost, then says which
of them to put together.
"""

import numpy as np

__all__ = ["Moves", "assemble"]

N_BINS = 32
"""Quantiles of each number, at most."""

STEPS = np.array([1, 2, 4, 7, 12, 20, 32])
"""How many quantiles each number is moved, up and down: small steps may cross a threshold near by,
and large ones show where more leads to."""

N_LEVELS = 24
"""Parts of the margin that is missing, in whole numbers of which changes are added up."""

DEMANDS = np.array([0.75, 1.0, 1.3, 1.7, 2.5])
"""Shares of the missing margin that counterfactuals are put together for: changes that are made
together may buy more than they do alone, or less."""

BLOCK_ELEMENTS = 2**24
"""Values of all candidates of a block of rows: 128 MiB."""


class Moves:
    """Values that each feature is tried with: categories, and numbers some quantiles away.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded training rows.
    space : FeatureSpace
        What may change.

    Attributes
    ----------
    feature : ndarray of int, shape (n_moves,)
        Which feature each changes.
    """

    def __init__(self, Z, space):
        constraints = space.constraints_
        mutable = np.flatnonzero(~constraints.frozen)
        self._grids = {
            int(j): _grid(Z[:, j]) for j in mutable if j not in constraints.permitted
        }
        self._listed = {
            int(j): np.flatnonzero(constraints.permitted[j]).astype(np.float64)
            for j in mutable
            if j in constraints.permitted
        }
        n_each = {j: 1 + 2 * len(STEPS) if j in self._grids else 1 + len(self._listed[j]) for j in mutable}
        self.feature = np.repeat(mutable, [n_each[j] for j in mutable]).astype(np.intp)

    def values(self, j, z):
        """Values to try one feature with, shape (n_rows, n_moves of the feature)."""
        if j in self._listed:
            return np.broadcast_to(np.append(self._listed[j], 0), (len(z), 1 + len(self._listed[j])))
        grid = self._grids[j]
        if not len(grid):
            return np.full((len(z), 1 + 2 * len(STEPS)), np.nan)
        above = np.searchsorted(grid, z, side="right")[:, None] - 1 + STEPS
        below = np.searchsorted(grid, z, side="left")[:, None] - STEPS
        return grid[np.clip(np.hstack([below, above, above[:, :1]]), 0, len(grid) - 1)]


def _grid(values):
    """Quantiles of the distinct values: many columns are mostly zero."""
    values = np.unique(values[~np.isnan(values)])
    if len(values) <= N_BINS:
        return values
    return values[np.rint(np.linspace(0, len(values) - 1, N_BINS)).astype(np.intp)]


def assemble(Z, rows, target, oracle, moves, *, current=None, metric, min_margin):
    """Put counterfactuals together from single changes.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows that are explained.
    rows : ndarray of int, shape (n_rows,)
        Which of the oracle's rows each of them is.
    target : ndarray of int, shape (n_rows,)
        Class code that each is to have.
    oracle : Oracle
        Answers what the classifier says.
    moves : Moves
        Changes to try.
    current : ndarray of float64, shape (n_rows, n_features), default=None
        Valid counterfactuals, in which some changes are to be exchanged for cheaper ones. None:
        there are none yet.
    metric : str
        See `FeatureSpace.cost`.
    min_margin : float
        Margin on the logit scale that they are to have.

    Returns
    -------
    of : ndarray of int, shape (n_found,)
        Position in Z of the row that each is for.
    found : ndarray of float64, shape (n_found, n_features)
        Encoded counterfactuals: allowed, and valid.
    """
    size = max(1, BLOCK_ELEMENTS // max(1, len(moves.feature) * Z.shape[1]))
    of, found = [np.empty(0, dtype=np.intp)], [np.empty((0, Z.shape[1]))]
    for first in range(0, len(Z), size):
        b = slice(first, first + size)
        now = None if current is None else current[b]
        table = _Table(Z[b], now, rows[b], target[b], oracle, moves, metric, min_margin)
        place, z = table.assembled()
        of.append(first + place)
        found.append(z)
    return np.concatenate(of), np.concatenate(found)


class _Table:
    """What each single change buys and costs, for each row of a block."""

    def __init__(self, Z, current, rows, target, oracle, moves, metric, min_margin):
        self.Z, self.rows, self.target, self.oracle = Z, rows, target, oracle
        self.feature, self.min_margin = moves.feature, max(min_margin, np.finfo(float).tiny)
        constraints, costs = oracle.space.constraints_, oracle.space.costs_
        self.constraints, self.slides = constraints, ~constraints.nominal[moves.feature]
        self.base = constraints.project(Z, Z)
        self.current = self.base if current is None else current
        n, m = len(Z), len(moves.feature)
        self.value = np.empty((n, m))
        self.cost = np.full((n, m), np.inf)
        before = costs.shares(self.current, Z, metric).sum(axis=1)
        for j in np.unique(moves.feature):
            at = np.flatnonzero(moves.feature == j)
            reference = np.repeat(Z, len(at), axis=0)
            candidates = np.repeat(self.current, len(at), axis=0)
            values = np.array(moves.values(j, Z[:, j]))
            values[:, -1] = self.base[:, j]
            candidates[:, j] = values.ravel()
            projected = constraints.project(candidates, reference)
            value = projected[:, j].reshape(n, -1)
            extra = costs.shares(projected, reference, metric).sum(axis=1).reshape(n, -1)
            moved = value != self.current[:, [j]]
            moved[:, 1:] &= value[:, 1:] != value[:, :-1]
            self.value[:, at] = value
            self.cost[:, at] = np.where(moved, extra - before[:, None], np.inf)
        self.margin = oracle.margin(self.current, rows, target)
        self.start = self.margin
        if current is not None:
            self.start = oracle.margin(self.base, rows, target)
        self.gain = self._gains()

    def _gains(self):
        """Margin that each change buys."""
        gain = np.full(self.cost.shape, -np.inf)
        of, move = np.nonzero(np.isfinite(self.cost))
        candidates = self.current[of]
        candidates[np.arange(len(of)), self.feature[move]] = self.value[of, move]
        candidates = self.constraints.project(candidates, self.Z[of])
        gain[of, move] = self._margins(candidates, of) - self.margin[of]
        return gain

    def _margins(self, candidates, of):
        return self.oracle.margin(candidates, self.rows[of], self.target[of])

    def assembled(self):
        """Counterfactuals of the changes that add up to what is missing at the least cost."""
        unit = np.maximum(self.min_margin - self.start, np.finfo(float).tiny) / N_LEVELS
        missing = (self.min_margin - self.margin) / unit
        parts, cost = self._parts(unit, missing)
        knapsack = _Knapsack(self.feature, parts, cost)
        of, found = [], []
        extra = N_LEVELS * (DEMANDS - 1)
        for more in extra:
            chosen = knapsack.chosen(np.ceil(missing + more).astype(np.intp))
            place, move = np.nonzero(chosen)
            current = np.array(self.current)
            current[place, self.feature[move]] = self.value[place, move]
            of.append(np.flatnonzero(chosen.any(axis=1)))
            found.append(self.constraints.project(current, self.Z)[of[-1]])
        of, found = np.concatenate(of), np.concatenate(found)
        valid = self._margins(found, of) >= self.min_margin
        return of[valid], found[valid]

    def _parts(self, unit, missing):
        """Parts of the missing margin that each change buys, and what it costs.

        Where a change of a number buys more than is missing, a part of the change will do.
        """
        share = self.gain / unit[:, None]
        cost = np.where((share > 0) | (self.cost < 0), self.cost, np.inf)
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = share / missing[:, None]
            fraction = np.where(self.slides & (excess > 1) & (cost > 0), 1 / excess, 1.0)
        most = N_LEVELS * DEMANDS[-1]
        parts = np.floor(np.clip(share, -2 * most, most)).astype(np.intp)
        return parts, (cost * fraction).astype(np.float32)


class _Knapsack:
    """The cheapest choice of at most one change a feature that adds up to a number of parts.

    Dynamic programming, for all rows at once: least cost by number of parts, feature by feature.

    Parameters
    ----------
    feature : ndarray of int, shape (n_moves,)
        Which feature each move changes.
    parts : ndarray of int, shape (n_rows, n_moves)
        What it adds.
    cost : ndarray of float32, shape (n_rows, n_moves)
        What it costs; infinite where it is of no use.
    """

    def __init__(self, feature, parts, cost):
        self.feature, self.parts = feature, parts
        self.most = most = int(np.ceil(DEMANDS[-1] * N_LEVELS))
        n, n_levels = len(parts), 2 * most + 1
        level = np.arange(-most, most + 1)
        self.least = np.full((n, n_levels), np.inf, dtype=np.float32)
        self.least[:, level <= 0] = 0
        self._steps = []
        for j in np.unique(feature):
            taken = np.full((n, n_levels), -1, dtype=np.int32)
            before, after = self.least, self.least.copy()
            for move in np.flatnonzero(feature == j):
                use = np.flatnonzero(np.isfinite(cost[:, move]))
                rest = np.maximum(level - parts[use, move, None], -most)
                beyond = rest > most
                rest = np.minimum(rest, most) + most
                total = np.take_along_axis(before[use], rest, axis=1) + cost[use, move, None]
                better = (total < after[use]) & ~beyond
                after[use] = np.where(better, total, after[use])
                taken[use] = np.where(better, move, taken[use])
            self.least = after
            self._steps.append(taken)

    def chosen(self, demand):
        """Moves whose parts add up to a demand, or to as much of it as can be had.

        Returns
        -------
        ndarray of bool, shape (n_rows, n_moves)
        """
        rows = np.arange(len(self.parts))
        possible = np.isfinite(self.least)
        best = self.least.shape[1] - 1 - possible[:, ::-1].argmax(axis=1)
        level = np.clip(demand + self.most, 0, best)
        chosen = np.zeros(self.parts.shape, dtype=bool)
        for taken in reversed(self._steps):
            move = taken[rows, level]
            some = np.flatnonzero(move >= 0)
            chosen[some, move[some]] = True
            left = level[some] - self.parts[some, move[some]]
            level[some] = np.clip(left, 0, 2 * self.most)
        return chosen
