"""Make valid counterfactuals smaller: fewer changes, each no larger than it must be.

Two steps, both in lock-step over all rows, so that a step is one question to the
classifier: undo changes one feature at a time, least effective first; then move what is
left back towards the row that is explained, to just inside the decision boundary. Rows of
which that makes another change needless go through both again.
"""

import numpy as np

from skcf._distinct import distinct_rows
from skcf._progress import progress
from skcf.space._constraints import same

__all__ = ["refine"]

FRACTIONS = np.array([0.25, 0.5, 0.75])
"""Where an interval is looked into at once: half as many questions as halving it, of half as many
rows more; a question to a Pipeline costs some milliseconds, however few rows it is about."""

N_CUTS = 8
"""Cuts to a quarter of a line search: continuous changes end within 4**-8 of their size."""

N_CUTS_WHOLE = 27
"""Whole numbers and ordinal categories are cut until the next one is invalid: those that floats
carry exactly are never further apart than this allows."""

BLOCK_ELEMENTS = 2**25
"""Values of all candidates of a step, one for each row and feature: 256 MiB."""

INNER_STEP = 2.0**-7
"""Share of a change that is kept beyond the boundary where only labels are known."""


def refine(Z, start, rows, target, oracle, *, metric="cityblock", min_margin=1e-4, verbose=0):
    """Make counterfactuals cheaper and sparser, and keep them valid.

    Changes are undone where the row stays valid without them: first those that buy the
    least margin for their cost, as many together as can be, until none can be undone alone.
    Then each numeric or ordinal change that is left is shortened by a line search. None of
    the changes that remain can be undone alone.

    Parameters
    ----------
    Z : ndarray of float64, shape (n_rows, n_features)
        Encoded rows that are explained.
    start : ndarray of float64, shape (n_rows, n_features)
        Feasible counterfactuals of them.
    rows : ndarray of int, shape (n_rows,)
        Which of the oracle's rows each of them is.
    target : ndarray of int, shape (n_rows,)
        Class code that each is to have.
    oracle : Oracle
        Answers what the classifier says.
    metric : {"cityblock", "euclidean", "sqeuclidean"}, default="cityblock"
        What is to become cheaper.
    min_margin : float, default=1e-4
        Margin on the logit scale that a shortened counterfactual keeps.
    verbose : int, default=0
        Whether to show progress.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_features)
        Feasible, and valid wherever `start` was.
    """
    refined = np.array(start)
    size = max(1, BLOCK_ELEMENTS // Z.shape[1] ** 2)
    for first in range(0, len(Z), size):
        b = slice(first, first + size)
        refined[b] = _refine_block(
            Z[b], start[b], rows[b], target[b], oracle, metric, min_margin, verbose
        )
    return refined


def _refine_block(Z, start, rows, target, oracle, metric, min_margin, verbose):
    """Refine as many rows as memory allows to move in lock-step."""
    search = _Search(Z, rows, target, oracle, metric, min_margin)
    undone, gain = search.undo(np.array(start), np.arange(len(start)), verbose)
    # several starting points of a row often come down to the same changes: go on with one
    first, twin_of = distinct_rows(rows, target, undone)
    search = _Search(Z[first], rows[first], target[first], oracle, metric, min_margin)
    refined = search.tighten(undone[first], gain[first], verbose)
    valid = oracle.labels(refined, rows[first]) == target[first]
    return np.where(valid[twin_of, None], refined[twin_of], start)


class _Search:
    """What both steps share: the rows, where undoing leads to, and how to ask.

    Undoing a change leads to the explained row's value, or to the nearest one in range
    where that is out of the permitted range.
    """

    def __init__(self, Z, rows, target, oracle, metric, min_margin):
        self.Z = Z
        self.rows = rows
        self.target = target
        self.oracle = oracle
        self.metric = metric
        # a margin of zero is a tie, which may go either way
        self.min_margin = max(min_margin, np.finfo(float).tiny) if oracle.has_scores else 0.0
        self.constraints = oracle.space.constraints_
        self.costs = oracle.space.costs_
        self.ordinal = np.isin(np.arange(Z.shape[1]), self.constraints.categorical)
        self.ordinal &= ~self.constraints.nominal
        self.base = self.constraints.project(Z, Z)

    def margin(self, candidates, of):
        """Margins of candidates for the rows at positions ``of``; -inf where one is not allowed.

        Each change is allowed by itself, but one that another change needs cannot go before it.
        """
        margin = self.oracle.margin(candidates, self.rows[of], self.target[of])
        if self.constraints.implications:
            margin[self.constraints.implications.broken(self.Z[of], candidates)] = -np.inf
        return margin

    def changed(self, current):
        """Tell which features have a change that could be undone."""
        return ~same(current, self.base)

    def undo(self, current, look, verbose):
        """Undo changes, in place, until none can be undone alone.

        Parameters
        ----------
        current : ndarray of float64, shape (n_rows, n_features)
            Counterfactuals.
        look : ndarray of int
            Positions of the rows to look at.
        verbose : int
            Whether to show progress.

        Returns
        -------
        current : ndarray of float64, shape (n_rows, n_features)
            Rows with the changes that are needed.
        gain : ndarray of float64, shape (n_rows, n_features)
            Margin that each change was found to buy when it was last looked at.
        """
        gain, margin = np.zeros(current.shape), np.zeros(len(current))
        margin[look] = self.margin(current[look], look)
        untried, stale = np.zeros(current.shape, dtype=bool), np.zeros(len(current), dtype=bool)
        untried[look] = self.changed(current)[look]
        with progress(None, verbose, None, "undoing changes") as bar:
            while untried.any():
                of, feature = np.nonzero(untried)
                candidates = current[of]
                candidates[np.arange(len(of)), feature] = self.base[of, feature]
                reached = self.margin(candidates, of)
                gain[of, feature] = margin[of] - reached
                valid = reached >= self.min_margin
                untried[of[~valid], feature[~valid]] = False
                of, feature, reached = of[valid], feature[valid], reached[valid]
                rank = self._ranks(current, gain, of, feature)
                first = rank[of, feature] == 0
                of = of[first]
                undone, margin[of] = self._undo_together(current, rank, of, reached[first])
                current[of] = np.where(undone, self.base[of], current[of])
                untried[of] &= ~undone
                stale[of] = True
                # what was needed before may not be now: look again once nothing else is left
                again = stale & ~untried.any(axis=1)
                untried[again] = self.changed(current)[again]
                stale[again] = False
                bar.update()
        return current, gain

    def tighten(self, undone, gain, verbose):
        """Shorten changes, and undo those that this makes needless, until nothing is left to do.

        Parameters
        ----------
        undone : ndarray of float64, shape (n_rows, n_features)
            What `undo` left.
        gain : ndarray of float64, shape (n_rows, n_features)
            Margin that each change buys.
        verbose : int
            Whether to show progress.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
        """
        look = np.arange(len(undone))
        current = undone
        while len(look):
            before = current
            current = self.shorten(np.array(before), gain, look, verbose)
            is_shorter = ~same(current, before).all(axis=1)
            look = np.flatnonzero(is_shorter & (self.changed(current).sum(axis=1) > 1))
            # a shorter change may make another one needless, and then there is room again
            shortened, (current, gain) = current, self.undo(np.array(current), look, verbose)
            look = np.flatnonzero(~same(current, shortened).all(axis=1))
        return current

    def _ranks(self, current, gain, of, feature):
        """Order each row's changes: first those that buy the least margin for their cost.

        Returns
        -------
        ndarray of int, shape (n_rows, n_features)
            0 for the first; other features come after all.
        """
        cost = self._cost_of_changes(current)[of, feature]
        worth = _ratio(gain[of, feature], cost)
        order = np.lexsort((feature, -cost, worth, of))
        of, feature = of[order], feature[order]
        rank = np.full(current.shape, current.shape[1])
        rank[of, feature] = np.arange(len(of)) - np.searchsorted(of, of)
        return rank

    def _undo_together(self, current, rank, of, margin):
        """Find how many of the first changes can be undone together, by halving their number.

        Parameters
        ----------
        current : ndarray of float64, shape (n_rows, n_features)
            Counterfactuals.
        rank : ndarray of int, shape (n_rows, n_features)
            Order of the changes; each can be undone alone.
        of : ndarray of int, shape (n_of,)
            Positions of the rows that have any.
        margin : ndarray of float64, shape (n_of,)
            Margin of these rows without the first change.

        Returns
        -------
        undone : ndarray of bool, shape (n_of, n_features)
            What can be undone.
        margin : ndarray of float64, shape (n_of,)
            Margin without it.
        """
        few, many = np.ones(len(of), dtype=np.intp), 1 + (rank[of] < rank.shape[1]).sum(axis=1)
        while len(going := np.flatnonzero(many - few > 1)):
            row, middle = of[going], (few[going] + many[going]) // 2
            undone = rank[row] < middle[:, None]
            reached = self.margin(np.where(undone, self.base[row], current[row]), row)
            valid = reached >= self.min_margin
            few[going[valid]], margin[going[valid]] = middle[valid], reached[valid]
            many[going[~valid]] = middle[~valid]
        return rank[of] < few[:, None], margin

    def _cost_of_changes(self, current):
        return self.costs.shares(current, self.Z, self.metric)

    def shorten(self, current, gain, look, verbose):
        """Move numeric and ordinal changes back to just inside the boundary, in place, in turn.

        Parameters
        ----------
        current : ndarray of float64, shape (n_rows, n_features)
            Counterfactuals.
        gain : ndarray of float64, shape (n_rows, n_features)
            Margin that each change buys: those that buy least for their cost go first.
        look : ndarray of int
            Positions of the rows to look at.
        verbose : int
            Whether to show progress.

        Returns
        -------
        ndarray of float64, shape (n_rows, n_features)
        """
        changed = np.zeros(current.shape, dtype=bool)
        changed[look] = (self.changed(current) & self._has_place(self.base))[look]
        worth = _ratio(gain, self._cost_of_changes(current))
        order = np.lexsort((worth, ~changed), axis=1)
        n_changed = changed.sum(axis=1)
        turns = range(n_changed.max(initial=0))
        for turn in progress(turns, verbose, len(turns), "shortening changes"):
            of = np.flatnonzero(n_changed > turn)
            self._line_search(current, of, order[of, turn])
        return current

    def _has_place(self, Z):
        """Where a value lies on an axis: numbers, and ordinal categories that fit saw."""
        return ~self.constraints.nominal & ~np.isnan(Z) & ((Z >= 0) | ~self.ordinal)

    def _line_search(self, current, of, feature):
        """Shorten one change of each row, in place, by cutting the interval to its base."""
        invalid, valid = self.base[of, feature], current[of, feature]
        first, going = valid.copy(), np.arange(len(of))
        whole = self.ordinal[feature] | self.constraints.integer[feature]
        for turn in range(N_CUTS_WHOLE):
            if turn == N_CUTS:
                going = going[whole[going]]
            if not len(going):
                break
            ends = invalid[going], valid[going]
            points, new, inside = self._look_into(current, of[going], feature[going], *ends)
            invalid[going], valid[going] = _narrowed(points, new, inside, *ends)
            going = going[new.any(axis=1)]
        if not self.oracle.has_scores:
            valid = np.where(whole, valid, self._step_inside(current, of, feature, valid, first))
        current[of, feature] = valid

    def _look_into(self, current, of, feature, invalid, valid):
        """Ask about points of each interval.

        Returns
        -------
        points : ndarray of float64, shape (n_rows, n_points)
            Values from the invalid to the valid end.
        new : ndarray of bool, shape (n_rows, n_points)
            Which of them are neither an end nor the point before.
        inside : ndarray of bool, shape (n_rows, n_points)
            Which of the new ones are valid.
        """
        points = self._between(feature, invalid, valid)
        of, feature = (np.repeat(a, points.shape[1]) for a in (of, feature))
        candidates = self._with_value(current, of, feature, points.ravel())
        points = candidates[np.arange(len(of)), feature].reshape(points.shape)
        new = (points != invalid[:, None]) & (points != valid[:, None])
        new[:, 1:] &= points[:, 1:] != points[:, :-1]
        inside = np.zeros(points.shape, dtype=bool)
        asked = new.ravel()
        inside[new] = self.margin(candidates[asked], of[asked]) >= self.min_margin
        return points, new, inside

    def _between(self, feature, low, high):
        """Points between two values; of ordinal categories, among those permitted."""
        # not by the difference of the ends, which may be too large for a float
        points = np.multiply.outer(low, 1 - FRACTIONS) + np.multiply.outer(high, FRACTIONS)
        for j in np.unique(feature[self.ordinal[feature]]):
            permitted = np.flatnonzero(self.constraints.permitted[j])
            at = feature == j
            first, last = (np.searchsorted(permitted, end[at]) for end in (low, high))
            ranks = first[:, None] + np.multiply.outer(last - first, FRACTIONS)
            points[at] = permitted[np.rint(ranks).astype(np.intp)]
        return points

    def _step_inside(self, current, of, feature, valid, first):
        """Keep some of a change in hand where there is no margin to keep."""
        candidates = self._with_value(current, of, feature, valid + INNER_STEP * (first - valid))
        inside = self.margin(candidates, of) >= self.min_margin
        return np.where(inside, candidates[np.arange(len(of)), feature], valid)

    def _with_value(self, current, of, feature, values):
        """Rows with one value of each replaced, by the nearest one that is allowed."""
        return self.constraints.with_values(current[of], self.Z[of], feature, values)


def _narrowed(points, new, inside, invalid, valid):
    """The part of each interval that the label flips in: up to the first valid point."""
    n, places = np.arange(len(points)), np.arange(points.shape[1])
    found = inside.any(axis=1)
    first = np.where(found, inside.argmax(axis=1), len(places))
    valid = np.where(found, points[n, np.minimum(first, len(places) - 1)], valid)
    last_before = np.where(new & (places < first[:, None]), places, -1).max(axis=1)
    return np.where(last_before >= 0, points[n, last_before], invalid), valid


def _ratio(gain, cost):
    """Margin bought for the cost; what costs nothing is worth everything.

    In single precision, so that what rounding alone tells apart is equal, and goes in the
    order of the features whatever the batch.
    """
    worth = np.divide(gain, cost, out=np.full(gain.shape, np.inf), where=cost > 0)
    with np.errstate(over="ignore"):
        return worth.astype(np.float32)
