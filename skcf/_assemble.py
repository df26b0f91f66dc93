"""Counterfactuals put together from changes of single features.

The nearest rows of the target class differ in many features, none of them by much. What moves
a row across the boundary at the least cost is often another thing: one or two features, changed
by more than any neighbour has them. So each row is asked about with each of its features set to
each of a few values, all in one go. What these changes buy, and what they cost, then says which
of them to put together: a knapsack problem, if changes add up.
"""

import numpy as np

from skcf._knapsack import Knapsack

__all__ = ["assemble"]

N_PARTS = 24
"""Parts of the margin that a row lacks, in whole numbers of which changes are added up."""

EXTRA_PARTS = np.array([-6, 0, 7, 17, 36])
"""Parts beyond what is missing that counterfactuals are put together for: changes that are made
together may buy more than they do alone, or less."""

MOST_PARTS = N_PARTS + EXTRA_PARTS[-1]

ROUNDING = 1e-6
"""Of a part: what adds up to whole parts is not to miss them by rounding."""

BLOCK_ELEMENTS = 2**24
"""Values of all candidates of a block of rows: 128 MiB."""


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
    n_moves = sum(moves.values(j, Z[:1, j], Z[:1, j]).shape[1] for j in moves.features)
    size = max(1, BLOCK_ELEMENTS // max(1, n_moves * Z.shape[1]))
    of, found = [np.empty(0, dtype=np.intp)], [np.empty((0, Z.shape[1]))]
    for first in range(0, len(Z) if n_moves else 0, size):
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
        self.constraints, self.costs = oracle.space.constraints_, oracle.space.costs_
        self.base = self.constraints.project(Z, Z)
        self.current = self.constraints.project(current, Z)
        self._settle_moves(moves, metric)
        everyone = np.arange(len(Z))
        self.margin = self._margin(self.current, everyone)
        self.lacked = self.min_margin - self._margin(self.base, everyone)
        self.gain = np.full(self.cost.shape, -np.inf)
        of, move = np.nonzero(np.isfinite(self.cost))
        self.gain[of, move] = self._margin(self._with(of, move), of) - self.margin[of]

    def _settle_moves(self, moves, metric):
        """Find what each move leads to, and by how much that is dearer."""
        before = self.costs.shares(self.current, self.Z, metric).sum(axis=1)
        feature, value, cost = [], [], []
        for j in moves.features:
            values = moves.values(j, self.Z[:, j], self.base[:, j])
            n_values = values.shape[1]
            reference = np.repeat(self.Z, n_values, axis=0)
            candidates = np.repeat(self.current, n_values, axis=0)
            candidates[:, j] = values.ravel()
            candidates = self.constraints.project(candidates, reference)
            values = candidates[:, j].reshape(-1, n_values)
            after = self.costs.shares(candidates, reference, metric).sum(axis=1)
            after = after.reshape(-1, n_values)
            is_new = values != self.current[:, [j]]
            is_new[:, 1:] &= values[:, 1:] != values[:, :-1]
            feature.append(np.full(n_values, j))
            value.append(values)
            cost.append(np.where(is_new, after - before[:, None], np.inf))
        self.feature = np.concatenate(feature)
        self.value, self.cost = np.hstack(value), np.hstack(cost)

    def ban(self, banned):
        """Leave some features as they are."""
        self.cost[banned[:, self.feature]] = np.inf

    def _with(self, of, move):
        """Rows with one move each."""
        candidates = self.current[of]
        candidates[np.arange(len(of)), self.feature[move]] = self.value[of, move]
        return self.constraints.project(candidates, self.Z[of])

    def _margin(self, candidates, of):
        return self.oracle.margin(candidates, self.rows[of], self.target[of])

    def assembled(self):
        """Counterfactuals of the moves that add up to what is missing at the least cost.

        Also of those that do so without the dearest change: where a big change buys more than is
        missing, several small ones may be cheaper than they seem.
        """
        unit = np.where(self.lacked > 0, self.lacked, 1.0) / N_PARTS
        missing = (self.min_margin - self.margin) / unit
        parts, cost = self._priced(unit, missing)
        missing = np.clip(np.ceil(missing - ROUNDING), -MOST_PARTS, MOST_PARTS).astype(np.intp)
        chosen = self._chosen(parts, cost, missing)
        dearest = np.where(chosen[1], self.cost, -np.inf).argmax(axis=1)
        cost[self.feature == self.feature[dearest][:, None]] = np.inf
        chosen += self._chosen(parts, cost, missing)
        of, found = (np.concatenate(x) for x in zip(*map(self._made, chosen), strict=True))
        valid = self._margin(found, of) >= self.min_margin
        return of[valid], found[valid]

    def _chosen(self, parts, cost, missing):
        """Moves for each demand, shape (n_rows, n_moves) each."""
        knapsack = Knapsack(self.feature, parts, cost, MOST_PARTS)
        return [knapsack.choose(missing + extra) for extra in EXTRA_PARTS]

    def _made(self, chosen):
        """Rows with their chosen moves; those without any are left out, if they lack something."""
        place, move = np.nonzero(chosen)
        candidates = np.array(self.current)
        candidates[place, self.feature[move]] = self.value[place, move]
        some = np.flatnonzero(chosen.any(axis=1) | (self.lacked <= 0))
        return some, self.constraints.project(candidates[some], self.Z[some])

    def _priced(self, unit, missing):
        """Parts that each move adds, and what it costs.

        Where the change of a number buys more than is missing, a part of the change will do: what
        is too much of it is taken back afterwards.
        """
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            share = self.gain / unit[:, None]
            use = np.isfinite(self.cost) & ((share > 0) | (self.cost < 0))
            too_much = share / missing[:, None]
        slides = ~self.constraints.nominal[self.feature]
        partial = use & slides & (too_much > 1) & (self.cost > 0)
        cost = np.where(use, self.cost, np.inf)
        cost[partial] /= too_much[partial]
        share = np.clip(np.where(use, share, 0), -2 * MOST_PARTS, MOST_PARTS)
        return np.floor(share + ROUNDING).astype(np.intp), cost
