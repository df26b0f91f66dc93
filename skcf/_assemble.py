"""Counterfactuals put together from changes of single features.

The nearest rows of the target class differ in many features, none of them by much. What moves
a row across the boundary at the least cost is often another thing: one or two features, changed
by more than any neighbour has them. So each row is asked about with each of its features set to
each of a few values, all in one go. What these changes buy, and what they cost, then says which
of them to put together: a knapsack problem, if changes add up.
"""

import numpy as np

from skcf._distinct import distinct_rows
from skcf._knapsack import Knapsack
from skcf.space._constraints import same

__all__ = ["assemble"]

N_PARTS = 24
"""Parts of the margin that a row lacks, in whole numbers of which changes are added up."""

EXTRA_PARTS = np.array([-6, 0, 7, 17, 36])
"""Parts beyond what is missing that counterfactuals are put together for: changes that are made
together may buy more than they do alone, or less."""

MOST_PARTS = N_PARTS + EXTRA_PARTS[-1]

ROUNDING = 1e-6
"""Of a part: what adds up to whole parts is not to miss them by rounding."""

BLOCK_ELEMENTS = 2**22
"""Values of the candidates that are asked about at a time: 32 MiB."""


def assemble(Z, current, rows, target, oracle, moves, *, metric, min_margin, banned=None):
    """Put counterfactuals together from single changes.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows that are explained.
    current : ndarray of float64, shape (n_rows, n_features)
        Where to begin: the rows themselves, or counterfactuals in which changes are to be exchanged
        for cheaper ones.
    rows : ndarray of int, shape (n_rows,)
        Which of the oracle's rows each of them is.
    target : ndarray of int, shape (n_rows,)
        Class code that each is to have.
    oracle : Oracle
        Answers what the classifier says.
    moves : Moves
        Changes to try.
    metric : str
        See `FeatureSpace.cost`.
    min_margin : float
        Margin on the logit scale that they are to have.
    banned : ndarray of bool, shape (n_rows, n_features), default=None
        Features that are left as they are, for each row.

    Returns
    -------
    of : ndarray of int, shape (n_found,)
        Position in Z of the row that each is for.
    found : ndarray of float64, shape (n_found, n_features)
        Encoded counterfactuals: allowed, and valid.
    """
    n_cells = moves.n_values + len(moves.features) * (2 * MOST_PARTS + 1)  # of the knapsack
    size = max(1, BLOCK_ELEMENTS // max(1, n_cells))
    of, found = [np.empty(0, dtype=np.intp)], [np.empty((0, Z.shape[1]))]
    for first in range(0, len(Z) if moves.n_values else 0, size):
        b = slice(first, first + size)
        table = _Table(Z[b], current[b], rows[b], target[b], oracle, moves, metric, min_margin)
        if banned is not None:
            table.ban(banned[b])
        place, z = table.assembled()
        of.append(first + place)
        found.append(z)
    return np.concatenate(of), np.concatenate(found)


class _Table:
    """What each single change buys and costs, for each row of a block.

    Attributes
    ----------
    feature : ndarray of int, shape (n_moves,)
        The feature that each move changes.
    value : ndarray of float64, shape (n_rows, n_moves)
        To what.
    cost : ndarray of float64, shape (n_rows, n_moves)
        How much dearer the whole is then; infinite where nothing changes.
    gain : ndarray of float64, shape (n_rows, n_moves)
        Margin that it buys.
    """

    def __init__(self, Z, current, rows, target, oracle, moves, metric, min_margin):
        self.Z, self.rows, self.target, self.oracle = Z, rows, target, oracle
        # a margin of zero is a tie, which may go either way
        self.min_margin = max(min_margin, np.finfo(float).tiny) if oracle.has_scores else 0.0
        self.constraints, self.costs, self.metric = (
            oracle.space.constraints_,
            oracle.space.costs_,
            metric,
        )
        self.base = self.constraints.project(Z, Z)
        self.current = self.constraints.project(current, Z)
        self._settle_moves(moves)
        everyone = np.arange(len(Z))
        self.margin = self._margin(self.current, everyone)
        self.lacked = self.min_margin - self._margin(self.base, everyone)
        self.gain = self._gains()

    def _settle_moves(self, moves):
        """Find what each move leads to, and by how much that is dearer."""
        feature, value, cost = [], [], []
        for j in moves.features:
            wanted = moves.values(j, self.Z[:, j], self.base[:, j])
            values, dearer = self._reached(j, wanted)
            is_new = ~same(values, self.current[:, [j]])
            is_new[:, 1:] &= ~same(values[:, 1:], values[:, :-1])
            feature.append(np.full(values.shape[1], j))
            value.append(values)
            cost.append(np.where(is_new, dearer, np.inf))
        self.feature = np.concatenate(feature)
        self.value, self.cost = np.hstack(value), np.hstack(cost)

    def ban(self, banned):
        """Leave some features as they are."""
        self.cost[banned[:, self.feature]] = np.inf

    def _reached(self, j, wanted):
        """Allowed values of one feature, and how much dearer the rows are with them."""
        n_values = wanted.shape[1]
        of = np.repeat(np.arange(len(wanted)), n_values)
        feature = np.full(len(of), j)
        if self.constraints.implications:  # other features may have to change as well
            candidates = self._with(of, feature, wanted.ravel())
            before = self.costs.shares(self.current, self.Z, self.metric).sum(axis=1)
            after = self.costs.shares(candidates, self.Z[of], self.metric).sum(axis=1)
            return candidates[:, j].reshape(wanted.shape), after.reshape(wanted.shape) - before[
                :, None
            ]
        values = self.constraints.project_values(feature, wanted.ravel(), self.Z[of, j])
        values, own = values.reshape(wanted.shape), self.Z[:, [j]]
        after = self.costs.share(j, own, values, self.metric)
        return values, after - self.costs.share(j, own, self.current[:, [j]], self.metric)

    def _gains(self):
        """What each move adds to the margin; -inf where nothing changes."""
        gain = np.full(self.cost.shape, -np.inf)
        of, move = np.nonzero(np.isfinite(self.cost))
        size = max(1, BLOCK_ELEMENTS // self.Z.shape[1])
        for first in range(0, len(of), size):
            i, m = of[first : first + size], move[first : first + size]
            candidates = self._with(i, self.feature[m], self.value[i, m])
            gain[i, m] = self._margin(candidates, i) - self.margin[i]
        return gain

    def _with(self, of, feature, values):
        """Rows with one move each."""
        return self.constraints.with_values(self.current[of], self.Z[of], feature, values)

    def _margin(self, candidates, of):
        return self.oracle.margin(candidates, self.rows[of], self.target[of])

    def assembled(self):
        """Counterfactuals of the moves that add up to what is missing at the least cost.

        Also of those that do so without the dearest change: where a big change buys more than is
        missing, several small ones may be cheaper than they seem.
        """
        parts, cost, missing = self._priced()
        chosen = self._chosen(parts, cost, missing)
        dearest = np.where(chosen[1], self.cost, -np.inf).argmax(axis=1)
        cost[self.feature == self.feature[dearest][:, None]] = np.inf
        chosen += self._chosen(parts, cost, missing)
        # what the constraints alone make valid needs no moves
        valid = np.flatnonzero(self.lacked <= 0)
        made = [(valid, self.base[valid]), *map(self._made, chosen)]
        of, found = (np.concatenate(x) for x in zip(*made, strict=True))
        first, _ = distinct_rows(of, found)
        of, found = of[first], found[first]
        valid = self._margin(found, of) >= self.min_margin
        of, found = of[valid], found[valid]
        # scores of rows between the real ones may say what the labels do not
        valid = self.oracle.labels(found, self.rows[of]) == self.target[of]
        return of[valid], found[valid]

    def _chosen(self, parts, cost, missing):
        """Moves for each demand, shape (n_rows, n_moves) each."""
        knapsack = Knapsack(self.feature, parts, cost, MOST_PARTS)
        return [knapsack.choose(missing + extra) for extra in EXTRA_PARTS]

    def _made(self, chosen):
        """Rows with their chosen moves; those without any are left out."""
        place, move = np.nonzero(chosen)
        candidates = np.array(self.current)
        candidates[place, self.feature[move]] = self.value[place, move]
        some = np.flatnonzero(chosen.any(axis=1))
        return some, self.constraints.project(candidates[some], self.Z[some])

    def _priced(self):
        """Parts that each move adds, what it costs, and how many are missing.

        Where the change of a number buys more than is missing, a part of the change will do: what
        is too much of it is taken back afterwards.
        """
        unit = np.where(self.lacked > 0, self.lacked, 1.0)[:, None] / N_PARTS
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            missing = (self.min_margin - self.margin[:, None]) / unit
            share = self.gain / unit
            use = np.isfinite(self.cost) & ((share > 0) | ((self.cost < 0) & ~np.isnan(share)))
            too_much = share / missing
        slides = ~self.constraints.nominal[self.feature]
        partial = use & slides & (too_much > 1) & (self.cost > 0)
        cost = np.where(use, self.cost, np.inf)
        cost[partial] /= too_much[partial]
        share = np.clip(np.where(use, share, 0), -2 * MOST_PARTS - 1, MOST_PARTS)
        missing = np.clip(np.ceil(missing[:, 0] - ROUNDING), -MOST_PARTS, MOST_PARTS)
        return np.floor(share + ROUNDING).astype(np.intp), cost, missing.astype(np.intp)
